/* Record stores (kind "store"): what the hub remembers of tasks.
 *
 * A store is created before the controller's threads start, and destroyed after they have ended.
 * All other functions are called in one thread, the thread of the records. They may be slow: no
 * message waits for them. */
#ifndef IPCLUSTER_STORE_H
#define IPCLUSTER_STORE_H

#include <jansson.h>

#include <ipcluster/plugin.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A store keeps at least this much of a record's stdout, and of its stderr; it may drop the
 * rest. */
#define IPCL_STORE_STREAM_BYTES (16u << 20)
/* What was put is committed within this time. */
#define IPCL_STORE_COMMIT_MS 100

/* A task's record: an object with the keys of ipyparallel's task records, and the frames.
 *
 * text or null       msg_id client_uuid engine_uuid queue resubmitted
 * dates or null      submitted started completed received, in UTC: 2026-11-22T07:14:45.123456Z, so
 *                    that their order is the order of their characters
 * anything           header metadata content result_header result_metadata result_content
 *                    execute_input execute_result error
 * text               stdout stderr */
struct ipcl_record {
    json_t *fields;              /* a mapping; a key that is not there is null */
    size_t field_bytes;          /* put: how many bytes the fields take, roughly */
    struct ipcl_buffer *buffers; /* of the request; NULL with count 0 if there are none */
    size_t buffer_count;
    struct ipcl_buffer *result_buffers;
    size_t result_buffer_count;
};

/* All must be there unless their comment says that they may be NULL. */
struct ipcl_store_operations {
    /* A store keeps its files in `folder`, the profile's folder (an absolute path), unless its
     * settings say otherwise. `cluster_id` tells the clusters of a profile apart ("" for most).
     * Both are borrowed for the call. */
    void *(*create)(const struct ipcl_services *services, const char *folder,
                    const char *cluster_id, struct ipcl_error *error);
    /* Adds a record, or changes the one that is there. Texts of stdout and stderr are added to
     * those of the record; all other fields and buffers that are given replace those of the record.
     * Takes a reference to `fields` if it keeps them. Takes over the buffers' contents (not the
     * arrays), also when it fails. Returns 0, or -1 with `error` set. */
    int (*put)(void *self, const char *msg_id, const struct ipcl_record *record,
               struct ipcl_error *error);
    /* Calls `found` for every record that matches `query`, the oldest submission first. A query has
     * ipyparallel's form: a mapping of keys to values or to mappings of operators ($eq $ne $gt $gte
     * $lt $lte $in $nin $all $mod $exists), or of $and and $or to lists of queries. `keys` lists
     * the wanted fields, which may include "buffers" and "result_buffers"; NULL means all fields
     * and no buffers. msg_id is always there, and there may be more fields. The record lives until
     * `found` returns. Its buffers are those that were put, or others with the same contents. Stops
     * when `found` returns false. Returns 0, or -1 with `error` set. */
    int (*find)(void *self, const json_t *query, const json_t *keys,
                bool (*found)(void *context, const struct ipcl_record *record), void *context,
                struct ipcl_error *error);
    /* Forgets every record that matches. Returns their number, or -1 with `error` set. */
    int64_t (*drop)(void *self, const json_t *query, struct ipcl_error *error);
    /* Makes changes safe: in a store whose records outlive the controller, what was committed does.
     * Returns 0, or, with `error` set, how many records that were put or dropped since the last
     * commit are not as they should be. NULL for a store that has nothing to do. */
    int64_t (*commit)(void *self, struct ipcl_error *error);
    /* Ends the store: what was not committed may be lost. */
    void (*destroy)(void *self);
    /* Since ABI 1.1. Each of the following may be NULL. */
    /* Does a little of the work that can wait until there is nothing else to do, such as giving
     * back disk space. Returns whether there is more. */
    bool (*tidy)(void *self);
    /* Does what drop does, a piece at a time, so that other calls get their turn. Forgets at most
     * `max` records. `*place`, 0 at first, notes how far this has come. Returns how many records
     * were forgotten, 0 at the end, or -1 with `error` set. */
    int64_t (*drop_some)(void *self, const json_t *query, int64_t *place, size_t max,
                         struct ipcl_error *error);
    /* The rest is for a store whose records outlive the controller. */
    /* Notes which controller has the store; called before the threads start. `*before` receives the
     * number of the controller that had it last, 0 for none. Returns 0, or -1 with `error` set. */
    int (*begin)(void *self, int64_t session, int64_t *before, struct ipcl_error *error);
    /* Calls `found` for tasks that have ended: for the newest `max` in all, the oldest of them
     * first, at most `at_once` in one call. `*place`, 0 at first, notes how far this has come.
     * `engine` is "" if none is recorded. Returns 1 if there may be more, 0 at the end, or -1 with
     * `error` set. */
    int (*outcomes)(void *self, int64_t *place, size_t max, size_t at_once,
                    void (*found)(void *context, const char *msg_id, const char *engine,
                                  bool success),
                    void *context, struct ipcl_error *error);
};

#ifdef __cplusplus
}
#endif
#endif
