/* The link between main thread and I/O thread. */
#include "engine/link.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

int link_open(struct link *link, struct ipcl_error *error)
{
    link->returned_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    link->published_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (link->returned_fd < 0 || link->published_fd < 0 || sem_init(&link->given, 0, 0) ||
        sem_init(&link->taken, 0, 0) || pthread_mutex_init(&link->publishing, NULL))
        return ipcl_error_set(error, "the engine's threads cannot be linked: %s", strerror(errno));
    atomic_store(&link->open, true);
    return 0;
}

void link_close(struct link *link)
{
    atomic_store(&link->open, false);
    close(link->returned_fd);
    close(link->published_fd);
    sem_destroy(&link->given);
    sem_destroy(&link->taken);
    pthread_mutex_destroy(&link->publishing);
}

static void wait_for(sem_t *semaphore)
{
    while (sem_wait(semaphore) && errno == EINTR)
        ;
}

/* An eventfd that is neither full nor closed takes the write: nothing remains to be done where it
 * fails. */
static void announce(int fd)
{
    uint64_t one = 1;
    while (write(fd, &one, sizeof(one)) < 0 && errno == EINTR)
        ;
}

static bool was_announced(int fd)
{
    uint64_t count;
    return read(fd, &count, sizeof(count)) == sizeof(count);
}

void link_give(struct link *link, struct job *job)
{
    link->job = job;
    sem_post(&link->given);
}

struct job *link_returned(struct link *link)
{
    return was_announced(link->returned_fd) ? link->job : NULL;
}

struct job *link_take(struct link *link)
{
    wait_for(&link->given);
    return link->job;
}

void link_return(struct link *link)
{
    announce(link->returned_fd);
}

void link_publish(struct link *link, struct publication *publication)
{
    if (!atomic_load(&link->open))
        return;
    pthread_mutex_lock(&link->publishing);
    link->publication = publication;
    announce(link->published_fd);
    wait_for(&link->taken);
    pthread_mutex_unlock(&link->publishing);
}

struct publication *link_publication(struct link *link)
{
    return was_announced(link->published_fd) ? link->publication : NULL;
}

void link_published(struct link *link)
{
    sem_post(&link->taken);
}
