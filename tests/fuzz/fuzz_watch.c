/* How the supervisor watches the hub: its answers and notifications, those of engines, and the end
 * of the connection. An input is a byte of settings (bit 0 MessagePack, bit 1 another controller
 * may take this one's place) and messages, each with a first byte that says what happens:
 *
 *     bits 0-1   0: it is an event of the connection, 1: it answers, 2: it is a notification
 *                3: engines are asked to end
 *     bit 2      with 1: an engine answers, not the hub; with 3: those of one set
 *     bit 7      the hub is gone */
#include <stdlib.h>
#include <string.h>

#include "cluster/watch/hub_watch.h"
#include "network.h"
#include "wire/connection.h"
#include "wire/serializer.h"

/* In the order in which the connection adds them to its loop. */
enum { NOTIFICATION, QUERY, CONTROL };

/* One for each setting, because inputs have settings in any order. */
static struct life {
    uv_loop_t loop;
    struct hub_watch *watch;
    /* What it gave to the loop. */
    uv_timer_t *timer;
    uv_timer_cb timer_ready;
    bool polled;
} lives[4], *life;

const struct ipcl_serial_operations *__wrap_serializer_load(struct registry *registry,
                                                            const char *pack, const char *unpack,
                                                            struct ipcl_error *error);
const struct ipcl_serial_operations *__wrap_serializer_load(struct registry *registry,
                                                            const char *pack, const char *unpack,
                                                            struct ipcl_error *error)
{
    (void)registry;
    (void)unpack;
    (void)error;
    return fuzz_serial(!strcmp(pack, "msgpack"));
}

int __wrap_connection_read(const char *path, enum connection_role role,
                           struct connection *connection, struct ipcl_error *error);
int __wrap_connection_read(const char *path, enum connection_role role,
                           struct connection *connection, struct ipcl_error *error)
{
    size_t number = (size_t)(life - lives);
    (void)path;
    (void)role;
    (void)error;
    *connection = (struct connection){.interface = "tcp://127.0.0.1",
                                      .signature_scheme = "hmac-sha256",
                                      .registration = 1,
                                      .control = 1,
                                      .notification = 1,
                                      .reuse = number & 2};
    strcpy(connection->pack, number & 1 ? "msgpack" : "json");
    return 0;
}

/* The loop's time stands still: what it would call is called here. */
int __wrap_uv_timer_start(uv_timer_t *timer, uv_timer_cb ready, uint64_t timeout, uint64_t repeat);
int __wrap_uv_timer_start(uv_timer_t *timer, uv_timer_cb ready, uint64_t timeout, uint64_t repeat)
{
    (void)timeout;
    (void)repeat;
    life->timer = timer;
    life->timer_ready = ready;
    return 0;
}

int __wrap_uv_poll_start(uv_poll_t *poll, int events, uv_poll_cb ready);
int __wrap_uv_poll_start(uv_poll_t *poll, int events, uv_poll_cb ready)
{
    (void)poll;
    (void)events;
    (void)ready;
    life->polled = true;
    return 0;
}

static void changed(void *context, struct hub_watch *watch)
{
    char name[ENGINE_NAME_BYTES];
    FUZZ_ASSERT(context == life && watch == life->watch);
    FUZZ_ASSERT(hub_watch_count(watch, "s", 0) <= hub_watch_count(watch, NULL, 0));
    FUZZ_ASSERT(hub_watch_count(watch, NULL, hub_watch_mark(watch)) == 0);
    hub_watch_name(watch, 5, name);
    FUZZ_ASSERT(strlen(name) < sizeof(name));
    const struct hub_work *work = hub_watch_work(watch);
    FUZZ_ASSERT(!work || work->task_s >= 0);
}

static void create(unsigned number)
{
    struct ipcl_error error;
    const struct hub_watch_events events = {.changed = changed, .context = life};
    (void)number;
    *life = (struct life){0};
    FUZZ_ASSERT(!uv_loop_init(&life->loop));
    life->watch = hub_watch_create(&life->loop, NULL, "/nonexistent", &events, &error);
    FUZZ_ASSERT(life->watch && life->timer && life->polled);
    hub_watch_measure(life->watch);
}

static void destroy(void)
{
    hub_watch_destroy(life->watch);
    uv_run(&life->loop, UV_RUN_DEFAULT);
    FUZZ_ASSERT(!uv_loop_close(&life->loop));
}

static void happen(unsigned what, struct fuzz_bytes bytes, struct message *message)
{
    switch (what & 3) {
    case 0:
        network_arrive(bytes);
        life->timer_ready(life->timer);
        break;
    case 1:
        network_receive(what & 4 ? CONTROL : QUERY, bytes, message);
        break;
    case 2:
        network_receive(NOTIFICATION, bytes, message);
        break;
    default:
        hub_watch_end_engines(life->watch, what & 4 ? "s" : NULL);
    }
}

static void enter(unsigned number)
{
    life = &lives[number];
}

const struct network_harness network_harness = {.settings = sizeof(lives) / sizeof(*lives),
                                                .enter = enter,
                                                .create = create,
                                                .destroy = destroy,
                                                .happen = happen};
