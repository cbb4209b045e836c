/* What the hub tells: clients are notified, the other threads are told about engines, and whoever
 * asks or is asked gets the engines and the work that there are. The hub's thread. */
#include <string.h>

#include "base/log.h"
#include "controller/hub/hub.h"
#include "wire/published.h"

void hub_notify(struct hub *hub, const char *msg_type, json_t *content)
{
    struct message message;
    struct ipcl_error error;
    struct session_parts parts = {.msg_type = msg_type, .content = content};
    message_init(&message);
    struct session *session = hub->doors[CONNECTION_CLIENT].session;
    if (!content || session_build(session, &message, &parts, NULL, &error) ||
        published_sign(&hub->notification_seal, &message, &error))
        log_limited(&hub->trouble, IPCL_LOG_ERROR, "hub: clients cannot be notified: %s",
                    content ? error.text : "out of memory");
    else
        message_send(&message, hub->notification);
    message_close(&message);
    json_decref(content);
}

static bool is_for(enum channel listener, enum notice_kind kind)
{
    return kind == NOTICE_ENDING
               ? listener == CHANNEL_TASK
               : kind != (listener < CHANNEL_DIRECT ? NOTICE_ADDED : NOTICE_EXPECTED);
}

void hub_tell_threads(struct hub *hub, const struct hub_engine *engine, struct notice *notice)
{
    notice->id = engine->id;
    notice->sealed = engine->sealed;
    snprintf(notice->uuid, sizeof(notice->uuid), "%s", engine->uuid);
    memcpy(notice->route, engine->route, sizeof(engine->route));
    for (size_t i = 0; i < CHANNEL_LISTENERS; i++)
        if (is_for(i, notice->kind))
            notice_send(hub->listeners[i], notice);
    if (notice->kind == NOTICE_ADDED || notice->kind == NOTICE_GONE)
        hub_record_engine(hub, engine->uuid,
                          notice->kind == NOTICE_ADDED ? REPORT_BORN : REPORT_STOPPED);
}

json_t *hub_queue_of(const struct hub_engine *engine)
{
    return json_pack("{s:I s:I s:I}", "queue", (json_int_t)engine->pending_count[REPORT_DIRECT],
                     "tasks", (json_int_t)engine->pending_count[REPORT_TASK], "completed",
                     (json_int_t)engine->completed);
}

/* The work that there is, and what engines have of it. A new reference. */
static json_t *work_of(const struct hub *hub)
{
    char id[16];
    json_t *queues = json_object();
    for (const struct hub_engine *engine = hub->engines.by_id; engine; engine = engine->hh_id.next)
        if (engine->registered) {
            snprintf(id, sizeof(id), "%d", engine->id);
            json_object_set_new(queues, id, hub_queue_of(engine));
        }
    return json_pack("{s:i s:I s:o}", "waiting", hub->waiting, "done",
                     (json_int_t)hub->ledger.tasks_done, "engines", queues);
}

json_t *hub_connection_content(struct hub *hub, bool works)
{
    json_t *engines = json_object(), *infos = json_object();
    char id[16], life[SEAL_LIFE_TEXT];
    seal_write_life(hub->controller->life, life);
    for (struct hub_engine *engine = hub->engines.by_id; engine; engine = engine->hh_id.next) {
        if (!engine->registered)
            continue;
        snprintf(id, sizeof(id), "%d", engine->id);
        json_object_set_new(engines, id, json_string(engine->uuid));
        json_object_set(infos, id, engine->info);
    }
    json_t *content = json_pack(
        "{s:s s:o s:o s:I s:b s:s s:s s:I}", "status", "ok", "engines", engines, "engine_info",
        infos, "requests", (json_int_t)hub->requests, "ending", hub->asked_to_stop, "refusal",
        hub->refusal, "life", life, "notified", (json_int_t)hub->notification_seal.counter);
    if (hub->hooks)
        hub->hooks->describe(hub, content);
    if (works)
        json_object_set_new(content, "work", work_of(hub));
    return content;
}
