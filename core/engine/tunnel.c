/* Reaching the controller through an SSH server. Main thread, before there are others. */
#include "engine/tunnel.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"

#define PORTS_MAX     (7 + CONNECTION_LEAVES_MAX)
#define WORDS_MAX     (24 + 2 * PORTS_MAX)
#define WAIT_MS       30000
#define LOOK_AGAIN_MS 50

struct tunnel {
    const char *server;
    const char *remote; /* the controller's host, as the server reaches it */
    int *ports[PORTS_MAX];
    int local[PORTS_MAX];
    size_t count;
    char forwards[PORTS_MAX][CONNECTION_TEXT_BYTES + 48];
    char host[CONNECTION_TEXT_BYTES]; /* [user@]host */
    char port[16];
};

static struct sockaddr_in loopback(int port)
{
    return (struct sockaddr_in){.sin_family = AF_INET,
                                .sin_port = htons((uint16_t)port),
                                .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

/* A port that was free a moment ago; 0 where the system has none. ssh cannot be told to choose and
 * to say which. */
static int free_port(void)
{
    struct sockaddr_in address = loopback(0);
    socklen_t size = sizeof(address);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool good = fd >= 0 && !bind(fd, (struct sockaddr *)&address, size) &&
                !getsockname(fd, (struct sockaddr *)&address, &size);
    if (fd >= 0)
        close(fd);
    return good ? ntohs(address.sin_port) : 0;
}

static bool accepts(int port)
{
    struct sockaddr_in address = loopback(port);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool good = fd >= 0 && !connect(fd, (struct sockaddr *)&address, sizeof(address));
    if (fd >= 0)
        close(fd);
    return good;
}

/* "user@host:port" in its parts. */
static void split_server(struct tunnel *tunnel)
{
    const char *colon = strrchr(tunnel->server, ':');
    size_t length = colon ? (size_t)(colon - tunnel->server) : strlen(tunnel->server);
    snprintf(tunnel->host, sizeof(tunnel->host), "%.*s", (int)length, tunnel->server);
    snprintf(tunnel->port, sizeof(tunnel->port), "%s", colon ? colon + 1 : "");
}

static int choose_ports(struct tunnel *tunnel, struct connection *connection,
                        struct ipcl_error *error)
{
    int *const single[] = {&connection->registration, &connection->control, &connection->mux,
                           &connection->task,         &connection->iopub,   &connection->hb_ping,
                           &connection->hb_pong};
    for (size_t i = 0; i < sizeof(single) / sizeof(*single); i++)
        tunnel->ports[tunnel->count++] = single[i];
    for (int i = 0; i < connection->broadcast_count; i++)
        tunnel->ports[tunnel->count++] = &connection->broadcast[i];
    for (size_t i = 0; i < tunnel->count; i++) {
        tunnel->local[i] = free_port();
        if (!tunnel->local[i])
            return ipcl_error_set(error, "no local port is free for a tunnel: %s", strerror(errno));
        snprintf(tunnel->forwards[i], sizeof(tunnel->forwards[i]), "127.0.0.1:%d:%s:%d",
                 tunnel->local[i], tunnel->remote, *tunnel->ports[i]);
    }
    return 0;
}

static void compose(struct tunnel *tunnel, const char *key_file, const char *words[WORDS_MAX])
{
    static const char *const head[] = {"ssh", "-N", "-T",
                                       /* nobody is there to be asked for a password */
                                       "-o", "BatchMode=yes", "-o", "ExitOnForwardFailure=yes",
                                       "-o", "ServerAliveInterval=30"};
    size_t count = 0;
    for (; count < sizeof(head) / sizeof(*head); count++)
        words[count] = head[count];
    if (*key_file) {
        words[count++] = "-i";
        words[count++] = key_file;
    }
    if (*tunnel->port) {
        words[count++] = "-p";
        words[count++] = tunnel->port;
    }
    for (size_t i = 0; i < tunnel->count; i++) {
        words[count++] = "-L";
        words[count++] = tunnel->forwards[i];
    }
    words[count++] = "--";
    words[count++] = tunnel->host;
    words[count] = NULL;
}

/* The child: away from the terminal, whose Ctrl-C is for user code, and gone when the engine is. */
static void become_ssh(const char *const *words, pid_t parent)
{
    int null = open("/dev/null", O_RDWR);
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != parent)
        _exit(1);
    setsid();
    dup2(null, STDIN_FILENO);
    dup2(null, STDOUT_FILENO);
    execvp(words[0], (char **)(uintptr_t)words);
    _exit(127);
}

static int wait_until_open(const struct tunnel *tunnel, pid_t pid, struct ipcl_error *error)
{
    long long deadline_ms = clock_ms() + WAIT_MS;
    int status;
    while (clock_ms() < deadline_ms) {
        size_t open_ports = 0;
        if (waitpid(pid, &status, WNOHANG) == pid)
            return ipcl_error_set(error,
                                  "ssh to %s ended with %d (what it said is above): it must work "
                                  "without a password, and forward ports",
                                  tunnel->server, WIFEXITED(status) ? WEXITSTATUS(status) : -1);
        while (open_ports < tunnel->count && accepts(tunnel->local[open_ports]))
            open_ports++;
        if (open_ports == tunnel->count)
            return 0;
        nanosleep(&(struct timespec){.tv_nsec = LOOK_AGAIN_MS * 1000000L}, NULL);
    }
    kill(pid, SIGKILL);
    waitpid(pid, &status, 0);
    return ipcl_error_set(error, "ssh to %s has not opened its tunnels within %d seconds",
                          tunnel->server, WAIT_MS / 1000);
}

/* The controller's host, as the server reaches it: loopback is the server's own. */
static const char *remote_host(const struct connection *connection)
{
    const char *host = connection->interface + strlen("tcp://");
    bool all = !strcmp(host, "*") || !strcmp(host, "0.0.0.0");
    return !all ? host : *connection->location ? connection->location : "127.0.0.1";
}

int tunnel_open(struct connection *connection, const char *key_file, struct ipcl_error *error)
{
    static struct tunnel tunnel; /* large */
    const char *words[WORDS_MAX];
    pid_t parent = getpid();
    if (strncmp(connection->interface, "tcp://", strlen("tcp://")))
        return ipcl_error_set(error, "ssh tunnels to tcp ports only, not to %s",
                              connection->interface);
    tunnel = (struct tunnel){.server = connection->ssh, .remote = remote_host(connection)};
    split_server(&tunnel);
    if (choose_ports(&tunnel, connection, error))
        return -1;
    compose(&tunnel, key_file, words);
    log_info("tunnelling through %s to %s", tunnel.server, tunnel.remote);
    pid_t pid = fork();
    if (pid < 0)
        return ipcl_error_set(error, "ssh cannot be started: %s", strerror(errno));
    if (!pid)
        become_ssh(words, parent);
    if (wait_until_open(&tunnel, pid, error))
        return -1;
    for (size_t i = 0; i < tunnel.count; i++)
        *tunnel.ports[i] = tunnel.local[i];
    strcpy(connection->interface, "tcp://127.0.0.1");
    connection->location[0] = connection->ssh[0] = '\0';
    return 0;
}
