/* Records steps of messages: a ring for each thread, and the thread that writes what is in the
 * rings. */
#include "base/trace.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/random.h"
#include "base/trace_private.h"

#define ROUND_MS  20   /* between two looks at the rings */
#define LINES_MAX 100  /* in the log, for each thread and second */
#define STOP_MS   1000 /* to write what is left: a file system may hang */

/* Where steps go: bits of trace_ways. */
#define TO_FILE 1
#define TO_LOG  2
atomic_int trace_ways;

static _Atomic(struct trace_ring *) rings;
static atomic_ulong lost; /* steps */
static _Thread_local struct trace_ring *own_ring;
static _Thread_local long long last_ns;      /* when the thread began what it does now */
static _Thread_local unsigned last_of_trace; /* in which trace that was */
static pthread_once_t ring_once = PTHREAD_ONCE_INIT;
static pthread_key_t ring_key; /* gives a thread's ring back when it ends */
static pthread_once_t process_once = PTHREAD_ONCE_INIT;
static atomic_uint traces; /* begun so far */

/* The rest is about the trace that is being written, or the last one. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static bool writing;  /* the thread that writes runs */
static bool stopping; /* it shall end */
static char path_now[PATH_BYTES];
static char process_name[TRACE_NAME_BYTES];
static int process_place;
static unsigned name_version;

static struct {
    char program[TRACE_NAME_BYTES];
    char folder[PATH_BYTES];
    long long bytes_max;
} offer;

long long trace_of_wall(double wall_s)
{
    double age_s = clock_wall() - wall_s;
    return clock_ns() - (age_s > 0 ? (long long)(age_s * 1e9) : 0);
}

static void leave_ring(void *ring)
{
    atomic_store_explicit(&((struct trace_ring *)ring)->state, TRACE_RING_LEFT,
                          memory_order_release);
}

static void make_key(void)
{
    pthread_key_create(&ring_key, leave_ring);
}

/* A ring that a thread has left, or a new one; NULL if memory is short. */
static struct trace_ring *find_ring(void)
{
    struct trace_ring *ring = atomic_load_explicit(&rings, memory_order_acquire);
    for (; ring; ring = ring->next) {
        int state = TRACE_RING_FREE;
        if (atomic_compare_exchange_strong_explicit(&ring->state, &state, TRACE_RING_TAKEN,
                                                    memory_order_acq_rel, memory_order_relaxed))
            return ring;
    }
    ring = calloc(1, sizeof(*ring));
    return ring;
}

/* A ring for this thread; NULL if memory is short. */
static struct trace_ring *take_ring(void)
{
    pthread_once(&ring_once, make_key);
    struct trace_ring *ring = find_ring();
    if (!ring)
        return NULL;
    bool is_new = ring->state == TRACE_RING_FREE;
    ring->thread = gettid();
    pthread_getname_np(pthread_self(), ring->name, sizeof(ring->name));
    if (is_new) {
        ring->state = TRACE_RING_TAKEN;
        ring->next = atomic_load(&rings);
        while (!atomic_compare_exchange_weak_explicit(&rings, &ring->next, ring,
                                                      memory_order_release, memory_order_relaxed))
            ;
    }
    pthread_setspecific(ring_key, ring);
    return ring;
}

void trace_mark(void)
{
    last_ns = clock_ns();
    last_of_trace = atomic_load_explicit(&traces, memory_order_relaxed);
}

static uint8_t copy(char *to, size_t room, const char *from, size_t size)
{
    size_t taken = size < room ? size : room;
    if (taken)
        memcpy(to, from, taken);
    return (uint8_t)taken;
}

/* Limits the lines, so that a person can read them, and the log has room. */
static bool may_log(void)
{
    static _Thread_local long long second;
    static _Thread_local unsigned lines;
    long long now = last_ns / 1000000000;
    if (now != second) {
        if (lines > LINES_MAX)
            log_debug("(%u more steps of this thread in the same second)", lines - LINES_MAX);
        second = now;
        lines = 0;
    }
    return ++lines <= LINES_MAX;
}

/* The content of a message is never logged. */
static void log_step(enum trace_step step, const struct trace_subject *subject)
{
    char engine[32] = "";
    if (!may_log())
        return;
    if (subject->engine >= 0)
        snprintf(engine, sizeof(engine), " %d", subject->engine);
    log_debug("%.*s: %s%s", subject->size < TRACE_ID_BYTES ? (int)subject->size : TRACE_ID_BYTES,
              subject->id, trace_step_name(step), engine);
}

