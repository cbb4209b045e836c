/* The state file of a cluster, PROFILE/pid/ipcluster[-ID].json: its supervisor, and how its
 * launchers find again what they started. An engine set that was added to a controller without an
 * ipcluster here has its own file, ipcluster[-ID].engines-PID.json. */
#include "cluster/state/state.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/leftovers.h"
#include "base/log.h"
#include "base/trust.h"
#include "cluster/state/json_text.h"

#define STATE_VERSION   2
#define STATE_BYTES_MAX (16 << 20)

int state_init(struct state *state, const char *profile_dir, const char *pid_dir,
               const char *cluster_id, bool engines_only, struct ipcl_error *error)
{
    char suffix[48] = "";
    memset(state, 0, sizeof(*state));
    state->pid = getpid();
    state->born = process_born(state->pid);
    state->started = clock_wall();
    state->engines_only = engines_only;
    snprintf(state->label, sizeof(state->label), "%lld-%" PRId64, (long long)state->started,
             state->pid);
    if (state->born < 0)
        return ipcl_error_set(error, "/proc does not say when this process was started, so "
                                     "ipcluster could not find again what it starts: is /proc "
                                     "mounted?");
    boot_id(state->boot);
    if (gethostname(state->host, sizeof(state->host) - 1) < 0)
        state->host[0] = '\0';
    snprintf(state->cluster_id, sizeof(state->cluster_id), "%s", cluster_id);
    if (path_format(state->profile_dir, error, "%s", profile_dir) < 0)
        return -1;
    if (engines_only)
        snprintf(suffix, sizeof(suffix), ".engines-%" PRId64, state->pid);
    return path_format(state->path, error, "%s/ipcluster%s%s%s.json", pid_dir,
                       *cluster_id ? "-" : "", cluster_id, suffix);
}

static void clear_job(struct state_job *job)
{
    json_decref(job->own);
    json_decref(job->processes);
    job->own = job->processes = NULL;
}

void state_remove_set(struct state *state, struct state_set *set)
{
    struct state_set **link = &state->sets;
    while (*link != set)
        link = &(*link)->next;
    *link = set->next;
    clear_job(&set->job);
    free(set);
}

void state_clear(struct state *state)
{
    clear_job(&state->controller);
    while (state->sets)
        state_remove_set(state, state->sets);
}

struct state_set *state_add_set(struct state *state, const char *name, struct ipcl_error *error)
{
    struct state_set **link = &state->sets, *set = calloc(1, sizeof(*set));
    if (!set) {
        ipcl_error_set(error, "no memory for a set of engines");
        return NULL;
    }
    snprintf(set->name, sizeof(set->name), "%s", name);
    while (*link)
        link = &(*link)->next;
    *link = set;
    return set;
}

static void copy_job(struct state_job *to, const struct state_job *from)
{
    *to = *from;
    json_incref(to->own);
    json_incref(to->processes);
}

int state_copy(struct state *to, const struct state *from, struct ipcl_error *error)
{
    *to = *from;
    to->sets = NULL;
    copy_job(&to->controller, &from->controller);
    for (const struct state_set *set = from->sets; set; set = set->next) {
        struct state_set *copy = state_add_set(to, set->name, error);
        if (!copy)
            return -1;
        copy->n = set->n;
        copy_job(&copy->job, &set->job);
    }
    return 0;
}

unsigned state_engine_count(const struct state *state)
{
    unsigned count = 0;
    for (const struct state_set *set = state->sets; set; set = set->next)
        count += set->n;
    return count;
}

static json_t *job_json(const struct state_job *job)
{
    return job->own ? json_pack("{s:s s:O s:O? s:o s:b}", "class", job->class_name, "state",
                                job->own, "processes", job->processes, "status",
                                json_text(job->status), "outlives", job->outlives)
                    : json_null();
}

static json_t *sets_json(const struct state_set *set)
{
    json_t *sets = json_array();
    for (; set; set = set->next)
        json_array_append_new(sets, json_pack("{s:s s:I s:o}", "name", set->name, "n",
                                              (json_int_t)set->n, "job", job_json(&set->job)));
    return sets;
}

