/* A controller that takes a previous one's place: what the store knows of earlier tasks is told to
 * the task scheduler, a piece at a time between the records' other work. The records thread.
 *
 * A task that the store holds as not finished is run where it is certain that no engine ever had
 * it, and all of it is recorded. Any other may have run: its client hears from the engine that
 * comes back with it, or in the end that it is lost, unless it may be tried again. */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "controller/delivery/handouts.h"
#include "controller/records/store.h"
#include "controller/restart/restart.h"
#include "controller/restart/restored.h"

/* How much is told before other work gets its turn. */
#define OUTCOMES_AT_ONCE 512
#define TASKS_AT_ONCE    32

/* `unfinished` maps the msg_id of each unfinished request to what becomes of it:
 *     text     a task that the engine of this uuid may have; "": an engine that is not known
 *     true     a direct request: an engine may come back with it
 *     null     a task that the scheduler has not been told of yet
 *     false    a task that the scheduler has */
struct records_restart {
    json_t *unfinished;
    void *restored; /* PUSH to the task thread, which hears of its tasks; or NULL */
    json_t *untold; /* those tasks that it has not yet heard of, in their order */
    size_t told;    /* how many of these it has heard of */
    bool telling;
    bool outcomes_done;
    int64_t outcomes_told; /* how far the store has told how tasks ended */
    long long give_up_ms;  /* until then engines may come back with requests; 0: no longer */
    json_t *known;         /* a mapping with the uuids of the previous controller's engines */
};

static void tell_scheduler(struct records *records, enum restored_kind kind, const char *msg_id,
                           const char *engine)
{
    struct restored restored = {.kind = kind};
    snprintf(restored.msg_id, sizeof(restored.msg_id), "%s", msg_id);
    snprintf(restored.engine, sizeof(restored.engine), "%s", engine);
    if (records->restart->restored)
        zmq_send(records->restart->restored, &restored, sizeof(restored), ZMQ_DONTWAIT);
}

/* A task that the scheduler is told of, and whether the store had all of it. */
struct retold {
    struct records *records;
    enum restored_kind kind;
    const char *engine;
    bool whole;
};

/* A task's metadata with the retries that it has left. */
static json_t *with_what_is_left(json_t *metadata, const struct handout *handout)
{
    json_t *left = json_copy(metadata);
    if (json_integer_value(json_object_get(left, "retries")) > handout->retries)
        json_object_set_new(left, "retries", json_integer(handout->retries));
    return left;
}

/* Sends [restored, client, message ...]. If the store does not have all of the task, its header is
 * enough to answer it. */
static bool tell_task(void *context, const struct ipcl_record *record)
{
    struct retold *told = context;
    struct restored restored = {.kind = told->kind};
    const char *msg_id = json_string_value(json_object_get(record->fields, "msg_id"));
    json_t *metadata = json_object_get(record->fields, "metadata"), *left = NULL;
    json_t *header = json_object_get(record->fields, "header");
    const char *client = json_string_value(json_object_get(record->fields, "client_uuid"));
    struct session_parts parts = {
        .msg_type = "restored", /* the recorded header takes this one's place */
        .metadata = metadata,
        .content = json_object_get(record->fields, "content"),
    };
    struct message message;
    restored.whole = json_is_object(parts.metadata) && json_is_object(parts.content);
    if (!json_is_object(header) || !client || (told->kind == RESTORED_TASK && !restored.whole))
        return false;
    if (!restored.whole)
        parts.metadata = parts.content = NULL;
    else if (handouts_find(told->records->controller->handouts, msg_id, &restored.handout))
        parts.metadata = left = with_what_is_left(metadata, &restored.handout);
    snprintf(restored.engine, sizeof(restored.engine), "%s", told->engine);
    message_init(&message);
    told->whole = !message_append(&message, &restored, sizeof(restored)) &&
                  !message_append(&message, client, strlen(client)) &&
                  !session_build(told->records->session, &message, &parts, NULL, NULL) &&
                  !records_finish_message(told->records, record, header, &message, NULL) &&
                  !message_send(&message, told->records->restart->restored);
    message_close(&message);
    json_decref(left);
    return false;
}

