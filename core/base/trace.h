/* A trace: what happens to messages in this process, step by step, in a file that Perfetto and
 * Chrome show as a picture (docs/reference/files.md has the format). Any thread.
 *
 * A step costs its thread a look at the clock and a copy into a ring that is its own: a thread of
 * the trace's writes the file. Nobody waits for that: where a ring is full, the step is lost, and
 * counted. While there is no trace, a step is one branch. */
#ifndef BASE_TRACE_H
#define BASE_TRACE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#include <ipcluster/error.h>

/* A row of trace_write.c's table says how each is shown. */
enum trace_step {
    /* the client */
    TRACE_SUBMIT,
    TRACE_RESULT,
    TRACE_OUTPUT,
    /* the controller's schedulers */
    TRACE_RECEIVE,
    TRACE_DEPEND,
    TRACE_DISPATCH,
    TRACE_ENGINE_REPLY,
    TRACE_RETURN,
    TRACE_REPLY,
    TRACE_INSTEAD,
    TRACE_RELAY_OUTPUT,
    /* the hub */
    TRACE_NOTE_SUBMITTED,
    TRACE_NOTE_DONE,
    TRACE_ENGINE_COMES,
    TRACE_ENGINE_GOES,
    /* the engine */
    TRACE_ENGINE_RECEIVE,
    TRACE_BEGIN,
    TRACE_END,
    TRACE_ANSWER,
    TRACE_PUBLISH,
    TRACE_STEPS
};

/* What the environment names is a folder: all programs that have it write there. */
#define TRACE_VARIABLE "IPCLUSTER_TRACE"
/* The end of the names of files in a folder. */
#define TRACE_SUFFIX    ".trace.json"
#define TRACE_BYTES_MAX (256LL << 20) /* unless another bound is given */

/* Begins a trace of this process, which calls itself `program`. `path` is a file, or a folder (one
 * that is there, or with a slash at its end, which is made) in which the file is called
 * PROGRAM-HOST-PID.trace.json. Where the file has half of `bytes_max` bytes it becomes FILE.1, in
 * place of an earlier one. Returns 0, or -1 with `error` set: it cannot be written, or there is a
 * trace already. */
int trace_start(const char *program, const char *path, long long bytes_max,
                struct ipcl_error *error);
/* The same with the folder that the environment names, where it names one. */
int trace_start_by_environment(const char *program, long long bytes_max, struct ipcl_error *error);
/* What trace_switch() begins: a trace of `program` in that folder. Before there are threads.
 * Returns 0 or -1 with `error` set. */
int trace_offer(const char *program, const char *folder, long long bytes_max,
                struct ipcl_error *error);
/* Begins or ends a trace while the program runs; whoever asks for it does not say where. Returns
 * the file that is written, or was; NULL with `error` set. */
const char *trace_switch(bool on, struct ipcl_error *error);
/* Ends it: what has been noted is written, which is awaited for a second at most. Done when the
 * process exits, too. */
void trace_stop(void);
/* What the process is called in the picture ("engine 3"), and its place there: the lowest is on
 * top. Before or during a trace. */
enum trace_place { TRACE_PLACE_CLIENT, TRACE_PLACE_CONTROLLER, TRACE_PLACE_ENGINES };
void trace_name(const char *name, int place);

/* Whether steps are also lines of the log, of the level DEBUG: so many a second and thread. */
void trace_to_log(bool logs);

extern atomic_int trace_ways; /* where steps go; 0: nowhere */
static inline bool trace_is_on(void)
{
    return __builtin_expect(atomic_load_explicit(&trace_ways, memory_order_relaxed), 0);
}

/* The time for `since_ns` below; 0 while there is no trace. */
long long trace_clock(void);
static inline long long trace_now(void)
{
    return trace_is_on() ? trace_clock() : 0;
}
/* The same of a time on the wall clock, in seconds since the epoch. */
long long trace_of_wall(double wall_s);

/* For the functions below: the thread begins with something, as a message that it reads. */
void trace_mark(void);
static inline void trace_arrived(void)
{
    if (trace_is_on())
        trace_mark();
}

/* Of what a step is about. */
struct trace_subject {
    const char *id; /* a msg_id, or an engine's uuid */
    size_t size;
    const char *parent; /* of output: the request's msg_id; NULL for none */
    size_t parent_size;
    int engine;         /* its id; -1 for none */
    long long since_ns; /* when the wait began that this step ends; 0 for none */
};
void trace_note(enum trace_step step, const struct trace_subject *subject);

/* Notes a step. The thread was at it since trace_arrived(), or its last step. */
static inline void trace_step(enum trace_step step, const char *id, size_t size, int engine)
{
    if (trace_is_on())
        trace_note(step, &(struct trace_subject){.id = id, .size = size, .engine = engine});
}
/* The same of one that ends a wait, which began at `since_ns`. */
static inline void trace_step_since(enum trace_step step, const char *id, size_t size, int engine,
                                    long long since_ns)
{
    if (trace_is_on())
        trace_note(step, &(struct trace_subject){
                             .id = id, .size = size, .engine = engine, .since_ns = since_ns});
}

#endif
