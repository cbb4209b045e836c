/* Fetching results from the hub: of other clients' requests, and of our own that were forgotten
 * here. The hub answers with what it has; if it has nothing yet, it is asked again. Any thread; the
 * I/O thread asks the questions that are due. */
#include "client/fetch_private.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "client/submission_private.h"

/* The time between two questions doubles from the first to the last. */
#define WAIT_FIRST_MS 50
#define WAIT_LAST_MS  1000

struct fetch {
    struct fetch *next; /* in client->fetches, while it waits to ask again */
    struct ipcl_client *client;
    struct ipcl_future *future; /* a hold */
    int wait_ms;
    long long due_ms;
};

static void finish(struct fetch *fetch, struct future_outcome *outcome)
{
    future_complete_output(fetch->future, 0);
    future_resolve(fetch->future, outcome);
    ipcl_future_release(fetch->future);
    free(fetch);
}

static void fail(struct fetch *fetch, const char *ename, const char *text)
{
    finish(fetch, outcome_create_failed(fetch->future, ename, text));
}

/* A message's time, "2026-11-22T10:49:09.123456Z", in seconds since the epoch; `otherwise` if there
 * is none. */
static double wall_time_of(const json_t *date, double otherwise)
{
    struct tm parts = {0};
    const char *text = json_string_value(date);
    const char *rest = text ? strptime(text, "%Y-%m-%dT%H:%M:%S", &parts) : NULL;
    if (!rest)
        return otherwise;
    return (double)timegm(&parts) + (*rest == '.' ? strtod(rest, NULL) : 0);
}

static int engine_id_of(struct ipcl_client *client, const char *uuid)
{
    int id = -1;
    pthread_mutex_lock(&client->lock);
    for (size_t i = 0; i < client->engine_count && id < 0; i++)
        if (!strcmp(client->engines[i].public.uuid, uuid))
            id = client->engines[i].public.id;
    pthread_mutex_unlock(&client->lock);
    return id;
}

/* Makes an outcome from the hub's record of a finished request. Its buffers are those of the hub's
 * answer. NULL if memory is short. */
static struct future_outcome *make_outcome(struct fetch *fetch, struct ipcl_future *answer,
                                           const json_t *record)
{
    const json_t *header = json_object_get(record, "result_header"),
                 *metadata = json_object_get(record, "result_metadata");
    const json_t *packed = json_object_get(record, "result_content");
    /* ipyparallel's hub may have kept the content as text. */
    json_t *content = json_is_string(packed) ? json_loads(json_string_value(packed), 0, NULL)
                                             : json_incref((json_t *)packed);
    const json_t *info = json_object_get(content, "engine_info");
    const char *status = json_string_value(json_object_get(content, "status"));
    const char *msg_type = json_string_value(json_object_get(header, "msg_type"));
    const char *uuid = json_string_value(json_object_get(metadata, "engine"));
    char sentence[IPCL_ERROR_BYTES];
    char *texts[] = {json_dumps(header, JSON_COMPACT), json_dumps(metadata, JSON_COMPACT),
                     json_dumps(content, JSON_COMPACT)};
    uuid = uuid ? uuid : json_string_value(json_object_get(info, "engine_uuid"));
    struct ipcl_result result = {
        .status = !status                      ? IPCL_FAILED
                  : !strcmp(status, "ok")      ? IPCL_OK
                  : !strcmp(status, "aborted") ? IPCL_ABORTED
                                               : IPCL_FAILED,
        .engine_id = uuid ? engine_id_of(fetch->client, uuid) : -1,
        .submitted =
            wall_time_of(json_object_get(json_object_get(record, "header"), "date"), clock_wall()),
        .received = wall_time_of(json_object_get(record, "received"), clock_wall())};
    const json_t *told_id = json_object_get(info, "engine_id");
    if (result.engine_id < 0 && json_is_integer(told_id))
        result.engine_id = (int)json_integer_value(told_id);
    outcome_describe(sentence, sizeof(sentence), result.status, content, result.engine_id);
    json_decref(content);
    struct future_outcome *outcome =
        outcome_create(&result, answer,
                       (const char *[]){texts[0] ? texts[0] : "{}", texts[1] ? texts[1] : "{}",
                                        texts[2] ? texts[2] : "{}", msg_type ? msg_type : "error",
                                        uuid ? uuid : "", sentence});
    for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++)
        free(texts[i]);
    return outcome;
}

/* Adds what the engine had published, as the hub kept it. */
static void add_output(struct fetch *fetch, const char *msg_type, json_t *content)
{
    struct future_output *output = content ? output_create(msg_type, content) : NULL;
    json_decref(content);
    if (output)
        future_add_output(fetch->future, output);
}

/* A new reference to an object that the hub kept; NULL if it is none. ipyparallel's hub gives it
 * back as text if its store is SQLite's. */
static json_t *object_of(json_t *kept)
{
    json_t *object =
        json_is_string(kept) ? json_loads(json_string_value(kept), 0, NULL) : json_incref(kept);
    if (json_is_object(object))
        return object;
    json_decref(object);
    return NULL;
}

