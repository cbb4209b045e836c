/* Clients whose tasks are not kept: what such a client has waiting is dropped once it has gone. The
 * task thread.
 *
 * Each of these tasks says so itself, in its metadata, so that a controller knows which restores it
 * from the records. A client has gone when it says so, as one that is closed does; or where it has
 * not been connected each time that we looked, for as long as it may be away. A ROUTER tells nobody
 * that a connection has ended, but takes no message for a peer that is not there: each client is
 * sent one that it ignores. Times are counted in looks, so that a controller that was stopped for a
 * while, and its connections with it, waits as long as any.
 *
 * What an engine has is finished: it may be half done, and its record may still be wanted. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>
#include <utlist.h>

#include "base/clock.h"
#include "controller/schedulers/task.h"

/* After how many more looks a client has gone that was not there at a first look; and the least
 * time between two looks. */
#define LOOKS         4
#define LOOK_MS_LEAST 250

struct guest {
    struct task *tasks;
    int absences; /* in a row */
    size_t size;
    UT_hash_handle hh;
    char identity[];
};

static long long look_ms(const struct guests *guests)
{
    return guests->grace_ms > LOOKS * LOOK_MS_LEAST ? guests->grace_ms / LOOKS : LOOK_MS_LEAST;
}

static struct guest *guest_find(const struct guests *guests, const void *identity, size_t size)
{
    struct guest *guest;
    HASH_FIND(hh, guests->all, identity, size, guest);
    return guest;
}

static struct guest *guest_create(struct guests *guests, const void *identity, size_t size)
{
    struct guest *guest = calloc(1, sizeof(*guest) + size);
    if (!guest)
        return NULL;
    if (!guests->all)
        guests->next_look_ms = clock_ms() + look_ms(guests);
    memcpy(guest->identity, identity, size);
    guest->size = size;
    HASH_ADD(hh, guests->all, identity, size, guest);
    return guest;
}

void guests_add(struct scheduler *scheduler, struct task *task)
{
    struct guest *guest = guest_find(&scheduler->guests, task->client, task->client_size);
    if (!guest)
        guest = guest_create(&scheduler->guests, task->client, task->client_size);
    task->guest = guest;
    if (guest)
        DL_APPEND2(guest->tasks, task, guest_prev, guest_next);
}

/* A client without tasks is forgotten only at the next look: most have others soon. */
void guests_remove(struct task *task)
{
    if (task->guest)
        DL_DELETE2(task->guest->tasks, task, guest_prev, guest_next);
}

/* No task of the client is given out from now on, and one that an engine has is not tried again.
 * There may be many: they are taken out of the stranded ones a batch at a time (task_settle()). */
static void drop_tasks(struct scheduler *scheduler, struct guest *guest)
{
    struct task *task;
    DL_FOREACH2 (guest->tasks, task, guest_next) {
        task->retries = 0;
        if (task->state == TASK_WAITING || task->state == TASK_BLOCKED)
            balancer_give_up(scheduler->balancer, task);
        else
            task->unwanted = true;
    }
}

void guests_leave(struct scheduler *scheduler, zmq_msg_t *client)
{
    struct guest *guest =
        guest_find(&scheduler->guests, zmq_msg_data(client), zmq_msg_size(client));
    if (!guest)
        return;
    drop_tasks(scheduler, guest);
    guest->absences = LOOKS; /* what an engine gives back goes at the next look */
}

/* Whether a client is connected. After a restart it is not known whether a client seals its
 * messages. But only our own clients ask for this, and these do. */
static bool guest_is_there(struct scheduler *scheduler, const struct guest *guest)
{
    struct seal *seal = &scheduler->sessions.client_seal;
    struct session_parts parts = {.msg_type = "presence"};
    struct message message;
    if (outbox_waiting(&scheduler->replies.outbox, guest->identity, guest->size))
        return true; /* what is sealed now must not overtake it; the outbox finds out about the
                      * peer */
    message_init(&message);
    bool sealed = scheduler->hooks || seal_knows(seal, guest->identity, guest->size);
    bool absent = !message_append(&message, guest->identity, guest->size) &&
                  !session_build(seal->session, &message, &parts, NULL, NULL) &&
                  !seal_sign(seal, &message, guest->identity, guest->size, sealed, NULL) &&
                  message_send(&message, scheduler->clients) && errno == EHOSTUNREACH;
    message_close(&message);
    return !absent;
}

long long guests_tick(struct scheduler *scheduler, long long now_ms)
{
    struct guests *guests = &scheduler->guests;
    struct guest *guest, *next;
    if (!guests->all)
        return CLOCK_NEVER;
    if (now_ms < guests->next_look_ms)
        return guests->next_look_ms;
    HASH_ITER (hh, guests->all, guest, next) {
        if (!guest->tasks) {
            HASH_DEL(guests->all, guest);
            free(guest);
        } else if (guest_is_there(scheduler, guest)) {
            guest->absences = 0;
        } else if (++guest->absences > LOOKS) {
            drop_tasks(scheduler, guest);
        }
    }
    guests->next_look_ms = now_ms + look_ms(guests);
    return guests->next_look_ms;
}

void guests_release(struct scheduler *scheduler)
{
    struct guest *guest, *next;
    HASH_ITER (hh, scheduler->guests.all, guest, next) {
        HASH_DEL(scheduler->guests.all, guest);
        free(guest);
    }
}
