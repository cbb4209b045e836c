/* SSH tunnels: a child process that forwards local sockets to ports, and says why it cannot. The
 * thread that opens one must live as long as it is needed. */
#include "wire/tunnel.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/trust.h"
#include "wire/socket_folder.h"

#define PORTS_MAX     (8 + CONNECTION_LEAVES_MAX)
#define ARGUMENTS_MAX (24 + 2 * PORTS_MAX)
#define FORWARD_BYTES (SOCKET_FOLDER_BYTES + CONNECTION_TEXT_BYTES + 24)
#define WORDS_BYTES   512
#define LOOK_AGAIN_MS 50
/* A socket's name is this, a colon and the port: as connection_url() has it. */
#define STEM      "s"
#define CONNECTED 3 /* SS_CONNECTED in /proc/net/unix (linux/net.h) */
/* How long ssh may take to end once it was told to. */
#define END_MS   2000
#define PAUSE_MS 10

struct tunnel {
    char server[CONNECTION_TEXT_BYTES]; /* as it was given */
    char host[CONNECTION_TEXT_BYTES];   /* [user@]host */
    char port[16];
    char key_file[PATH_BYTES];
    struct socket_folder folder; /* of the sockets that take the ports' places */
    size_t count;
    int last; /* the port that is forwarded last */
    char forwards[PORTS_MAX][FORWARD_BYTES];
    pid_t pid; /* 0: it does not run */
    int status;
    int said; /* the pipe that is its standard error */
    char words[WORDS_BYTES];
    size_t words_size;
};

static void pause_ms(long ms)
{
    nanosleep(&(struct timespec){.tv_nsec = ms * 1000000}, NULL);
}

/* What ssh says */

/* Keeps the newest, as one line of ASCII. */
static void note_word(struct tunnel *tunnel, char letter)
{
    if (letter == '\r' || (letter == '\n' && !tunnel->words_size))
        return;
    if (tunnel->words_size + 3 > WORDS_BYTES) {
        memmove(tunnel->words, tunnel->words + tunnel->words_size - WORDS_BYTES / 2,
                WORDS_BYTES / 2);
        tunnel->words_size = WORDS_BYTES / 2;
    }
    if (letter == '\n')
        tunnel->words[tunnel->words_size++] = ';';
    tunnel->words[tunnel->words_size++] = letter == '\n'                 ? ' '
                                          : letter < ' ' || letter > '~' ? '?'
                                                                         : letter;
}

/* Returns whether there may be more to come. */
static bool hear(struct tunnel *tunnel)
{
    char text[256];
    ssize_t size;
    while ((size = read(tunnel->said, text, sizeof(text))) > 0)
        for (ssize_t i = 0; i < size; i++)
            note_word(tunnel, text[i]);
    return size < 0 && (errno == EAGAIN || errno == EINTR);
}

const char *tunnel_words(struct tunnel *tunnel)
{
    size_t size = tunnel->words_size;
    while (size && (tunnel->words[size - 1] == ' ' || tunnel->words[size - 1] == ';'))
        size--;
    tunnel->words[size] = '\0';
    return tunnel->words;
}

/* Waits until ssh has ended, and kills it where that takes too long. Where the program has waited
 * for all of its children, its status is not known. */
static void await_end(struct tunnel *tunnel)
{
    long long deadline_ms = clock_ms() + END_MS;
    pid_t ended;
    tunnel->status = 0;
    while (!(ended = waitpid(tunnel->pid, &tunnel->status, WNOHANG)) && clock_ms() < deadline_ms)
        pause_ms(PAUSE_MS);
    if (!ended) {
        kill(tunnel->pid, SIGKILL);
        waitpid(tunnel->pid, &tunnel->status, 0);
    }
    tunnel->pid = 0;
}

static int tell_end(struct tunnel *tunnel, const char *advice, struct ipcl_error *error)
{
    const char *words = tunnel_words(tunnel);
    bool killed = WIFSIGNALED(tunnel->status);
    return ipcl_error_set(error, "ssh to %s %s %d%s%s; %s", tunnel->server,
                          killed ? "was ended by signal" : "ended with",
                          killed ? WTERMSIG(tunnel->status) : WEXITSTATUS(tunnel->status),
                          *words ? ": " : "", words, advice);
}

/* The sockets: one for each port, in a folder where nobody else can listen before ssh does */

/* A colon would end the path. */
static void add_port(struct tunnel *tunnel, const char *remote, int port)
{
    if (port) /* otherwise it is another role's */
        snprintf(tunnel->forwards[tunnel->count++], FORWARD_BYTES, "%s/" STEM "\\:%d:%s:%d",
                 tunnel->folder.path, port, remote, port);
    tunnel->last = port ? port : tunnel->last;
}

