/* Who is let in. Each connection takes one of the process's file descriptors, of which there are so
 * many and no more (ulimit -n): the hub refuses, with a reason, whoever needs more than are left;
 * and what connects all the same, or before it asks, is let go at once. */
#ifndef CONTROLLER_DOOR_ROOM_H
#define CONTROLLER_DOOR_ROOM_H

#include <stddef.h>

#include <ipcluster/error.h>

/* An engine's connections: two of its heart, and one each for registration, direct requests, tasks,
 * broadcasts, control and output. */
#define ROOM_ENGINE_CONNECTIONS 8
/* A client's: queries, notifications, and one each for direct requests, tasks, broadcasts, control
 * and output. */
#define ROOM_CLIENT_CONNECTIONS 7
/* So many may be proving who they are at a time, however little room there is: an engine with all
 * its connections. */
#define ROOM_STRANGERS_MIN ROOM_ENGINE_CONNECTIONS
/* What must be free when the controller starts, beside its own sockets: enough for a cluster. */
#define ROOM_MIN (ROOM_HELD_BACK + ROOM_ENGINE_CONNECTIONS + ROOM_CLIENT_CONNECTIONS)
/* For files that the controller opens itself, and for whoever is to hear that it is full. */
#define ROOM_FILES     16
#define ROOM_REFUSALS  8
#define ROOM_HELD_BACK (ROOM_FILES + ROOM_REFUSALS)

/* Raises the limit of file descriptors as far as this user may. Before there is a socket. Returns
 * 0, or -1 with `error` set. */
int room_open(struct ipcl_error *error);
/* Logs how many engines or clients there is room for. Once all sockets are made. */
void room_announce(void);
/* Whether so many connections more have room. Returns 0, or -1 with `error` set. Any thread. */
int room_for(size_t connections, struct ipcl_error *error);

#endif