int state_write(const struct state *state, struct ipcl_error *error)
{
    json_t *whole =
        json_pack("{s:i s:s s:s s:s s:s s:s s:b s:s s:I s:I s:f s:s s:o s:o}", "version",
                  STATE_VERSION, "profile_dir", state->profile_dir, "cluster_id", state->cluster_id,
                  "host", state->host, "boot", state->boot, "state", state->phase, "engines_only",
                  state->engines_only, "label", state->label, "pid", (json_int_t)state->pid, "born",
                  (json_int_t)state->born, "started", state->started, "socket", state->socket,
                  "controller", job_json(&state->controller), "sets", sets_json(state->sets));
    char *text = whole ? json_dumps(whole, JSON_INDENT(2)) : NULL;
    json_decref(whole);
    if (!text)
        return ipcl_error_set(error, "the cluster's state cannot be written as JSON to %s",
                              state->path);
    int outcome = path_write_file(state->path, text, strlen(text), 0600, error);
    free(text);
    return outcome;
}

/* The opposite of job_json(). Returns 0, or -1 if `value` is neither null nor a job. */
static int parse_job(json_t *value, struct state_job *job)
{
    const char *name, *status = "";
    json_t *own, *processes = NULL;
    int outlives = 0;
    if (json_is_null(value))
        return 0;
    if (json_unpack(value, "{s:s s:o s?o s?s s?b}", "class", &name, "state", &own, "processes",
                    &processes, "status", &status, "outlives", &outlives) < 0 ||
        !json_is_object(own))
        return -1;
    snprintf(job->class_name, sizeof(job->class_name), "%s", name);
    snprintf(job->status, sizeof(job->status), "%s", status);
    job->outlives = outlives;
    job->own = json_incref(own);
    job->processes = json_incref(processes);
    return 0;
}

int64_t state_process_left(const struct state_job *job)
{
    size_t index;
    json_t *process;
    json_array_foreach (job->processes, index, process) {
        json_int_t pid, born;
        if (json_unpack(process, "[I,I]", &pid, &born) == 0 && process_left(pid, born))
            return pid;
    }
    return 0;
}

static bool job_names(const struct state_job *job, int64_t pid)
{
    size_t index;
    json_t *process;
    json_array_foreach (job->processes, index, process)
        if (json_integer_value(json_array_get(process, 0)) == pid)
            return true;
    return false;
}

bool state_names(const struct state *state, int64_t pid)
{
    for (const struct state_set *set = state->sets; set; set = set->next)
        if (job_names(&set->job, pid))
            return true;
    return job_names(&state->controller, pid);
}

/* Returns 0 or -1. */
static int parse_set(struct state *state, const char *name, json_int_t n, json_t *job)
{
    struct state_set *set = state_add_set(state, name, NULL);
    if (!set)
        return -1;
    set->n = (unsigned)n;
    return parse_job(job, &set->job);
}

/* Returns 0 or -1. */
static int parse_sets(json_t *sets, struct state *state)
{
    const char *name;
    json_t *set, *job;
    json_int_t n;
    size_t i;
    if (!json_is_array(sets))
        return -1;
    json_array_foreach (sets, i, set)
        if (json_unpack(set, "{s:s s:I s:o}", "name", &name, "n", &n, "job", &job) < 0 ||
            parse_set(state, name, n, job) < 0)
            return -1;
    return 0;
}

static int state_parse(const char *text, struct state *state)
{
    const char *profile_dir, *cluster_id, *host, *boot, *phase, *label, *socket = "";
    json_t *controller, *sets;
    json_int_t pid, born;
    int version, engines_only;
    json_t *whole = json_loads(text, 0, NULL);
    if (!whole ||
        json_unpack(whole, "{s:i s:s s:s s:s s:s s:s s:b s:s s:I s:I s:F s?s s:o s:o}", "version",
                    &version, "profile_dir", &profile_dir, "cluster_id", &cluster_id, "host", &host,
                    "boot", &boot, "state", &phase, "engines_only", &engines_only, "label", &label,
                    "pid", &pid, "born", &born, "started", &state->started, "socket", &socket,
                    "controller", &controller, "sets", &sets) < 0 ||
        version != STATE_VERSION || parse_job(controller, &state->controller) < 0 ||
        parse_sets(sets, state) < 0) {
        json_decref(whole);
        return -1;
    }
    snprintf(state->profile_dir, sizeof(state->profile_dir), "%s", profile_dir);
    snprintf(state->cluster_id, sizeof(state->cluster_id), "%s", cluster_id);
    snprintf(state->host, sizeof(state->host), "%s", host);
    snprintf(state->boot, sizeof(state->boot), "%s", boot);
    snprintf(state->phase, sizeof(state->phase), "%s", phase);
    snprintf(state->label, sizeof(state->label), "%s", label);
    snprintf(state->socket, sizeof(state->socket), "%s", socket);
    state->engines_only = engines_only;
    state->pid = pid;
    state->born = born;
    json_decref(whole);
    return 0;
}