static void add_record(enum trace_step step, const struct trace_subject *subject,
                       long long begin_ns)
{
    struct trace_ring *ring = own_ring ? own_ring : (own_ring = take_ring());
    uint64_t head = ring ? atomic_load_explicit(&ring->head, memory_order_relaxed) : 0;
    if (!ring ||
        head - atomic_load_explicit(&ring->tail, memory_order_acquire) == TRACE_RING_RECORDS) {
        atomic_fetch_add_explicit(&lost, 1, memory_order_relaxed);
        return;
    }
    struct trace_record *record = &ring->records[head % TRACE_RING_RECORDS];
    record->step = (uint8_t)step;
    record->begin_ns = begin_ns;
    record->end_ns = last_ns;
    record->since_ns = subject->since_ns;
    record->engine = subject->engine;
    record->size = copy(record->id, sizeof(record->id), subject->id, subject->size);
    record->parent_size =
        copy(record->parent, sizeof(record->parent), subject->parent, subject->parent_size);
    atomic_store_explicit(&ring->head, head + 1, memory_order_release);
}

void trace_note(enum trace_step step, const struct trace_subject *subject)
{
    long long begin_ns = last_ns;
    bool known = last_of_trace == atomic_load_explicit(&traces, memory_order_relaxed);
    int ways = atomic_load_explicit(&trace_ways, memory_order_relaxed);
    trace_mark();
    if (ways & TO_FILE)
        add_record(step, subject, known ? begin_ns : last_ns);
    if (ways & TO_LOG)
        log_step(step, subject);
}

void trace_to_log(bool logs)
{
    if (logs)
        atomic_fetch_or(&trace_ways, TO_LOG);
    else
        atomic_fetch_and(&trace_ways, ~TO_LOG);
}

static void empty_ring(struct trace_file *file, struct trace_ring *ring)
{
    int state = atomic_load_explicit(&ring->state, memory_order_acquire);
    uint64_t tail = atomic_load_explicit(&ring->tail, memory_order_relaxed);
    uint64_t head = atomic_load_explicit(&ring->head, memory_order_acquire);
    for (; tail != head; tail++) {
        trace_file_record(file, ring, &ring->records[tail % TRACE_RING_RECORDS]);
        atomic_store_explicit(&ring->tail, tail + 1, memory_order_release);
    }
    if (state == TRACE_RING_LEFT) {
        ring->written_file = 0;
        atomic_store_explicit(&ring->state, TRACE_RING_FREE, memory_order_release);
    }
}

/* Writes what is in the rings. Returns 0, or -1 with `error` set. */
static int write_round(struct trace_file *file, struct ipcl_error *error)
{
    char name[TRACE_NAME_BYTES];
    pthread_mutex_lock(&lock);
    int place = process_place;
    bool renamed = file->named != name_version;
    file->named = name_version;
    memcpy(name, process_name, sizeof(name));
    pthread_mutex_unlock(&lock);
    if (renamed)
        trace_file_name(file, name, place);
    struct trace_ring *ring = atomic_load_explicit(&rings, memory_order_acquire);
    for (; ring; ring = ring->next)
        empty_ring(file, ring);
    unsigned long missing = atomic_exchange(&lost, 0);
    if (missing)
        trace_file_lost(file, missing);
    return trace_file_flush(file, error);
}

/* Waits for a round's time. Returns whether it is the last. */
static bool wait_round(void)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += ROUND_MS * 1000000;
    until.tv_sec += until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    pthread_mutex_lock(&lock);
    while (!stopping && !pthread_cond_clockwait(&changed, &lock, CLOCK_MONOTONIC, &until))
        ;
    bool last = stopping;
    pthread_mutex_unlock(&lock);
    return last;
}

static void *write_all(void *argument)
{
    struct trace_file *file = argument;
    struct ipcl_error error;
    bool last = false, failed = false;
    pthread_setname_np(pthread_self(), "trace");
    while (!last && !failed) {
        last = wait_round();
        failed = write_round(file, &error);
    }
    atomic_fetch_and(&trace_ways, ~TO_FILE);
    if (failed)
        log_warn("the trace has ended: %s", error.text);
    if (file->lost)
        log_warn("the trace %s lacks %lu steps: they came faster than they could be written",
                 file->path, file->lost);
    close(file->fd);
    free(file);
    pthread_mutex_lock(&lock);
    writing = false;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
    return NULL;
}

/* The file's path. Returns 0 or -1 with `error` set. */
static int name_file(const char *program, const char *path, char file[PATH_BYTES],
                     struct ipcl_error *error)
{
    char host[64] = "host", folder[PATH_BYTES];
    struct path_mark mark;
    size_t length = strlen(path);
    bool makes = length && path[length - 1] == '/';
    if (path_expand(path, folder, error) || (makes && path_make_dir(folder, 0700, error)))
        return -1;
    path_note(folder, &mark);
    if (!makes && path_format(file, error, "%s/.", folder))
        return -1;
    if (!makes && !path_exists(file))
        return path_format(file, error, "%s", folder);
    gethostname(host, sizeof(host) - 1);
    return path_format(file, error, "%s/%s-%s-%d" TRACE_SUFFIX, folder, program, host,
                       (int)getpid());
}

