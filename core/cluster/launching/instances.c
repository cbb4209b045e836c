/* All that was started for a job: by one launcher at first. Each launcher starts once, so a further
 * instance starts what is added later. One thread. */
#include "cluster/launching/instances.h"

#include <limits.h>
#include <stdlib.h>
#include <utlist.h>

/* One launcher. */
struct instance {
    struct instance *prev, *next;
    struct instances *owner;
    struct launcher *launcher;
    unsigned number; /* of its first copy, among all that there ever were */
    unsigned count;
    unsigned started;
    unsigned running; /* copies that have not ended */
    bool begun; /* its instance_start() has returned: from then on it says how it is found again */
};

struct instances {
    struct launcher_options options;
    struct instances_events events;
    struct instance *list;
    unsigned numbered; /* copies that there ever were */
};

static unsigned running(const struct instances *instances)
{
    const struct instance *instance;
    unsigned count = 0;
    DL_FOREACH (instances->list, instance)
        count += instance->running;
    return count;
}

/* The index of its first copy. */
static unsigned first_of(const struct instance *instance)
{
    const struct instance *other;
    unsigned first = 0;
    for (other = instance->owner->list; other != instance; other = other->next)
        first += other->count;
    return first;
}

static void instance_started(void *context, unsigned count)
{
    struct instance *instance = context;
    unsigned waiting = instance->count - instance->started;
    if (count > waiting)
        count = waiting;
    instance->started += count;
    instance->owner->events.started(instance->owner->events.context, count);
}

static void instance_status(void *context, const char *text)
{
    struct instance *instance = context;
    instance->owner->events.status(instance->owner->events.context, text);
}

static void instance_stopped(void *context, unsigned index, int status, const char *reason)
{
    struct instance *instance = context;
    struct instances *instances = instance->owner;
    bool whole = index == IPCL_ALL_COPIES;
    unsigned count = whole ? instance->running : instance->running > 0, before = running(instances);
    instance->running -= count;
    if (count > 0)
        instances->events.stopped(
            instances->events.context,
            whole && count == before ? IPCL_ALL_COPIES : first_of(instance) + (whole ? 0 : index),
            count, status, reason);
}

static void instance_explained(void *context, unsigned index, const char *reason, bool cut_short)
{
    struct instance *instance = context;
    struct instances *instances = instance->owner;
    if (index != IPCL_ALL_COPIES || instance->running < running(instances))
        index = instance->number + (index == IPCL_ALL_COPIES ? 0 : index);
    instances->events.explained(instances->events.context, index, reason, cut_short);
}

static void instance_waiting(void *context, unsigned count)
{
    struct instance *instance = context;
    if (count > instance->started)
        count = instance->started;
    instance->started -= count;
    instance->owner->events.waiting(instance->owner->events.context, count);
}

static void instance_resized(void *context, unsigned count, const char *why)
{
    struct instance *instance = context;
    int change = (int)count - (int)instance->count;
    unsigned ended = instance->count - instance->running;
    instance->count = count;
    instance->running = count > ended ? count - ended : 0;
    if (instance->started > count)
        instance->started = count;
    instance->owner->events.resized(instance->owner->events.context, change, why);
}

static void instance_warned(void *context, const char *text)
{
    struct instance *instance = context;
    instance->owner->events.warned(instance->owner->events.context, text);
}

static void instance_drop(struct instance *instance)
{
    DL_DELETE(instance->owner->list, instance);
    launcher_destroy(instance->launcher);
    free(instance);
}

static struct instance *instance_add(struct instances *instances, unsigned count,
                                     struct ipcl_error *error)
{
    struct launcher_options options = instances->options;
    struct instance *instance = calloc(1, sizeof(*instance));
    if (!instance) {
        ipcl_error_set(error, "no memory for the launcher %s", options.class->name);
        return NULL;
    }
    options.events = (struct launcher_events){.started = instance_started,
                                              .status = instance_status,
                                              .stopped = instance_stopped,
                                              .explained = instance_explained,
                                              .waiting = instance_waiting,
                                              .resized = instance_resized,
                                              .warned = instance_warned,
                                              .context = instance};
    instance->owner = instances;
    instance->count = instance->running = count;
    instance->number = instances->numbered;
    instances->numbered += count;
    instance->launcher = launcher_create(&options, error);
    if (!instance->launcher) {
        free(instance);
        return NULL;
    }
    DL_APPEND(instances->list, instance);
    return instance;
}

