/* Record stores (kind "store"): what the hub remembers of tasks. Called in one thread of the controller. */
#ifndef IPCLUSTER_STORE_H
#define IPCLUSTER_STORE_H

#include <jansson.h>

#include <ipcluster/plugin.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A task's record: an object with the keys of ipyparallel's task records (msg_id, header, metadata, content, submitted,
 * client_uuid, engine_uuid, started, completed, resubmitted, received, result_header, result_metadata, result_content,
 * queue, execute_input, execute_result, error, stdout, stderr), dates as ISO 8601 text, and beside it the frames. */
struct ipcl_record {
    json_t *fields;              /* a mapping; on update: only what changes */
    struct ipcl_buffer *buffers; /* of the request; NULL with count 0 where there are none or none change */
    size_t buffer_count;
    struct ipcl_buffer *result_buffers;
    size_t result_buffer_count;
};

struct ipcl_store_operations {
    void *(*create)(const struct ipcl_services *services, struct ipcl_error *error);
    /* Add or change a record. They take a reference to `fields` and take over the buffers' contents (not the arrays).
     * Return 0, or -1 with `error` set; changing what is not there is an error. */
    int (*add)(void *self, const char *msg_id, const struct ipcl_record *record, struct ipcl_error *error);
    int (*update)(void *self, const char *msg_id, const struct ipcl_record *record, struct ipcl_error *error);
    /* Looks one record up. Returns a record that lives until the next call, or NULL where there is none. */
    const struct ipcl_record *(*get)(void *self, const char *msg_id);
    /* Calls `found` for every record that matches `query`, oldest submission first; a query is ipyparallel's: a mapping of
     * keys to values or to mappings of operators ($in, $nin, $ne, $gt, $gte, $lt, $lte, $exists). Stops where `found`
     * returns false. Returns 0, or -1 with `error` set where the query is malformed. */
    int (*find)(void *self, const json_t *query, bool (*found)(void *context, const struct ipcl_record *record),
                void *context, struct ipcl_error *error);
    /* Forgets every record that matches. Returns their number, or -1 with `error` set. */
    int64_t (*drop)(void *self, const json_t *query, struct ipcl_error *error);
    void (*destroy)(void *self);
};

#ifdef __cplusplus
}
#endif
#endif
