/* The floor of the benchmark: what raw libzmq does with the frames of a no-op task, without
 * signatures, encryption, scheduling or Python.
 *
 * Processes: this one is the client (DEALER); a relay (ROUTER to the client, ROUTER to the workers)
 * hands requests to four workers (DEALER) in turn, and the workers answer with frames of the size
 * of a reply. TCP over loopback, or local sockets: floor local. Prints one JSON object.
 * IPCLUSTER_BENCH_SIZE=0.01 makes it shorter. */
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <zmq.h>

#define WORKERS       4
#define WINDOW        500 /* requests under way at once */
#define TRIPS         3000
#define SECONDS       4.0
#define PAYLOAD_BYTES ((size_t)64 << 20)
#define PAYLOAD_RUNS  7

/* As ipyparallel 7.1 frames a no-op apply and its reply: delimiter, signature, header, parent,
 * metadata, content, buffers. */
static const size_t request_bytes[] = {9, 64, 213, 2, 91, 2, 297, 52};
static const size_t reply_bytes[] = {9, 64, 213, 213, 260, 16, 30};
#define REQUEST_FRAMES (sizeof(request_bytes) / sizeof(request_bytes[0]))
#define REPLY_FRAMES   (sizeof(reply_bytes) / sizeof(reply_bytes[0]))
#define COMMAND_FRAME  5 /* the content: its first byte asks for a small reply or a large one */

static char *payload;
static size_t payload_bytes = PAYLOAD_BYTES;
static double size = 1; /* of what is measured */
static bool local;

