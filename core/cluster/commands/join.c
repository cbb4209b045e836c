/* Adding an engine set to a cluster that an ipcluster of this host supervises: that ipcluster is
 * asked at its control socket, and reports about the set on the same connection. */
#include "cluster/commands/join.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "cluster/control/control.h"
#include "cluster/state/state.h"
#include "cluster/commands/status.h"
#include "cluster/launching/workplace.h"
#include "cluster/state/json_text.h"

#define ANSWER_MS       10000  /* for the supervisor */
#define TAKEN_MS        30000  /* for it to take a set, as it may be starting processes */
#define STOP_TIMEOUT_MS 180000 /* longer than a set takes, with all its escalation */
#define LOOK_MS         50
#define CHUNK_BYTES     4096

struct join_search {
    const char *cluster_id;
    char *path;
    bool found;
};

static int join_look_at(void *context, struct state *state)
{
    struct join_search *search = context;
    if (strcmp(state->cluster_id, search->cluster_id) != 0 || state->pid < 0 ||
        state->engines_only || !*state->socket || strcmp(state->phase, "stopping") == 0 ||
        !state_supervised(state))
        return 0;
    snprintf(search->path, PATH_BYTES, "%s", state->socket);
    search->found = true;
    return 1;
}

bool join_find(const struct cluster *cluster, char path[PATH_BYTES])
{
    struct join_search search = {.cluster_id = cluster->cluster_id, .path = path};
    state_each(cluster->profile.pid, join_look_at, &search);
    return search.found;
}

/* What is followed of a set. */
struct follower {
    const char *path;
    struct progress *progress;
    bool daemonize;
    char set[ENGINE_SET_BYTES];
    int connection;
    int signals;
    unsigned interrupts;
    char *text; /* what has come of a line */
    size_t size;
    int exit_code; /* -1: not known yet */
};

static json_t *write_request(const struct cluster *cluster, char **argv, struct ipcl_error *error)
{
    char label[ENGINE_SET_BYTES];
    snprintf(label, sizeof(label), "%lld-%d", (long long)time(NULL), (int)getpid());
    /* A Python's path may be relative to the folder where the user typed it, which need not be the
     * work folder. */
    json_t *request = json_pack(
        "{s:s s:o s:s s:o*}", "request", "engines", "argv", workplace_write_list(argv), "label",
        label, "python", json_bytes(settings_string(cluster->settings, "Cluster", "python")));
    if (!request)
        ipcl_error_set(error, "no memory for the command line");
    else if (workplace_write(request, error) == 0)
        return request;
    json_decref(request);
    return NULL;
}

static void take_line(struct follower *follower, const json_t *line)
{
    const char *set = status_text(line, "set"), *refusal = status_text(line, "error");
    if (*refusal) {
        progress_fail(follower->progress, "ipcluster: %s", refusal);
        follower->exit_code = EXIT_WRONG;
    } else if (*set) {
        snprintf(follower->set, sizeof(follower->set), "%s", set);
    } else if (json_is_integer(json_object_get(line, "ended"))) {
        follower->exit_code = (int)json_integer_value(json_object_get(line, "ended"));
    } else if (json_is_true(json_object_get(line, "up")) && follower->daemonize) {
        follower->exit_code = EXIT_FINE;
    } else {
        progress_hear(follower->progress, line);
    }
}

/* Takes the lines that are whole. */
static void take_lines(struct follower *follower)
{
    char *end;
    while (follower->exit_code < 0 && follower->size &&
           (end = memchr(follower->text, '\n', follower->size))) {
        json_t *line = json_loadb(follower->text, (size_t)(end - follower->text), 0, NULL);
        take_line(follower, line);
        json_decref(line);
        follower->size -= (size_t)(end + 1 - follower->text);
        memmove(follower->text, end + 1, follower->size);
    }
}

static void read_lines(struct follower *follower)
{
    char *more = realloc(follower->text, follower->size + CHUNK_BYTES);
    ssize_t size = -1;
    if (more) {
        follower->text = more;
        size = read(follower->connection, more + follower->size, CHUNK_BYTES);
    }
    if (size < 0 && errno == EINTR)
        return;
    follower->size += size > 0 ? (size_t)size : 0;
    take_lines(follower);
    if (size > 0 || follower->exit_code >= 0)
        return;
    progress_fail(follower->progress,
                  "The supervisor of these engines has ended without a message: ipcluster stop "
                  "stops what it has left");
    follower->exit_code = EXIT_CLUSTER_DIED;
}

