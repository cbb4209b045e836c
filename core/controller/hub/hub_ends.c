/* The hub's engines that have ended: who is told, when, and with which reason. The hub's thread.
 *
 * A batch system says why a batch job has ended, and the supervisor that started the engines asks
 * it. If a supervisor does so, the task scheduler hears of an end at once, so that the engine gets
 * nothing new. All others, and the clients, hear of it when the reason is known, or after a
 * moment. */
#include "controller/hub/hub_ends.h"

#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "base/clock.h"
#include "base/trace.h"
#include "controller/delivery/reply.h"

/* So long a reason is awaited. */
#define REASON_MS 2500
/* Whoever tells reasons asks which engines there are twice a second, where that is not busy. */
#define EXPLAINER_MS   5000
#define EXPLAINERS_MAX 64
/* Engines that end together need only one question, whose answer names all that are left. */
#define TOGETHER_MS 20
/* Of why engines ended, in the words of a batch system. */
#define REASON_BYTES_MAX 2048

/* An engine whose end is told once its reason is known. */
struct engine_ending {
    struct hub_engine *engine;
    struct engine_end end;
    long long due_ms;
    struct engine_ending *prev, *next;
    char how[];
};

/* A client that says why engines of some sets have ended. */
struct explainer {
    json_t *sets;
    bool works; /* it asked for work, too */
    long long heard_ms;
    long long ask_ms; /* when it is to be asked; 0: it is not */
    struct explainer *prev, *next;
    size_t client_size, header_size;
    char bytes[]; /* its name, and the header of what it asked last */
};

static json_t *end_content(const struct hub_engine *engine, const char *sentence)
{
    json_t *content = engines_content(engine);
    json_object_set_new(content, "reason", json_string(sentence));
    return content;
}

/* ipyparallel's clients know an engine only by its id. So they are not told if another engine has
 * registered with the id meanwhile. Of one that is still being registered they hear after this. */
static void announce_departure(struct hub *hub, const struct hub_engine *engine,
                               const char *sentence, int schedulers)
{
    const struct hub_engine *now = engines_by_id(&hub->engines, engine->id);
    if (!now || !now->registered || !strcmp(now->uuid, engine->uuid))
        departures_add(&hub->departures, end_content(engine, sentence), schedulers, clock_ms());
}

void hub_tell_departures(struct hub *hub, long long now_ms, bool all)
{
    json_t *content;
    while ((content = departures_next(&hub->departures, now_ms, all)))
        hub_notify(hub, "unregistration_notification", content);
}

/* "engine 3 (node17, process 4242, Slurm job 88)" and what goes on there: as much as has room, in
 * whole characters. */
static void tell_end(const struct hub_engine *engine, const char *how, char text[NOTICE_TEXT_BYTES])
{
    char name[ENGINE_NAME_BYTES];
    engines_name(engine, name);
    const char *reason = engine->reason;
    const char *why = reason && departures_add_to(engine->info, how, reason) ? reason : "";
    if (snprintf(text, NOTICE_TEXT_BYTES, "%s %s%s%s", name, how, *why ? "; " : "", why) <
        NOTICE_TEXT_BYTES)
        return;
    size_t length = strlen(text);
    while (length && (text[length - 1] & 0xc0) == 0x80)
        length--;
    text[length - 1] = '\0';
}

static void fill_notice(const struct engine_end *end, struct notice *notice)
{
    notice->rest = end->rest;
    notice->blameless = end->blameless;
    strcpy(notice->begun, end->begun);
}

void hub_announce_end(struct hub *hub, const struct hub_engine *engine,
                      const struct engine_end *end)
{
    struct notice notice = {.kind = NOTICE_GONE};
    fill_notice(end, &notice);
    notice.blameless = notice.blameless || engine->blameless;
    tell_end(engine, end->how, notice.text);
    trace_step(TRACE_ENGINE_GOES, engine->uuid, strlen(engine->uuid), engine->id);
    log_write(end->level, "hub: %s", notice.text);
    hub_tell_threads(hub, engine, &notice);
    hub->leaving++;
    bool awaited = hub->hooks && hub->hooks->end(hub, engine->uuid, notice.text);
    if (awaited || engine->registered) {
        hub_record_death(hub, engine, notice.text);
        announce_departure(hub, engine, notice.text, HUB_SCHEDULERS);
    }
    routes_forget(&hub->routes, engine->uuid);
}