static void check(bool good, const char *what)
{
    if (!good) {
        fprintf(stderr, "floor: %s: %s\n", what, zmq_strerror(zmq_errno()));
        exit(1);
    }
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void *open_socket(void *context, int type)
{
    int none = 0;
    void *socket = zmq_socket(context, type);
    check(socket, "zmq_socket");
    zmq_setsockopt(socket, ZMQ_SNDHWM, &none, sizeof(none));
    zmq_setsockopt(socket, ZMQ_RCVHWM, &none, sizeof(none));
    zmq_setsockopt(socket, ZMQ_LINGER, &none, sizeof(none));
    return socket;
}

/* Local sockets have no file, so nothing is left of them. */
static void bind_socket(void *socket, const char *name, char endpoint[64])
{
    size_t bytes = 64;
    snprintf(endpoint, bytes, local ? "ipc://@floor-%d-%s" : "tcp://127.0.0.1:*", getpid(), name);
    check(zmq_bind(socket, endpoint) == 0, "zmq_bind");
    if (!local)
        check(zmq_getsockopt(socket, ZMQ_LAST_ENDPOINT, endpoint, &bytes) == 0, "endpoint");
}

/* Sends frames of the given sizes; where `large` is set the last one is the payload, which is not
 * copied. */
static void send_frames(void *socket, const size_t *sizes, size_t count, char command, bool large)
{
    static char text[512];
    for (size_t i = 0; i < count; i++) {
        zmq_msg_t frame;
        bool last = i + 1 == count;
        if (last && large) {
            zmq_msg_init_data(&frame, payload, payload_bytes, NULL, NULL);
        } else {
            zmq_msg_init_size(&frame, sizes[i]);
            memcpy(zmq_msg_data(&frame), text, sizes[i]);
            if (i == COMMAND_FRAME)
                *(char *)zmq_msg_data(&frame) = command;
        }
        check(zmq_msg_send(&frame, socket, last ? 0 : ZMQ_SNDMORE) >= 0, "send");
    }
}

/* Receives one message and returns the first byte of its COMMAND_FRAME, counted from the
 * delimiter. */
static char receive_frames(void *socket, size_t prefix)
{
    char command = 0;
    bool more = true;
    for (size_t i = 0; more; i++) {
        zmq_msg_t frame;
        zmq_msg_init(&frame);
        check(zmq_msg_recv(&frame, socket, 0) >= 0, "receive");
        if (i == prefix + COMMAND_FRAME)
            command = *(char *)zmq_msg_data(&frame);
        more = zmq_msg_more(&frame);
        zmq_msg_close(&frame);
    }
    return command;
}

/* Moves the rest of a message, by reference. */
static void move_frames(void *from, void *to)
{
    bool more = true;
    while (more) {
        zmq_msg_t frame;
        zmq_msg_init(&frame);
        check(zmq_msg_recv(&frame, from, 0) >= 0, "receive");
        more = zmq_msg_more(&frame);
        check(zmq_msg_send(&frame, to, more ? ZMQ_SNDMORE : 0) >= 0, "send");
    }
}

static void drop_frame(void *socket)
{
    zmq_msg_t frame;
    zmq_msg_init(&frame);
    check(zmq_msg_recv(&frame, socket, 0) >= 0, "receive");
    zmq_msg_close(&frame);
}

static void run_relay(int report)
{
    void *context = zmq_ctx_new();
    void *front = open_socket(context, ZMQ_ROUTER);
    void *back = open_socket(context, ZMQ_ROUTER);
    char endpoints[2][64] = {{0}};
    bind_socket(front, "front", endpoints[0]);
    bind_socket(back, "back", endpoints[1]);
    check(write(report, endpoints, sizeof(endpoints)) == sizeof(endpoints), "pipe");
    for (int ready = 0; ready < WORKERS; ready++) {
        drop_frame(back);
        drop_frame(back);
    }
    check(write(report, "!", 1) == 1, "pipe");

    zmq_pollitem_t items[2] = {{front, 0, ZMQ_POLLIN, 0}, {back, 0, ZMQ_POLLIN, 0}};
    for (unsigned turn = 0;;) {
        zmq_poll(items, 2, -1);
        if (items[0].revents & ZMQ_POLLIN) {
            char worker[2] = {'w', (char)('0' + turn++ % WORKERS)};
            zmq_send(back, worker, sizeof(worker), ZMQ_SNDMORE);
            move_frames(front, back);
        }
        if (items[1].revents & ZMQ_POLLIN) {
            drop_frame(back);
            move_frames(back, front);
        }
    }
}

static void run_worker(int number, const char *endpoint)
{
    void *context = zmq_ctx_new();
    void *socket = open_socket(context, ZMQ_DEALER);
    char identity[2] = {'w', (char)('0' + number)};
    zmq_setsockopt(socket, ZMQ_ROUTING_ID, identity, sizeof(identity));
    check(zmq_connect(socket, endpoint) == 0, "connect");
    zmq_send(socket, "ready", 5, 0);
    for (;;) {
        char client[256];
        int bytes = zmq_recv(socket, client, sizeof(client), 0);
        check(bytes >= 0, "receive");
        char command = receive_frames(socket, 0);
        zmq_send(socket, client, (size_t)bytes, ZMQ_SNDMORE);
        send_frames(socket, reply_bytes, REPLY_FRAMES, 0, command == 'L');
    }
}

static double tasks_per_second(void *socket)
{
    long sent = 0, received = 0;
    double start = now(), end = start + SECONDS * size;
    while (now() < end) {
        for (; sent - received < WINDOW; sent++)
            send_frames(socket, request_bytes, REQUEST_FRAMES, 0, false);
        receive_frames(socket, 0);
        received++;
    }
    for (; received < sent; received++)
        receive_frames(socket, 0);
    return (double)sent / (now() - start);
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *times, size_t count)
{
    qsort(times, count, sizeof(*times), ascending);
    return times[count / 2];
}

static void measure(void *socket)
{
    static double trips[TRIPS];
    double pushes[PAYLOAD_RUNS], pulls[PAYLOAD_RUNS];
    double rate = tasks_per_second(socket), wanted = TRIPS * size;
    size_t count = wanted < 1 ? 1 : wanted > TRIPS ? TRIPS : (size_t)wanted;
    for (size_t i = 0; i < count; i++) {
        double start = now();
        send_frames(socket, request_bytes, REQUEST_FRAMES, 0, false);
        receive_frames(socket, 0);
        trips[i] = now() - start;
    }
    for (size_t i = 0; i < PAYLOAD_RUNS; i++) {
        double start = now();
        send_frames(socket, request_bytes, REQUEST_FRAMES, 0, true);
        receive_frames(socket, 0);
        pushes[i] = now() - start;
        start = now();
        send_frames(socket, request_bytes, REQUEST_FRAMES, 'L', false);
        receive_frames(socket, 0);
        pulls[i] = now() - start;
    }
    double typical = median(trips, count);
    double mebibytes = (double)payload_bytes / (1 << 20);
    printf("{\"tasks\": %.1f, \"trip_median_us\": %.1f, \"trip_p99_us\": %.1f, "
           "\"push_mib_s\": %.1f, \"pull_mib_s\": %.1f}\n",
           rate, typical * 1e6, trips[count * 99 / 100] * 1e6,
           mebibytes / median(pushes, PAYLOAD_RUNS), mebibytes / median(pulls, PAYLOAD_RUNS));
}

static pid_t spawn(void)
{
    pid_t pid = fork();
    check(pid >= 0, "fork");
    if (pid == 0)
        prctl(PR_SET_PDEATHSIG, SIGKILL);
    return pid;
}

int main(int argc, char **argv)
{
    const char *text = getenv("IPCLUSTER_BENCH_SIZE");
    int report[2];
    char endpoints[2][64], ready;
    pid_t children[1 + WORKERS];
    local = argc == 2 && !strcmp(argv[1], "local");
    if (text)
        size = strtod(text, NULL);
    if (size < 1)
        payload_bytes = (size_t)((double)PAYLOAD_BYTES * size) + 1;
    payload = malloc(payload_bytes);
    check(payload && pipe(report) == 0, "start");
    /* pages that were never written would all be the one zero page */
    memset(payload, 1, payload_bytes);
    children[0] = spawn();
    if (children[0] == 0)
        run_relay(report[1]);
    check(read(report[0], endpoints, sizeof(endpoints)) == sizeof(endpoints), "pipe");
    for (int i = 0; i < WORKERS; i++) {
        children[1 + i] = spawn();
        if (children[1 + i] == 0)
            run_worker(i, endpoints[1]);
    }
    check(read(report[0], &ready, 1) == 1, "pipe");

    void *context = zmq_ctx_new();
    void *socket = open_socket(context, ZMQ_DEALER);
    check(zmq_connect(socket, endpoints[0]) == 0, "connect");
    measure(socket);
    zmq_close(socket);
    zmq_ctx_term(context);
    for (int i = 0; i < 1 + WORKERS; i++) {
        kill(children[i], SIGKILL);
        waitpid(children[i], NULL, 0);
    }
    free(payload);
    return 0;
}