static void list_ports(struct tunnel *tunnel, const char *remote,
                       const struct connection *connection)
{
    const int single[] = {
        connection->registration, connection->control,      connection->mux,
        connection->task,         connection->iopub,        connection->hb_ping,
        connection->hb_pong,      connection->notification,
    };
    for (size_t i = 0; i < sizeof(single) / sizeof(*single); i++)
        add_port(tunnel, remote, single[i]);
    for (int i = 0; i < connection->broadcast_count; i++)
        add_port(tunnel, remote, connection->broadcast[i]);
}

/* ssh opens its sockets one after the other: the last one tells of all. */
static bool is_open(const struct tunnel *tunnel)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof(address.sun_path), "%s/" STEM ":%d", tunnel->folder.path,
             tunnel->last);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool good = fd >= 0 && !connect(fd, (struct sockaddr *)&address, sizeof(address));
    if (fd >= 0)
        close(fd);
    return good;
}

/* Whether ssh has a connection by one of its sockets. It keeps one that we have closed until all
 * that came has been passed on, and the other end has closed too. */
static bool has_connections(const struct tunnel *tunnel)
{
    FILE *file = fopen("/proc/self/net/unix", "re");
    char line[512];
    unsigned state;
    bool found = false;
    if (!file)
        return false;
    while (!found && fgets(line, sizeof(line), file))
        found = sscanf(line, "%*x: %*x %*x %*x %*x %2x", &state) == 1 && state == CONNECTED &&
                strstr(line, tunnel->folder.path);
    fclose(file);
    return found;
}

/* The process */

static void compose(struct tunnel *tunnel, const char *arguments[ARGUMENTS_MAX])
{
    static const char *const head[] = {
        "ssh",
        "-N",
        "-T",
        "-oBatchMode=yes", /* nobody is there to be asked for a password */
        "-oExitOnForwardFailure=yes",
        "-oServerAliveInterval=30",
        "-oControlPath=none", /* what another process forwards would not end with us */
    };
    size_t count = 0;
    for (; count < sizeof(head) / sizeof(*head); count++)
        arguments[count] = head[count];
    if (*tunnel->key_file) {
        arguments[count++] = "-i";
        arguments[count++] = tunnel->key_file;
    }
    if (*tunnel->port) {
        arguments[count++] = "-p";
        arguments[count++] = tunnel->port;
    }
    for (size_t i = 0; i < tunnel->count; i++) {
        arguments[count++] = "-L";
        arguments[count++] = tunnel->forwards[i];
    }
    arguments[count++] = "--";
    arguments[count++] = tunnel->host;
    arguments[count] = NULL;
}

/* The child, which has its parent's memory until it executes ssh: away from the terminal, whose
 * Ctrl-C is not for it, gone when the thread that started it is, and without what its parent does
 * with signals. */
static void become_ssh(const char *const *arguments, pid_t parent, int null, int said)
{
    static const char missing[] = "the program ssh cannot be run here: install OpenSSH's client";
    sigset_t none;
    for (int number = 1; number < NSIG; number++)
        signal(number, SIG_DFL);
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != parent)
        _exit(1);
    setsid();
    dup2(null, STDIN_FILENO);
    dup2(null, STDOUT_FILENO);
    dup2(said, STDERR_FILENO);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    execvp(arguments[0], (char **)(uintptr_t)arguments);
    if (write(STDERR_FILENO, missing, sizeof(missing) - 1) < 0)
        _exit(126);
    _exit(127);
}

/* A fork would run what other libraries have asked to be run at one, which may be no good while
 * other threads work; and would copy the tables of all memory. */
static pid_t start_ssh(struct tunnel *tunnel, int null, int said)
{
    const char *arguments[ARGUMENTS_MAX];
    sigset_t all, before;
    pid_t parent = getpid();
    compose(tunnel, arguments);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pid_t pid = vfork();
    if (!pid)
        become_ssh(arguments, parent, null, said);
    int reason = errno;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    errno = reason;
    return pid;
}

static int start(struct tunnel *tunnel, struct ipcl_error *error)
{
    int ends[2], null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (null < 0 || pipe2(ends, O_CLOEXEC)) {
        ipcl_error_set(error, "ssh cannot be started: %s", strerror(errno));
        if (null >= 0)
            close(null);
        return -1;
    }
    pid_t pid = start_ssh(tunnel, null, ends[1]);
    if (pid < 0)
        ipcl_error_set(error, "ssh cannot be started: %s", strerror(errno));
    close(null);
    close(ends[1]);
    tunnel->said = ends[0];
    fcntl(tunnel->said, F_SETFL, O_NONBLOCK);
    tunnel->pid = pid > 0 ? pid : 0;
    return pid < 0 ? -1 : 0;
}