void hub_miss_engine(struct hub *hub, const struct hub_engine *engine)
{
    char text[NOTICE_TEXT_BYTES];
    tell_end(engine, HUB_NOT_BACK, text);
    log_warn("hub: %s", text);
    hub->hooks->end(hub, engine->uuid, text);
    announce_departure(hub, engine, text, 0);
}

/* Tells an end, and forgets the engine, which is in no books any more. */
static void ending_forget(struct hub *hub, struct hub_engine *engine, const struct engine_end *end)
{
    hub_announce_end(hub, engine, end);
    ledger_forget_engine(&hub->ledger, engine);
    engines_free(engine);
}

static void ending_finish(struct hub *hub, struct engine_ending *ending)
{
    DL_DELETE(hub->ends.endings, ending);
    ending_forget(hub, ending->engine, &ending->end);
    free(ending);
}

static void drop_explainer(struct hub *hub, struct explainer *explainer)
{
    DL_DELETE(hub->ends.explainers, explainer);
    hub->ends.explainer_count--;
    json_decref(explainer->sets);
    free(explainer);
}

/* Forgets supervisors that have not asked for a while, and the one of this name. */
static void drop_explainers(struct hub *hub, const void *client, size_t size)
{
    struct explainer *explainer, *next;
    DL_FOREACH_SAFE (hub->ends.explainers, explainer, next)
        if (clock_ms() - explainer->heard_ms > EXPLAINER_MS ||
            (explainer->client_size == size && !memcmp(explainer->bytes, client, size)))
            drop_explainer(hub, explainer);
}

void hub_note_explainer(struct hub *hub, struct query *query)
{
    json_t *sets = json_object_get(query->content, "explains");
    struct reply_request asked;
    reply_request_of(query->message, &asked);
    drop_explainers(hub, asked.client, asked.client_size);
    struct explainer *explainer =
        json_array_size(sets) && hub->ends.explainer_count < EXPLAINERS_MAX
            ? calloc(1, sizeof(*explainer) + asked.client_size + asked.header_size)
            : NULL;
    if (!explainer)
        return;
    explainer->sets = json_incref(sets);
    explainer->works = json_is_true(json_object_get(query->content, "work"));
    explainer->heard_ms = clock_ms();
    explainer->client_size = asked.client_size;
    explainer->header_size = asked.header_size;
    memcpy(explainer->bytes, asked.client, asked.client_size);
    memcpy(explainer->bytes + asked.client_size, asked.header, asked.header_size);
    DL_APPEND(hub->ends.explainers, explainer);
    hub->ends.explainer_count++;
}

static bool explains(const struct explainer *explainer, const struct hub_engine *engine)
{
    json_t *set = json_object_get(engine->info, "engine_set"), *one;
    size_t i;
    json_array_foreach (explainer->sets, i, one)
        if (set && json_equal(one, set))
            return true;
    return false;
}

/* Answers its last request once more: the engine is no longer among the engines there. */
static void ask_explainer(struct hub *hub, const struct explainer *explainer)
{
    struct hub_door *door = &hub->doors[CONNECTION_CLIENT];
    const struct reply_request request = {.client = explainer->bytes,
                                          .client_size = explainer->client_size,
                                          .header = explainer->bytes + explainer->client_size,
                                          .header_size = explainer->header_size};
    json_t *content = hub_connection_content(hub, explainer->works);
    struct message reply;
    message_init(&reply);
    if (!reply_make(door->session, &reply, &request, NULL, content))
        replies_send(&door->replies, &reply);
    message_close(&reply);
    json_decref(content);
}

/* Asks supervisors that may know why. Returns whether there are any. */
static bool ask_why(struct hub *hub, const struct hub_engine *engine)
{
    struct explainer *explainer;
    bool any = false;
    drop_explainers(hub, "", 0);
    DL_FOREACH (hub->ends.explainers, explainer) {
        if (!explains(explainer, engine))
            continue;
        if (!explainer->ask_ms)
            explainer->ask_ms = clock_ms() + TOGETHER_MS;
        any = true;
    }
    return any;
}

