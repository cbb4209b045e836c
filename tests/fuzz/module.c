/* A controller without a network, for harnesses of its modules. */
#include "module.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <ipcluster/plugin.h>

#include "base/clock.h"
#include "controller/balancer/schemes.h"
#include "controller/restart/restart.h"
#include "network.h"

#define MODULES_MAX  8
#define ENGINES      4
#define TIME_STEP_MS 3000

extern const struct ipcl_plugin memory_plugin;

/* One for each setting, because inputs have settings in any order. */
static struct life {
    struct controller controller;
    void *selves[MODULES_MAX];
    void *announcer; /* PUSH, in the hub's place */
    bool announced[ENGINES];
} lives[NETWORKS], *life;

static void open_store(void)
{
    struct ipcl_error error;
    life->controller.store = memory_plugin.operations;
    life->controller.records =
        life->controller.store->create(&fuzz_services, "/nonexistent", "", &error);
    if (!life->controller.records)
        fuzz_fail("store", 0, error.text);
}

/* All ports are 1: nothing is bound. */
static void set_connection(struct connection *connection)
{
    strcpy(connection->interface, "tcp://127.0.0.1");
    strcpy(connection->signature_scheme, "hmac-sha256");
    connection->registration = connection->control = connection->mux = connection->task = 1;
    connection->iopub = connection->notification = connection->hb_ping = connection->hb_pong = 1;
    connection->broadcast[0] = 1;
    connection->broadcast_count = 1;
}

static void set_controller(unsigned bits)
{
    static void *context;
    if (!context) {
        context = zmq_ctx_new();
        zmq_ctx_set(context, ZMQ_MAX_SOCKETS, 60000);
    }
    life->controller = (struct controller){
        .context = context,
        .started_ms = clock_ms(),
        .serial = fuzz_serial(bits),
        .restarted = bits & 4,
        .scheme = balancer_scheme_of(bits & 8 ? "pure" : "leastload"),
        .window = bits & 16 ? 0 : -1,
        .heart_period_ms = 3000,
        .heart_misses = 10,
        .registration_timeout_ms = 30000,
        .finished_max = 100,
        .backlog_bytes = 1 << 20,
        .unread_bytes = 1 << 20,
    };
    restart_attach(&life->controller);
    set_connection(&life->controller.clients);
    set_connection(&life->controller.engines);
    if (fuzz_modules.store || bits & 2)
        open_store();
}

static void announce(unsigned number, bool there)
{
    struct notice notice = {.id = (int)(number % ENGINES), .text = "the engine"};
    number %= ENGINES;
    if (!life->announcer || life->announced[number] == there)
        return; /* the hub says nothing twice */
    notice.kind = there ? fuzz_modules.arrival : NOTICE_GONE;
    snprintf(notice.uuid, sizeof(notice.uuid), "e%u", number);
    notice_send(life->announcer, &notice);
    life->announced[number] = there;
    network_settle();
}

static void create(unsigned bits)
{
    struct ipcl_error error;
    *life = (struct life){0};
    set_controller(bits);
    network_set_inside(fuzz_modules.inside);
    for (size_t i = 0; fuzz_modules.modules[i]; i++) {
        life->selves[i] = fuzz_modules.modules[i]->create(&life->controller, &error);
        if (!life->selves[i])
            fuzz_fail(fuzz_modules.modules[i]->name, 0, error.text);
    }
    if (fuzz_modules.notices < CHANNEL_LISTENERS) {
        life->announcer = channel_connect(&life->controller, fuzz_modules.notices, &error);
        FUZZ_ASSERT(life->announcer);
    }
    for (unsigned i = 0; i + 1 < ENGINES; i++)
        announce(i, true);
    network_settle();
}

static void destroy(void)
{
    size_t made = 0;
    while (fuzz_modules.modules[made])
        made++;
    while (made--)
        fuzz_modules.modules[made]->destroy(life->selves[made]);
    if (life->announcer)
        zmq_close(life->announcer);
    if (life->controller.store)
        life->controller.store->destroy(life->controller.records);
}

static void happen(unsigned what, struct fuzz_bytes bytes, struct message *message)
{
    unsigned number = what >> 3 & 15;
    switch (what & 7) {
    case 5:
        network_tick(number * TIME_STEP_MS);
        break;
    case 6:
        announce(number, false);
        break;
    case 7:
        announce(number, true);
        break;
    default:
        network_receive((what & 7) + 5 * number, bytes, message);
    }
    network_settle();
}

static void enter(unsigned bits)
{
    life = &lives[bits];
}

const struct network_harness network_harness = {
    .settings = NETWORKS, .enter = enter, .create = create, .destroy = destroy, .happen = happen};
