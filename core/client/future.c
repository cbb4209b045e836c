/* Futures: the I/O thread resolves them, any thread may hold them and wait. Waiting takes a lock;
 * resolving takes it only if a thread waits. */
#include "client/future_private.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"

#define SLICE_MS 100

struct callback {
    struct callback *next;
    void (*done)(void *context, struct ipcl_future *future);
    void *context;
};

/* A future's outcome if there is no memory for another. */
static struct future_outcome outcome_no_memory = {
    .result =
        {.status = IPCL_FAILED,
         .msg_type = "error",
         .header = "{}",
         .metadata = "{}",
         .content =
             "{\"status\":\"error\",\"ename\":\"MemoryError\",\"evalue\":\"out of memory\",\"traceback\":[]}",
         .error = "out of memory",
         .engine_id = -1,
         .engine_uuid = ""},
};

/* The head of a resolved future's callbacks: none may be added any more. */
static struct callback callbacks_over;

static unsigned forks;

static void count_fork(void)
{
    forks++; /* the child has one thread */
}

static void count_forks(void)
{
    pthread_atfork(NULL, NULL, count_fork);
}

unsigned forks_so_far(void)
{
    static pthread_once_t counting = PTHREAD_ONCE_INIT;
    pthread_once(&counting, count_forks);
    return forks;
}

struct ipcl_future *future_create(enum ipcl_channel channel)
{
    struct ipcl_future *future = calloc(1, sizeof(*future));
    if (!future)
        return NULL;
    atomic_init(&future->holds, 1);
    atomic_init(&future->io_holds, 1);
    pthread_mutex_init(&future->lock, NULL);
    pthread_cond_init(&future->changed, NULL);
    future->channel = channel;
    future->engine_id = -1;
    future->submitted = clock_wall();
    future->forks = forks_so_far();
    return future;
}

static void parcel_release(struct parcel *parcel)
{
    for (size_t i = 0; i < parcel->buffer_count; i++)
        zmq_msg_close(&parcel->memory[i]);
}

void outcome_destroy(struct future_outcome *outcome)
{
    if (!outcome || outcome == &outcome_no_memory)
        return;
    parcel_release(&outcome->parcel);
    ipcl_future_release(outcome->source);
    free(outcome);
}

void output_destroy(struct future_output *output)
{
    if (output)
        parcel_release(&output->parcel);
    free(output);
}

struct ipcl_future *ipcl_future_hold(struct ipcl_future *future)
{
    atomic_fetch_add(&future->holds, 1);
    return future;
}

void ipcl_future_release(struct ipcl_future *future)
{
    if (!future || atomic_fetch_sub(&future->holds, 1) != 1)
        return;
    /* Large results go now, though output may still be awaited. */
    outcome_destroy(future->outcome);
    future->outcome = NULL;
    future_io_release(future);
}

void future_io_hold(struct ipcl_future *future)
{
    atomic_fetch_add(&future->io_holds, 1);
}

void future_io_release(struct ipcl_future *future)
{
    if (atomic_fetch_sub(&future->io_holds, 1) != 1)
        return;
    struct future_output *output = atomic_load(&future->first_output);
    while (output) {
        struct future_output *next = atomic_load(&output->next);
        output_destroy(output);
        output = next;
    }
    pthread_cond_destroy(&future->changed);
    pthread_mutex_destroy(&future->lock);
    free(future->other_id);
    free(future);
}

const char *ipcl_future_id(const struct ipcl_future *future)
{
    return future->other_id ? future->other_id : future->id;
}

enum ipcl_channel ipcl_future_sent_to(const struct ipcl_future *future, int *engine_id)
{
    *engine_id = future->engine_id;
    return future->channel;
}

double ipcl_future_submitted(const struct ipcl_future *future)
{
    return future->submitted;
}

bool ipcl_future_ready(const struct ipcl_future *future)
{
    return atomic_load(&future->resolved);
}

const struct ipcl_result *ipcl_future_result(const struct ipcl_future *future)
{
    return ipcl_future_ready(future) ? &future->outcome->result : NULL;
}

/* The thread that changes a future stores first, and then looks for waiters. A thread that waits
 * counts itself first, and then looks at the future. One of the two sees the other. */
static void wake_waiters(struct ipcl_future *future)
{
    if (!atomic_load(&future->waiters))
        return;
    pthread_mutex_lock(&future->lock);
    pthread_cond_broadcast(&future->changed);
    pthread_mutex_unlock(&future->lock);
}