static int await_open(struct tunnel *tunnel, int timeout_ms, const atomic_bool *stop,
                      struct ipcl_error *error)
{
    long long deadline_ms = clock_ms() + timeout_ms;
    struct pollfd fd = {.fd = tunnel->said, .events = POLLIN};
    while (!stop || !atomic_load(stop)) {
        if (!hear(tunnel)) {
            await_end(tunnel);
            return tell_end(
                tunnel,
                "it must work without a password (with a key or an agent), and forward ports",
                error);
        }
        if (is_open(tunnel))
            return 0;
        if (clock_ms() >= deadline_ms) {
            const char *words = tunnel_words(tunnel);
            return ipcl_error_set(error,
                                  "ssh to %s has not opened its tunnels within %g seconds%s%s",
                                  tunnel->server, timeout_ms / 1000.0, *words ? ": " : "", words);
        }
        poll(&fd, 1, LOOK_AGAIN_MS);
    }
    return ipcl_error_set(error, "connecting through %s was interrupted", tunnel->server);
}

/* Opening and closing */

/* "user@host:port" in its parts. Where there are more colons it is an address of IPv6, or a URL
 * that ssh takes apart (ssh://user@host:port). */
static void split_server(struct tunnel *tunnel)
{
    const char *colon = strchr(tunnel->server, ':');
    if (colon && strchr(colon + 1, ':'))
        colon = NULL;
    size_t length = colon ? (size_t)(colon - tunnel->server) : strlen(tunnel->server);
    snprintf(tunnel->host, sizeof(tunnel->host), "%.*s", (int)length, tunnel->server);
    snprintf(tunnel->port, sizeof(tunnel->port), "%s", colon ? colon + 1 : "");
}

/* Whether others can read a private key, ssh looks at by itself; where there is none it says so. */
static int take_key(struct tunnel *tunnel, const char *key_file, struct ipcl_error *error)
{
    if (path_expand(key_file, tunnel->key_file, error))
        return -1;
    return trust_check(tunnel->key_file, error) && errno != ENOENT ? -1 : 0;
}

static struct tunnel *create(const struct connection *connection, const char *key_file,
                             struct ipcl_error *error)
{
    char remote[CONNECTION_TEXT_BYTES]; /* the controller's host, as the server reaches it */
    struct tunnel *tunnel = calloc(1, sizeof(*tunnel));
    if (!tunnel) {
        ipcl_error_set(error, "out of memory");
        return NULL;
    }
    tunnel->said = -1;
    if (connection_ssh(connection, tunnel->server, remote, error) ||
        (key_file && *key_file && take_key(tunnel, key_file, error)) ||
        socket_folder_make(&tunnel->folder, error)) {
        tunnel_close(tunnel, 0);
        return NULL;
    }
    split_server(tunnel);
    list_ports(tunnel, remote, connection);
    return tunnel;
}

struct tunnel *tunnel_open(struct connection *connection, const char *key_file, int timeout_ms,
                           const atomic_bool *stop, struct ipcl_error *error)
{
    struct tunnel *tunnel = create(connection, key_file, error);
    if (!tunnel)
        return NULL;
    if (start(tunnel, error) || await_open(tunnel, timeout_ms, stop, error)) {
        tunnel_close(tunnel, 0);
        return NULL;
    }
    tunnel->words_size = 0;
    snprintf(connection->interface, sizeof(connection->interface), "ipc://%s/" STEM,
             tunnel->folder.path);
    connection->location[0] = connection->ssh[0] = '\0';
    return tunnel;
}

int tunnel_fd(const struct tunnel *tunnel)
{
    return tunnel->said;
}

int tunnel_check(struct tunnel *tunnel, struct ipcl_error *error)
{
    if (tunnel->pid && hear(tunnel))
        return 0;
    if (tunnel->pid)
        await_end(tunnel);
    return tell_end(tunnel, "the controller cannot be reached any more", error);
}

void tunnel_close(struct tunnel *tunnel, int linger_ms)
{
    long long deadline_ms = clock_ms() + linger_ms;
    if (!tunnel)
        return;
    while (tunnel->pid && clock_ms() < deadline_ms && has_connections(tunnel))
        pause_ms(PAUSE_MS);
    if (tunnel->pid) {
        kill(tunnel->pid, SIGTERM);
        await_end(tunnel);
    }
    socket_folder_remove(&tunnel->folder);
    if (tunnel->said >= 0)
        close(tunnel->said);
    free(tunnel);
}
