/* Going into the background: the first process waits until the cluster is up or has failed, shows
 * what the second one says meanwhile, and ends with its exit code. */
#include "cluster/supervisor/daemon.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "base/path.h"
#include "base/trust.h"
#include "cluster/settings/cluster.h"

#define REPORT_MARK '\0' /* messages are text; the exit code follows this mark */

static volatile sig_atomic_t child_pid;

/* The waiting process passes interrupts on: the cluster is in a session of its own. */
static void pass_on(int signum)
{
    kill((pid_t)child_pid, signum);
}

/* Copies what the child says until it reports. Returns the exit code. */
static int wait_for_report(int pipe_end)
{
    char text[1024];
    for (;;) {
        ssize_t size = read(pipe_end, text, sizeof(text));
        if (size < 0 && errno == EINTR)
            continue;
        if (size <= 0)
            break;
        char *mark = memchr(text, REPORT_MARK, (size_t)size);
        fwrite(text, 1, mark ? (size_t)(mark - text) : (size_t)size, stdout);
        fflush(stdout);
        if (!mark)
            continue;
        unsigned char code;
        if (mark + 1 < text + size)
            return (unsigned char)mark[1];
        if (read(pipe_end, &code, 1) == 1)
            return code;
        break;
    }
    int status;
    while (waitpid((pid_t)child_pid, &status, 0) < 0 && errno == EINTR)
        ;
    if (WIFSIGNALED(status) && (WTERMSIG(status) == SIGINT || WTERMSIG(status) == SIGTERM))
        return EXIT_INTERRUPTED; /* passed on before it had begun anything */
    fprintf(stderr,
            "ipcluster: the process in the background ended without a message; its log may say "
            "why\n");
    return EXIT_WRONG;
}

static int become_daemon(struct daemon *daemon, int pipe_end, const char *log_stem)
{
    char log_path[PATH_BYTES];
    struct ipcl_error error;
    snprintf(log_path, sizeof(log_path), "%s-%d.log", log_stem, (int)getpid());
    int null = open("/dev/null", O_RDONLY);
    int log = trust_open(log_path, O_WRONLY | O_CREAT | O_APPEND, 0600, NULL, &error);
    setsid();
    if (log < 0)
        dprintf(pipe_end, "ipcluster: %s\n", error.text);
    if (null < 0 || log < 0 || dup2(null, 0) < 0 || dup2(log, 1) < 0 || dup2(log, 2) < 0)
        _exit(1);
    close(null);
    close(log);
    daemon->report = fdopen(pipe_end, "w");
    log_redirect(pipe_end); /* warnings, too, reach the user until the cluster is up */
    return -1;
}

int daemon_start(struct daemon *daemon, const char *log_stem, struct ipcl_error *error)
{
    int ends[2];
    fflush(stdout);
    fflush(stderr);
    /* An interrupt between the fork and its being passed on would end this process only. */
    sigset_t passed, before;
    sigemptyset(&passed);
    sigaddset(&passed, SIGINT);
    sigaddset(&passed, SIGTERM);
    sigprocmask(SIG_BLOCK, &passed, &before);
    if (pipe2(ends, O_CLOEXEC) < 0 || (child_pid = fork()) < 0) {
        ipcl_error_set(error, "cannot go into the background: %s", strerror(errno));
        sigprocmask(SIG_SETMASK, &before, NULL);
        return -2;
    }
    if (child_pid == 0) {
        sigprocmask(SIG_SETMASK, &before, NULL);
        close(ends[0]);
        return become_daemon(daemon, ends[1], log_stem);
    }
    close(ends[1]);
    struct sigaction action = {.sa_handler = pass_on};
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    sigprocmask(SIG_SETMASK, &before, NULL);
    int exit_code = wait_for_report(ends[0]);
    close(ends[0]);
    return exit_code;
}

void daemon_report(struct daemon *daemon, int exit_code)
{
    if (!daemon->report)
        return;
    log_redirect(STDERR_FILENO);
    fputc(REPORT_MARK, daemon->report);
    fputc(exit_code, daemon->report);
    fclose(daemon->report);
    daemon->report = NULL;
}
