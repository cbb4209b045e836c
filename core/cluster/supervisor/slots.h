/* The places of a set's engines: which are registered, which have ended, and which come back, when
 * and under which id. Knows nothing about launchers or the hub. */
#ifndef CLUSTER_SUPERVISOR_SLOTS_H
#define CLUSTER_SUPERVISOR_SLOTS_H

#include <stdbool.h>
#include <stddef.h>

#include <uthash.h>

#define SLOT_UUID_BYTES 64

enum slot_fate {
    FATE_RETURN,  /* it comes back up to N times, if it does not end well */
    FATE_END,     /* it was asked to end */
    FATE_RESTART, /* it was asked to end, and comes back at once, which is not counted */
};

struct engine_slot {
    struct engine_slot *prev, *next;
    UT_hash_handle hh; /* by the uuid, if it is not "" */
    int id;            /* of the engine that is or was here; -1: none yet */
    char uuid[SLOT_UUID_BYTES];
    bool started;    /* its copy runs, or has ended only lately; else it comes back at due_ms */
    bool registered; /* the hub knows it, or has known it lately */
    bool listed;     /* in the hub's last answer */
    bool ended;      /* its copy has ended */
    bool well;       /* it has ended as intended */
    long long ended_ms;
    enum slot_fate fate;
    long long asked_ms;      /* when it was asked to end; 0: it was not, or was killed since */
    long long idle_asked_ms; /* when it was asked to end if nobody would miss it; 0: it was not, or
                                stays */
    long long stays_ms;      /* when it said that it would be missed; 0: it has not */
    unsigned returns;
    long long due_ms;
    unsigned start; /* the number of the start that it belongs to */
};

struct slots {
    struct engine_slot *list;
    struct engine_slot *by_uuid;
    unsigned returns_max; /* how often each comes back */
    unsigned well, badly; /* ended copies whose places are not known yet */
    unsigned lost;        /* how many of these lose their places, as they are not wanted any more */
    long long ended_ms;   /* when the last of these ended */
    unsigned waiting;     /* copies that wait once more, whose places are not known either */
    long long waiting_ms; /* when the last of these began to wait */
    unsigned starts;
    unsigned long arrivals; /* how many engines have ever registered */
    unsigned surplus;       /* places too many: they go when their engines end */
};

/* `count` copies are being started. Returns 0, or -1 if memory is short. */
int slots_add(struct slots *slots, unsigned count);
/* `count` of the copies that are being started will not run. */
void slots_drop(struct slots *slots, unsigned count);
void slots_release(struct slots *slots);

/* The hub's answer: call slots_see() for each engine of the set, and then slots_seen(). */
void slots_see(struct slots *slots, int id, const char *uuid);
void slots_seen(struct slots *slots);
/* `count` copies have ended, well or not. `id` is the copy's engine; -1: not known. */
void slots_ended(struct slots *slots, unsigned count, int id, bool well, long long now_ms);
/* `count` copies that ran wait to be started again. Then an engine that has left the hub is
 * expected, as before it came. */
void slots_wait(struct slots *slots, unsigned count, long long now_ms);
/* How many engines are expected that have not come yet. */
unsigned slots_expected(const struct slots *slots);
/* The engine of that uuid; NULL: there is none. */
struct engine_slot *slots_of_uuid(const struct slots *slots, const char *uuid);
/* The engine of that id; NULL: none is registered. */
struct engine_slot *slots_find(const struct slots *slots, int id);

/* Up to `count` of the engines that were to come back will not. Returns how many. */
unsigned slots_forgo(struct slots *slots, unsigned count);
/* `count` of the copies that are being started are not wanted any more, and end before they
 * come. */
void slots_cancel(struct slots *slots, unsigned count);
/* Decides about engines that have ended and left the hub. Calls `gone` for each that does not come
 * back, but not for `lost` ones. */
void slots_settle(struct slots *slots, long long now_ms,
                  void (*gone)(void *context, const struct engine_slot *slot), void *context);
/* If engines are due to be started, marks them, and those that will be due soon, as started. Writes
 * the ids that they had to `ids`, which has room for slots_count(). Returns how many to start. */
unsigned slots_start(struct slots *slots, long long now_ms, int *ids, unsigned *id_count);
/* These could not be started: they count as ended. */
void slots_failed(struct slots *slots, long long now_ms);
unsigned slots_count(const struct slots *slots);
/* How many have an engine that will end for good, or that has left the hub and has probably
 * ended. */
unsigned slots_leaving(const struct slots *slots);
/* How many others have an engine that has ended, which the hub has not noticed yet. */
unsigned slots_unnoticed(const struct slots *slots);
/* Whether anything changes as time passes. */
bool slots_pending(const struct slots *slots);
/* Whether an engine may come back as time passes. */
bool slots_hope(const struct slots *slots);

#endif
