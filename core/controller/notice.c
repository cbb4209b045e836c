/* Notices from the hub to the other threads. */
#include "controller/notice.h"

#include <stdio.h>
#include <zmq.h>

void notice_send(void *socket, enum notice_kind kind, int id, const char *uuid)
{
    struct notice notice = {.kind = kind, .id = id};
    snprintf(notice.uuid, sizeof(notice.uuid), "%s", uuid);
    zmq_send(socket, &notice, sizeof(notice), ZMQ_DONTWAIT);
}

bool notice_recv(void *socket, struct notice *notice)
{
    return zmq_recv(socket, notice, sizeof(*notice), ZMQ_DONTWAIT) == sizeof(*notice);
}
