/* Room for connections. Each takes one of the process's file descriptors, which are limited (ulimit
 * -n). The hub refuses, with a reason, a program that needs more than are left. A connection for
 * which no descriptor is left is ended at once, whether its program has asked or not. */
#ifndef CONTROLLER_DOOR_ROOM_H
#define CONTROLLER_DOOR_ROOM_H

#include <stddef.h>

#include <ipcluster/error.h>

/* How many connections an engine has: two for its heart, and one each for registration, direct
 * requests, tasks, broadcasts, control and output. */
#define ROOM_ENGINE_CONNECTIONS 8
/* A client's: for queries, notifications, and one each for direct requests, tasks, broadcasts,
 * control and output. */
#define ROOM_CLIENT_CONNECTIONS 7
/* This many connections at a time may be proving who they are, even if there is little room: all of
 * one engine's. */
#define ROOM_STRANGERS_MIN ROOM_ENGINE_CONNECTIONS
/* How many descriptors must be free when the controller starts, beside its own sockets: enough for
 * a cluster. */
#define ROOM_MIN (ROOM_HELD_BACK + ROOM_ENGINE_CONNECTIONS + ROOM_CLIENT_CONNECTIONS)
/* For files that the controller opens itself, and for programs that must be told that it is
 * full. */
#define ROOM_FILES     16
#define ROOM_REFUSALS  8
#define ROOM_HELD_BACK (ROOM_FILES + ROOM_REFUSALS)

/* Raises the limit of file descriptors as far as this user may. Before there is a socket. Returns
 * 0, or -1 with `error` set. */
int room_open(struct ipcl_error *error);
/* Says that each engine and each client has one connection more: segments are offered. Main's
 * thread, before there are others. */
void room_expect_segments(void);
/* How many connections an engine has. */
int room_engine_connections(void);
/* Logs for how many engines or clients there is room. Call when all sockets are made. */
void room_announce(void);
/* Whether there is room for this many more connections. Returns 0, or -1 with `error` set. Any
 * thread. */
int room_for(size_t connections, struct ipcl_error *error);

#endif
