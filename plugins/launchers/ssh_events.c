/* The launcher "ssh": what happens at a host, and what follows. */
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "launch.h"
#include "ssh.h"
#include "ssh_forward.h"

#define FORWARD_MS 60000
#define AGAIN_MS   30000 /* until a host that was lost is tried again */

/* Only the first problem is kept: it is the cause of later ones. */
static void note_problem(struct ssh_host *host, const char *text)
{
    if (*host->problem)
        return;
    snprintf(host->problem, sizeof(host->problem), "%s", text);
    for (char *letter = host->problem; *letter; letter++)
        if ((unsigned char)*letter < ' ')
            *letter = '?';
}

/* Keeps what ssh has written last, as one line of ASCII. */
static void note_words(struct ssh_host *host, const char *line)
{
    size_t used = strlen(host->words), size = strlen(line);
    if (used + size + 3 > sizeof(host->words))
        used = 0;
    if (size + 3 > sizeof(host->words))
        return;
    snprintf(host->words + used, sizeof(host->words) - used, "%s%s", used ? "; " : "", line);
    for (char *letter = host->words + used; *letter; letter++)
        if (*letter < ' ' || *letter > '~')
            *letter = '?';
}

static void give_up(struct ssh_host *host, const char *what, const char *words)
{
    char text[SSH_LINE_BYTES];
    snprintf(text, sizeof(text), "%s%s%s", what, *words ? ": " : "", words);
    text[strcspn(text, "\r\n")] = '\0';
    note_problem(host, text);
    ssh_host_cut(host);
}

static struct ssh_ports ports_of(const struct ssh_set *set)
{
    struct ssh_ports ports = {.count = 0};
    ssh_ports_add(&ports, set->connection);
    ssh_ports_add(&ports, set->clients);
    return ports;
}

/* Adds a connection file for the host to the agent's text; `printed` is what ssh says about
 * forwarded ports. Returns 0 or -1. */
static int add_file(struct ssh_host *host, const char *role, const json_t *connection,
                    const char *printed)
{
    struct ssh_ports ports = ports_of(host->set);
    struct text file = {.bytes = NULL};
    int outcome = connection ? ssh_forward_file(connection, &ports, host->ports ? NULL : host->run,
                                                printed, &file)
                             : 0;
    if (outcome == 0 && connection) {
        text_format(&host->queue, "secret %zu %s\n", file.size, role);
        text_add_bytes(&host->queue, file.bytes, file.size);
    }
    text_clear(&file);
    return outcome;
}

/* Sends the agent what to start. By now the way to the controller is known; or the controller
 * itself is to start, and has no files yet. */
static void send_start(struct ssh_host *host, const char *printed)
{
    const struct ssh_set *set = host->set;
    if (add_file(host, "engine", set->connection, printed) < 0 ||
        add_file(host, "client", set->clients, printed) < 0) {
        give_up(host, "ssh does not say which ports it forwards", printed);
        return;
    }
    text_add_bytes(&host->queue, set->files.bytes ? set->files.bytes : "", set->files.size);
    text_add(&host->queue, "start\n");
    host->state = SSH_STARTING;
    ssh_set_poll(host->set);
}

static void forward(struct ssh_host *host);

static void forwarded(void *self, void *context, const struct ipcl_command_end *end)
{
    struct ssh_host *host = context;
    (void)self;
    if (host->state != SSH_FORWARDING)
        return;
    if (end->status != 0 && !end->timed_out && !host->ports) {
        host->ports = true;
        forward(host);
    } else if (end->status != 0) {
        give_up(host,
                "the controller cannot be reached from there through ssh (with --ip it listens "
                "where engines reach it without ssh)",
                end->errors);
    } else {
        send_start(host, end->output);
    }
}

/* Forwards from sockets in a private folder on the host or, if sshd allows none, from ports of
 * loopback. */
static void forward(struct ssh_host *host)
{
    const struct ssh_set *set = host->set;
    char control[SSH_PATH_BYTES + 32];
    struct ipcl_error error;
    snprintf(control, sizeof(control), "-oControlPath=%s/%u", set->folder, host->number);
    struct ssh_ports ports = ports_of(set);
    char **forwards = ssh_forward_words(&ports, "-R", host->ports ? NULL : host->run);
    const char **argv =
        forwards ? ssh_command_through(host, control, "forward", forwards, NULL) : NULL;
    struct ipcl_command command = {
        .argv = argv, .timeout_ms = FORWARD_MS, .done = forwarded, .context = host};
    host->state = SSH_FORWARDING;
    if (ssh_command_run(set, &command, &error) < 0)
        give_up(host, error.text, "");
    free(argv);
    list_free(forwards);
}

