/* ipcluster scale: a set of engines gets more of them, or fewer. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "cluster/commands/commands.h"
#include "cluster/control/control.h"
#include "cluster/commands/named_engines.h"
#include "cluster/state/state.h"
#include "cluster/commands/status.h"

#define ANSWER_MS 30000 /* for a supervisor, which starts processes */
#define LOOK_MS   100   /* how often engines that come are counted */
#define AWAIT_MS  90000 /* for them */

static const struct settings_program program = {
    .name = "ipcluster",
    .page = "ipcluster-scale",
    .usage = "ipcluster scale [options] --n=N",
    .description =
        "Changes the number of engines in a set. New engines start as the set did. If there are "
        "too many, waiting batch jobs are cancelled first. Then engines end that are idle and "
        "keep nothing for a client: no client has used them by their ids since they started or "
        "were cleared. The others stay until they end, or until a client clears them and you "
        "run this command again.",
    .exit_status = "0   The set has that number, or batch jobs for it are submitted or cancelled.\n"
                   "1   An option is wrong, or there is no such set, or it cannot be scaled.\n"
                   "4   Not all that were started have registered in time.\n"
                   "6   Some surplus engines stay.\n"
                   "11  There is no cluster.\n",
    .examples =
        "ipcluster scale --n=6\n"
        "ipcluster scale --n=2 --force          ends also engines that work or keep something\n"
        "ipcluster scale --n-min=1 --n-max=16   from one to sixteen, as there is work",
    .classes = CLUSTER_CLASSES,
};

static const struct ipcl_option options[] = {
    {"n", IPCL_INT, "", "n", NULL,
     "How many engines the set shall have. A set that grew and shrank by itself stops doing so."},
    {"n_max", IPCL_INT, "", "n-max", NULL,
     "In place of --n: up to how many engines the set grows while tasks wait. It shrinks again "
     "when engines are idle, like a set that was started with --n-max."},
    {"n_min", IPCL_INT, "0", "n-min", NULL, "Down to how many engines a set with --n-max shrinks."},
    {"engine_set", IPCL_STRING, "", "engine-set", NULL,
     "Which set, if the cluster has several: its name, as ipcluster status shows it."},
    {"force", IPCL_BOOL, "false", "force", "true",
     "Also end engines that work or keep something for a client."},
};
static const struct ipcl_option_table table = {"IPClusterScale", options,
                                               sizeof(options) / sizeof(*options)};

/* The name of the set that is meant; NULL with `error` set if there is none, or more than one. */
static const char *choose_set(const json_t *whole, const char *asked, struct ipcl_error *error)
{
    const char *found = NULL;
    size_t i, count = 0;
    json_t *set;
    json_array_foreach (json_object_get(whole, "sets"), i, set) {
        const char *name = status_text(set, "set");
        if (strcmp(status_text(set, "role"), "engines") != 0 ||
            (*asked && strcmp(name, asked) != 0))
            continue;
        found = name;
        count++;
    }
    if (count == 1)
        return found;
    if (*asked)
        ipcl_error_set(error, "there is no set %s (ipcluster status lists them)", asked);
    else if (count == 0)
        ipcl_error_set(error, "the cluster has no set of engines: start one with ipcluster "
                              "engines");
    else
        ipcl_error_set(error,
                       "there are %zu sets of engines: say which with --engine-set=NAME, as "
                       "ipcluster status shows them",
                       count);
    return NULL;
}

struct scale_asking {
    const struct cluster *cluster;
    const char *set;
    json_t *request; /* taken over by whoever sends it */
    json_t *answer;
    struct ipcl_error *error;
};

static int ask_supervisor(void *context, struct state *state)
{
    struct scale_asking *asking = context;
    const struct state_set *set = state->sets;
    while (set && strcmp(set->name, asking->set) != 0)
        set = set->next;
    if (!set || strcmp(state->cluster_id, asking->cluster->cluster_id) != 0)
        return 0;
    if (state_supervised(state) && *state->socket)
        asking->answer =
            control_ask(state->socket, json_incref(asking->request), ANSWER_MS, asking->error);
    return 1;
}

/* The registered engines of a set: those that do nothing first, and of these the newest. NULL with
 * `error` set. */
static json_t *engines_of(const struct cluster *cluster, const char *set, struct ipcl_error *error)
{
    int exit_code;
    json_t *all = named_engines_find(cluster, NULL, 0, &exit_code, error), *own = json_array();
    for (int busy = 0; all && busy < 2; busy++)
        for (size_t i = json_array_size(all); i > 0; i--) {
            json_t *engine = json_array_get(all, i - 1);
            if (strcmp(status_text(engine, "engine_set"), set) == 0 &&
                (strcmp(status_text(engine, "state"), "busy") == 0) == busy)
                json_array_append(own, engine);
        }
    if (!all) {
        json_decref(own);
        own = NULL;
    }
    json_decref(all);
    return own;
}

/* Waits until a set has `n` engines. */
static int await(const struct cluster *cluster, const char *set, int n, struct ipcl_error *error)
{
    long long end_ms = clock_ms() + AWAIT_MS;
    size_t count = 0;
    while (count < (size_t)n && clock_ms() < end_ms) {
        json_t *engines = engines_of(cluster, set, error);
        if (!engines)
            return EXIT_ENGINES_FAILED;
        count = json_array_size(engines);
        json_decref(engines);
        if (count < (size_t)n)
            usleep(LOOK_MS * 1000);
    }
    if (count >= (size_t)n)
        return EXIT_FINE;
    ipcl_error_set(error, "%zu of %d engines have registered within %d seconds (ipcluster logs)",
                   count, n, AWAIT_MS / 1000);
    return EXIT_ENGINES_FAILED;
}

