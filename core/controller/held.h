/* A message put aside: small frames in one piece of memory, large ones by reference. A waiting task
 * costs little more than its bytes this way, where a struct message has 64 bytes for every frame.
 */
#ifndef CONTROLLER_HELD_H
#define CONTROLLER_HELD_H

#include <stddef.h>

#include "wire/message.h"

/* Frames larger than this are held by reference. */
#define HELD_COPIED_BYTES 1024

struct held;

/* Puts aside the frames of a message, which stays as it is. NULL when memory is short. */
struct held *held_create(struct message *message);
/* Takes NULL. */
void held_destroy(struct held *held);
/* Makes `message`, which is empty, hold the frames again; `held` stays as it is. Returns 0 or -1
 * (ENOMEM). */
int held_restore(struct held *held, struct message *message);
size_t held_delimiter(const struct held *held);
/* A frame's bytes; the held message keeps them. */
const void *held_frame(struct held *held, size_t index, size_t *size);

#endif