bool instances_start_elsewhere(struct instances *instances)
{
    struct ipcl_error error;
    struct instance *asked = instance_add(instances, 0, &error);
    bool elsewhere = asked && launcher_is_elsewhere(asked->launcher);
    if (asked)
        instance_drop(asked);
    return elsewhere;
}

struct instances *instances_create(const struct launcher_options *options,
                                   const struct instances_events *events, struct ipcl_error *error)
{
    struct instances *instances = calloc(1, sizeof(*instances));
    if (!instances) {
        ipcl_error_set(error, "no memory for the launcher %s", options->class->name);
        return NULL;
    }
    instances->options = *options;
    instances->events = *events;
    return instances;
}

void instances_destroy(struct instances *instances)
{
    if (!instances)
        return;
    while (instances->list)
        instance_drop(instances->list);
    free(instances);
}

static void free_texts(char **texts)
{
    for (char **text = texts; text && *text; text++)
        free(*text);
    free(texts);
}

/* The states of all that have begun, for free_texts(). NULL if memory is short. */
static char **describe(struct instances *instances)
{
    struct instance *instance;
    struct ipcl_error error;
    size_t count = 0;
    DL_COUNT(instances->list, instance, count);
    char **texts = calloc(count + 1, sizeof(*texts));
    count = 0;
    DL_FOREACH (instances->list, instance) {
        json_t *state =
            texts && instance->begun ? launcher_to_json(instance->launcher, &error) : NULL;
        char *text = state ? json_dumps(state, JSON_COMPACT) : NULL;
        if (text)
            texts[count++] = text;
        json_decref(state);
    }
    return texts;
}

/* Starts a launcher that is new. Returns 0 or -1 with `error` set. */
static int instance_start(struct instance *instance, const struct ipcl_launch *launch,
                          char **beside, struct ipcl_error *error)
{
    struct ipcl_launch own = *launch;
    own.first = instance->number;
    own.beside = (const char *const *)beside;
    if (launcher_start(instance->launcher, &own, error) < 0) {
        instance_drop(instance);
        return -1;
    }
    instance->begun = true;
    return 0;
}

int instances_start(struct instances *instances, const struct ipcl_launch *launch,
                    struct ipcl_error *error)
{
    struct instance *instance, *next;
    bool first = instances->numbered == 0;
    DL_FOREACH_SAFE (instances->list, instance, next)
        if (instance->running == 0)
            instance_drop(instance);
    char **beside = first ? NULL : describe(instances);
    instance = first || beside ? instance_add(instances, launch->count, error) : NULL;
    if (!first && !beside)
        ipcl_error_set(error, "no memory for the launcher %s", instances->options.class->name);
    int outcome = instance ? instance_start(instance, launch, beside, error) : -1;
    free_texts(beside);
    return outcome;
}

unsigned instances_number(const struct instances *instances, unsigned index)
{
    const struct instance *instance;
    DL_FOREACH (instances->list, instance) {
        if (index < instance->count)
            return instance->number + index;
        index -= instance->count;
    }
    return IPCL_ALL_COPIES;
}

int instances_signal(struct instances *instances, int signum, struct ipcl_error *error)
{
    struct instance *instance;
    int outcome = 0;
    DL_FOREACH (instances->list, instance)
        if (instance->running > 0 && launcher_signal(instance->launcher, signum, error) < 0)
            outcome = -1;
    return outcome;
}

int instances_stop(struct instances *instances, struct ipcl_error *error)
{
    struct instance *instance;
    int outcome = 0;
    DL_FOREACH (instances->list, instance)
        if (instance->running > 0 && launcher_stop(instance->launcher, error) < 0)
            outcome = -1;
    return outcome;
}

