/* What the records thread tells the task thread about the previous controller's tasks, over inproc:
 * one struct in a message, and for some kinds frames behind it. */
#ifndef CONTROLLER_RESTART_RESTORED_H
#define CONTROLLER_RESTART_RESTORED_H

#include <stdbool.h>

#include "controller/delivery/handouts.h"
#include "controller/exchange/notice.h"
#include "controller/exchange/report.h"

struct restored {
    enum restored_kind {
        RESTORED_AWAY,     /* [restored, client, message ...]: `engine` may have it; "": any may; if
                              not `whole`, the message has only a header */
        RESTORED_AT,       /* `engine` has come back with the task `msg_id` */
        RESTORED_GONE,     /* `engine` has gone, with all its tasks */
        RESTORED_LOST,     /* no engine has come back with the task `msg_id` */
        RESTORED_OUTCOMES, /* [restored, struct restored_outcome ...]: tasks that have ended */
        RESTORED_TASK,     /* [restored, client, message ...]: it was never given out */
        RESTORED_ALL,      /* there are no more of the two kinds before */
    } kind;
    bool whole;
    struct handout handout; /* of a task; zero if it is not known */
    char engine[ENGINE_UUID_BYTES];
    char msg_id[REPORT_TEXT_MAX + 1];
};

struct restored_outcome {
    bool success;
    char engine[ENGINE_UUID_BYTES]; /* "": none */
    char msg_id[REPORT_TEXT_MAX + 1];
};

#endif
