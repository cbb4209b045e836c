/* A message put aside: small frames in one piece of memory, large ones by reference. A waiting task
 * costs little more than its bytes this way, where a struct message has 64 bytes for every frame.
 *
 * Messages that are put aside with a pool share what they have in common: the tasks of a map all
 * carry the same function. */
#ifndef WIRE_HELD_H
#define WIRE_HELD_H

#include <stddef.h>

#include "wire/message.h"

/* Frames larger than this are held by reference. Smaller ones are not, as they may lie in a buffer
 * of libzmq's of this size, which a reference would keep. */
#define HELD_COPIED_BYTES 8192

struct held;
struct held_pool;

/* How many bytes this thread has put aside, those that it holds by reference among them. */
size_t held_bytes(void);
/* One a thread. NULL when memory is short. */
struct held_pool *held_pool_create(void);
/* Takes NULL. Nothing is put aside with it any more. */
void held_pool_destroy(struct held_pool *pool);

/* Puts aside the frames of a message, which stays as it is. `pool` may be NULL. NULL when memory is
 * short. */
struct held *held_create(struct message *message, struct held_pool *pool);
/* Takes NULL. */
void held_destroy(struct held *held);
/* Makes `message`, which is empty, hold the frames again; `held` stays as it is. Returns 0 or -1
 * (ENOMEM). */
int held_restore(struct held *held, struct message *message);
/* The bytes of a part that is there, and of the first identity; the held message keeps them. */
const void *held_part(struct held *held, enum message_part part, size_t *size);
const void *held_peer(struct held *held, size_t *size);

#endif
