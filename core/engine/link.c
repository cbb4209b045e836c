/* The link between main thread and I/O thread. */
#include "engine/link.h"

#include <errno.h>

#include "wire/loop.h"
#include "wire/socket.h"

static int open_pair(void *context, const char *name, void **receiving, void **sending,
                     struct ipcl_error *error)
{
    struct socket_options options = {.type = ZMQ_PAIR};
    *receiving = socket_create(context, &options, error);
    *sending = *receiving ? socket_create(context, &options, error) : NULL;
    if (!*sending || socket_bind(*receiving, name, error) || socket_connect(*sending, name, error))
        return -1;
    return 0;
}

int link_open(struct link *link, void *context, struct ipcl_error *error)
{
    pthread_mutex_init(&link->publishing, NULL);
    if (open_pair(context, "inproc://jobs", &link->io_jobs, &link->main_jobs, error))
        return -1;
    return open_pair(context, "inproc://publications", &link->io_publications,
                     &link->main_publications, error);
}

static void close_socket(void **socket)
{
    if (*socket)
        zmq_close(*socket);
    *socket = NULL;
}

void link_close_main(struct link *link)
{
    close_socket(&link->main_jobs);
    pthread_mutex_lock(&link->publishing);
    close_socket(&link->main_publications);
    pthread_mutex_unlock(&link->publishing);
}

void link_send(void *socket, struct job *job)
{
    loop_sent(socket);
    while (zmq_send(socket, &job, sizeof(job), 0) < 0 && errno == EINTR)
        ;
}

struct job *link_receive(void *socket)
{
    struct job *job;
    for (;;) {
        if (zmq_recv(socket, &job, sizeof(job), 0) == sizeof(job))
            return job;
        if (errno != EINTR)
            return NULL;
    }
}

void link_publish(struct link *link, struct publication *publication)
{
    char taken;
    pthread_mutex_lock(&link->publishing);
    if (link->main_publications) {
        while (zmq_send(link->main_publications, &publication, sizeof(publication), 0) < 0 &&
               errno == EINTR)
            ;
        while (zmq_recv(link->main_publications, &taken, 1, 0) < 0 && errno == EINTR)
            ;
    }
    pthread_mutex_unlock(&link->publishing);
}
