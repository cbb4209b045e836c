/* The places of a set's engines: which are registered, which have ended, and which come back, when
 * and under which id. Knows nothing about launchers or the hub.
 *
 * The end of an engine is reported twice. Its launcher says that a copy has ended, usually without
 * saying which engine it was. The hub says that an engine is not registered any more. Either may
 * come first. An engine that only the hub misses may come back to it by itself. An engine whose end
 * only the launcher has reported still has its id. So a place is free when both have reported. */
#include "cluster/supervisor/slots.h"

#include <stdlib.h>
#include <string.h>
#include <utlist.h>

/* The hub notices each end of a registered engine. If it has not by then, the copy had not
 * registered. */
#define UNNOTICED_MS 3000
/* The ends of engines that end together, as the ranks of an MPI world do, may be noticed one after
 * the other. They come back together, too. */
#define TOGETHER_MS 300
/* So long one waits for it. */
#define GATHER_MS        30000
#define DELAY_MS         500   /* of the first return; each further one takes twice as long, */
#define LONGEST_DELAY_MS 60000 /* but no longer than that */

static void forget_uuid(struct slots *slots, struct engine_slot *slot)
{
    if (*slot->uuid)
        HASH_DEL(slots->by_uuid, slot);
    *slot->uuid = '\0';
}

static void drop(struct slots *slots, struct engine_slot *slot)
{
    forget_uuid(slots, slot);
    DL_DELETE(slots->list, slot);
    free(slot);
}

void slots_drop(struct slots *slots, unsigned count)
{
    struct engine_slot *slot, *next;
    DL_FOREACH_SAFE (slots->list, slot, next) {
        if (count == 0 || !slot->started || *slot->uuid || slot->ended)
            continue;
        drop(slots, slot);
        count--;
    }
}

int slots_add(struct slots *slots, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        struct engine_slot *slot = calloc(1, sizeof(*slot));
        if (!slot) {
            slots_drop(slots, i);
            return -1;
        }
        slot->id = -1;
        slot->started = true;
        DL_APPEND(slots->list, slot);
    }
    return 0;
}

void slots_release(struct slots *slots)
{
    while (slots->list)
        drop(slots, slots->list);
}

/* Whether an engine is rather expected at this place than at another: one is that has had none, and
 * of these one that is not cancelled. */
static bool awaits_sooner(const struct engine_slot *slot, const struct engine_slot *other)
{
    if (slot->id < 0 && other->id < 0)
        return slot->fate != FATE_END && other->fate == FATE_END;
    return slot->id < 0 && other->id >= 0;
}

/* An engine that comes takes the place of an expected one. */
static struct engine_slot *place_for(const struct slots *slots, int id)
{
    struct engine_slot *slot, *any = NULL;
    DL_FOREACH (slots->list, slot) {
        if (slot->started && !slot->registered && slot->id == id)
            return slot;
        if (slot->started && !slot->registered && !slot->ended &&
            (!any || awaits_sooner(slot, any)))
            any = slot;
    }
    return any;
}

void slots_see(struct slots *slots, int id, const char *uuid)
{
    struct engine_slot *slot;
    HASH_FIND_STR(slots->by_uuid, uuid, slot);
    if (!slot) {
        slot = strlen(uuid) < sizeof(slot->uuid) ? place_for(slots, id) : NULL;
        if (!slot || !*uuid)
            return;
        forget_uuid(slots, slot);
        strcpy(slot->uuid, uuid);
        slots->arrivals++;
        HASH_ADD_STR(slots->by_uuid, uuid, slot);
    }
    slot->id = id;
    slot->registered = slot->listed = true;
}

void slots_seen(struct slots *slots)
{
    struct engine_slot *slot;
    DL_FOREACH (slots->list, slot) {
        slot->registered = slot->listed;
        slot->listed = false;
    }
}

struct engine_slot *slots_of_uuid(const struct slots *slots, const char *uuid)
{
    struct engine_slot *slot;
    HASH_FIND_STR(slots->by_uuid, uuid, slot);
    return slot;
}

