/* The metrics' thread: answers GET /metrics over HTTP/1.1, one request a connection.
 *
 * It owns its sockets and reads counters, so a scraper cannot disturb another thread. And it does
 * little for each: there are few connections, a new one ends the oldest, each has a short time in
 * all, and a request is short. A library for HTTP is no better here: it would bring one for TLS,
 * and several more, into every controller. */
#include "controller/stats/metrics.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "controller/stats/stats.h"

#define REQUEST_BYTES 4096
/* What a connection may take in all, however slowly either side goes. */
#define CONNECTION_MS 10000
/* How long no connection is accepted if the system has no descriptor left. */
#define PAUSE_MS 100
#define BACKLOG  16

struct scraper {
    int fd; /* -1: it is free */
    long long end_ms;
    char request[REQUEST_BYTES];
    size_t request_size;
    char *answer; /* NULL: the request is being read */
    size_t answer_size, sent;
};

struct metrics {
    pthread_t thread;
    int listener;
    int wake; /* eventfd: the thread shall end */
    long long paused_ms;
    struct scraper connections[METRICS_CONNECTIONS];
};

static void hang_up(struct scraper *connection)
{
    if (connection->fd >= 0)
        close(connection->fd);
    free(connection->answer);
    *connection = (struct scraper){.fd = -1};
}

/* A free place, or the place of the oldest connection. */
static struct scraper *make_room(struct metrics *metrics)
{
    struct scraper *oldest = &metrics->connections[0];
    for (size_t i = 0; i < METRICS_CONNECTIONS; i++) {
        struct scraper *connection = &metrics->connections[i];
        if (connection->fd < 0)
            return connection;
        if (connection->end_ms < oldest->end_ms)
            oldest = connection;
    }
    hang_up(oldest);
    return oldest;
}

static void let_in(struct metrics *metrics, long long now_ms)
{
    /* Not accept4(), which is for libzmq's connections here (room.c). */
    int fd = accept(metrics->listener, NULL, NULL);
    if (fd < 0) {
        if (errno != EAGAIN && errno != ECONNABORTED && errno != EINTR)
            metrics->paused_ms = now_ms + PAUSE_MS;
        return;
    }
    fcntl(fd, F_SETFD, FD_CLOEXEC);
    fcntl(fd, F_SETFL, O_NONBLOCK);
    struct scraper *connection = make_room(metrics);
    connection->fd = fd;
    connection->end_ms = now_ms + CONNECTION_MS;
}

/* Whether the request's first line is this method, with the path of the metrics. */
static bool asks(const char *request, const char *method)
{
    size_t length = strlen(method);
    const char *path = request + length;
    if (strncmp(request, method, length) != 0 || strncmp(path, " /metrics", 9) != 0)
        return false;
    return path[9] == ' ' || path[9] == '?';
}

static void write_answer(const char *request, FILE *stream)
{
    char *body = NULL;
    size_t size = 0;
    bool whole = asks(request, "GET"), head = asks(request, "HEAD");
    FILE *text = whole || head ? open_memstream(&body, &size) : NULL;
    if (text) {
        stats_write(text);
        fclose(text);
    }
    if (body)
        fprintf(stream,
                "HTTP/1.1 200 OK\r\n"
                "Content-Type: application/openmetrics-text; version=1.0.0; charset=utf-8\r\n"
                "Content-Length: %zu\r\nConnection: close\r\n\r\n%s",
                size, whole ? body : "");
    else
        fprintf(stream, "HTTP/1.1 404 Not Found\r\nContent-Type: text/plain\r\n"
                        "Content-Length: 32\r\nConnection: close\r\n\r\n"
                        "The only page here is /metrics.\n");
    free(body);
}

/* Returns 0, or -1 if the connection has ended. */
static int read_request(struct scraper *connection)
{
    size_t room = sizeof(connection->request) - 1 - connection->request_size;
    /* Not recv(), which is for libzmq's connections here (gate.c). */
    ssize_t count =
        room ? read(connection->fd, connection->request + connection->request_size, room) : 0;
    if (count < 0)
        return errno == EAGAIN || errno == EINTR ? 0 : -1;
    if (count == 0)
        return -1;
    connection->request_size += (size_t)count;
    connection->request[connection->request_size] = '\0';
    if (!strstr(connection->request, "\r\n\r\n"))
        return 0;
    FILE *stream = open_memstream(&connection->answer, &connection->answer_size);
    if (!stream)
        return -1;
    write_answer(connection->request, stream);
    return fclose(stream) ? -1 : 0;
}

static int write_on(struct scraper *connection)
{
    ssize_t count = send(connection->fd, connection->answer + connection->sent,
                         connection->answer_size - connection->sent, MSG_NOSIGNAL);
    if (count < 0)
        return errno == EAGAIN || errno == EINTR ? 0 : -1;
    connection->sent += (size_t)count;
    return connection->sent == connection->answer_size ? -1 : 0;
}

static void serve(struct scraper *connection, short events)
{
    int status = 0;
    if (events && !connection->answer)
        status = read_request(connection);
    else if (events)
        status = write_on(connection);
    if (status)
        hang_up(connection);
}