/* The folder's name goes into command lines: it is one that the agent makes. */
static bool is_plain(const char *path)
{
    return *path == '/' &&
           !path[strspn(path,
                        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._-")];
}

static void agent_runs(struct ssh_host *host, const char *rest)
{
    if (sscanf(rest, "%" SCNd64 " %" SCNd64 " %39s", &host->agent_pid, &host->agent_born,
               host->boot) != 3 ||
        host->agent_pid <= 1)
        host->agent_pid = 0;
}

static void ready(struct ssh_host *host, const char *rest)
{
    char version[64], text[320];
    if (sscanf(rest, "%95s %63s", host->run, version) != 2 || !is_plain(host->run)) {
        give_up(host, "the host's answer is not understood", rest);
        return;
    }
    if (host->set->taken_over || host->set->stopping)
        return;
    if (*version != '-' && strverscmp(version, PACKAGE_VERSION) < 0) {
        snprintf(text, sizeof(text),
                 "%.100s has ipcluster %s, which is older than this one (%s): newer features do "
                 "not work there",
                 host->name, version, PACKAGE_VERSION);
        host->set->services->base.log(host->set->services->base.host, IPCL_LOG_WARN, text);
    }
    if (host->set->here)
        forward(host);
    else
        send_start(host, "");
}

static bool has_running(const struct ssh_host *host)
{
    bool some = false;
    for (unsigned i = host->first; i < host->first + host->count; i++)
        some = some || (host->set->copies[i].pid && !host->set->copies[i].ended &&
                        !host->set->copies[i].over);
    return some;
}

/* A host runs when all of its engines have been started. */
static void look_whether_running(struct ssh_host *host)
{
    bool all = true;
    for (unsigned i = host->first; i < host->first + host->count; i++)
        all = all && (host->set->copies[i].pid || host->set->copies[i].ended);
    if (all && host->state == SSH_STARTING) {
        host->state = SSH_RUNNING;
        ssh_fetch_files(host);
    }
    ssh_set_changed(host->set);
}

static void started(struct ssh_host *host, const char *rest)
{
    unsigned number;
    int64_t pid, born;
    if (sscanf(rest, "%u %" SCNd64 " %" SCNd64, &number, &pid, &born) != 3 ||
        number >= host->count || pid <= 1)
        return;
    host->set->copies[host->first + number].pid = pid;
    host->set->copies[host->first + number].born = born;
    look_whether_running(host);
}

static void tell_ended(struct ssh_host *host, unsigned index, int status)
{
    char reason[400], how[80] = "";
    /* The shell there has 128 and the signal's number for the status of what a signal ended. */
    if (status > 128 && status < 128 + NSIG)
        snprintf(how, sizeof(how), ": signal %d (%s) ended it", status - 128,
                 strsignal(status - 128));
    else
        snprintf(how, sizeof(how), ": it exited with status %d", status);
    snprintf(reason, sizeof(reason), "process %" PRId64 " on %.200s%s",
             host->set->copies[index].pid, host->name, how);
    ssh_set_copy_ended(host->set, index, status, status ? reason : NULL);
}

/* The end of a host's last copy is reported together with the end of the connection: when all are
 * reported as ended, nothing is left. */
static void ended(struct ssh_host *host, const char *rest)
{
    unsigned number;
    int status;
    if (sscanf(rest, "%u %d", &number, &status) != 2 || number >= host->count)
        return;
    host->set->copies[host->first + number].over = true;
    host->set->copies[host->first + number].status = status;
    if (has_running(host))
        tell_ended(host, host->first + number, status);
    look_whether_running(host);
}

void ssh_event_tell_over(struct ssh_host *host)
{
    for (unsigned i = host->first; i < host->first + host->count; i++)
        if (host->set->copies[i].over)
            tell_ended(host, i, host->set->copies[i].status);
}

void ssh_event_line(struct ssh_host *host, const char *line)
{
    static const struct {
        const char *word;
        void (*happened)(struct ssh_host *host, const char *rest);
    } events[] = {{"agent", agent_runs},     {"ready", ready},
                  {"started", started},      {"ended", ended},
                  {"problem", note_problem}, {"files", ssh_controller_files}};
    size_t token = strlen(host->set->token);
    if (*line != '@' || strncmp(line + 1, host->set->token, token) != 0 || line[1 + token] != ' ') {
        if (line[strspn(line, "0123456789")] != ':')
            note_words(host, line);
        return;
    }
    line += token + 2;
    size_t size = strcspn(line, " ");
    for (size_t i = 0; i < sizeof(events) / sizeof(*events); i++)
        if (size == strlen(events[i].word) && !strncmp(line, events[i].word, size))
            events[i].happened(host, line + size + (line[size] == ' '));
}

/* The end of a connection */

static void end_copies(struct ssh_host *host, int status, const char *how)
{
    char reason[SSH_WORDS_BYTES + 400];
    for (unsigned i = host->first; i < host->first + host->count; i++) {
        const struct ssh_copy *copy = &host->set->copies[i];
        snprintf(reason, sizeof(reason), "process %" PRId64 " on %.200s%s", copy->pid, host->name,
                 how);
        if (copy->pid)
            ssh_set_copy_ended(host->set, i, status, status ? reason : NULL);
    }
}

static void try_again(void *self, void *context)
{
    struct ssh_host *host = context;
    (void)self;
    if (host->state == SSH_LOST)
        ssh_event_clean(host);
}

/* Engines of a host that cannot be reached are not known to have ended: that is tried again, and
 * told once. */
static void unreachable(struct ssh_host *host, const char *words)
{
    const struct ipcl_launcher_services *services = host->set->services;
    char text[SSH_WORDS_BYTES + 600];
    struct ipcl_error error;
    unsigned left = 0;
    int size = (int)strcspn(words, "\r\n");
    for (unsigned i = host->first; i < host->first + host->count; i++)
        left += host->set->copies[i].pid && !host->set->copies[i].ended;
    snprintf(text, sizeof(text),
             "%.200s cannot be reached any more (%.*s): it is not known whether its %u engine%s "
             "run%s; %s",
             host->name, size < 300 ? size : 300, words, left, left == 1 ? "" : "s",
             left == 1 ? "s" : "",
             host->set->stopping ? "an engine ends by itself when it loses its controller"
                                 : "ipcluster tries again until it can be reached");
    if (left && (!host->told || host->set->stopping))
        services->base.log(services->base.host, IPCL_LOG_WARN, text);
    host->told = true;
    if (!left || host->set->stopping ||
        !services->timer_start(services->base.host, AGAIN_MS, try_again, host, &error)) {
        host->state = SSH_GONE;
        end_copies(host, 255, ", which cannot be reached any more");
    }
}

/* It may be known now what became of engines of a host that was lost. */
static void cleaned(void *self, void *context, const struct ipcl_command_end *end)
{
    struct ssh_host *host = context;
    char mark[SSH_TOKEN_BYTES + 16], how[SSH_WORDS_BYTES + 100];
    (void)self;
    snprintf(mark, sizeof(mark), "@%s clean", host->set->token);
    snprintf(how, sizeof(how),
             ": the connection ended (%.500s), and nothing of it runs there any more",
             host->problem);
    host->cleaning = false;
    if (end->status != 0 || !strstr(end->output, mark)) {
        unreachable(host, end->timed_out ? "it does not answer" : end->errors);
    } else {
        host->state = SSH_GONE;
        end_copies(host, host->set->stopping ? 0 : 255, how);
    }
    ssh_set_go_without(host);
    ssh_set_changed(host->set);
}

void ssh_event_clean(struct ssh_host *host)
{
    struct ipcl_error error;
    struct text agent = {.bytes = NULL};
    if (host->cleaning)
        return;
    host->cleaning = true;
    ssh_agent_clean(host, &agent);
    const char **argv = agent.failed ? NULL : ssh_command_again(host);
    struct ipcl_command command = {.argv = argv,
                                   .input = agent.bytes,
                                   .timeout_ms = host->set->clean_ms,
                                   .done = cleaned,
                                   .context = host};
    if (ssh_command_run(host->set, &command, &error) < 0)
        cleaned(host->set, host,
                &(struct ipcl_command_end){.status = -1, .output = "", .errors = error.text});
    free(argv);
    text_clear(&agent);
}

/* Why a host that ssh did not reach takes no part, in ssh's own words. */
static void tell_unreached(struct ssh_host *host)
{
    char text[SSH_LINE_BYTES];
    const char *advice = strstr(host->words, "ermission denied")
                             ? " (it must work without a password: with a key or an agent)"
                         : strstr(host->words, "key verification failed")
                             ? " (log in there once by hand, or ask its administrator for its key)"
                             : "";
    if (*host->words)
        snprintf(text, sizeof(text), "ssh says: %s%s", host->words, advice);
    else
        snprintf(text, sizeof(text), "ssh %s %d",
                 host->signum ? "was ended by signal" : "ended with",
                 host->signum ? host->signum : host->status);
    note_problem(host, text);
}

void ssh_event_exited(struct ssh_host *host)
{
    host->pid = 0;
    /* Where ssh tells how the agent ended, it has, as it does by itself once it has engines. */
    bool told = !host->set->taken_over && !host->signum && host->status != 255;
    if (has_running(host) || told)
        host->agent_pid = 0;
    tell_unreached(host);
    ssh_event_tell_over(host);
    if (!host->agent_pid)
        ssh_set_go_without(host);
    host->state = has_running(host) || host->agent_pid ? SSH_LOST : SSH_GONE;
    ssh_set_changed(host->set);
    if (host->state == SSH_LOST)
        ssh_event_clean(host);
}
