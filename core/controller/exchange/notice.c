/* Notices from the hub to the other threads. */
#include "controller/exchange/notice.h"

#include <stddef.h>
#include <string.h>
#include <zmq.h>

void notice_send(void *socket, const struct notice *notice)
{
    zmq_send(socket, notice, offsetof(struct notice, text) + strlen(notice->text) + 1,
             ZMQ_DONTWAIT);
}

bool notice_recv(void *socket, struct notice *notice)
{
    return zmq_recv(socket, notice, sizeof(*notice), ZMQ_DONTWAIT) > 0;
}
