/* The launcher "ssh": files that come here from a host, through its connection, when all has
 * started there. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/trust.h"
#include "launch.h"
#include "ssh.h"

#define FETCH_MS  600000
#define AGAIN_MS  1000
#define TRIES_MAX 60 /* what was started may make a file a while later */

static const char take_file[] = "file=$1; shift; exec \"$@\" >\"$file\"";

struct ssh_fetch {
    struct ssh_fetch *next;
    struct ssh_host *host;
    char *there, *here, *part; /* the last is what has come so far */
    unsigned tries;
};

static void begin(struct ssh_fetch *fetch);

void ssh_fetch_free(struct ssh_set *set)
{
    while (set->fetches) {
        struct ssh_fetch *fetch = set->fetches;
        set->fetches = fetch->next;
        if (fetch->part)
            unlink(fetch->part);
        free(fetch->there);
        free(fetch->here);
        free(fetch->part);
        free(fetch);
    }
}

static void not_fetched(const struct ssh_fetch *fetch, const char *why)
{
    const struct ipcl_services *base = &fetch->host->set->services->base;
    char text[2 * SSH_LINE_BYTES];
    snprintf(text, sizeof(text), "%.300s of %.200s was not fetched to %.300s: %.*s",
             fetch->there ? fetch->there : "a file", fetch->host->name,
             fetch->here ? fetch->here : "", (int)strcspn(why, "\r\n"), why);
    base->log(base->host, IPCL_LOG_WARN, text);
}

static void try_again(void *self, void *context)
{
    struct ssh_fetch *fetch = context;
    (void)self;
    if (fetch->host->pid > 0 && !fetch->host->set->stopping)
        begin(fetch);
}

/* The waiting is done here: a shell that waits on the host would outlive the connection. */
static void fetched(void *self, void *context, const struct ipcl_command_end *end)
{
    struct ssh_fetch *fetch = context;
    const struct ipcl_launcher_services *services = fetch->host->set->services;
    struct ipcl_error error;
    (void)self;
    if (end->status == 0) {
        if (rename(fetch->part, fetch->here) < 0)
            not_fetched(fetch, strerror(errno));
        return;
    }
    unlink(fetch->part);
    if (end->timed_out)
        not_fetched(fetch, "it took too long");
    else if (++fetch->tries == TRIES_MAX ||
             !services->timer_start(services->base.host, AGAIN_MS, try_again, fetch, &error))
        not_fetched(fetch, end->errors);
}

/* The command that writes the file here; malloc'ed, its words borrowed. NULL if memory is short. */
static const char **fetch_command(const struct ssh_fetch *fetch, struct text *remote)
{
    const char *const shell[] = {"/bin/sh", "-c", take_file, "ssh", fetch->part};
    const size_t count = sizeof(shell) / sizeof(*shell);
    char control[SSH_PATH_BYTES + 32];
    snprintf(control, sizeof(control), "-oControlPath=%s/%u", fetch->host->set->folder,
             fetch->host->number);
    text_add(remote, "exec cat -- ");
    text_add_quoted(remote, fetch->there);
    const char **ssh = remote->failed
                           ? NULL
                           : ssh_command_through(fetch->host, control, NULL, NULL, remote->bytes);
    const char **argv = ssh ? calloc(count + list_length(ssh) + 1, sizeof(*argv)) : NULL;
    if (argv) {
        memcpy(argv, shell, sizeof(shell));
        memcpy(argv + count, ssh, list_length(ssh) * sizeof(*ssh));
    }
    free(ssh);
    return argv;
}

static void begin(struct ssh_fetch *fetch)
{
    const struct ssh_set *set = fetch->host->set;
    struct ipcl_error error;
    struct text remote = {.bytes = NULL};
    int fd = -1;
    if (fetch->there && fetch->here && fetch->part) {
        unlink(fetch->part);
        fd = trust_open(fetch->part, O_WRONLY | O_CREAT | O_EXCL, 0600, NULL, &error);
    } else {
        ipcl_error_set(&error, "no memory for the path of a file");
    }
    const char **argv = fd < 0 ? NULL : fetch_command(fetch, &remote);
    const struct ipcl_command command = {
        .argv = argv, .timeout_ms = FETCH_MS, .done = fetched, .context = fetch};
    if (fd < 0 || ssh_command_run(set, &command, &error) < 0)
        not_fetched(fetch, error.text);
    if (fd >= 0)
        close(fd);
    free(argv);
    text_clear(&remote);
}

void ssh_fetch_files(struct ssh_host *host)
{
    struct ssh_set *set = host->set;
    const struct ipcl_services *base = &set->services->base;
    const char *const *files = base->option_list(base->host, set->class_name, "to_fetch", NULL);
    for (; files && *files && !set->taken_over && !set->stopping; files++) {
        const char *here = strchr(*files, '=') + 1;
        bool one = set->host_count == 1;
        struct ssh_fetch *fetch = calloc(1, sizeof(*fetch));
        if (!fetch)
            return;
        fetch->host = host;
        fetch->next = set->fetches;
        set->fetches = fetch;
        fetch->there = strndup(*files, (size_t)(here - 1 - *files));
        if (asprintf(&fetch->here, "%s%s%s", here, one ? "" : ".", one ? "" : host->name) < 0)
            fetch->here = NULL;
        if (!fetch->here || asprintf(&fetch->part, "%s.part", fetch->here) < 0)
            fetch->part = NULL;
        begin(fetch);
    }
}
