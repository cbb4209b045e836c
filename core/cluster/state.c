/* The state file of a cluster, PROFILE/pid/ipcluster[-ID].json: who supervises it and how its
 * launchers find their jobs again. A set of engines that was added has one of its own,
 * ipcluster[-ID].engines-PID.json. */
#include "cluster/state.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include <jansson.h>

#include "base/clock.h"
#include "base/log.h"

#define STATE_VERSION   1
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
    boot_id(state->boot);
    if (gethostname(state->host, sizeof(state->host) - 1) < 0)
        state->host[0] = '\0';
    snprintf(state->cluster_id, sizeof(state->cluster_id), "%s", cluster_id);
    if (engines_only)
        snprintf(suffix, sizeof(suffix), ".engines-%" PRId64, state->pid);
    if (path_format(state->profile_dir, error, "%s", profile_dir) < 0)
        return -1;
    return path_format(state->path, error, "%s/ipcluster%s%s%s.json", pid_dir,
                       *cluster_id ? "-" : "", cluster_id, suffix);
}

void state_clear(struct state *state)
{
    free(state->controller);
    free(state->engines);
    state->controller = state->engines = NULL;
}

/* A launcher's own JSON, as an object where it is one. */
static json_t *launcher_json(const char *class_name, const char *text)
{
    if (!text)
        return json_null();
    json_t *own = json_loads(text, JSON_DECODE_ANY, NULL);
    return json_pack("{s:s s:o}", "class", class_name, "state", own ? own : json_null());
}

int state_write(const struct state *state, struct ipcl_error *error)
{
    json_t *whole =
        json_pack("{s:i s:s s:s s:s s:s s:s s:b s:I s:I s:I s:f s:o s:o}", "version", STATE_VERSION,
                  "profile_dir", state->profile_dir, "cluster_id", state->cluster_id, "host",
                  state->host, "boot", state->boot, "state", state->phase, "engines_only",
                  state->engines_only, "pid", (json_int_t)state->pid, "born",
                  (json_int_t)state->born, "n", (json_int_t)state->n, "started", state->started,
                  "controller", launcher_json(state->controller_class, state->controller),
                  "engines", launcher_json(state->engine_class, state->engines));
    char *text = whole ? json_dumps(whole, JSON_INDENT(2)) : NULL;
    json_decref(whole);
    if (!text)
        return ipcl_error_set(error, "the cluster's state cannot be written as JSON to %s",
                              state->path);
    int outcome = path_write_file(state->path, text, strlen(text), 0600, error);
    free(text);
    return outcome;
}

/* The opposite of launcher_json(): new text, or NULL where there is none. */
static char *launcher_text(const json_t *value, char class_name[STATE_TEXT_BYTES])
{
    const char *name = json_string_value(json_object_get(value, "class"));
    snprintf(class_name, STATE_TEXT_BYTES, "%s", name ? name : "");
    json_t *own = json_object_get(value, "state");
    return name && own ? json_dumps(own, JSON_COMPACT | JSON_ENCODE_ANY) : NULL;
}

static int state_parse(const char *text, struct state *state)
{
    const char *profile_dir, *cluster_id, *host, *boot, *phase;
    json_t *controller, *engines;
    json_int_t pid, born, n;
    int version, engines_only;
    json_t *whole = json_loads(text, 0, NULL);
    if (!whole ||
        json_unpack(whole, "{s:i s:s s:s s:s s:s s:s s:b s:I s:I s:I s:F s:o s:o}", "version",
                    &version, "profile_dir", &profile_dir, "cluster_id", &cluster_id, "host", &host,
                    "boot", &boot, "state", &phase, "engines_only", &engines_only, "pid", &pid,
                    "born", &born, "n", &n, "started", &state->started, "controller", &controller,
                    "engines", &engines) < 0 ||
        version != STATE_VERSION) {
        json_decref(whole);
        return -1;
    }
    snprintf(state->profile_dir, sizeof(state->profile_dir), "%s", profile_dir);
    snprintf(state->cluster_id, sizeof(state->cluster_id), "%s", cluster_id);
    snprintf(state->host, sizeof(state->host), "%s", host);
    snprintf(state->boot, sizeof(state->boot), "%s", boot);
    snprintf(state->phase, sizeof(state->phase), "%s", phase);
    state->engines_only = engines_only;
    state->pid = pid;
    state->born = born;
    state->n = (unsigned)n;
    state->controller = launcher_text(controller, state->controller_class);
    state->engines = launcher_text(engines, state->engine_class);
    json_decref(whole);
    return 0;
}

int state_read(const char *path, struct state *state, struct ipcl_error *error)
{
    memset(state, 0, sizeof(*state));
    state->pid = state->born = -1;
    snprintf(state->path, sizeof(state->path), "%s", path);
    size_t size;
    char *text = path_read_file(path, STATE_BYTES_MAX, &size, error);
    if (!text)
        return -1;
    int outcome = state_parse(text, state);
    free(text);
    return outcome < 0 ? ipcl_error_set(error,
                                        "%s is not a cluster's state file, or of another version: "
                                        "remove it when no cluster runs",
                                        path)
                       : 0;
}

void state_remove(const struct state *state)
{
    if (unlink(state->path) < 0 && errno != ENOENT)
        log_warn("cannot remove %s: %s", state->path, strerror(errno));
}

int state_each(const char *pid_dir, int (*visit)(void *context, struct state *state), void *context)
{
    DIR *folder = opendir(pid_dir);
    struct dirent *entry;
    int outcome = 0;
    while (outcome == 0 && folder && (entry = readdir(folder))) {
        char path[PATH_BYTES];
        struct state state;
        struct ipcl_error error;
        size_t length = strlen(entry->d_name);
        if (strncmp(entry->d_name, "ipcluster", 9) != 0 || length < 14 ||
            strcmp(entry->d_name + length - 5, ".json") != 0 ||
            path_format(path, &error, "%s/%s", pid_dir, entry->d_name) < 0)
            continue;
        if (state_read(path, &state, &error) < 0) {
            if (access(path, F_OK) != 0)
                continue; /* its cluster has just ended */
            log_warn("%s", error.text);
        }
        outcome = visit(context, &state);
        state_clear(&state);
    }
    if (folder)
        closedir(folder);
    return outcome;
}

bool state_is_here(const struct state *state)
{
    char host[STATE_TEXT_BYTES] = "", boot[BOOT_ID_BYTES];
    gethostname(host, sizeof(host) - 1);
    boot_id(boot);
    return strcmp(host, state->host) == 0 && strcmp(boot, state->boot) == 0;
}

bool state_supervised(const struct state *state)
{
    return state_is_here(state) && process_runs(state->pid, state->born);
}

int state_lock(const char *pid_dir, struct ipcl_error *error)
{
    int folder = open(pid_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder < 0 || flock(folder, LOCK_EX) < 0) {
        ipcl_error_set(error, "cannot lock %s: %s", pid_dir, strerror(errno));
        if (folder >= 0)
            close(folder);
        return -1;
    }
    return folder;
}
