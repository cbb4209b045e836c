/* What libzmq is given to read, and whose a descriptor is. */
#include <criterion/criterion.h>
#include <sys/socket.h>
#include <unistd.h>

#include "controller/gate.h"

#define DESCRIPTORS 256

static struct ipcl_error error;

static int listener(void)
{
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    cr_assert_eq(bind(fd, &(struct sockaddr){.sa_family = AF_UNIX}, sizeof(sa_family_t)), 0);
    cr_assert_eq(listen(fd, 1), 0);
    return fd;
}

/* A connection of somebody who has not proved who he is. */
static int stranger(int at, int *other)
{
    int ends[2];
    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends), 0);
    gate_admit(at, ends[0]);
    *other = ends[1];
    return ends[0];
}

static bool is_listening(int fd)
{
    int yes = 0;
    socklen_t size = sizeof(yes);
    return !getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &yes, &size) && yes;
}

static bool has_ended(int other)
{
    char byte;
    return recv(other, &byte, 1, MSG_DONTWAIT) == 0;
}

Test(gate, the_descriptor_of_a_connection_that_was_ended_here_may_be_a_listeners)
{
    int other, others[3];
    cr_assert_eq(gate_open(DESCRIPTORS, &error), 0);
    gate_set(true, 1000);
    gate_set_strangers(2);
    int first = listener(), ended = stranger(first, &other);
    close(ended);
    int second = listener();
    cr_assert_eq(second, ended);
    for (int i = 0; i < 3; i++)
        stranger(first, &others[i]);
    cr_assert(is_listening(second));
    cr_assert(has_ended(others[0]), "the oldest makes room");
    cr_assert_not(has_ended(others[2]));
}
