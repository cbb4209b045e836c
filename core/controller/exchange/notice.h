/* What the hub tells the other threads of engines, over inproc: one struct a message. */
#ifndef CONTROLLER_EXCHANGE_NOTICE_H
#define CONTROLLER_EXCHANGE_NOTICE_H

#include <stdbool.h>

#define ENGINE_UUID_BYTES 64  /* with its NUL; likewise: */
#define ENGINE_NAME_BYTES 600 /* "engine 3 (node17, process 4242, Slurm job 88)" */
#define NOTICE_TEXT_BYTES 8192
#define NOTICE_ID_BYTES   256

enum notice_kind {
    NOTICE_KNOWN, /* schedulers and iopub: the previous controller had it, and it may come back */
    NOTICE_EXPECTED, /* heart and iopub: it asked to be registered, its heart should begin to
                      * beat */
    NOTICE_ADDED,    /* schedulers */
    NOTICE_ENDING,   /* task: it has gone, and why is still to come: it takes nothing new */
    NOTICE_GONE,     /* dead, left, or never began to beat */
};

/* What a controller knows of the requests that an engine had which has gone. */
enum notice_rest {
    REST_UNKNOWN,  /* any may have begun */
    REST_ANSWERED, /* it leaves in order: all are answered, some perhaps a moment later */
    REST_BEGUN,    /* those behind the one that is named have not begun */
};

struct notice {
    enum notice_kind kind;
    int id;
    bool sealed; /* of one that has not gone: it seals what it sends (seal.h) */
    char uuid[ENGINE_UUID_BYTES];
    char route[ENGINE_UUID_BYTES]; /* routes.h; "" for none */
    enum notice_rest rest;         /* of one that has gone; likewise: */
    bool blameless;                /* it was not what it ran that ended it */
    char begun[NOTICE_ID_BYTES];   /* the msg_id of the task that it began last, or "" */
    char text[NOTICE_TEXT_BYTES];  /* added: the engine's name in sentences; gone: a sentence */
};

/* Sends one. Never blocks: inproc has no high-water mark here. */
void notice_send(void *socket, const struct notice *notice);
/* Receives one where there is one. Returns whether there was. */
bool notice_recv(void *socket, struct notice *notice);

#endif