struct engine_slot *slots_find(const struct slots *slots, int id)
{
    struct engine_slot *slot;
    DL_FOREACH (slots->list, slot)
        if (slot->registered && slot->id == id)
            return slot;
    return NULL;
}

static void end(struct engine_slot *slot, bool well, long long now_ms)
{
    slot->ended = true;
    slot->ended_ms = now_ms;
    slot->well = well;
}

void slots_ended(struct slots *slots, unsigned count, int id, bool well, long long now_ms)
{
    struct engine_slot *slot;
    DL_FOREACH (slots->list, slot) {
        if (id < 0 || slot->id != id || !slot->started || slot->ended)
            continue;
        end(slot, well, now_ms);
        return;
    }
    if (well)
        slots->well += count;
    else
        slots->badly += count;
    slots->ended_ms = now_ms;
}

void slots_wait(struct slots *slots, unsigned count, long long now_ms)
{
    slots->waiting += count;
    slots->waiting_ms = now_ms;
}

/* Finds out whose copies wait once more. */
static void expect_again(struct slots *slots, long long now_ms)
{
    struct engine_slot *slot;
    DL_FOREACH (slots->list, slot) {
        if (slots->waiting == 0 || !slot->started || slot->registered || slot->ended ||
            !*slot->uuid)
            continue;
        slots->waiting--;
        slot->asked_ms = slot->idle_asked_ms = slot->stays_ms = 0;
        if (slot->fate == FATE_RESTART)
            slot->fate = FATE_RETURN;
        slot->id = -1;
        forget_uuid(slots, slot);
    }
    if (now_ms - slots->waiting_ms >= GATHER_MS)
        slots->waiting = 0;
}

static bool unknown(const struct slots *slots)
{
    return slots->well + slots->badly > 0;
}

/* Finds out whose copies have ended: those of engines that have left the hub, or else of such as
 * were cancelled before they came, or never came. */
static void assign(struct slots *slots, long long now_ms)
{
    bool late = now_ms - slots->ended_ms >= UNNOTICED_MS;
    struct engine_slot *slot;
    for (int pass = 0; pass < (late ? 3 : 2); pass++)
        DL_FOREACH (slots->list, slot) {
            bool came = *slot->uuid, cancelled = !came && slot->fate == FATE_END;
            if (!unknown(slots) || !slot->started || slot->registered || slot->ended ||
                pass != (came        ? 0
                         : cancelled ? 1
                                     : 2))
                continue;
            unsigned *of = slots->badly > 0 ? &slots->badly : &slots->well;
            (*of)--;
            end(slot, of == &slots->well, slots->ended_ms);
        }
    if (now_ms - slots->ended_ms >= GATHER_MS)
        slots->well = slots->badly = 0;
}

static long long delay_ms(unsigned returns)
{
    long long delay = DELAY_MS;
    for (unsigned i = 0; i < returns && delay < LONGEST_DELAY_MS; i++)
        delay *= 2;
    return delay < LONGEST_DELAY_MS ? delay : LONGEST_DELAY_MS;
}

/* Whether a place whose engine has gone is kept for it. */
static bool returns(const struct slots *slots, const struct engine_slot *slot)
{
    return slot->fate == FATE_RESTART ||
           (slot->fate == FATE_RETURN && !slot->well && slots->surplus == 0 &&
            slot->returns < slots->returns_max);
}

unsigned slots_forgo(struct slots *slots, unsigned count)
{
    struct engine_slot *slot, *next;
    unsigned gone = 0;
    DL_FOREACH_SAFE (slots->list, slot, next) {
        if (slot->started || gone == count)
            continue;
        drop(slots, slot);
        gone++;
    }
    return gone;
}

void slots_cancel(struct slots *slots, unsigned count)
{
    struct engine_slot *slot;
    DL_FOREACH (slots->list, slot) {
        if (count == 0 || !slot->started || *slot->uuid || slot->ended || slot->fate == FATE_END)
            continue;
        slot->fate = FATE_END;
        count--;
    }
}