/* What was asked of this process is asked of the supervisor for this set. */
static void take_signal(struct follower *follower)
{
    struct signalfd_siginfo info;
    struct ipcl_error error;
    if (read(follower->signals, &info, sizeof(info)) != sizeof(info))
        return;
    int signum = (int)info.ssi_signo;
    json_t *request;
    if (signum == SIGUSR1 || signum == SIGUSR2) {
        request =
            json_pack("{s:s s:s s:i}", "request", "signal", "set", follower->set, "signal", signum);
    } else {
        follower->interrupts += signum == SIGINT;
        progress_say(follower->progress, "%s: stopping these engines%s",
                     signum == SIGINT ? "Interrupted" : strsignal(signum),
                     signum == SIGINT && follower->interrupts == 1 ? " (once more to hurry)" : "");
        request = json_pack("{s:s s:s s:b}", "request", "stop", "set", follower->set, "hurry",
                            signum == SIGINT && follower->interrupts > 1);
    }
    json_t *answer = control_ask(follower->path, request, ANSWER_MS, &error);
    if (!answer)
        log_warn("%s", error.text);
    json_decref(answer);
}

static void not_taken(struct follower *follower)
{
    progress_fail(follower->progress,
                  "ipcluster: the cluster's supervisor has not answered for %d seconds: it may "
                  "still start these engines (see ipcluster status)",
                  TAKEN_MS / 1000);
    follower->exit_code = EXIT_WRONG;
}

static void follow(struct follower *follower)
{
    struct pollfd ready[] = {{.fd = follower->connection, .events = POLLIN},
                             {.fd = follower->signals, .events = POLLIN}};
    long long end_ms = clock_ms() + TAKEN_MS;
    while (follower->exit_code < 0) {
        bool taken = *follower->set;
        int left_ms = end_ms > clock_ms() ? (int)(end_ms - clock_ms()) : 0;
        /* Before the answer it is not known which set a signal means. */
        int some = poll(ready, taken ? 2 : 1, taken ? -1 : left_ms);
        if (some < 0)
            continue;
        if (some == 0)
            not_taken(follower);
        else if (ready[0].revents)
            read_lines(follower);
        else if (ready[1].revents)
            take_signal(follower);
    }
}

static int open_signals(void)
{
    static const int taken[] = {SIGINT, SIGTERM, SIGHUP, SIGUSR1, SIGUSR2};
    struct sigaction before;
    sigset_t set;
    sigemptyset(&set);
    for (size_t i = 0; i < sizeof(taken) / sizeof(*taken); i++)
        /* nohup(1) ignores SIGHUP for us. */
        if (taken[i] != SIGHUP || sigaction(SIGHUP, NULL, &before) < 0 ||
            before.sa_handler != SIG_IGN)
            sigaddset(&set, taken[i]);
    sigprocmask(SIG_BLOCK, &set, NULL);
    return signalfd(-1, &set, SFD_CLOEXEC);
}

int join_set(const struct cluster *cluster, const char *path, struct progress *progress,
             char **argv)
{
    struct follower follower = {
        .path = path,
        .progress = progress,
        .daemonize = settings_bool(cluster->settings, "IPClusterEngines", "daemonize"),
        .connection = -1,
        .signals = open_signals(),
        .exit_code = -1,
    };
    struct ipcl_error error;
    json_t *request = write_request(cluster, argv, &error);
    if (request)
        follower.connection = control_send(path, request, ANSWER_MS, &error);
    if (follower.connection >= 0) {
        follow(&follower);
        close(follower.connection);
    } else {
        progress_fail(progress, "ipcluster: %s", error.text);
        follower.exit_code = EXIT_WRONG;
    }
    progress_break(progress);
    if (follower.signals >= 0)
        close(follower.signals);
    free(follower.text);
    return follower.exit_code;
}

static bool has_set(const json_t *answer, const char *name)
{
    size_t i;
    json_t *set;
    json_array_foreach (json_object_get(answer, "sets"), i, set)
        if (strcmp(status_text(set, "set"), name) == 0)
            return true;
    return false;
}

/* Whether the set is still there. A supervisor that does not answer may be busy, and then nothing
 * is known; but if nothing listens, there is no set any more. */
static bool is_left(const char *path, const char *name)
{
    struct ipcl_error error;
    json_t *answer = control_ask(path, json_pack("{s:s}", "request", "status"), ANSWER_MS, &error);
    bool left = has_set(answer, name);
    if (!answer) {
        int connection =
            control_send(path, json_pack("{s:s}", "request", "status"), ANSWER_MS, &error);
        left = connection >= 0;
        if (left)
            close(connection);
    }
    json_decref(answer);
    return left;
}

int join_stop(const char *path, struct progress *progress, const char *name)
{
    struct ipcl_error error;
    json_t *answer = control_ask(path, json_pack("{s:s s:s}", "request", "stop", "set", name),
                                 ANSWER_MS, &error);
    if (!answer) {
        progress_fail(progress, "ipcluster: %s", error.text);
        return EXIT_NOTHING_TO_STOP;
    }
    progress_say(progress, "Stopping the engines of %s", name);
    long long end_ms = clock_ms() + STOP_TIMEOUT_MS;
    bool left = true;
    json_decref(answer);
    while (left && clock_ms() < end_ms) {
        usleep(LOOK_MS * 1000);
        left = is_left(path, name);
    }
    if (!left)
        return EXIT_FINE;
    progress_fail(progress, "The engines of %s have not ended: see ipcluster status", name);
    return EXIT_NOT_STOPPED;
}
