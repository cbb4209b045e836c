/* How a set joins a cluster: the supervisor reads the words of ipcluster engines as that command
 * itself would, in its folder and environment. */
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "cluster/state/json_text.h"
#include "cluster/supervisor/supervisor_joined.h"

/* Reads the settings as `ipcluster engines` does, in its folder and environment. That program has
 * already logged what is wrong with them. Returns 0 or -1 with `error` set. */
static int open_cluster(const struct supervisor *supervisor, struct joined *joined,
                        struct ipcl_error *error)
{
    struct workplace_back back;
    int argc = 0;
    while (joined->argv[argc])
        argc++;
    enum ipcl_log_level level = log_set_level(IPCL_LOG_ERROR);
    workplace_enter(&joined->place, &back);
    int opened = cluster_open_joining(&joined->cluster, "engines", supervisor->cluster->commands,
                                      argc, joined->argv, error);
    workplace_leave(&joined->place, &back);
    log_set_level(level);
    if (opened == 0 && settings_bool(joined->cluster.settings, "Cluster", "dry_run"))
        return ipcl_error_set(error, "the request is a --dry-run");
    return opened;
}

/* Whoever has mistaken the socket would find its engines in another cluster. Returns 0 or -1 with
 * `error` set. */
static int check_cluster(const struct state *state, const struct cluster *asked,
                         struct ipcl_error *error)
{
    bool here = path_is_same(state->profile_dir, asked->profile.dir);
    if (here && strcmp(state->cluster_id, asked->cluster_id) == 0)
        return 0;
    return ipcl_error_set(
        error,
        "this ipcluster supervises the cluster '%.64s' of %.400s, but the engines are for the "
        "cluster '%.64s' of %.400s",
        state->cluster_id, state->profile_dir, asked->cluster_id, asked->profile.dir);
}

/* NULL with `error` set if the request is malformed. */
static struct joined *read_request(const struct supervisor *supervisor, const json_t *request,
                                   struct ipcl_error *error)
{
    const char *label = json_string_value(json_object_get(request, "label"));
    char *python = json_bytes_value(json_object_get(request, "python"));
    struct joined *joined = calloc(1, sizeof(*joined));
    if (!joined) {
        ipcl_error_set(error, "no memory for a set of engines");
        goto done;
    }
    snprintf(joined->label, sizeof(joined->label), "%s", label ? label : "");
    joined->argv = workplace_read_list(json_object_get(request, "argv"), error);
    if (joined->argv && !*joined->label)
        ipcl_error_set(error, "the request has no label");
    else if (joined->argv && workplace_read(&joined->place, request, error) == 0 &&
             open_cluster(supervisor, joined, error) == 0 &&
             (!python || !*python ||
              settings_set(joined->cluster.settings, "Cluster", "python", python, error) == 0) &&
             check_cluster(&supervisor->state, &joined->cluster, error) == 0)
        goto done;
    supervisor_free_joined(joined);
    joined = NULL;
done:
    free(python);
    return joined;
}

/* Adds a set for `joined`, which is taken over. NULL with `error` set on failure. */
static struct engine_set *add_joined(struct supervisor *supervisor, struct joined *joined,
                                     struct ipcl_error *error)
{
    const char *name = cluster_set_name(&joined->cluster, joined->label);
    struct state_set *saved = NULL;
    struct engine_set *set = NULL;
    if (supervisor_find_set(supervisor, name))
        ipcl_error_set(error,
                       "there is a set of engines %s already: give the new one another name, or "
                       "stop the old one with ipcluster stop --engine-set=%s",
                       name, name);
    else if ((saved = state_add_set(&supervisor->state, name, error)))
        set = supervisor_add_set(supervisor, saved, error);
    if (!set) {
        if (saved)
            state_remove_set(&supervisor->state, saved);
        supervisor_free_joined(joined);
        return NULL;
    }
    set->joined = joined;
    set->cluster = &joined->cluster;
    joined->set = set;
    if (supervisor_choose(set, error) == 0)
        return set;
    supervisor_forget_set(set);
    state_remove_set(&supervisor->state, saved);
    return NULL;
}

static void start_joined(uv_timer_t *timer)
{
    struct engine_set *set = timer->data;
    if (set->phase == SET_WAITING)
        supervisor_start_set(set);
}

json_t *supervisor_answer_engines(struct supervisor *supervisor, struct caller *caller,
                                  const json_t *request, struct ipcl_error *error)
{
    if (supervisor->phase > PHASE_UP || !supervisor->own_controller) {
        ipcl_error_set(error, supervisor->own_controller
                                  ? "this cluster is being stopped"
                                  : "this ipcluster supervises only one set of engines");
        return NULL;
    }
    struct joined *joined = read_request(supervisor, request, error);
    struct engine_set *set = joined ? add_joined(supervisor, joined, error) : NULL;
    if (!set)
        return NULL;
    supervisor_tell_caller(joined, caller);
    supervisor_save(supervisor, supervisor->state.phase);
    if (supervisor->phase >= PHASE_REGISTRATION)
        uv_timer_start(&set->timer, start_joined, 0, 0); /* after the answer */
    return json_pack("{s:s}", "set", set->saved->name);
}
