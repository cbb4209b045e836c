/* The hub's engines: those that are registered and those that have asked to be, by id and by
 * uuid. */
#ifndef CONTROLLER_HUB_ENGINES_H
#define CONTROLLER_HUB_ENGINES_H

#include <stdbool.h>
#include <stddef.h>
#include <jansson.h>
#include <uthash.h>

#include <ipcluster/error.h>

#include "controller/exchange/notice.h"

#define ENGINE_ID_MAX       1000000
#define ENGINE_ROUTE_DIGITS 32 /* hexadecimal: 128 bits */

struct request; /* ledger.h */

struct hub_engine {
    int id;
    char uuid[ENGINE_UUID_BYTES];
    char route[ENGINE_ROUTE_DIGITS + 1]; /* routes.h; "": it connects as its uuid */
    json_t *info;                        /* what it says of itself; NULL: nothing */
    bool registered;                     /* its heart beats */
    bool restored;                       /* the previous controller had it */
    bool returned;        /* likewise, and it has proved by its route that it is the same */
    bool sealed;          /* it seals what it sends, and takes only what is sealed */
    bool watched;         /* when it dies, a watcher of its own says how */
    char *reason;         /* for which it ends, as whoever started it says; NULL: none */
    bool blameless;       /* likewise: it is not what it runs that ends it */
    long long silent_ms;  /* since when it is dead, and how is still to come; 0: it is not */
    long long expires_ms; /* until then it has to */
    long long registered_ms;
    /* What the hub knows of its work. */
    struct request *pending[2]; /* by enum report_queue */
    size_t pending_count[2];
    unsigned long long completed;
    unsigned long long mark; /* the last query that named it */
    UT_hash_handle hh_id;
    UT_hash_handle hh_uuid;
};

struct engines {
    struct hub_engine *by_id;
    struct hub_engine *by_uuid;
    int next_id;
    size_t registered;
};

/* Enters an engine that asks to be registered, with the id that it wants where that is free
 * (`wanted` -1: none), else with the next one that nobody has had, or when these are used up
 * that nobody has. Returns NULL with `error` set
 * where the uuid is in use or is no uuid, or the id is none. */
struct hub_engine *engines_accept(struct engines *engines, const char *uuid, long long wanted,
                                  long long expires_ms, struct ipcl_error *error);
/* Keeps a reference to what an engine says of itself, in the place of what it said before (`info`
 * NULL: it says nothing new). Returns 0, or -1 with `error` set where that is no small object of
 * texts and numbers: then nothing changes. */
int engines_describe(struct hub_engine *engine, json_t *info, struct ipcl_error *error);
/* What clients are told of it: a new reference, or NULL where memory is short. */
json_t *engines_content(const struct hub_engine *engine);
/* Writes what people know it by: "engine 3 (node17, process 4242, Slurm job 88)". */
void engines_name(const struct hub_engine *engine, char name[ENGINE_NAME_BYTES]);
void engines_confirm(struct engines *engines, struct hub_engine *engine);
/* Forgets an engine, which is then for engines_free(). */
void engines_take(struct engines *engines, struct hub_engine *engine);
void engines_free(struct hub_engine *engine);
struct hub_engine *engines_by_id(const struct engines *engines, int id);
struct hub_engine *engines_by_uuid(const struct engines *engines, const char *uuid);
/* One that has been silent since `until_ms` or longer, or NULL. */
struct hub_engine *engines_silent(const struct engines *engines, long long until_ms);
/* One whose time to begin to beat is over, or NULL. */
struct hub_engine *engines_expired(const struct engines *engines, long long now_ms);
void engines_release(struct engines *engines);

#endif
