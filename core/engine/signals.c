/* Signals of the engine's process. */
#include "engine/signals.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

static int signal_pipe = -1;
static pid_t engine_pid;

static void handle(int number)
{
    int saved = errno;
    if (getpid() == engine_pid) {
        unsigned char byte = (unsigned char)number;
        ssize_t written = write(signal_pipe, &byte, 1);
        (void)written; /* a full pipe holds signals enough */
    } else {
        signal(number, SIG_DFL);
        raise(number);
    }
    errno = saved;
}

int signals_open(struct ipcl_error *error)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC | O_NONBLOCK))
        return ipcl_error_set(error, "cannot make a pipe for signals: %s", strerror(errno));
    signal_pipe = ends[1];
    engine_pid = getpid();
    struct sigaction action = {.sa_handler = handle, .sa_flags = SA_RESTART};
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    /* The terminal has gone; nohup(1) ignores that for us. */
    struct sigaction before;
    if (!sigaction(SIGHUP, NULL, &before) && before.sa_handler == SIG_DFL)
        sigaction(SIGHUP, &action, NULL);
    return ends[0];
}
