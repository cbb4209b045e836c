/* Replay detection: remembers the newest signatures, to accept each once. */
#ifndef WIRE_REPLAY_H
#define WIRE_REPLAY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* 16 bytes of a digest are as hard to collide as 128 bits can be. The birthday bound is far above
 * the number of digests that are remembered. */
#define REPLAY_DIGEST_BYTES 16

struct replay;

/* Remembers the newest `capacity` digests, a power of two; memory grows as digests come. NULL when
 * memory is short. */
struct replay *replay_create(uint32_t capacity);
void replay_destroy(struct replay *replay);
/* Whether the digest is remembered. */
bool replay_seen(const struct replay *replay, const unsigned char digest[REPLAY_DIGEST_BYTES]);
/* Remembers a digest that is not remembered yet, and forgets the oldest if there is no room.
 * Returns 0 or -1 (ENOMEM). */
int replay_add(struct replay *replay, const unsigned char digest[REPLAY_DIGEST_BYTES]);

#endif
