/* What an engine says to its watcher, on a socket of packets (SOCK_SEQPACKET). First come texts:
 * the path of the program that it becomes, and WATCH_RUNS from that program (python/ipengine.py).
 * Then comes the profile's folder, with files. One of these is a new socket, on which struct
 * watch_news comes from then on. */
#ifndef ENGINE_WATCH_PRIVATE_H
#define ENGINE_WATCH_PRIVATE_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/engine.h"

/* A msg_id with its NUL: the task scheduler takes no longer ones. */
#define WATCH_TASK_BYTES 256

/* The program is an interpreter that has begun to run the engine, and reports its own errors. */
#define WATCH_RUNS "runs"

/* The files, in this order. */
enum {
    WATCH_PIPES,                  /* the ends to read of what the engine prints */
    WATCH_TEXT = WATCH_PIPES + 2, /* memory: struct capture_shared */
    WATCH_BEGUN,                  /* memory: struct watch_begun */
    WATCH_SOCKET,
    WATCH_FILES
};

/* The task that began last. The next one is written to the other place, so that one of them is
 * whole whenever the engine dies. */
struct watch_begun {
    _Atomic unsigned current;
    char tasks[2][WATCH_TASK_BYTES];
};

/* What the engine says of itself. */
struct watch_news {
    int64_t id; /* -1: it is not registered, or it leaves by itself */
    char uuid[RANDOM_UUID_BYTES], route[ENGINE_ROUTE_BYTES];
    bool watched; /* as in struct engine */
    struct connection connection;
};

#endif
