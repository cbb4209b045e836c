/* A controller's addresses: what is said of those that do not answer. */
#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <zmq.h>

#include "base/clock.h"
#include "wire/reach.h"
#include "wire/socket.h"

static struct connection sample = {.interface = "tcp://0.0.0.0",
                                   .location = "a..host", /* a name that no server is asked for */
                                   .addresses = {"127.0.0.2"},
                                   .address_count = 1};
static int listener = -1, port;
static void *context;

static void open_port(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t size = sizeof(address);
    int shared = 1; /* with sockets of libzmq that listen there */
    listener = socket(AF_INET, SOCK_STREAM, 0);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &shared, sizeof(shared));
    cr_assert_eq(bind(listener, (struct sockaddr *)&address, size), 0);
    cr_assert_eq(getsockname(listener, (struct sockaddr *)&address, &size), 0);
    port = ntohs(address.sin_port);
    context = zmq_ctx_new();
}

static void close_port(void)
{
    close(listener);
    zmq_ctx_term(context);
}

/* A controller's socket, with that key pair; NULL: without encryption. */
static void *bind_to(const char *host, struct curve *curve)
{
    char url[64];
    struct ipcl_error error;
    struct socket_options options = {.type = ZMQ_ROUTER, .curve = curve};
    if (curve)
        curve->server = true;
    void *socket = socket_create(context, &options, &error);
    snprintf(url, sizeof(url), "tcp://%s:%d", host, port);
    cr_assert_eq(socket_bind(socket, url, &error), 0, "%s", error.text);
    return socket;
}

TestSuite(reach, .init = open_port, .fini = close_port, .timeout = 60);

Test(reach, says_of_each_address_what_it_answers)
{
    char text[512];
    struct ipcl_error error;
    struct reach *reach = reach_create(&sample, port, context);
    cr_assert(reach_has_choice(reach) && !reach_has_failed(reach));
    while (!reach_has_failed(reach)) {
        cr_assert_null(reach_try(reach, clock_ms()));
        poll(NULL, 0, 10);
    }
    cr_assert(reach_is_refused(reach) && !reach_has_answered(reach));
    reach_describe(reach, clock_ms(), text, sizeof(text));
    cr_assert(strstr(text, "a..host (not known here: ") && strstr(text, ", 127.0.0.2 (refused)"),
              "%s", text);
    reach_explain(reach, &sample, "the file", "start one", "come by ssh", clock_ms(), &error);
    cr_assert(strstr(error.text, "nothing listens at port ") && strstr(error.text, "start one") &&
                  !strstr(error.text, "firewall"),
              "%s", error.text);
    void *controller = bind_to("127.0.0.2", NULL);
    while (!reach_try(reach, clock_ms()))
        poll(NULL, 0, 10);
    cr_assert(reach_has_answered(reach), "it was tried again");
    reach_destroy(reach);
    zmq_close(controller);
}

Test(reach, takes_no_address_at_which_something_else_answers)
{
    struct curve mine, others;
    struct ipcl_error error;
    struct connection connection = {.interface = "tcp://0.0.0.0",
                                    .location = "a..host",
                                    .addresses = {"127.0.0.3", "127.0.0.4", "127.0.0.5"},
                                    .address_count = 3};
    char text[512];
    cr_assert(curve_generate(&mine, &error) == 0 && curve_generate(&others, &error) == 0);
    strcpy(connection.curve_serverkey, mine.public_key);
    void *another = bind_to("127.0.0.3", &others), *open = bind_to("127.0.0.4", NULL);
    struct reach *reach = reach_create(&connection, port, context);
    do {
        cr_assert_null(reach_try(reach, clock_ms()));
        poll(NULL, 0, 10);
    } while (!reach_has_failed(reach));
    reach_describe(reach, clock_ms(), text, sizeof(text));
    cr_assert(strstr(text, "127.0.0.3 (another program listens there") &&
                  strstr(text, "127.0.0.4 (another program listens there") &&
                  strstr(text, "127.0.0.5 (refused)"),
              "%s", text);
    reach_explain(reach, &connection, "the file", "start one", "come by ssh", clock_ms(), &error);
    cr_assert(strstr(error.text, "another controller listens there"), "%s", error.text);
    void *controller = bind_to("127.0.0.5", &mine);
    const char *answered;
    while (!(answered = reach_try(reach, clock_ms())))
        poll(NULL, 0, 10);
    cr_assert_str_eq(answered, "127.0.0.5");
    reach_destroy(reach);
    zmq_close(another);
    zmq_close(open);
    zmq_close(controller);
}

Test(reach, tries_nothing_where_loopback_or_a_local_socket_leads_there)
{
    strcpy(sample.location, "");
    cr_assert_null(reach_create(&sample, port, context));
    strcpy(sample.interface, "ipc:///tmp/x");
    cr_assert_null(reach_create(&sample, port, context));
}