static void await_return(struct slots *slots, struct engine_slot *slot)
{
    bool counted = slot->fate == FATE_RETURN;
    slot->due_ms = slot->ended_ms + (counted ? delay_ms(slot->returns) : 0);
    slot->returns += counted;
    slot->fate = FATE_RETURN;
    slot->started = slot->ended = false;
    slot->asked_ms = slot->idle_asked_ms = slot->stays_ms = 0;
    forget_uuid(slots, slot);
}

void slots_settle(struct slots *slots, long long now_ms,
                  void (*gone)(void *context, const struct engine_slot *slot), void *context)
{
    struct engine_slot *slot, *next;
    assign(slots, now_ms);
    expect_again(slots, now_ms);
    DL_FOREACH_SAFE (slots->list, slot, next) {
        if (!slot->started || !slot->ended || slot->registered)
            continue;
        if (slots->lost > 0 && slot->fate == FATE_RETURN) {
            slots->lost--;
            drop(slots, slot);
        } else if (returns(slots, slot)) {
            await_return(slots, slot);
        } else {
            gone(context, slot);
            slots->surplus -= slots->surplus > 0;
            drop(slots, slot);
        }
    }
    if (!unknown(slots))
        slots->lost = 0;
}

unsigned slots_start(struct slots *slots, long long now_ms, int *ids, unsigned *id_count)
{
    unsigned count = 0;
    bool due = false;
    struct engine_slot *slot;
    *id_count = 0;
    DL_FOREACH (slots->list, slot)
        due = due || (!slot->started && slot->due_ms <= now_ms);
    if (!due || unknown(slots))
        return 0;
    slots->starts++;
    DL_FOREACH (slots->list, slot) {
        if (slot->started || slot->due_ms > now_ms + TOGETHER_MS)
            continue;
        slot->started = true;
        slot->start = slots->starts;
        if (slot->id >= 0)
            ids[(*id_count)++] = slot->id;
        count++;
    }
    return count;
}

void slots_failed(struct slots *slots, long long now_ms)
{
    struct engine_slot *slot;
    DL_FOREACH (slots->list, slot)
        if (slot->start == slots->starts)
            end(slot, false, now_ms);
}

unsigned slots_count(const struct slots *slots)
{
    const struct engine_slot *slot;
    unsigned count = 0;
    DL_COUNT(slots->list, slot, count);
    return count;
}

unsigned slots_expected(const struct slots *slots)
{
    const struct engine_slot *slot;
    unsigned count = 0;
    DL_FOREACH (slots->list, slot)
        count += !slot->started || (!*slot->uuid && !slot->ended && slot->fate != FATE_END);
    return count > slots->well + slots->badly ? count - slots->well - slots->badly : 0;
}

unsigned slots_leaving(const struct slots *slots)
{
    const struct engine_slot *slot;
    unsigned count = 0;
    DL_FOREACH (slots->list, slot)
        count += slot->started && slot->fate != FATE_RESTART &&
                 (slot->fate == FATE_END || (*slot->uuid && !slot->registered));
    return count;
}

unsigned slots_unnoticed(const struct slots *slots)
{
    const struct engine_slot *slot;
    unsigned count = 0;
    DL_FOREACH (slots->list, slot)
        count += slot->ended && slot->registered && slot->fate == FATE_RETURN;
    return count;
}

bool slots_pending(const struct slots *slots)
{
    const struct engine_slot *slot;
    DL_FOREACH (slots->list, slot)
        if (!slot->started || slot->ended || slot->asked_ms)
            return true;
    return unknown(slots) || slots->waiting > 0;
}

bool slots_hope(const struct slots *slots)
{
    const struct engine_slot *slot;
    DL_FOREACH (slots->list, slot)
        if (!slot->started || slot->fate == FATE_RESTART || (slot->ended && returns(slots, slot)))
            return true;
    return slots->returns_max > 0 && slots->badly > 0;
}
