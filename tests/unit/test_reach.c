/* A controller's addresses: what is said of those that do not answer. */
#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "wire/reach.h"

static struct connection sample = {.interface = "tcp://0.0.0.0",
                                   .location = "a..host", /* which nobody is asked for */
                                   .addresses = {"127.0.0.2"},
                                   .address_count = 1};
static int listener = -1, port;

static void open_port(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t size = sizeof(address);
    listener = socket(AF_INET, SOCK_STREAM, 0);
    cr_assert_eq(bind(listener, (struct sockaddr *)&address, size), 0);
    cr_assert_eq(getsockname(listener, (struct sockaddr *)&address, &size), 0);
    port = ntohs(address.sin_port);
}

static void close_port(void)
{
    close(listener);
}

TestSuite(reach, .init = open_port, .fini = close_port, .timeout = 60);

Test(reach, says_of_each_address_what_it_answers)
{
    char text[512];
    struct ipcl_error error;
    struct reach *reach = reach_create(&sample, port);
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
    listen(listener, 5);
    while (!reach_try(reach, clock_ms()))
        poll(NULL, 0, 10);
    cr_assert(reach_has_answered(reach), "it was tried again");
    reach_destroy(reach);
}

Test(reach, tries_nothing_where_loopback_or_a_local_socket_leads_there)
{
    strcpy(sample.location, "");
    cr_assert_null(reach_create(&sample, port));
    strcpy(sample.interface, "ipc:///tmp/x");
    cr_assert_null(reach_create(&sample, port));
}
