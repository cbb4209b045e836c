/* How many bytes of messages libzmq still has. It tells by releasing the last frame, in its own
 * thread. */
#include "controller/delivery/flight.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>

struct flight {
    atomic_size_t bytes;
    atomic_size_t users; /* its owner, other counts, and messages */
    struct flight *all;
};

/* A message on its way. */
struct landing {
    zmq_msg_t frame; /* its last */
    size_t weight;
    struct flight *flight;
};

/* libzmq orders what its thread does after what ours did, which ThreadSanitizer does not see. */
#ifdef __SANITIZE_THREAD__
#include <sanitizer/tsan_interface.h>
#define HAND_OVER(landing) __tsan_release(landing)
#define TAKE_OVER(landing) __tsan_acquire(landing)
#else
#define HAND_OVER(landing) ((void)(landing))
#define TAKE_OVER(landing) ((void)(landing))
#endif

struct flight *flight_create(struct flight *all)
{
    struct flight *flight = calloc(1, sizeof(*flight));
    if (!flight)
        return NULL;
    atomic_init(&flight->users, 1);
    flight->all = all;
    if (all)
        atomic_fetch_add(&all->users, 1);
    return flight;
}

void flight_drop(struct flight *flight)
{
    while (flight && atomic_fetch_sub(&flight->users, 1) == 1) {
        struct flight *all = flight->all;
        free(flight);
        flight = all;
    }
}

size_t flight_bytes(const struct flight *flight)
{
    return atomic_load(&flight->bytes);
}

/* libzmq's thread. */
static void landed(void *data, void *hint)
{
    struct landing *landing = hint;
    struct flight *flight = landing->flight;
    (void)data;
    TAKE_OVER(landing);
    for (struct flight *each = flight; each; each = each->all)
        atomic_fetch_sub(&each->bytes, landing->weight);
    zmq_msg_close(&landing->frame);
    free(landing);
    flight_drop(flight);
}

/* Makes the release of this frame tell. Returns 0 or -1. */
static int load(struct flight *flight, zmq_msg_t *frame, size_t weight)
{
    zmq_msg_t loaded;
    struct landing *landing = malloc(sizeof(*landing));
    if (!landing)
        return -1;
    *landing = (struct landing){.weight = weight, .flight = flight};
    zmq_msg_init(&landing->frame);
    zmq_msg_move(&landing->frame, frame);
    HAND_OVER(landing);
    if (zmq_msg_init_data(&loaded, zmq_msg_data(&landing->frame), zmq_msg_size(&landing->frame),
                          landed, landing)) {
        zmq_msg_move(frame, &landing->frame);
        free(landing);
        return -1;
    }
    atomic_fetch_add(&flight->users, 1);
    for (struct flight *each = flight; each; each = each->all)
        atomic_fetch_add(&each->bytes, weight);
    zmq_msg_move(frame, &loaded);
    return 0;
}

int flight_send(struct flight *flight, struct message *message, size_t weight, void *socket)
{
    zmq_msg_t kept, *last = message_last_frame(message);
    zmq_msg_init(&kept);
    zmq_msg_copy(&kept, last);
    int status = load(flight, last, weight);
    if (status)
        errno = ENOMEM;
    else if ((status = message_send(message, socket))) {
        int saved = errno;
        zmq_msg_move(last, &kept);
        errno = saved;
    }
    zmq_msg_close(&kept);
    return status;
}