static void add_outputs(struct fetch *fetch, const json_t *kept)
{
    static const char *const streams[] = {"stdout", "stderr"}, *const contents[] = {
                                                                   "execute_result", "error"};
    const char *text = json_string_value(json_object_get(kept, "execute_input"));
    if (text)
        add_output(fetch, "execute_input", json_pack("{s:s}", "code", text));
    for (size_t i = 0; i < 2; i++) {
        text = json_string_value(json_object_get(kept, streams[i]));
        if (text && *text)
            add_output(fetch, "stream", json_pack("{s:s s:s}", "name", streams[i], "text", text));
    }
    for (size_t i = 0; i < 2; i++)
        add_output(fetch, contents[i], object_of(json_object_get(kept, contents[i])));
}

static bool ask(struct fetch *fetch, struct ipcl_error *error);

/* Puts off the next question. */
static void wait_to_ask(struct fetch *fetch)
{
    struct ipcl_client *client = fetch->client;
    fetch->due_ms = clock_ms() + fetch->wait_ms;
    fetch->wait_ms = fetch->wait_ms < WAIT_LAST_MS / 2 ? 2 * fetch->wait_ms : WAIT_LAST_MS;
    pthread_mutex_lock(&client->lock);
    bool open = client->state == CLIENT_CONNECTED;
    if (open) {
        fetch->next = client->fetches;
        client->fetches = fetch;
        long long next = atomic_load(&client->next_fetch_ms);
        if (!next || fetch->due_ms < next)
            atomic_store(&client->next_fetch_ms, fetch->due_ms);
    }
    pthread_mutex_unlock(&client->lock);
    if (open)
        client_wake(client);
    else
        fail(fetch, "ConnectionError", "the client was closed");
}

/* In the I/O thread, or in the thread that asked. */
static void answered(void *context, struct ipcl_future *answer)
{
    struct fetch *fetch = context;
    const struct ipcl_result *result = ipcl_future_result(answer);
    json_t *content = json_loads(result->content, JSON_ALLOW_NUL, NULL);
    const json_t *record = json_object_get(content, ipcl_future_id(fetch->future));
    if (result->status != IPCL_OK || !content) {
        const char *ename = json_string_value(json_object_get(content, "ename"));
        const char *evalue = json_string_value(json_object_get(content, "evalue"));
        fail(fetch, ename ? ename : "ClusterError",
             evalue ? evalue : "the hub's answer cannot be read");
    } else if (record) {
        add_outputs(fetch, json_object_get(record, "io"));
        finish(fetch, make_outcome(fetch, answer, record));
    } else if (json_array_size(json_object_get(content, "pending"))) {
        wait_to_ask(fetch);
    } else {
        fail(fetch, "KeyError", "the hub has no result for this request");
    }
    json_decref(content);
}

static bool ask(struct fetch *fetch, struct ipcl_error *error)
{
    json_t *content =
        json_pack("{s:[s] s:b}", "msg_ids", ipcl_future_id(fetch->future), "status_only", 0);
    char *text = content ? json_dumps(content, JSON_COMPACT) : NULL;
    struct ipcl_submission request = {.channel = IPCL_CHANNEL_HUB,
                                      .engine_id = -1,
                                      .msg_type = "result_request",
                                      .content = text};
    ipcl_error_set(error, "the msg_id is not text, or memory is short");
    struct ipcl_future *answer = text ? ipcl_submit(fetch->client, &request, error) : NULL;
    json_decref(content);
    free(text);
    if (answer)
        ipcl_future_on_done(answer, answered, fetch);
    ipcl_future_release(answer);
    return answer;
}

struct ipcl_future *ipcl_fetch(struct ipcl_client *client, const char *msg_id,
                               struct ipcl_error *error)
{
    struct ipcl_future *future = future_create(IPCL_CHANNEL_HUB);
    struct fetch *fetch = calloc(1, sizeof(*fetch));
    if (!future || !fetch || !(future->other_id = strdup(msg_id))) {
        ipcl_error_set(error, "out of memory");
        free(fetch);
        ipcl_future_release(future);
        return NULL;
    }
    *fetch = (struct fetch){
        .client = client, .future = ipcl_future_hold(future), .wait_ms = WAIT_FIRST_MS};
    if (ask(fetch, error))
        return future;
    free(fetch);
    ipcl_future_release(future);
    ipcl_future_release(future);
    return NULL;
}

void fetch_tick(struct ipcl_client *client)
{
    long long now = clock_ms(), next = atomic_load(&client->next_fetch_ms);
    struct fetch *due = NULL, **at;
    struct ipcl_error error;
    if (!next || now < next)
        return;
    next = 0;
    pthread_mutex_lock(&client->lock);
    for (at = &client->fetches; *at;) {
        struct fetch *fetch = *at;
        if (fetch->due_ms <= now) {
            *at = fetch->next;
            fetch->next = due;
            due = fetch;
        } else {
            next = !next || fetch->due_ms < next ? fetch->due_ms : next;
            at = &fetch->next;
        }
    }
    atomic_store(&client->next_fetch_ms, next);
    pthread_mutex_unlock(&client->lock);
    while (due) {
        struct fetch *fetch = due;
        due = fetch->next;
        if (!ask(fetch, &error))
            fail(fetch, "ConnectionError", error.text);
    }
}

void fetch_fail_all(struct ipcl_client *client, const char *text)
{
    pthread_mutex_lock(&client->lock);
    struct fetch *fetch = client->fetches;
    client->fetches = NULL;
    pthread_mutex_unlock(&client->lock);
    while (fetch) {
        struct fetch *next = fetch->next;
        fail(fetch, "ConnectionError", text);
        fetch = next;
    }
}