/* The callbacks as they were added: the newest stands at the head of the list. */
static struct callback *in_order(struct callback *newest)
{
    struct callback *first = NULL;
    while (newest) {
        struct callback *next = newest->next;
        newest->next = first;
        first = newest;
        newest = next;
    }
    return first;
}

void future_resolve(struct ipcl_future *future, struct future_outcome *outcome)
{
    future->outcome = outcome ? outcome : &outcome_no_memory;
    atomic_store(&future->resolved, true);
    wake_waiters(future);
    struct callback *callback = in_order(atomic_exchange(&future->callbacks, &callbacks_over));
    while (callback) {
        struct callback *next = callback->next;
        callback->done(callback->context, future);
        free(callback);
        callback = next;
    }
}

void ipcl_future_on_done(struct ipcl_future *future,
                         void (*done)(void *context, struct ipcl_future *future), void *context)
{
    struct callback *callback = malloc(sizeof(*callback));
    if (callback) {
        *callback = (struct callback){
            .next = atomic_load(&future->callbacks), .done = done, .context = context};
        while (callback->next != &callbacks_over)
            if (atomic_compare_exchange_weak(&future->callbacks, &callback->next, callback))
                return;
        free(callback);
    } else {
        /* Without memory to note the caller, it waits here: a call that is late is better than
         * none. */
        ipcl_future_wait(future, -1, NULL, NULL);
    }
    done(context, future);
}

void future_add_output(struct ipcl_future *future, struct future_output *output)
{
    if (future->last_output)
        atomic_store(&future->last_output->next, output);
    else
        atomic_store(&future->first_output, output);
    future->last_output = output;
    wake_waiters(future);
}

void future_complete_output(struct ipcl_future *future, long long missing)
{
    atomic_store(&future->output_missing, missing);
    atomic_store(&future->output_complete, true);
    wake_waiters(future);
}

const struct ipcl_output *ipcl_future_output(const struct ipcl_future *future,
                                             const struct ipcl_output *previous)
{
    struct future_output *output =
        previous ? atomic_load(&((const struct future_output *)previous)->next)
                 : atomic_load(&future->first_output);
    return output ? &output->public : NULL;
}

bool ipcl_future_output_complete(const struct ipcl_future *future)
{
    return atomic_load(&future->output_complete);
}

long long ipcl_future_output_missing(const struct ipcl_future *future)
{
    return atomic_load(&future->output_missing);
}

struct condition {
    bool (*holds)(const struct ipcl_future *future, const void *context);
    const void *context;
};

static bool is_resolved(const struct ipcl_future *future, const void *context)
{
    (void)context;
    return ipcl_future_ready(future);
}

static bool has_more_output(const struct ipcl_future *future, const void *previous)
{
    return ipcl_future_output(future, previous) || ipcl_future_output_complete(future);
}

static void sleep_until_changed(struct ipcl_future *future, const struct condition *condition,
                                long long until_ms)
{
    struct timespec until = {.tv_sec = until_ms / 1000, .tv_nsec = until_ms % 1000 * 1000000};
    pthread_mutex_lock(&future->lock);
    atomic_fetch_add(&future->waiters, 1);
    while (!condition->holds(future, condition->context) &&
           pthread_cond_clockwait(&future->changed, &future->lock, CLOCK_MONOTONIC, &until) !=
               ETIMEDOUT)
        ;
    atomic_fetch_sub(&future->waiters, 1);
    pthread_mutex_unlock(&future->lock);
}

static int wait_for(struct ipcl_future *future, const struct condition *condition, int timeout_ms,
                    bool (*interrupted)(void *context), void *context)
{
    long long deadline = timeout_ms < 0 ? -1 : clock_ms() + timeout_ms;
    while (!condition->holds(future, condition->context)) {
        long long now = clock_ms(), until = now + SLICE_MS;
        if (future->forks != forks)
            return 3;
        if (deadline >= 0 && now >= deadline)
            return 1;
        sleep_until_changed(future, condition,
                            deadline >= 0 && deadline < until ? deadline : until);
        if (!condition->holds(future, condition->context) && interrupted && interrupted(context))
            return 2;
    }
    return 0;
}