/* Fills in what to poll for. Returns for how long, in milliseconds; -1: until something comes. */
static int prepare(struct metrics *metrics, struct pollfd *descriptors, long long now_ms)
{
    long long due_ms = CLOCK_NEVER;
    bool paused = now_ms < metrics->paused_ms;
    descriptors[0] = (struct pollfd){.fd = metrics->wake, .events = POLLIN};
    descriptors[1] = (struct pollfd){.fd = paused ? -1 : metrics->listener, .events = POLLIN};
    if (paused)
        due_ms = metrics->paused_ms;
    for (size_t i = 0; i < METRICS_CONNECTIONS; i++) {
        struct scraper *connection = &metrics->connections[i];
        if (connection->fd >= 0 && now_ms >= connection->end_ms)
            hang_up(connection);
        descriptors[2 + i] =
            (struct pollfd){.fd = connection->fd, .events = connection->answer ? POLLOUT : POLLIN};
        if (connection->fd >= 0)
            due_ms = clock_sooner(due_ms, connection->end_ms);
    }
    return due_ms == CLOCK_NEVER ? -1 : (int)(due_ms - now_ms);
}

static void *run(void *self)
{
    struct metrics *metrics = self;
    struct pollfd descriptors[2 + METRICS_CONNECTIONS];
    for (;;) {
        int timeout_ms = prepare(metrics, descriptors, clock_ms());
        if (poll(descriptors, 2 + METRICS_CONNECTIONS, timeout_ms) < 0 && errno != EINTR)
            return NULL;
        if (descriptors[0].revents)
            return NULL;
        for (size_t i = 0; i < METRICS_CONNECTIONS; i++)
            if (metrics->connections[i].fd >= 0)
                serve(&metrics->connections[i], descriptors[2 + i].revents);
        if (descriptors[1].revents)
            let_in(metrics, clock_ms());
    }
}

/* Reads [ADDRESS:]PORT. Returns 0, or -1 with `error` set. */
static int read_address(const char *where, struct sockaddr_in *address, struct ipcl_error *error)
{
    char host[INET_ADDRSTRLEN] = "127.0.0.1", *end;
    const char *colon = strrchr(where, ':'), *digits = colon ? colon + 1 : where;
    bool fits = !colon || snprintf(host, sizeof(host), "%.*s", (int)(colon - where), where) <
                              (int)sizeof(host);
    long port = strtol(digits, &end, 10);
    *address = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    if (!strcmp(host, "*"))
        snprintf(host, sizeof(host), "0.0.0.0");
    if (!fits || end == digits || *end || port < 0 || port > UINT16_MAX ||
        inet_pton(AF_INET, host, &address->sin_addr) != 1)
        return ipcl_error_set(error,
                              "IPController.metrics is a port, or an IPv4 address of this host (* "
                              "for all) and a port, such as 9464 or 10.0.0.5:9464; not '%s'",
                              where);
    return 0;
}

static int listen_at(struct metrics *metrics, const char *where, struct ipcl_error *error)
{
    struct sockaddr_in address;
    socklen_t size = sizeof(address);
    int again = 1;
    if (read_address(where, &address, error))
        return -1;
    metrics->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    setsockopt(metrics->listener, SOL_SOCKET, SO_REUSEADDR, &again, sizeof(again));
    if (metrics->listener < 0 ||
        bind(metrics->listener, (struct sockaddr *)&address, sizeof(address)) ||
        listen(metrics->listener, BACKLOG) ||
        getsockname(metrics->listener, (struct sockaddr *)&address, &size))
        return ipcl_error_set(error, "cannot listen for scrapers at %s (IPController.metrics): %s",
                              where, strerror(errno));
    snprintf(stats.metrics_url, sizeof(stats.metrics_url), "http://%s:%d/metrics",
             inet_ntoa(address.sin_addr), ntohs(address.sin_port));
    return 0;
}

struct metrics *metrics_open(const char *where, struct ipcl_error *error)
{
    struct metrics *metrics = calloc(1, sizeof(*metrics));
    if (!metrics) {
        ipcl_error_set(error, "out of memory");
        return NULL;
    }
    for (size_t i = 0; i < METRICS_CONNECTIONS; i++)
        metrics->connections[i].fd = -1;
    metrics->listener = -1;
    metrics->wake = eventfd(0, EFD_CLOEXEC);
    int failed = metrics->wake < 0
                     ? ipcl_error_set(error, "cannot answer scrapers: %s", strerror(errno))
                     : listen_at(metrics, where, error);
    if (!failed && (errno = pthread_create(&metrics->thread, NULL, run, metrics)))
        failed = ipcl_error_set(error, "cannot start a thread: %s", strerror(errno));
    if (!failed) {
        pthread_setname_np(metrics->thread, "metrics");
        log_info("metrics are at %s", stats.metrics_url);
        return metrics;
    }
    if (metrics->listener >= 0)
        close(metrics->listener);
    if (metrics->wake >= 0)
        close(metrics->wake);
    free(metrics);
    return NULL;
}

void metrics_close(struct metrics *metrics)
{
    uint64_t one = 1;
    if (!metrics)
        return;
    while (write(metrics->wake, &one, sizeof(one)) < 0 && errno == EINTR)
        ;
    pthread_join(metrics->thread, NULL);
    for (size_t i = 0; i < METRICS_CONNECTIONS; i++)
        hang_up(&metrics->connections[i]);
    close(metrics->listener);
    close(metrics->wake);
    free(metrics);
}
