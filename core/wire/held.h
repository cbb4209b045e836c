/* A message that is put aside: small frames in one piece of memory, large ones by reference. So a
 * waiting task needs little more memory than its bytes; a struct message needs 64 bytes for each
 * frame.
 *
 * Messages that are put aside with one pool share equal frames: all tasks of a map have the same
 * function. */
#ifndef WIRE_HELD_H
#define WIRE_HELD_H

#include <stddef.h>

#include "wire/message.h"

/* Larger frames are held by reference. Smaller ones are copied: they may lie in a buffer of
 * libzmq's of this size, and a reference would keep all of it. */
#define HELD_COPIED_BYTES 8192

struct held;
struct held_pool;

/* How many bytes this thread has put aside, with those that it holds by reference. */
size_t held_bytes(void);
/* One for each thread. NULL when memory is short. */
struct held_pool *held_pool_create(void);
/* Takes NULL. Nothing may be put aside with the pool afterwards. */
void held_pool_destroy(struct held_pool *pool);

/* Puts aside the frames of a message, which stays as it is. `pool` may be NULL. NULL when memory is
 * short. */
struct held *held_create(struct message *message, struct held_pool *pool);
/* Takes NULL. */
void held_destroy(struct held *held);
/* Makes `message`, which is empty, hold the frames again; `held` is unchanged. Returns 0 or -1
 * (ENOMEM). */
int held_restore(struct held *held, struct message *message);
/* The bytes of a part, which must be there, and of the first identity. They belong to `held`. */
const void *held_part(struct held *held, enum message_part part, size_t *size);
const void *held_peer(struct held *held, size_t *size);

#endif
