/* Serializer plugins (kind "serial"): one part of a message (header, parent header, metadata,
 * content) to bytes and back. A connection file names the serializer that a cluster speaks, as
 * `pack` and `unpack`. */
#ifndef IPCLUSTER_SERIAL_H
#define IPCLUSTER_SERIAL_H

#include <jansson.h>

#include <ipcluster/plugin.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A top-level member of a packed mapping, found without unpacking the rest. */
struct ipcl_member {
    const char *name; /* in: which member */
    enum {
        IPCL_MEMBER_ABSENT,
        IPCL_MEMBER_TEXT, /* bytes are the text itself: no quotes, and no escapes stood in it */
        /* bytes are the packed value: a number, a mapping, text with escapes or that is not
         * UTF-8 */
        IPCL_MEMBER_OTHER,
    } state;          /* out */
    const char *data; /* out: points into the packed bytes */
    size_t size;      /* out: bytes */
};

/* All must be there. The three functions may be called from any thread at once: a serializer has no
 * state. */
struct ipcl_serial_operations {
    /* how ipyparallel spells it in `pack`: "json", "msgpack.packb"; unpack_name likewise */
    const char *traits_name;
    const char *unpack_name;
    /* Packs `value`. Returns bytes that the caller frees with free(), *size their number; NULL with
     * `error` set where the value cannot be packed or memory is short. */
    char *(*pack)(const json_t *value, size_t *size, struct ipcl_error *error);
    /* Unpacks `size` bytes, all of them. Returns a new reference; NULL with `error` set where the
     * bytes are not one well-formed value, nest deeper than 256, or have more than a million
     * values. */
    json_t *(*unpack)(const char *data, size_t size, struct ipcl_error *error);
    /* Finds members of a packed mapping by name. Returns 0, members that are not there marked
     * absent; -1 where the bytes are not a well-formed mapping as far as they were read. Reads no
     * further than it must. */
    int (*find)(const char *data, size_t size, struct ipcl_member *members, size_t count);
};

#ifdef __cplusplus
}
#endif
#endif
