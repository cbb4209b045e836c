/* The launcher "ssh": a controller on another host. Its connection files come here when it has
 * written them. If it listens only on its own host, the files here name sockets here, which the
 * connection forwards. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/trust.h"
#include "launch.h"
#include "ssh.h"
#include "ssh_forward.h"

#define COMMAND_MS 60000

static void fail(struct ssh_host *host, const char *what, const char *words)
{
    snprintf(host->problem, sizeof(host->problem), "%s%s%.*s", what, *words ? ": " : "",
             (int)strcspn(words, "\r\n"), words);
    ssh_host_cut(host);
}

/* Whether the controller is still being started, by this supervisor. */
static bool wanted(const struct ssh_host *host)
{
    return host->pid > 0 && !host->set->stopping && !host->set->taken_over;
}

/* Writes one of the files here, whole or not at all. Returns 0 or -1 with `error` set. */
static int write_file(const struct ssh_set *set, const char *role, json_t *connection,
                      struct ipcl_error *error)
{
    char path[SSH_PATH_BYTES], new[SSH_PATH_BYTES + 8];
    struct text text = {.bytes = NULL};
    if (set->here) {
        json_object_set_new(connection, "interface", json_sprintf("ipc://%s/s", set->folder));
        json_object_set_new(connection, "location", json_string(""));
    }
    snprintf(path, sizeof(path), "%s-%s.json", set->file_stem, role);
    snprintf(new, sizeof(new), "%s.new", path);
    if (ssh_connection_file(connection, &text) < 0)
        return ipcl_error_set(error, "no memory for %s", path);
    unlink(new);
    int fd = trust_open(new, O_WRONLY | O_CREAT | O_EXCL, 0600, NULL, error),
        outcome = fd < 0 ? -1 : 0;
    if (fd >= 0 &&
        (write(fd, text.bytes, text.size) != (ssize_t)text.size || rename(new, path) < 0))
        outcome = ipcl_error_set(error, "cannot write %s: %s", path, strerror(errno));
    if (fd >= 0)
        close(fd);
    text_clear(&text);
    return outcome;
}

/* The clients' file is the last: a program that waits for both waits for it. */
static void write_files(struct ssh_host *host)
{
    struct ssh_set *set = host->set;
    struct ipcl_error error;
    if (write_file(set, "engine", set->connection, &error) < 0 ||
        write_file(set, "client", set->clients, &error) < 0)
        fail(host, error.text, "");
    json_decref(set->connection);
    json_decref(set->clients);
    set->connection = set->clients = NULL;
}

static void forwarded(void *self, void *context, const struct ipcl_command_end *end)
{
    struct ssh_host *host = context;
    (void)self;
    if (!wanted(host))
        return;
    if (end->status != 0)
        fail(host,
             "the controller cannot be reached through ssh (with --ip it listens where it can be "
             "reached without ssh)",
             end->errors);
    else
        write_files(host);
}

static void forward(struct ssh_host *host)
{
    const struct ssh_set *set = host->set;
    char control[SSH_PATH_BYTES + 32];
    struct ssh_ports ports = {.count = 0};
    struct ipcl_error error;
    snprintf(control, sizeof(control), "-oControlPath=%s/%u", set->folder, host->number);
    ssh_ports_add(&ports, set->connection);
    ssh_ports_add(&ports, set->clients);
    char **forwards = ssh_forward_words(&ports, "-L", set->folder);
    const char **argv =
        forwards ? ssh_command_through(host, control, "forward", forwards, NULL) : NULL;
    struct ipcl_command command = {
        .argv = argv, .timeout_ms = COMMAND_MS, .done = forwarded, .context = host};
    if (ssh_command_run(set, &command, &error) < 0)
        fail(host, error.text, "");
    free(argv);
    list_free(forwards);
}

static void fetched(void *self, void *context, const struct ipcl_command_end *end)
{
    struct ssh_host *host = context;
    struct ssh_set *set = host->set;
    json_error_t where;
    (void)self;
    if (!wanted(host))
        return;
    json_decref(set->clients);
    json_decref(set->connection);
    set->clients = json_loads(end->output, JSON_DISABLE_EOF_CHECK, &where);
    set->connection = set->clients ? json_loads(end->output + where.position, 0, NULL) : NULL;
    if (end->status != 0 || !json_is_object(set->connection) || !json_is_object(set->clients)) {
        fail(host, "the controller's connection files cannot be read there", end->errors);
        return;
    }
    set->here = ssh_connection_is_here(set->connection) && ssh_connection_is_here(set->clients);
    if (set->here)
        forward(host);
    else
        write_files(host);
}

void ssh_controller_files(struct ssh_host *host, const char *stem)
{
    static const char *const roles[] = {"client", "engine"};
    char control[SSH_PATH_BYTES + 32];
    struct ipcl_error error;
    struct text remote = {.bytes = NULL};
    if (!wanted(host))
        return;
    snprintf(control, sizeof(control), "-oControlPath=%s/%u", host->set->folder, host->number);
    text_add(&remote, "exec cat");
    for (size_t i = 0; i < 2; i++) {
        struct text path = {.bytes = NULL};
        text_format(&path, "%s-%s.json", stem, roles[i]);
        text_add(&remote, " ");
        text_add_quoted(&remote, path.bytes ? path.bytes : "");
        text_clear(&path);
    }
    const char **argv =
        remote.failed ? NULL : ssh_command_through(host, control, NULL, NULL, remote.bytes);
    struct ipcl_command command = {
        .argv = argv, .timeout_ms = COMMAND_MS, .done = fetched, .context = host};
    if (ssh_command_run(host->set, &command, &error) < 0)
        fail(host, error.text, "");
    free(argv);
    text_clear(&remote);
}
