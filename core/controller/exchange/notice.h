/* What the hub tells the other threads about engines, over inproc: one struct in a message. */
#ifndef CONTROLLER_EXCHANGE_NOTICE_H
#define CONTROLLER_EXCHANGE_NOTICE_H

#include <stdbool.h>

#define ENGINE_UUID_BYTES 64  /* with its NUL, as all below */
#define ENGINE_NAME_BYTES 600 /* "engine 3 (node17, process 4242, Slurm job 88)" */
#define NOTICE_TEXT_BYTES 8192
#define NOTICE_ID_BYTES   256

enum notice_kind {
    NOTICE_KNOWN,    /* to schedulers and iopub: the previous controller had it, and it may come
                     back */
    NOTICE_EXPECTED, /* to heart and iopub: it has asked to be registered, and its heart should
                        begin to beat */
    NOTICE_ADDED,    /* to schedulers: it is registered */
    NOTICE_ENDING,   /* to task: it has gone, and the reason will follow; it gets no new tasks */
    NOTICE_GONE,     /* it died, left, or never began to beat */
};

/* What a controller knows about the requests that an engine had when it went. */
enum notice_rest {
    REST_UNKNOWN,  /* any may have begun */
    REST_ANSWERED, /* it left in order: all are answered, although some answers may arrive a moment
                      later */
    REST_BEGUN,    /* those after the one in `begun` have not begun */
};

struct notice {
    enum notice_kind kind;
    int id;
    bool sealed; /* it seals what it sends (seal.h); not for an engine that has gone */
    char uuid[ENGINE_UUID_BYTES];
    char route[ENGINE_UUID_BYTES]; /* routes.h; "" for none */
    enum notice_rest rest;         /* for an engine that has gone; also the next two */
    bool blameless;                /* it ended for a reason other than what it ran */
    char begun[NOTICE_ID_BYTES];   /* the msg_id of the task that it began last, or "" */
    char text[NOTICE_TEXT_BYTES];  /* NOTICE_ADDED: the engine's name in sentences; NOTICE_GONE: a
                                      sentence */
};

/* Sends a notice. Never blocks: inproc has no high-water mark here. */
void notice_send(void *socket, const struct notice *notice);
/* Receives a notice if there is one. Returns whether there was. */
bool notice_recv(void *socket, struct notice *notice);

#endif
