/* What an engine says to its watcher, on a socket of packets (SOCK_SEQPACKET). First texts: the
 * path of the program that it becomes, and WATCH_RUNS from that (python/ipengine.py). Then the
 * profile's folder, and with it files; from then on, on the socket that is one of these, struct
 * watch_news. */
#ifndef ENGINE_WATCH_PRIVATE_H
#define ENGINE_WATCH_PRIVATE_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/engine.h"

/* A msg_id with its NUL: the task scheduler takes no longer ones. */
#define WATCH_TASK_BYTES 256

/* It is an interpreter that has begun to run the engine, and says itself where it cannot. */
#define WATCH_RUNS "runs"

/* The files, in their order. */
enum {
    WATCH_PIPES,                  /* the ends to read of what the engine prints */
    WATCH_TEXT = WATCH_PIPES + 2, /* memory: struct capture_shared */
    WATCH_BEGUN,                  /* memory: struct watch_begun */
    WATCH_SOCKET,
    WATCH_FILES
};

/* The task that began last. A task is written where the previous one is not, so that one of them is
 * whole whenever the engine dies. */
struct watch_begun {
    _Atomic unsigned current;
    char tasks[2][WATCH_TASK_BYTES];
};

/* What the engine says of itself. */
struct watch_news {
    int64_t id; /* as which it is registered; -1: not, or it leaves by itself */
    char uuid[RANDOM_UUID_BYTES], route[ENGINE_ROUTE_BYTES];
    bool watched; /* as in struct engine */
    struct connection connection;
};

#endif
