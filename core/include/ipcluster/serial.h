/* Serializer plugins (kind "serial"): one part of a message (header, parent header, metadata,
 * content) to bytes and back. A connection file names the serializer of its cluster, as `pack` and
 * `unpack`. */
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
        IPCL_MEMBER_TEXT, /* bytes are the text itself, which has no quotes and no escapes */
        /* bytes are the packed value: a number, a mapping, text with escapes or that is not
         * UTF-8 */
        IPCL_MEMBER_OTHER,
    } state;          /* out */
    const char *data; /* out: points into the packed bytes */
    size_t size;      /* out: bytes */
};

/* All must be there. The three functions may be called from several threads at once: a serializer
 * has no state. */
struct ipcl_serial_operations {
    /* what ipyparallel calls it in `pack`: "json", "msgpack.packb"; unpack_name likewise in
     * `unpack` */
    const char *traits_name;
    const char *unpack_name;
    /* Packs `value`. Returns bytes that the caller frees with free(), and their number in *size;
     * NULL with `error` set if the value cannot be packed or memory is short. */
    char *(*pack)(const json_t *value, size_t *size, struct ipcl_error *error);
    /* Unpacks all `size` bytes. Returns a new reference; NULL with `error` set if the bytes are not
     * one well-formed value, nest deeper than 256, or have more than a million values. */
    json_t *(*unpack)(const char *data, size_t size, struct ipcl_error *error);
    /* Finds members of a packed mapping by name. Returns 0, with members that are not there marked
     * absent; -1 if the bytes that it read are not a well-formed mapping. Reads no further than
     * necessary. */
    int (*find)(const char *data, size_t size, struct ipcl_member *members, size_t count);
};

#ifdef __cplusplus
}
#endif
#endif
