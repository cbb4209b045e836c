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
    json_t *info;                        /* what it says about itself; NULL: nothing */
    bool registered;                     /* its heart beats */
    bool restored;                       /* the previous controller had it */
    bool returned;        /* the same, and it has proved by its route that it is that engine */
    bool sealed;          /* it seals what it sends, and takes only sealed messages */
    bool watched;         /* if it dies, its watcher says how */
    char *reason;         /* why it will end, from the program that started it; NULL: nobody has
                             said so */
    bool blameless;       /* the same: the reason is not what it runs */
    long long silent_ms;  /* since when it is dead, while its reason is awaited; 0: it is not
                             dead */
    long long expires_ms; /* when it must have begun to beat */
    long long registered_ms;
    /* What the hub knows about its work. */
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

/* Adds an engine that asks to be registered. It gets the id that it wants if that is free (`wanted`
 * -1: none); otherwise the next id that no engine has had, or, when these are used up, one that no
 * engine has. Returns NULL with `error` set if the uuid is in use or is no uuid, or the id is not
 * valid. */
struct hub_engine *engines_accept(struct engines *engines, const char *uuid, long long wanted,
                                  long long expires_ms, struct ipcl_error *error);
/* Keeps a reference to what an engine says about itself, replacing what it said before (`info`
 * NULL: it says nothing new). Returns 0, or -1 with `error` set if `info` is not a small object of
 * texts and numbers: then nothing changes. */
int engines_describe(struct hub_engine *engine, json_t *info, struct ipcl_error *error);
/* What clients are told about it: a new reference, or NULL if memory is short. */
json_t *engines_content(const struct hub_engine *engine);
/* Writes its name for people: "engine 3 (node17, process 4242, Slurm job 88)". */
void engines_name(const struct hub_engine *engine, char name[ENGINE_NAME_BYTES]);
void engines_confirm(struct engines *engines, struct hub_engine *engine);
/* Removes an engine from the list; the caller frees it with engines_free(). */
void engines_take(struct engines *engines, struct hub_engine *engine);
void engines_free(struct hub_engine *engine);
struct hub_engine *engines_by_id(const struct engines *engines, int id);
struct hub_engine *engines_by_uuid(const struct engines *engines, const char *uuid);
/* An engine that has been silent since `until_ms` or longer, or NULL. */
struct hub_engine *engines_silent(const struct engines *engines, long long until_ms);
/* An engine that has not begun to beat in time, or NULL. */
struct hub_engine *engines_expired(const struct engines *engines, long long now_ms);
void engines_release(struct engines *engines);

#endif
