/* Accepts connections as long as there are file descriptors. Called by main, the hub, and libzmq's
 * threads. */
#include "controller/door/room.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/limits.h"
#include "base/log.h"
#include "controller/door/gate.h"

/* How long a listener waits if the whole system has no descriptor or memory left for it. */
#define PAUSE_MS 10

/* More connections are not wanted by anybody: each that may be takes memory for what is noted of
 * it. */
#define DESCRIPTORS_MAX (1L << 20)

/* A connection has a lower number than that. The system gives the lowest that is free: so one that
 * is not lower says that all below are taken. */
static long end = INT_MAX;

static pthread_mutex_t refusing = PTHREAD_MUTEX_INITIALIZER;
static struct log_limit refused;

/* Nothing that the controller starts inherits it: it starts no program. */
int room_open(struct ipcl_error *error)
{
    struct rlimit limit;
    if (!getrlimit(RLIMIT_NOFILE, &limit)) {
        limit.rlim_cur = limit.rlim_max;
        if (setrlimit(RLIMIT_NOFILE, &limit))
            log_warn("the limit of open files cannot be raised: %s", strerror(errno));
    }
    long most = limits_descriptors() < DESCRIPTORS_MAX ? limits_descriptors() : DESCRIPTORS_MAX;
    end = most - ROOM_FILES;
    return gate_open((size_t)most, error);
}

static int segments; /* connections of each program for them */

void room_expect_segments(void)
{
    segments = 1;
}

int room_engine_connections(void)
{
    return ROOM_ENGINE_CONNECTIONS + segments;
}

void room_announce(void)
{
    int lowest = open("/dev/null", O_RDONLY | O_CLOEXEC);
    long room = end - ROOM_REFUSALS - lowest;
    close(lowest);
    /* Half of the room is for peers that have proved who they are. */
    gate_set_strangers((size_t)(room / 2 > ROOM_STRANGERS_MIN ? room / 2 : ROOM_STRANGERS_MIN));
    log_info(
        "%ld file descriptors (ulimit -n): room for %ld engines, or %ld clients (an engine has "
        "%d connections, a client %d)",
        limits_descriptors(), room / room_engine_connections(),
        room / (ROOM_CLIENT_CONNECTIONS + segments), room_engine_connections(),
        ROOM_CLIENT_CONNECTIONS + segments);
}

int room_for(size_t connections, struct ipcl_error *error)
{
    size_t wanted = connections + ROOM_REFUSALS;
    if (limits_free_descriptors(end, wanted) == wanted)
        return 0;
    return ipcl_error_set(error,
                          "the controller is full: of its %ld file descriptors fewer than %zu are "
                          "left; end clients or engines that are not needed, or start it with a "
                          "higher limit (ulimit -n)",
                          limits_descriptors(), connections);
}

static void room_tell_foreign(void)
{
    static struct log_limit foreign;
    pthread_mutex_lock(&refusing);
    log_limited(&foreign, IPCL_LOG_WARN,
                "a connection of another user by a local socket was not accepted: the sockets' "
                "folder has been opened to others");
    pthread_mutex_unlock(&refusing);
}

static void room_tell(const char *why)
{
    pthread_mutex_lock(&refusing);
    log_limited(&refused, IPCL_LOG_WARN,
                "full: a connection was not accepted, as %s; end clients or engines that are not "
                "needed, or start the controller with a higher limit (ulimit -n, now %ld)",
                why, limits_descriptors());
    pthread_mutex_unlock(&refusing);
}

/* accept4(2), as libzmq's threads call it: a program's own functions come before those of the
 * libraries. libzmq has no limit of connections, and a listener that cannot accept is readable for
 * ever, so that its thread asks again and again and uses a whole processor. Here what there is no
 * room for is accepted and closed, which takes it off the listener; the other side tries again
 * after a while. */
__attribute__((visibility("default"))) int room_accept(int listener, void *address, void *size,
                                                       int flags) __asm__("accept4");

int room_accept(int listener, void *address, void *size, int flags)
{
    static const struct timespec pause = {.tv_nsec = PAUSE_MS * 1000000};
    /* ThreadSanitizer would take it for ours, and is not to follow what libzmq does with it. */
    int fd = (int)syscall(SYS_accept4, listener, address, size, flags);
    if (fd >= end) {
        close(fd);
        room_tell("no file descriptor is left");
    } else if (fd < 0 &&
               (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)) {
        room_tell(strerror(errno));
        nanosleep(&pause, NULL);
    } else if (fd >= 0 && !gate_admit(listener, fd)) {
        close(fd);
        room_tell_foreign();
    } else
        return fd;
    errno = ECONNABORTED; /* of the others libzmq's listeners for ipc end the process */
    return -1;
}