/* The file, open; NULL with `error` set. */
static struct trace_file *open_file(const char *program, const char *path, long long bytes_max,
                                    struct ipcl_error *error)
{
    struct trace_file *file = calloc(1, sizeof(*file));
    if (!file) {
        ipcl_error_set(error, "out of memory");
        return NULL;
    }
    file->fd = -1;
    file->bytes_max = bytes_max;
    random_hex(file->process, sizeof(file->process) - 1);
    if (name_file(program, path, file->path, error) || trace_file_open(file, error) ||
        trace_file_flush(file, error)) {
        if (file->fd >= 0)
            close(file->fd);
        free(file);
        return NULL;
    }
    return file;
}

/* The thread gets no signals: they are the program's. */
static int start_writer(struct trace_file *file, struct ipcl_error *error)
{
    pthread_t thread;
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int failed = pthread_create(&thread, NULL, write_all, file);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (failed)
        return ipcl_error_set(error, "cannot start a thread for the trace: %s", strerror(failed));
    pthread_detach(thread);
    return 0;
}

/* A child has neither the thread nor, perhaps, the lock. */
static void forget_in_child(void)
{
    pthread_mutex_init(&lock, NULL);
    pthread_cond_init(&changed, NULL);
    atomic_fetch_and(&trace_ways, ~TO_FILE);
    writing = false;
    own_ring = NULL;
    atomic_store(&rings, NULL);
}

static void note_process(void)
{
    atexit(trace_stop);
    pthread_atfork(NULL, NULL, forget_in_child);
}

int trace_start(const char *program, const char *path, long long bytes_max,
                struct ipcl_error *error)
{
    int status = -1;
    pthread_mutex_lock(&lock);
    if (writing) {
        ipcl_error_set(error, "a trace is being written already, to %s", path_now);
    } else {
        struct trace_file *file = open_file(program, path, bytes_max, error);
        if (file)
            strcpy(path_now, file->path);
        if (!*process_name)
            snprintf(process_name, sizeof(process_name), "%s", program);
        name_version++;
        stopping = false;
        if (file && !(status = start_writer(file, error))) {
            writing = true;
            pthread_once(&process_once, note_process);
            atomic_fetch_add(&traces, 1);
            atomic_fetch_or(&trace_ways, TO_FILE);
        } else if (file) {
            close(file->fd);
            free(file);
        }
    }
    pthread_mutex_unlock(&lock);
    return status;
}

int trace_start_by_environment(const char *program, long long bytes_max, struct ipcl_error *error)
{
    char folder[PATH_BYTES];
    const char *named = getenv(TRACE_VARIABLE);
    if (!named || !*named)
        return 0;
    return path_format(folder, error, "%s/", named) ||
                   trace_start(program, folder, bytes_max, error)
               ? -1
               : 0;
}

int trace_offer(const char *program, const char *folder, long long bytes_max,
                struct ipcl_error *error)
{
    snprintf(offer.program, sizeof(offer.program), "%s", program);
    offer.bytes_max = bytes_max;
    return path_format(offer.folder, error, "%s/", folder);
}

const char *trace_switch(bool on, struct ipcl_error *error)
{
    bool is_on = atomic_load(&trace_ways) & TO_FILE;
    if (!*offer.folder) {
        ipcl_error_set(error, "this program has no folder for traces");
        return NULL;
    }
    if (on && !is_on && trace_start(offer.program, offer.folder, offer.bytes_max, error))
        return NULL;
    if (!on)
        trace_stop();
    if (*path_now)
        return path_now;
    ipcl_error_set(error, "there is no trace to end");
    return NULL;
}

void trace_stop(void)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += STOP_MS / 1000;
    atomic_fetch_and(&trace_ways, ~TO_FILE);
    pthread_mutex_lock(&lock);
    stopping = true;
    pthread_cond_broadcast(&changed);
    while (writing && !pthread_cond_clockwait(&changed, &lock, CLOCK_MONOTONIC, &until))
        ;
    pthread_mutex_unlock(&lock);
}

void trace_name(const char *name, int place)
{
    pthread_mutex_lock(&lock);
    snprintf(process_name, sizeof(process_name), "%s", name);
    process_place = place;
    name_version++;
    pthread_mutex_unlock(&lock);
}
