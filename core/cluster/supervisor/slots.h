/* The places of a set's engines: which are registered, which have ended, and which come back,
 * when and under which id. Knows of no launcher and no hub. */
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
    UT_hash_handle hh; /* by the uuid, where it is not "" */
    int id;            /* of the engine that is there, or was; -1: none has been */
    char uuid[SLOT_UUID_BYTES];
    bool started;    /* its copy runs, or has ended only lately; else it comes back at due_ms */
    bool registered; /* and is known to the hub, or has been lately */
    bool listed;     /* in the hub's last answer */
    bool ended;      /* its copy has ended */
    bool well;       /* as it was to */
    long long ended_ms;
    enum slot_fate fate;
    long long asked_ms;      /* to end; 0: it was not, or was killed since */
    long long idle_asked_ms; /* to end if nobody would miss it; 0: it was not, or stays */
    long long stays_ms;      /* when it said that it would be missed; 0: it has not */
    unsigned returns;
    long long due_ms;
    unsigned start; /* the number of the start that it was among */
};

struct slots {
    struct engine_slot *list;
    struct engine_slot *by_uuid;
    unsigned returns_max; /* how often each comes back */
    unsigned well, badly; /* ended copies whose places are not known yet */
    unsigned lost;        /* how many of these lose their places, as nobody counts on them */
    long long ended_ms;   /* when the last of these ended */
    unsigned waiting;     /* copies that wait once more, whose places are not known either */
    long long waiting_ms; /* when the last of these began to */
    unsigned starts;
    unsigned long arrivals; /* of engines, ever */
    unsigned surplus;       /* places too many: an engine that ends leaves none behind */
};

/* So many copies are being started. Returns 0, or -1 where memory is short. */
int slots_add(struct slots *slots, unsigned count);
/* So many of those that are being started are not going to run. */
void slots_drop(struct slots *slots, unsigned count);
void slots_release(struct slots *slots);

/* The hub's answer: each engine of the set, and then that these were all. */
void slots_see(struct slots *slots, int id, const char *uuid);
void slots_seen(struct slots *slots);
/* So many copies have ended, well or not. `id`: of the engine that the copy was; -1 where that is
 * not known. */
void slots_ended(struct slots *slots, unsigned count, int id, bool well, long long now_ms);
/* So many copies that ran wait to be started again: an engine that has left the hub is expected
 * then, as it was before it came. */
void slots_wait(struct slots *slots, unsigned count, long long now_ms);
/* How many are expected that have not come yet. */
unsigned slots_expected(const struct slots *slots);
/* The engine of that uuid; NULL: there is none. */
struct engine_slot *slots_of_uuid(const struct slots *slots, const char *uuid);
/* The engine of that id; NULL: none is registered. */
struct engine_slot *slots_find(const struct slots *slots, int id);

/* Up to `count` of those that were to come back do not. Returns how many. */
unsigned slots_forgo(struct slots *slots, unsigned count);
/* So many of those that are being started are not wanted any more, and end before they come. */
void slots_cancel(struct slots *slots, unsigned count);
/* Decides about those that have ended and left the hub. `gone` is told of each that does not come
 * back. */
void slots_settle(struct slots *slots, long long now_ms,
                  void (*gone)(void *context, const struct engine_slot *slot), void *context);
/* Whether any is to be started: then all those whose time has come are, under the ids that are
 * written to `ids`, of `count` places. Returns how many. */
unsigned slots_start(struct slots *slots, long long now_ms, int *ids, unsigned *id_count);
/* They could not be started: it is as if they had ended. */
void slots_failed(struct slots *slots, long long now_ms);
unsigned slots_count(const struct slots *slots);
/* How many of them have an engine that is to end for good, or has left the hub and is likely to
 * have ended. */
unsigned slots_leaving(const struct slots *slots);
/* How many others have an engine that has ended, which the hub has not noticed yet. */
unsigned slots_unnoticed(const struct slots *slots);
/* Whether anything changes as time passes. */
bool slots_pending(const struct slots *slots);
/* Whether that may be that an engine comes back. */
bool slots_hope(const struct slots *slots);

#endif