/* Tells of one task. Returns whether the store has enough of it. */
static bool find_and_tell(struct records *records, const char *msg_id, enum restored_kind kind,
                          const char *engine)
{
    struct retold told = {.records = records, .kind = kind, .engine = engine};
    json_t *query = json_pack("{s:s}", "msg_id", msg_id);
    json_t *keys = json_pack("[s s s s s s]", "msg_id", "header", "client_uuid", "metadata",
                             "content", "buffers");
    struct ipcl_error error;
    if (records_find(records, query, keys, tell_task, &told, &error))
        log_limited(&records->trouble, IPCL_LOG_WARN,
                    "records: request %.80s cannot be restored: %s", msg_id, error.text);
    json_decref(query);
    json_decref(keys);
    return told.whole;
}

/* Which engine may have a task, in the form of `unfinished`. `engine` is what the store says; null:
 * the task waits. */
static json_t *fate_of(const struct records *records, const char *msg_id, json_t *engine)
{
    const struct handouts *handouts = records->controller->handouts;
    struct handout handout;
    if (handouts_find(handouts, msg_id, &handout) && !handout.engine)
        return json_null(); /* it was taken back from its engine */
    if (json_is_string(engine))
        return json_incref(engine);
    return handouts_may_have(handouts, msg_id) ? json_string("") : json_null();
}

/* Adds a request to `unfinished`. */
static bool collect(void *context, const struct ipcl_record *record)
{
    struct records *records = context;
    const char *id = json_string_value(json_object_get(record->fields, "msg_id"));
    const char *queue = json_string_value(json_object_get(record->fields, "queue"));
    json_t *engine = json_object_get(record->fields, "engine_uuid"), *fate;
    if (!id) /* it is not UTF-8: nobody can ask for it */
        return true;
    if (!records->restart->restored || !queue || strcmp(queue, "task"))
        fate = json_true();
    else
        fate = fate_of(records, id, engine);
    return !json_object_set_new(records->restart->unfinished, id, fate);
}

/* It is not certain whether an engine has the task, nor will it be for the next controller: the
 * task is recorded as given out. */
static void mark_given_out(struct records *records, const char *msg_id)
{
    struct ipcl_record record = {.fields = json_pack("{s:s}", "engine_uuid", "")};
    records_put(records, msg_id, &record);
}

static void find_unfinished(struct records *records)
{
    struct ipcl_error error;
    json_t *query = json_pack("{s:n}", "completed"), *fate;
    json_t *keys = json_pack("[s s s]", "msg_id", "engine_uuid", "queue");
    unsigned long long lost = records->lost;
    const char *id;
    records->restart->unfinished = json_object();
    records->restart->untold = json_array();
    records->restart->telling = records->restart->restored != NULL;
    if (records_find(records, query, keys, collect, records, &error))
        records_count_lost(records, 1, error.text);
    json_decref(keys);
    json_decref(query);
    json_object_foreach (records->restart->unfinished, id, fate) {
        if (json_is_null(fate))
            json_array_append_new(records->restart->untold, json_string(id));
        if (!json_is_string(fate))
            continue;
        if (!*json_string_value(fate))
            mark_given_out(records, id);
        if (!find_and_tell(records, id, RESTORED_AWAY, json_string_value(fate)))
            json_object_set_new(records->restart->unfinished, id, json_true());
    }
    records_commit(records, &error);
    if (records->lost == lost)
        handouts_begin(records->controller->handouts);
    if (!records->restart->telling)
        handouts_forget(records->controller->handouts);
}

/* What a step tells of tasks that have ended. */
struct outcomes {
    struct restored_outcome *list;
    size_t count;
};

