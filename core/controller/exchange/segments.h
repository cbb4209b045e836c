/* The segments (wire/segment.h) that pass through the controller: its ends of the links of all
 * programs that hand it descriptors. Any thread: there is a lock, which only messages with segments
 * take. The hub's thread hears new programs, and notices those that have gone. */
#ifndef CONTROLLER_EXCHANGE_SEGMENTS_H
#define CONTROLLER_EXCHANGE_SEGMENTS_H

#include "controller/exchange/controller.h"

/* Listens beside the local sockets, if there are any and the settings allow it. Without, all large
 * buffers travel in their messages; the log says why. Main's thread. */
void segments_open(const struct controller *controller);
/* Main's thread, when the others have ended. */
void segments_close(void);

/* What is readable when segments_look() has something to do; -1: segments are not offered. */
int segments_descriptor(void);
/* Hears new programs, and notes which have gone. The hub's thread. */
void segments_look(void *unused);
/* Forgets what programs that have gone gave and did not refer to. Counts. Returns the time of the
 * next call, or CLOCK_NEVER. The hub's thread. */
long long segments_tick(long long now_ms);

/* Has the references of a message from a program own what that has given. `role` is the program's,
 * and the message's first identity (message_peer()) the name under which it connects; likewise
 * below. Returns 0, or -1 where something is not there. */
int segments_take(enum connection_role role, struct message *message);
/* Gives a message's segments to the program that it is for, or puts them into the message. Before
 * it is signed. Returns 0, or -1 where it refers to what is not there. */
int segments_give(enum connection_role role, struct message *message);
/* The same for an engine of this name. */
int segments_give_to(const char *engine, struct message *message);
/* Take back what was given: the message was not sent. */
void segments_recall(enum connection_role role, struct message *message);
void segments_recall_from(const char *engine, struct message *message);

#endif
