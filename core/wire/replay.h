/* Replay detection: the newest signatures, each known once. */
#ifndef WIRE_REPLAY_H
#define WIRE_REPLAY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The leading bytes of a digest are as hard to collide with as 128 bits can be, which the birthday
 * bound over REPLAY history leaves far out of reach. */
#define REPLAY_DIGEST_BYTES 16

struct replay;

/* Remembers the newest `capacity` digests, a power of two; memory is taken as it fills. NULL when
 * memory is short. */
struct replay *replay_create(uint32_t capacity);
void replay_destroy(struct replay *replay);
/* True where the digest is remembered. */
bool replay_seen(const struct replay *replay, const unsigned char digest[REPLAY_DIGEST_BYTES]);
/* Remembers a digest that is not, and forgets the oldest where there is no room. Returns 0 or -1
 * (ENOMEM). */
int replay_add(struct replay *replay, const unsigned char digest[REPLAY_DIGEST_BYTES]);

#endif