static void add_outcome(void *context, const char *msg_id, const char *engine, bool success)
{
    struct outcomes *outcomes = context;
    struct restored_outcome *outcome = &outcomes->list[outcomes->count];
    if (strlen(msg_id) >= sizeof(outcome->msg_id) || outcomes->count == OUTCOMES_AT_ONCE)
        return;
    outcome->success = success;
    snprintf(outcome->engine, sizeof(outcome->engine), "%s", engine);
    snprintf(outcome->msg_id, sizeof(outcome->msg_id), "%s", msg_id);
    outcomes->count++;
}

/* Returns 1 if there may be more, 0 at the end, -1 on failure. */
static int tell_outcomes(struct records *records)
{
    const struct controller *controller = records->controller;
    const struct restored restored = {.kind = RESTORED_OUTCOMES};
    struct outcomes outcomes = {.list = calloc(OUTCOMES_AT_ONCE, sizeof(*outcomes.list))};
    struct ipcl_error error;
    struct message message;
    if (outcomes.list)
        services_expect(&error, "the store of records does not say it");
    else
        ipcl_error_set(&error, "out of memory");
    int status =
        outcomes.list
            ? records->store->outcomes(controller->records, &records->restart->outcomes_told,
                                       controller->finished_max, OUTCOMES_AT_ONCE, add_outcome,
                                       &outcomes, &error)
            : -1;
    if (status < 0)
        log_warn("records: how earlier tasks ended is not known: %s", error.text);
    message_init(&message);
    if (outcomes.count && !message_append(&message, &restored, sizeof(restored)) &&
        !message_append(&message, outcomes.list, outcomes.count * sizeof(*outcomes.list)))
        message_send(&message, records->restart->restored);
    message_close(&message);
    free(outcomes.list);
    return status;
}

/* Hands a task to the scheduler, or gives it up if the store does not have all of it. */
static void hand_over(struct records *records, const char *msg_id)
{
    json_t *fate = json_object_get(records->restart->unfinished, msg_id);
    if (!json_is_null(fate))
        return; /* it has been answered, or an engine has it after all */
    if (find_and_tell(records, msg_id, RESTORED_TASK, ""))
        fate = json_false();
    else
        fate = find_and_tell(records, msg_id, RESTORED_AWAY, "") ? json_string("") : json_true();
    json_object_set_new(records->restart->unfinished, msg_id, fate);
}

static bool records_restart_step(struct records *records)
{
    if (!records->restart->telling)
        return false;
    if (!records->restart->outcomes_done) {
        records->restart->outcomes_done = tell_outcomes(records) <= 0;
        return true;
    }
    for (size_t i = 0;
         i < TASKS_AT_ONCE && records->restart->told < json_array_size(records->restart->untold);
         i++)
        hand_over(records, json_string_value(
                               json_array_get(records->restart->untold, records->restart->told++)));
    if (records->restart->told < json_array_size(records->restart->untold))
        return true;
    if (records->restart->told)
        log_info("records: %zu tasks that waited in the previous controller go on",
                 records->restart->told);
    json_array_clear(records->restart->untold);
    tell_scheduler(records, RESTORED_ALL, "", "");
    handouts_forget(records->controller->handouts);
    records->restart->telling = false;
    return false;
}

static bool records_restart_expects(const struct records *records, const char *msg_id)
{
    const json_t *fate = json_object_get(records->restart->unfinished, msg_id);
    return fate && (records->restart->give_up_ms || json_is_false(fate) || json_is_null(fate));
}

/* Whether an engine cannot have a request that it says it has. A direct request stays at the engine
 * that it was sent to. A task stays at the engine that it was given to, unless that one has gone,
 * so that another may have the task. */
static bool is_out_of_question(struct records *records, const json_t *fate, const char *msg_id,
                               const char *engine)
{
    const char *given = json_string_value(fate);
    if (json_is_true(fate))
        return records_is_anothers(records, msg_id, engine);
    return given && strcmp(given, engine) && json_object_get(records->restart->known, given);
}

