/* The watcher: a process with one thread and no library except C's, which sleeps until the engine
 * has ended. Only then does it load what it needs to tell the controller. */
#include "engine/watcher.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/installation.h"
#include "base/mark.h"
#include "base/own_words.h"
#include "base/secret.h"
#include "base/shared.h"
#include "engine/module.h"
#include "engine/end_notice.h"
#include "engine/oom.h"
#include "engine/watch_private.h"

/* How long it may take from the closing of an engine's files to its end. */
#define END_MS 500

struct watch {
    struct watch_news news;
    struct watch_news
        heard; /* where the next comes to: the whole struct is left out of core files */
    /* The profile's folder; before the engine has handed over, the last text: "" or WATCH_RUNS, or
     * the path of a program that has not begun to run an engine. */
    char text[PATH_BYTES];
    const struct watch_begun *begun; /* NULL: the engine has not handed over */
    struct capture capture;
    pid_t pid;      /* the engine's */
    int process;    /* a pidfd: readable once the engine has ended; -1: Linux has none */
    int socket;     /* from the engine; its other end closes with the engine */
    int claims[2];  /* on the output files; -1: none */
    bool dead;      /* it has ended; otherwise it has become another program */
    struct oom oom; /* when it began */
};

/* Locks an output file, so that a program that shows its end knows that more may come: see the
 * supervisor's logs.h. It needs its own descriptor, because the engine and its children share the
 * others. */
static int claim(int target)
{
    struct stat what;
    char path[32];
    if (fstat(target, &what) || !S_ISREG(what.st_mode))
        return -1;
    snprintf(path, sizeof(path), "/proc/self/fd/%d", target);
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file >= 0)
        flock(file, LOCK_SH | LOCK_NB);
    return file;
}

static void close_claims(const struct watch *watch)
{
    for (int i = 0; i < 2; i++)
        if (watch->claims[i] >= 0)
            close(watch->claims[i]);
}

static int compare(const void *left, const void *right)
{
    return *(const int *)left - *(const int *)right;
}

/* Closes what the engine was started with, except the output. */
static void keep_nothing_else(const struct watch *watch)
{
    int kept[] = {STDERR_FILENO, watch->socket, watch->process, watch->claims[0], watch->claims[1]};
    size_t count = sizeof(kept) / sizeof(*kept);
    for (size_t i = 0; i < count; i++)
        kept[i] = kept[i] < 0 ? STDERR_FILENO : kept[i];
    qsort(kept, count, sizeof(*kept), compare);
    /* A range that ends before it begins is refused, as it should be. */
    for (size_t i = 0; i + 1 < count; i++)
        close_range((unsigned)kept[i] + 1, (unsigned)kept[i + 1] - 1, 0);
    close_range((unsigned)kept[count - 1] + 1, ~0U, 0);
}

/* Whoever reads an engine's output waits until everybody has closed it. */
static void close_output(const struct watch *watch)
{
    int null = open("/dev/null", O_RDWR);
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        dup2(null, fd);
    if (null > STDERR_FILENO)
        close(null);
    close_claims(watch);
}

/* A search for engines by name must not find the watcher. */
static void take_name(const struct watch *watch)
{
    struct own_words words;
    if (own_words_find(&words)) {
        size_t room = (size_t)(words.environment - words.arguments);
        memset(words.arguments, 0, room);
        snprintf(words.arguments, room, "engine-watcher %ld", (long)watch->pid);
    }
    prctl(PR_SET_NAME, "engine-watcher");
}

/* Takes a text, and with the profile's folder the files that the engine hands over. Returns as
 * recvmsg(2) does. */