/* ipcluster[-ID][.engines-PID].json */
static void parse_name(const char *name, struct state *state)
{
    size_t length = strlen(name) - strlen(".json");
    const char *id = name + strlen("ipcluster"), *added = strstr(id, ".engines-");
    state->engines_only = added;
    if (added)
        length = (size_t)(added - name);
    if (*id == '-')
        snprintf(state->cluster_id, sizeof(state->cluster_id), "%.*s",
                 (int)(name + length - (id + 1)), id + 1);
}

static void state_read(const char *pid_dir, const char *name, struct state *state)
{
    size_t size;
    memset(state, 0, sizeof(*state));
    state->pid = state->born = -1;
    if (path_format(state->path, &state->error, "%s/%s", pid_dir, name) < 0)
        return;
    char *text = path_read_file(state->path, STATE_BYTES_MAX, &size, &state->error);
    if (text && state_parse(text, state) < 0) {
        state_clear(state);
        ipcl_error_set(&state->error,
                       "%s is not a cluster's state file, or has another version: the processes "
                       "of its cluster cannot be found with it. End them by hand (ps shows "
                       "ipcontroller and ipengine), then remove the file",
                       state->path);
    }
    free(text);
    if (state->pid < 0)
        parse_name(name, state);
}

/* Reads the file again, and takes it over if it belongs to the same supervisor, or, without `same`,
 * to another one. */
static bool read_again(struct state *state, bool same)
{
    struct state now;
    const char *slash = strrchr(state->path, '/');
    char pid_dir[PATH_BYTES];
    snprintf(pid_dir, sizeof(pid_dir), "%.*s", (int)(slash - state->path), state->path);
    state_read(pid_dir, slash + 1, &now);
    bool wanted = now.pid >= 0 && same == (now.pid == state->pid && now.born == state->born);
    state_clear(wanted ? state : &now);
    if (wanted)
        *state = now;
    return wanted;
}

bool state_refresh(struct state *state)
{
    return read_again(state, true);
}

bool state_reload(struct state *state)
{
    return read_again(state, false);
}

void state_remove(const struct state *state)
{
    if (unlink(state->path) < 0 && errno != ENOENT)
        log_warn("cannot remove %s: %s", state->path, strerror(errno));
    leftovers_remove_of(state->path);
    if (*state->socket)
        unlink(state->socket);
}

int state_each(const char *pid_dir, int (*visit)(void *context, struct state *state), void *context)
{
    DIR *folder = opendir(pid_dir);
    struct dirent *entry;
    int outcome = 0;
    while (outcome == 0 && folder && (entry = readdir(folder))) {
        struct state state;
        size_t length = strlen(entry->d_name);
        if (strncmp(entry->d_name, "ipcluster", 9) != 0 || length < 14 ||
            strcmp(entry->d_name + length - 5, ".json") != 0)
            continue;
        state_read(pid_dir, entry->d_name, &state);
        if (state.pid >= 0 || path_exists(state.path)) /* or its cluster has just ended */
            outcome = visit(context, &state);
        state_clear(&state);
    }
    if (folder)
        closedir(folder);
    return outcome;
}

bool state_is_of_host(const struct state *state)
{
    char host[STATE_TEXT_BYTES] = "";
    gethostname(host, sizeof(host) - 1);
    return strcmp(host, state->host) == 0;
}

bool state_is_here(const struct state *state)
{
    char boot[BOOT_ID_BYTES];
    boot_id(boot);
    return state_is_of_host(state) && strcmp(boot, state->boot) == 0;
}

bool state_outlives(const struct state *state)
{
    bool any = state->controller.outlives;
    for (const struct state_set *set = state->sets; set; set = set->next)
        any = any || set->job.outlives;
    return any;
}

bool state_supervised(const struct state *state)
{
    return state_is_here(state) && process_runs(state->pid, state->born);
}

int state_lock(const char *pid_dir, struct ipcl_error *error)
{
    int folder = trust_open(pid_dir, O_RDONLY | O_DIRECTORY, 0, NULL, error);
    if (folder < 0 || !flock(folder, LOCK_EX))
        return folder;
    ipcl_error_set(error, "cannot lock %s: %s", pid_dir, strerror(errno));
    close(folder);
    return -1;
}