static bool returned(struct records *records, const char *msg_id, const char *engine)
{
    const json_t *fate = json_object_get(records->restart->unfinished, msg_id);
    if (!fate || json_is_false(fate) || is_out_of_question(records, fate, msg_id, engine))
        return false;
    if (json_is_null(fate))
        find_and_tell(records, msg_id, RESTORED_AWAY, engine);
    else if (json_is_string(fate))
        tell_scheduler(records, RESTORED_AT, msg_id, engine);
    json_object_del(records->restart->unfinished, msg_id);
    return true;
}

static void records_restart_lose(struct records *records, const char *engine)
{
    tell_scheduler(records, RESTORED_GONE, "", engine);
}

/* The requests that are still unfinished may never be answered: tells the scheduler of tasks, and
 * records an error for other requests. If an engine answers one after all, the result takes the
 * error's place. */
static void records_restart_give_up(struct records *records)
{
    const char *id;
    json_t *fate;
    void *next;
    size_t count = 0;
    json_object_foreach_safe(records->restart->unfinished, next, id, fate)
    {
        if (json_is_true(fate))
            records_put_error(records, id, "",
                              "the controller ended before this request was answered");
        else if (json_is_string(fate))
            tell_scheduler(records, RESTORED_LOST, id, "");
        else
            continue;
        count++;
        if (json_is_string(fate))
            json_object_del(records->restart->unfinished, id);
    }
    if (count)
        log_info(
            "records: %zu requests that were unfinished when the previous controller ended have "
            "failed",
            count);
    records->restart->give_up_ms = 0;
}

/* If this controller takes a previous one's place, engines may come back with requests. */
static void records_restart_begin(struct records *records)
{
    find_unfinished(records);
    if (records->controller->restarted && json_object_size(records->restart->unfinished))
        records->restart->give_up_ms = clock_ms() + records->controller->registration_timeout_ms;
    else
        records_restart_give_up(records);
}

static long long records_restart_tick(struct records *records, long long now_ms)
{
    struct records_restart *restart = records->restart;
    if (records_restart_step(records))
        return now_ms;
    if (restart->give_up_ms && now_ms >= restart->give_up_ms)
        records_restart_give_up(records);
    return clock_due(restart->give_up_ms);
}

/* An engine has come back with a request. If an error was recorded for it, that is removed. */
static bool records_restart_take_back(struct records *records, const char *msg_id,
                                      const char *engine)
{
    static const char *const keys[] = {"completed", "received", "result_header", "result_metadata",
                                       "result_content"};
    if (!returned(records, msg_id, engine))
        return false;
    struct ipcl_record record = {.fields = json_object()};
    for (size_t i = 0; i < sizeof(keys) / sizeof(*keys); i++)
        json_object_set_new(record.fields, keys[i], json_null());
    records_put(records, msg_id, &record);
    return true;
}

static void records_restart_end(struct records *records, const char *msg_id)
{
    json_object_del(records->restart->unfinished, msg_id);
}

static void records_restart_know(struct records *records, const char *engine)
{
    json_object_set_new(records->restart->known, engine, json_true());
}

static int records_restart_open(struct records *records, struct ipcl_error *error)
{
    struct records_restart *restart = records->restart =
        controller_allocate(sizeof(*restart), error);
    if (!restart)
        return -1;
    restart->known = json_object();
    if (!store_restores(records->controller))
        return 0;
    restart->restored = channel_connect(records->controller, CHANNEL_RESTORED, error);
    return loop_keep(records->loop, restart->restored);
}

static void records_restart_release(struct records *records)
{
    struct records_restart *restart = records->restart;
    if (!restart)
        return;
    json_decref(restart->unfinished);
    json_decref(restart->untold);
    json_decref(restart->known);
    free(restart);
}

const struct records_hooks records_restart_hooks = {
    .open = records_restart_open,
    .release = records_restart_release,
    .begin = records_restart_begin,
    .tick = records_restart_tick,
    .expects = records_restart_expects,
    .take_back = records_restart_take_back,
    .end = records_restart_end,
    .know = records_restart_know,
    .lose = records_restart_lose,
};