static ssize_t take_over(struct watch *watch)
{
    union {
        struct cmsghdr head;
        char bytes[CMSG_SPACE(WATCH_FILES * sizeof(int))];
    } control;
    struct iovec text = {watch->text, sizeof(watch->text) - 1};
    struct msghdr message = {.msg_iov = &text,
                             .msg_iovlen = 1,
                             .msg_control = &control,
                             .msg_controllen = sizeof(control)};
    struct ipcl_error error;
    int files[WATCH_FILES];
    ssize_t size = recvmsg(watch->socket, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (size <= 0)
        return size;
    watch->text[size] = '\0';
    const struct cmsghdr *head = CMSG_FIRSTHDR(&message);
    if (!head || head->cmsg_len != CMSG_LEN(sizeof(files)))
        return head ? 0 : size;
    memcpy(files, CMSG_DATA(head), sizeof(files));
    close(watch->socket);
    watch->socket = files[WATCH_SOCKET];
    watch->capture.memory = files[WATCH_TEXT];
    for (int i = 0; i < 2; i++)
        watch->capture.streams[i].pipe = files[WATCH_PIPES + i];
    watch->begun = capture_map(&watch->capture, &error)
                       ? NULL
                       : shared_map(files[WATCH_BEGUN], sizeof(*watch->begun));
    close(files[WATCH_TEXT]);
    close(files[WATCH_BEGUN]);
    return watch->begun ? size : 0;
}

/* Receives what the engine says about itself. Returns as recv(2) does. */
static ssize_t hear(struct watch *watch)
{
    ssize_t size = recv(watch->socket, &watch->heard, sizeof(watch->heard), MSG_DONTWAIT);
    if (size == sizeof(watch->heard))
        watch->news = watch->heard;
    return size;
}

/* Sleeps until the engine is gone. */
static void wait_for_end(struct watch *watch)
{
    struct pollfd fds[] = {{.events = POLLIN}, {.fd = watch->process, .events = POLLIN}};
    ssize_t size = -1;
    do {
        fds[0].fd = watch->socket;
        if (poll(fds, 2, -1) < 0 && errno != EINTR)
            break;
        while ((size = watch->begun ? hear(watch) : take_over(watch)) > 0)
            ;
    } while (size && !fds[1].revents);
    watch->dead = watch->process < 0 ? kill(watch->pid, 0) : poll(&fds[1], 1, END_MS) > 0;
}

/* The engine's wait status, while its parent has not asked for it. Returns whether it is known
 * (proc(5), stat: the last field). */
static bool read_zombie(const struct watch *watch, int *status)
{
    char path[32], line[2048];
    snprintf(path, sizeof(path), "/proc/%ld/stat", (long)watch->pid);
    FILE *file = fopen(path, "r");
    size_t size = file ? fread(line, 1, sizeof(line) - 1, file) : 0;
    if (file)
        fclose(file);
    line[size] = '\0';
    const char *state = strrchr(line, ')'), *last = strrchr(line, ' ');
    return state && state[1] && state[2] == 'Z' && last && sscanf(last, "%d", status) == 1;
}

/* The same after the parent has asked: Linux 6.15 and later tell it to every process with the pidfd
 * (linux/pidfd.h). */
static bool read_reaped(const struct watch *watch, int *status)
{
    struct {
        uint64_t mask, cgroup;
        uint32_t pids[3], owners[8];
        int32_t exit_code;
        uint32_t coredump[2];
    } info = {.mask = 1 << 3}; /* PIDFD_INFO_EXIT */
    if (watch->process < 0 || ioctl(watch->process, _IOWR(0xff, 11, info), &info) ||
        !(info.mask & 1 << 3))
        return false;
    *status = info.exit_code;
    return true;
}

static bool read_status(const struct watch *watch, int *status)
{
    return read_zombie(watch, status) || read_reaped(watch, status);
}

/* Where a core goes is the system's choice (core(5)): to a file of some name, or to a program. */
static void describe_core(char *text, size_t size)
{
    char pattern[128] = "";
    FILE *file = fopen("/proc/sys/kernel/core_pattern", "r");
    if (file && !fgets(pattern, sizeof(pattern), file))
        pattern[0] = '\0';
    if (file)
        fclose(file);
    pattern[strcspn(pattern, " \n")] = '\0';
    if (*pattern == '|')
        snprintf(text, size, "; %s has its core file", pattern + 1);
    else
        snprintf(text, size, "; it has left a core file (kernel.core_pattern is %s)", pattern);
}

/* Whether another process sends such a signal: it is not raised by a fault. */
static bool is_sent(int signum)
{
    static const int faults[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGTRAP, SIGSYS};
    for (size_t i = 0; i < sizeof(faults) / sizeof(*faults); i++)
        if (signum == faults[i])
            return false;
    return true;
}

static enum io_cause describe_end(const struct watch *watch, char *text, size_t size)
{
    char more[192] = "";
    int status = 0;
    if (!watch->dead)
        snprintf(text, size, "became another program");
    else if (!read_status(watch, &status))
        snprintf(text, size, "the system does not tell how");
    else if (WIFSIGNALED(status)) {
        if (WCOREDUMP(status))
            describe_core(more, sizeof(more));
        else if (WTERMSIG(status) == SIGKILL)
            oom_describe(&watch->oom, more, sizeof(more));
        snprintf(text, size, "killed by signal %d (%s)%s", WTERMSIG(status),
                 strsignal(WTERMSIG(status)), more);
    } else
        snprintf(text, size, "exited with status %d", WEXITSTATUS(status));
    return WIFSIGNALED(status) && is_sent(WTERMSIG(status)) ? IO_SIGNAL : IO_OWN;
}

/* A program that is no Python may end without a word. */
static void tell_no_engine(const struct watch *watch)
{
    int status = 0;
    if (*watch->text != '/' || (read_status(watch, &status) && WIFSIGNALED(status)))
        return;
    fprintf(
        stderr,
        "ipengine: %s ended before an engine ran in it: it is not CPython 3.11 or later, or its "
        "start-up code ended it. Name another Python with --python=PATH\n",
        watch->text);
}

static void become_watcher(struct watch *watch)
{
    char words[CAPTURE_WORDS_BYTES], how[320], reason[sizeof(words) + sizeof(how) + 32];
    mark_erase();
    setsid(); /* the terminal's signals, and those to its group, are for the engine */
    signal(SIGPIPE, SIG_IGN);
    keep_nothing_else(watch);
    take_name(watch);
    oom_look(&watch->oom);
    wait_for_end(watch);
    if (!watch->begun && watch->dead)
        tell_no_engine(watch);
    if (!watch->begun || (!watch->dead && watch->news.id < 0))
        _exit(0); /* nothing was captured, or it is not wanted */
    enum io_cause cause = describe_end(watch, how, sizeof(how));
    capture_last_words(&watch->capture, words);
    close_output(watch);
    snprintf(reason, sizeof(reason), "%s%s%s", how, *words ? "; its last words: " : "", words);
    struct ipcl_error error;
    const struct engine_module *module =
        watch->news.id >= 0 && watch->news.watched ? module_load(&error) : NULL;
    if (module)
        module->send_end_notice(
            &(struct end_notice){&watch->news, watch->text, cause, reason,
                                 watch->begun->tasks[watch->begun->current & 1]});
    _exit(0);
}

int watcher_start(void)
{
    static struct watch watch = {.news = {.id = -1}};
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends))
        return -errno;
    installation_build_tree(); /* found now: by then this file may be another's, or none */
    watch.socket = ends[0];
    watch.pid = getpid();
    watch.process = (int)syscall(SYS_pidfd_open, watch.pid, 0);
    for (int i = 0; i < 2; i++)
        watch.claims[i] = claim(STDOUT_FILENO + i);
    pid_t pid = fork();
    int failure = errno;
    if (!pid) {
        /* User code waits for all of its children: this one must not be among them. */
        if (fork())
            _exit(0);
        close(ends[1]);
        secret_hide(&watch, sizeof(watch));
        become_watcher(&watch);
    }
    while (pid > 0 && waitpid(pid, NULL, 0) < 0 && errno == EINTR)
        ;
    close(ends[0]);
    if (watch.process >= 0)
        close(watch.process);
    close_claims(&watch);
    if (pid > 0)
        return ends[1];
    close(ends[1]);
    return -failure;
}