int ipcl_future_wait(struct ipcl_future *future, int timeout_ms, bool (*interrupted)(void *context),
                     void *context)
{
    struct condition condition = {is_resolved, NULL};
    return wait_for(future, &condition, timeout_ms, interrupted, context);
}

int ipcl_future_wait_output(struct ipcl_future *future, const struct ipcl_output *previous,
                            int timeout_ms, bool (*interrupted)(void *context), void *context)
{
    struct condition condition = {has_more_output, previous};
    return wait_for(future, &condition, timeout_ms, interrupted, context);
}

struct future_outcome *outcome_create_failed(const struct ipcl_future *future, const char *ename,
                                             const char *text)
{
    json_t *engine_info = json_object();
    if (future->engine_id >= 0)
        json_object_set_new(engine_info, "engine_id", json_integer(future->engine_id));
    if (*future->engine_uuid)
        json_object_set_new(engine_info, "engine_uuid", json_string(future->engine_uuid));
    json_t *content = json_pack("{s:s s:s s:s s:[] s:o}", "status", "error", "ename", ename,
                                "evalue", text, "traceback", "engine_info", engine_info);
    char *packed = content ? json_dumps(content, JSON_COMPACT) : NULL;
    json_decref(content);
    size_t packed_size = packed ? strlen(packed) + 1 : 0, text_size = strlen(text) + 1;
    struct future_outcome *outcome =
        packed ? calloc(1, sizeof(*outcome) + packed_size + text_size) : NULL;
    if (outcome) {
        char *texts = (char *)(outcome + 1);
        memcpy(texts, packed, packed_size);
        memcpy(texts + packed_size, text, text_size);
        outcome->result = (struct ipcl_result){
            .status = IPCL_FAILED,
            .msg_type = "error",
            .header = "{}",
            .metadata = "{}",
            .content = texts,
            .error = texts + packed_size,
            .engine_id = future->engine_id,
            .engine_uuid = future->engine_uuid,
            .submitted = future->submitted,
            .received = clock_wall(),
        };
    }
    free(packed);
    return outcome;
}

struct future_outcome *outcome_create(const struct ipcl_result *result, struct ipcl_future *source,
                                      const char *const texts[6])
{
    size_t sizes[6], size = 0;
    for (size_t i = 0; i < 6; i++)
        size += sizes[i] = strlen(texts[i]) + 1;
    struct future_outcome *outcome = calloc(1, sizeof(*outcome) + size);
    if (!outcome)
        return NULL;
    outcome->result = *result;
    const char **members[] = {&outcome->result.header,      &outcome->result.metadata,
                              &outcome->result.content,     &outcome->result.msg_type,
                              &outcome->result.engine_uuid, &outcome->result.error};
    char *at = (char *)(outcome + 1);
    for (size_t i = 0; i < 6; at += sizes[i++])
        *members[i] = memcpy(at, texts[i], sizes[i]);
    outcome->source = ipcl_future_hold(source);
    outcome->result.buffers = ipcl_future_result(source)->buffers;
    outcome->result.buffer_count = ipcl_future_result(source)->buffer_count;
    return outcome;
}

struct future_output *output_create(const char *msg_type, const json_t *content)
{
    char *text = json_dumps(content, JSON_COMPACT);
    size_t text_size = text ? strlen(text) + 1 : 0, type_size = strlen(msg_type) + 1;
    struct future_output *output = text ? calloc(1, sizeof(*output) + text_size + type_size) : NULL;
    if (output) {
        char *texts = (char *)(output + 1);
        output->public.content = memcpy(texts, text, text_size);
        output->public.msg_type = memcpy(texts + text_size, msg_type, type_size);
        output->public.metadata = "{}";
    }
    free(text);
    return output;
}

void outcome_describe(char *sentence, size_t size, int status, const json_t *content, int engine_id)
{
    char where[32] = "";
    const char *ename = json_string_value(json_object_get(content, "ename"));
    const char *evalue = json_string_value(json_object_get(content, "evalue"));
    *sentence = '\0';
    if (engine_id >= 0)
        snprintf(where, sizeof(where), "engine %d: ", engine_id);
    if (status == IPCL_ABORTED)
        snprintf(sentence, size, "%sthe request was aborted before it ran%s%s", where,
                 evalue ? ": " : "", evalue ? evalue : "");
    else if (status == IPCL_FAILED)
        snprintf(sentence, size, "%s%s: %s", where, ename ? ename : "error",
                 evalue ? evalue : "(no further reason is given)");
}
