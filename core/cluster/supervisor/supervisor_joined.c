/* Sets of engines that ipcluster engines has the supervisor start, with the settings, environment
 * and folder of whoever typed it; and what they are told. */
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "cluster/supervisor/supervisor_private.h"

struct joined {
    struct engine_set *set;
    char **argv; /* the cluster's settings point into it */
    struct cluster cluster;
    struct workplace place;
    struct progress progress;
    struct caller *caller; /* who asked; NULL: has gone */
    char label[ENGINE_SET_BYTES];
};

void supervisor_free_joined(struct joined *joined)
{
    if (!joined)
        return;
    cluster_close(&joined->cluster);
    workplace_release(&joined->place);
    workplace_free_list(joined->argv);
    free(joined);
}

const struct workplace *supervisor_workplace(const struct engine_set *set)
{
    return set->joined ? &set->joined->place : NULL;
}

const char *supervisor_label(const struct engine_set *set)
{
    return set->joined ? set->joined->label : set->job.supervisor->state.label;
}

/* Telling */

static void tell(void *context, json_t *line)
{
    struct joined *joined = context;
    control_tell(joined->caller, line, false);
}

/* What is said from now on is for whoever looks after the cluster. */
static void caller_gone(void *context)
{
    struct joined *joined = context;
    joined->caller = NULL;
    joined->set->progress = joined->set->job.supervisor->progress;
}

bool supervisor_is_followed(const struct engine_set *set)
{
    return set->joined && set->joined->caller &&
           !settings_bool(set->cluster->settings, "IPClusterEngines", "daemonize");
}

void supervisor_tell_up(const struct joined *joined)
{
    if (joined && joined->caller)
        control_tell(joined->caller, json_pack("{s:b}", "up", 1), false);
}

void supervisor_tell_end(struct joined *joined, int exit_code)
{
    if (!joined || !joined->caller)
        return;
    control_tell(joined->caller, json_pack("{s:i}", "ended", exit_code), true);
    caller_gone(joined);
}

/* Joining */

/* Reads its settings as ipcluster engines does, where that was typed, which has said already what
 * there is to say of them. Returns 0 or -1 with `error` set. */
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
        return ipcl_error_set(error, "the request asks only what would be done");
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
        "this ipcluster looks after the cluster '%.64s' of %.400s, and the engines "
        "are asked for the cluster '%.64s' of %.400s",
        state->cluster_id, state->profile_dir, asked->cluster_id, asked->profile.dir);
}

/* NULL with `error` set where the request is none. */
static struct joined *read_request(const struct supervisor *supervisor, const json_t *request,
                                   struct ipcl_error *error)
{
    const char *label = json_string_value(json_object_get(request, "label"));
    struct joined *joined = calloc(1, sizeof(*joined));
    if (!joined) {
        ipcl_error_set(error, "no memory for a set of engines");
        return NULL;
    }
    snprintf(joined->label, sizeof(joined->label), "%s", label ? label : "");
    joined->argv = workplace_read_list(json_object_get(request, "argv"), error);
    if (joined->argv && !*joined->label)
        ipcl_error_set(error, "the request has no label");
    else if (joined->argv && workplace_read(&joined->place, request, error) == 0 &&
             open_cluster(supervisor, joined, error) == 0 &&
             check_cluster(&supervisor->state, &joined->cluster, error) == 0)
        return joined;
    supervisor_free_joined(joined);
    return NULL;
}

static struct engine_set *find_set(const struct supervisor *supervisor, const char *name)
{
    struct engine_set *set = supervisor->sets;
    while (set && strcmp(set->saved->name, name) != 0)
        set = set->next;
    return set;
}

/* Adds the set to those that there are. Takes `joined` over. Returns 0 or -1 with `error` set. */
static struct engine_set *add(struct supervisor *supervisor, struct joined *joined,
                              struct ipcl_error *error)
{
    const char *name = cluster_set_name(&joined->cluster, joined->label);
    struct state_set *saved = NULL;
    struct engine_set *set = NULL;
    if (find_set(supervisor, name))
        ipcl_error_set(error,
                       "there is a set of engines %s already: give this one another name, or stop "
                       "that with ipcluster stop --engine-set=%s",
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

static void start(uv_timer_t *timer)
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
                                  : "this ipcluster looks after one set of engines alone");
        return NULL;
    }
    struct joined *joined = read_request(supervisor, request, error);
    struct engine_set *set = joined ? add(supervisor, joined, error) : NULL;
    if (!set)
        return NULL;
    joined->caller = caller;
    joined->progress = (struct progress){.tell = tell, .context = joined};
    set->progress = &joined->progress;
    control_keep(caller, caller_gone, joined);
    supervisor_save(supervisor, supervisor->state.phase);
    if (supervisor->phase >= PHASE_REGISTRATION)
        uv_timer_start(&set->timer, start, 0, 0); /* behind the answer */
    return json_pack("{s:s}", "set", set->saved->name);
}

/* Ending */

/* The set that a request names. NULL with `error` set where there is none. */
static struct engine_set *named(const struct supervisor *supervisor, const json_t *request,
                                struct ipcl_error *error)
{
    const char *name = json_string_value(json_object_get(request, "set"));
    struct engine_set *set = name ? find_set(supervisor, name) : NULL;
    if (!set)
        ipcl_error_set(error,
                       "there is no set of engines '%.64s' (ipcluster status shows those there "
                       "are)",
                       name ? name : "");
    return set;
}

json_t *supervisor_answer_stop_set(struct supervisor *supervisor, const json_t *request,
                                   struct ipcl_error *error)
{
    struct engine_set *set = named(supervisor, request, error);
    if (!set)
        return NULL;
    if (!set->joined && supervisor->phase < PHASE_UP) {
        ipcl_error_set(error, "the cluster is being started with these engines: ipcluster stop "
                              "ends its start");
        return NULL;
    }
    if (json_is_true(json_object_get(request, "hurry")) && set->phase >= SET_ASKED) {
        progress_say(set->progress, "Hurrying: killing the engines");
        supervisor_hurry_set(set);
    }
    supervisor_stop_set(set, set->phase == SET_UP ? EXIT_FINE : EXIT_INTERRUPTED);
    return json_object();
}

json_t *supervisor_answer_signal(struct supervisor *supervisor, struct caller *caller,
                                 const json_t *request, struct ipcl_error *error)
{
    struct engine_set *set = named(supervisor, request, error);
    json_int_t signum = json_integer_value(json_object_get(request, "signal"));
    (void)caller;
    if (!set)
        return NULL;
    if (signum < 1 || signum >= NSIG) {
        ipcl_error_set(error, "the request has no signal's number");
        return NULL;
    }
    if (set->job.launcher && !supervisor_stops(&set->job) &&
        instances_signal(set->job.launcher, (int)signum, error) < 0)
        return NULL;
    return json_object();
}
