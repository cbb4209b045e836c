/* HMAC (RFC 2104) that keeps no copy of the key: the copy that OpenSSL's own HMAC keeps would be in
 * a core file. */
#ifndef WIRE_MAC_H
#define WIRE_MAC_H

#include <stddef.h>

#include <ipcluster/error.h>

#define MAC_BYTES_MAX 64

struct mac;

/* `digest` is OpenSSL's name, for example "sha256". NULL with `error` set if OpenSSL has no such
 * digest, or memory is short. */
struct mac *mac_create(const char *key, size_t key_size, const char *digest,
                       struct ipcl_error *error);
/* Takes NULL. */
void mac_destroy(struct mac *mac);
/* How many bytes mac_end() writes. */
size_t mac_bytes(const struct mac *mac);
/* One computation: begin, any number of parts, end. Each returns 0, or -1 where OpenSSL fails. */
int mac_begin(struct mac *mac);
int mac_add(struct mac *mac, const void *data, size_t size);
int mac_end(struct mac *mac, unsigned char code[MAC_BYTES_MAX]);

#endif