/* Asks those whose time has come. Returns when the next is due, or CLOCK_NEVER. */
static long long ask_explainers(struct hub *hub, long long now_ms)
{
    struct explainer *explainer;
    long long due = CLOCK_NEVER;
    DL_FOREACH (hub->ends.explainers, explainer) {
        if (explainer->ask_ms && now_ms >= explainer->ask_ms) {
            ask_explainer(hub, explainer);
            explainer->ask_ms = 0;
        } else if (explainer->ask_ms && explainer->ask_ms < due) {
            due = explainer->ask_ms;
        }
    }
    return due;
}

/* Keeps an engine, which is in no books any more, until its reason is known. Returns whether it
 * does. */
static bool await_reason(struct hub *hub, struct hub_engine *engine, const struct engine_end *end)
{
    struct notice notice = {.kind = NOTICE_ENDING};
    bool wanted = end->outside && engine->registered && !engine->reason && !hub->asked_to_stop &&
                  json_object_get(engine->info, "job");
    struct engine_ending *ending =
        wanted && ask_why(hub, engine) ? calloc(1, sizeof(*ending) + strlen(end->how) + 1) : NULL;
    if (!ending)
        return false;
    ending->engine = engine;
    ending->end = *end;
    ending->end.how = strcpy(ending->how, end->how);
    ending->due_ms = clock_ms() + REASON_MS;
    DL_APPEND(hub->ends.endings, ending);
    fill_notice(end, &notice);
    hub_tell_threads(hub, engine, &notice);
    return true;
}

void hub_end_engine(struct hub *hub, struct hub_engine *engine, const struct engine_end *end)
{
    counter_add(&stats.engines_departed, engine->registered);
    engines_take(&hub->engines, engine);
    engine_table_changed(&hub->table, &hub->engines, clock_ms());
    if (!await_reason(hub, engine, end))
        ending_forget(hub, engine, end);
}

void hub_finish_end(struct hub *hub, const char *uuid, long long id)
{
    struct engine_ending *ending, *next;
    DL_FOREACH_SAFE (hub->ends.endings, ending, next)
        if (ending->engine->id == id || !strcmp(ending->engine->uuid, uuid))
            ending_finish(hub, ending);
}

void hub_finish_ends(struct hub *hub)
{
    while (hub->ends.endings)
        ending_finish(hub, hub->ends.endings);
}

long long hub_ends_tick(struct hub *hub, long long now_ms)
{
    /* Each waits as long as the others: the first is the next. */
    while (hub->ends.endings && now_ms >= hub->ends.endings->due_ms)
        ending_finish(hub, hub->ends.endings);
    hub_tell_departures(hub, now_ms, false);
    long long due = clock_sooner(departures_due(&hub->departures), ask_explainers(hub, now_ms));
    return hub->ends.endings ? clock_sooner(due, hub->ends.endings->due_ms) : due;
}

void hub_ends_release(struct hub *hub)
{
    while (hub->ends.explainers)
        drop_explainer(hub, hub->ends.explainers);
}

static void note_reason(struct hub_engine *engine, const json_t *content)
{
    free(engine->reason);
    engine->reason = strdup(json_string_value(json_object_get(content, "reason")));
    engine->blameless = json_is_true(json_object_get(content, "blameless"));
}

/* Whoever started engines says why they ended: some may not be known to be dead yet. */
int hub_answer_explain(struct hub *hub, struct query *query, struct ipcl_error *error)
{
    const char *reason = json_string_value(json_object_get(query->content, "reason"));
    struct engine_ending *ending, *next;
    if (!reason || !*reason || strlen(reason) >= REASON_BYTES_MAX)
        return ipcl_error_set(error, "a reason must be a text of 1 to %d bytes",
                              REASON_BYTES_MAX - 1);
    for (struct hub_engine *engine = hub->engines.by_id; engine; engine = engine->hh_id.next)
        if (departures_concern(query->content, engine->info))
            note_reason(engine, query->content);
    DL_FOREACH_SAFE (hub->ends.endings, ending, next) {
        if (!departures_concern(query->content, ending->engine->info))
            continue;
        note_reason(ending->engine, query->content);
        ending_finish(hub, ending);
    }
    departures_explain(&hub->departures, query->content);
    query->reply = json_pack("{s:s}", "status", "ok");
    return 0;
}
