/* Poly1305 (RFC 8439, 2.5): a tag over bytes, at the speed of memory. To somebody who knows neither
 * the key nor any tag, two different texts of L bytes have the same tag with a probability of 8 *
 * ceil(L / 16) / 2^106 (Bernstein, "The Poly1305-AES message-authentication code", 2005). Whoever
 * sees tags of one key can compute the key. So the tags are never sent: an HMAC hides them
 * (seal.h). */
#ifndef WIRE_POLY_H
#define WIRE_POLY_H

#include <stddef.h>

#include <ipcluster/error.h>

#define POLY_KEY_BYTES 32
#define POLY_TAG_BYTES 16

struct poly;

/* Keeps a copy of the key. NULL with `error` set if memory is short or OpenSSL has no Poly1305 (as
 * when it is configured for FIPS). */
struct poly *poly_create(const unsigned char key[POLY_KEY_BYTES], struct ipcl_error *error);
/* Wipes the key. Takes NULL. */
void poly_destroy(struct poly *poly);
/* One computation: begin, any number of parts, end. Each returns 0, or -1 where OpenSSL fails. */
int poly_begin(struct poly *poly);
int poly_add(struct poly *poly, const void *data, size_t size);
int poly_end(struct poly *poly, unsigned char tag[POLY_TAG_BYTES]);

#endif