unsigned instances_stop_ms(const struct instances *instances)
{
    const struct instance *instance;
    unsigned most = 0;
    DL_FOREACH (instances->list, instance)
        if (launcher_stop_ms(instance->launcher) > most)
            most = launcher_stop_ms(instance->launcher);
    return most;
}

void instances_look(struct instances *instances, const char *lost)
{
    struct instance *instance;
    DL_FOREACH (instances->list, instance)
        launcher_look(instance->launcher, lost);
}

bool instances_go_on(const struct instances *instances)
{
    const struct instance *instance;
    DL_FOREACH (instances->list, instance)
        if (launcher_goes_on(instance->launcher))
            return true;
    return false;
}

bool instances_submitted(const struct instances *instances)
{
    const struct instance *instance;
    DL_FOREACH (instances->list, instance)
        if (!launcher_submitted(instance->launcher))
            return false;
    return true;
}

unsigned instances_forgo(struct instances *instances, unsigned most,
                         bool (*used)(void *context, const char *id), void *context)
{
    struct instance *instance = instances->list ? instances->list->prev : NULL;
    unsigned count = 0;
    while (instance) {
        count += launcher_forgo(instance->launcher, most - count, used, context);
        instance = instance == instances->list ? NULL : instance->prev;
    }
    return count;
}

unsigned instances_count(const struct instances *instances)
{
    const struct instance *instance;
    unsigned count = 0;
    DL_FOREACH (instances->list, instance)
        count += instance->count;
    return count;
}

int instances_output(struct instances *instances, unsigned index, char *path, size_t path_bytes)
{
    struct instance *instance;
    DL_FOREACH (instances->list, instance) {
        if (index < instance->count)
            return launcher_output(instance->launcher, index, path, path_bytes);
        index -= instance->count;
    }
    return -1;
}

json_t *instances_to_json(struct instances *instances, struct ipcl_error *error)
{
    json_t *list = json_array();
    struct instance *instance;
    DL_FOREACH (instances->list, instance) {
        json_t *state = instance->begun ? launcher_to_json(instance->launcher, error) : NULL;
        if (instance->begun && !state) {
            json_decref(list);
            return NULL;
        }
        if (instance->running > 0 && state)
            json_array_append_new(list, json_pack("{s:i s:i s:O}", "number", (int)instance->number,
                                                  "count", (int)instance->count, "state", state));
        json_decref(state);
    }
    return json_pack("{s:o}", "instances", list);
}

/* Returns 0, or -1 with `error` set if nothing of it runs. */
static int take_over(struct instances *instances, const json_t *saved, struct ipcl_error *error)
{
    json_t *state = json_object_get(saved, "state");
    int count = (int)json_integer_value(json_object_get(saved, "count"));
    struct instance *instance = count > 0 ? instance_add(instances, (unsigned)count, error) : NULL;
    if (!instance)
        return count > 0 ? -1 : ipcl_error_set(error, "the saved state of a launcher is damaged");
    json_int_t number = json_integer_value(json_object_get(saved, "number"));
    if (number > 0 && number <= INT_MAX - count)
        instance->number = (unsigned)number;
    if (instances->numbered < instance->number + instance->count)
        instances->numbered = instance->number + instance->count;
    instance->begun = true;
    instances->events.resized(instances->events.context, count, NULL);
    if (launcher_from_json(instance->launcher, state, error) == 0)
        return 0;
    instance_stopped(instance, IPCL_ALL_COPIES, 0, NULL);
    instance_drop(instance);
    return -1;
}

int instances_from_json(struct instances *instances, const json_t *own, struct ipcl_error *error)
{
    size_t i;
    json_t *saved;
    ipcl_error_set(error, "all processes that it started have ended");
    json_array_foreach (json_object_get(own, "instances"), i, saved)
        take_over(instances, saved, error);
    return instances->list ? 0 : -1;
}

json_t *instances_processes(const struct instances *instances)
{
    json_t *all = json_array();
    const struct instance *instance;
    DL_FOREACH (instances->list, instance) {
        json_t *some = launcher_processes(instance->launcher);
        json_array_extend(all, some);
        json_decref(some);
    }
    return all;
}
