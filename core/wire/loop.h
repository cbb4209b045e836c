/* A thread's loop: it waits for the thread's sockets, hands each message to the socket's function,
 * in batches, and ends when the main thread says so.
 *
 * Functions send on the loop's sockets with message_send() and message_send_to(), which tell the
 * loop. Code that uses zmq_send() on a socket that the loop reads calls loop_sent(). */
#ifndef WIRE_LOOP_H
#define WIRE_LOOP_H

#include <ipcluster/error.h>
#include <stdbool.h>

#include "base/clock.h"
#include "wire/message.h"
#include "wire/traffic.h"

struct loop;

/* Called with each message of a socket. Frames that it leaves in `message` are released. */
typedef void loop_receive(void *self, struct message *message);
/* Called when a socket has something to read: reads all of it. */
typedef void loop_ready(void *self);
/* Called after each round, and at the time that it returned last. Does what is due, and returns the
 * time of its next call on the clock of clock_ms(), or CLOCK_NEVER. */
typedef long long loop_tick(void *self, long long now_ms);

/* Main's thread. `name` stands in the log. NULL with `error` set on failure. */
struct loop *loop_create(const char *name, struct ipcl_error *error);
/* Closes the sockets, too. Takes NULL. Main's thread, when the loop does not run. */
void loop_destroy(struct loop *loop);
/* Adds a socket, which the loop then owns. A NULL `socket` is an error, so that a socket can be
 * made in the call. Sockets are served in the order in which they were added. Return 0 or -1. */
int loop_add(struct loop *loop, void *socket, loop_receive *receive, void *self);
int loop_add_ready(struct loop *loop, void *socket, loop_ready *ready, void *self);
/* The same as loop_add() for a socket at which envelopes may come (envelope.h): each message of
 * theirs is handed over as if it had come by itself. */
int loop_add_open(struct loop *loop, void *socket, loop_receive *receive, void *self);
/* Adds a file descriptor, which the caller still owns: `ready` is called while it is readable.
 * Returns 0 or -1. */
int loop_add_fd(struct loop *loop, int fd, loop_ready *ready, void *self);
/* Stops watching a descriptor. One whose other end is closed would be readable for ever. */
void loop_remove_fd(struct loop *loop, int fd);
/* After the thread was woken for this socket, leaves it unread for some milliseconds. So if many
 * messages come, the thread wakes once for all of them. A round that reads a socket which was added
 * later reads this one first. */
void loop_rest(struct loop *loop, const void *socket, int rest_ms);
/* Closes a socket that was added, before the loop is destroyed. Only from the loop's tick. */
void loop_close(struct loop *loop, void *socket);
/* Adds a socket that is closed with the loop and is never read. Returns 0 or -1. */
int loop_keep(struct loop *loop, void *socket);
/* Counts what goes through a socket that was added, and the loop's rounds. `traffic` and `rounds`
 * must outlive the loop. */
void loop_count(struct loop *loop, const void *socket, struct traffic *traffic);
void loop_count_rounds(struct loop *loop, struct rounds *rounds);
/* The counter of what this thread sends on `socket`; NULL: none. */
struct traffic *loop_traffic(const void *socket);
void loop_set_tick(struct loop *loop, loop_tick *tick, void *self);

/* Runs until loop_stop(). The loop's thread. */
void loop_run(struct loop *loop);
/* Has the loop call its tick soon. Any thread. */
void loop_wake(struct loop *loop);
/* Ends the loop. Any thread. */
void loop_stop(struct loop *loop);
/* Ends the loop from within one of its functions. */
void loop_end(struct loop *loop);
/* Another thread takes the loop's place while the loop waits: until loop_leave() it may call the
 * loop's functions and use its sockets, but may not add any. Returns false if the loop is at
 * work. */
bool loop_enter(struct loop *loop);
void loop_leave(struct loop *loop);
/* Notes that this thread has sent on `socket`. */
void loop_sent(void *socket);
/* For a thread that waits in another event loop: this descriptor is readable when something may
 * have arrived. It belongs to the loop; nothing may be added later. Returns -1 with errno set if it
 * cannot be made. */
int loop_descriptor(struct loop *loop);
/* Hands everything that has arrived to its functions, without waiting. Such a thread calls this
 * each time before it waits. */
void loop_turn(struct loop *loop);
/* Hands everything that has arrived at `socket` to its function. Does nothing if `socket` is NULL.
 * Only from one of the loop's functions. */
void loop_drain(struct loop *loop, void *socket);

#endif
