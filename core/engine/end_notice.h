/* The watcher's notice to the controller that an engine has ended. */
#ifndef ENGINE_END_NOTICE_H
#define ENGINE_END_NOTICE_H

#include "engine/io.h"
#include "engine/watch_private.h"

struct end_notice {
    const struct watch_news *news;
    const char *profile_dir; /* where plugins are searched */
    enum io_cause cause;
    const char *reason;
    const char *begun; /* the msg_id of the task that began last; "": none */
};

/* Sends the notice, and waits until it has left. If it cannot be sent, the controller notices
 * missing heartbeats. */
void end_notice_send(const struct end_notice *notice);

#endif
