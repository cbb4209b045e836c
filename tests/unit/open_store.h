/* An open store of either kind, for tests: with settings of its own, and a folder that is removed
 * with it. */
#ifndef TESTS_OPEN_STORE_H
#define TESTS_OPEN_STORE_H

#include <criterion/criterion.h>
#include <ipcluster/store.h>
#include <stdlib.h>
#include <string.h>

#include "unit.h"

struct kind {
    const char *plugin;
    const char *class_name;
};
extern const struct kind memory_kind, sqlite_kind;

/* One open store, and its settings. */
struct open_store {
    const struct kind *kind;
    const struct ipcl_store_operations *store;
    void *self;
    int64_t record_limit, size_limit;
    double cull_fraction;
    char folder[PATH_BYTES];
};

struct open_store open_kind(const struct kind *kind, int64_t records, int64_t bytes,
                            double fraction);
/* Opens it, or one more on the same folder for another cluster. NULL with `error` set. */
void *open_again(struct open_store *open, const char *cluster_id, struct ipcl_error *error);
/* Opens it once more after its destroy(). */
void reopen(struct open_store *open);
void commit(struct open_store *open);
void close_store(struct open_store *open);

/* How many of buffer_of()'s buffers have been released. */
extern int buffers_released;
struct ipcl_buffer buffer_of(const char *byte, size_t size);
/* Puts fields, given as JSON, and a buffer of so many bytes (-1: none). */
void put(struct open_store *open, const char *msg_id, const char *fields, int bytes);
/* The msg_ids that match, one after the other, or "refused". */
const char *found(struct open_store *open, const char *query);
/* The records that match, a line each: their fields, and each buffer's first byte and size. */
const char *described(struct open_store *open, const char *query, const char *keys);
int64_t drop(struct open_store *open, const char *query);

#endif