/* Ends `surplus` of a set's engines, if nobody would miss them or --force is given. It tells their
 * supervisor which these are, because the supervisor hears later that they have left. */
static int shrink(const struct cluster *cluster, const char *set, size_t surplus,
                  struct ipcl_error *error)
{
    json_t *engines = engines_of(cluster, set, error), *ending = json_array(), *engine;
    bool force = settings_bool(cluster->settings, "IPClusterScale", "force");
    size_t i, staying = surplus;
    if (!engines || named_engines_end_idle(cluster, engines, surplus, error) < 0) {
        json_decref(ending);
        json_decref(engines);
        return EXIT_NOT_STOPPED;
    }
    json_array_foreach (engines, i, engine)
        staying -= json_is_true(json_object_get(engine, "ends"));
    json_array_foreach (engines, i, engine) {
        bool ends = json_is_true(json_object_get(engine, "ends"));
        bool forced = !ends && force && staying > 0;
        staying -= forced;
        if (ends || forced)
            json_array_append(ending, engine);
    }
    json_t *taken = named_engines_ask(cluster, ending, "stop", error);
    int outcome = taken ? named_engines_await(cluster, ending, NULL, error) : -1;
    if (outcome == 0 && staying > 0)
        outcome = ipcl_error_set(
            error,
            "%zu of %zu surplus engines stay: they work, they may keep what a client has put "
            "there, or they wait and share a batch job with engines that are wanted. --force ends "
            "those that have started",
            staying, surplus);
    json_decref(taken);
    json_decref(ending);
    json_decref(engines);
    return outcome == 0 ? EXIT_FINE : EXIT_NOT_STOPPED;
}

/* A number that was given, or `otherwise`; -1 with `error` set if it is no number of engines. */
static int64_t number(const struct settings *settings, const char *name, int64_t otherwise,
                      struct ipcl_error *error)
{
    int64_t asked = settings_int(settings, "IPClusterScale", name);
    if (!settings_given(settings, "IPClusterScale", name))
        return otherwise;
    return asked >= 0 && asked <= ENGINES_MAX
               ? asked
               : ipcl_error_set(error, "%lld is not a number of engines: 0 to %d", (long long)asked,
                                ENGINES_MAX);
}

/* What the supervisor of a set is asked, without its name; NULL with `error` set. */
static json_t *write_request(const struct settings *settings, struct ipcl_error *error)
{
    bool by_itself = settings_given(settings, "IPClusterScale", "n_max");
    int64_t n = number(settings, "n", 0, error), n_max = number(settings, "n_max", 0, error),
            n_min = number(settings, "n_min", 0, error);
    if (n < 0 || n_max < 0 || n_min < 0)
        return NULL;
    if (by_itself == settings_given(settings, "IPClusterScale", "n")) {
        ipcl_error_set(error, "give a number of engines, as in ipcluster scale --n=6, or the "
                              "most there may be, as in ipcluster scale --n-max=16");
        return NULL;
    }
    return by_itself ? json_pack("{s:s s:I s:I}", "request", "scale", "n_min", (json_int_t)n_min,
                                 "n_max", (json_int_t)n_max)
                     : json_pack("{s:s s:I}", "request", "scale", "n", (json_int_t)n);
}

/* Has a set's supervisor do its part, and ends or awaits engines. */
static int scale_set(const struct cluster *cluster, const char *set, json_t *request,
                     struct ipcl_error *error)
{
    struct scale_asking asking = {cluster, set, request, NULL, error};
    const json_t *n = json_object_get(request, "n");
    ipcl_error_set(error, "the set %s cannot be scaled: its ipcluster was killed", set);
    state_each(cluster->profile.pid, ask_supervisor, &asking);
    if (!asking.answer)
        return EXIT_WRONG;
    json_int_t surplus = json_integer_value(json_object_get(asking.answer, "surplus"));
    bool queued = json_is_true(json_object_get(asking.answer, "queued"));
    json_decref(asking.answer);
    if (surplus > 0)
        return shrink(cluster, set, (size_t)surplus, error);
    return queued || !n ? EXIT_FINE : await(cluster, set, (int)json_integer_value(n), error);
}

static void tell(const char *set, const json_t *request)
{
    json_int_t n = json_integer_value(json_object_get(request, "n"));
    if (json_object_get(request, "n"))
        printf("%s has %d engine%s\n", set, (int)n, n == 1 ? "" : "s");
    else
        printf("%s has %d to %d engines, as there is work\n", set,
               (int)json_integer_value(json_object_get(request, "n_min")),
               (int)json_integer_value(json_object_get(request, "n_max")));
}

static int scale(struct cluster *cluster, struct ipcl_error *error)
{
    const struct settings *settings = cluster->settings;
    json_t *request = write_request(settings, error), *whole;
    int exit_code = EXIT_WRONG;
    if (!request)
        return EXIT_WRONG;
    whole = status_gather(cluster);
    if (strcmp(status_text(whole, "state"), "none") == 0) {
        ipcl_error_set(error, "no cluster runs in the profile %s", cluster->profile.dir);
        exit_code = EXIT_NOTHING_TO_STOP;
    } else {
        const char *set =
            choose_set(whole, settings_string(settings, "IPClusterScale", "engine_set"), error);
        if (set) {
            json_object_set_new(request, "set", json_string(set));
            exit_code = scale_set(cluster, set, request, error);
        }
        if (exit_code == EXIT_FINE && !cluster->quiet)
            tell(set, request);
    }
    json_decref(whole);
    json_decref(request);
    return exit_code;
}

const struct cluster_command command_scale = {
    .name = "scale",
    .summary = "change the number of engines in a set",
    .program = &program,
    .table = &table,
    .need = NEED_PROFILE,
    .run = scale,
};
