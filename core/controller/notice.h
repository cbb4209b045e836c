/* What the hub tells the other threads of engines, over inproc: one fixed struct a message. */
#ifndef CONTROLLER_NOTICE_H
#define CONTROLLER_NOTICE_H

#include <stdbool.h>

#define ENGINE_UUID_BYTES 64 /* with its NUL */

enum notice_kind {
    NOTICE_EXPECTED, /* the heart alone: it asked to be registered, its heart should begin to beat
                      */
    NOTICE_ADDED,
    NOTICE_GONE, /* dead, left, or never began to beat */
};

struct notice {
    enum notice_kind kind;
    int id;
    char uuid[ENGINE_UUID_BYTES];
};

/* Sends one. Never blocks: inproc has no high-water mark here. */
void notice_send(void *socket, enum notice_kind kind, int id, const char *uuid);
/* Receives one where there is one. Returns whether there was. */
bool notice_recv(void *socket, struct notice *notice);

#endif
