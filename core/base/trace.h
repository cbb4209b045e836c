/* A trace: what happens to messages in this process, step by step, in a file that Perfetto and
 * Chrome show as a picture (docs/reference/files.md has the format). Any thread.
 *
 * A step costs its thread one reading of the clock and one copy into the thread's own ring. The
 * trace has a thread that writes the file. Nobody waits for it: if a ring is full, the step is
 * lost, and counted. While there is no trace, a step is one branch. */
#ifndef BASE_TRACE_H
#define BASE_TRACE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#include <ipcluster/error.h>

#include "base/clock.h"

/* trace_write.c has a table that says how each is shown. */
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

/* This environment variable names a folder: all programs that have it write there. */
#define TRACE_VARIABLE "IPCLUSTER_TRACE"
/* How names of trace files end. */
#define TRACE_SUFFIX    ".trace.json"
#define TRACE_BYTES_MAX (256LL << 20) /* if no other bound is given */

/* Begins a trace of this process, whose name in it is `program`. `path` is a file or a folder. A
 * folder exists already, or its path ends with a slash and it is made; the file in it is called
 * PROGRAM-HOST-PID.trace.json. When the file has half of `bytes_max` bytes it becomes FILE.1,
 * replacing an earlier one. Returns 0, or -1 with `error` set: it cannot be written, or there is a
 * trace already. */
int trace_start(const char *program, const char *path, long long bytes_max,
                struct ipcl_error *error);
/* The same with the folder in TRACE_VARIABLE, if the environment has it. */
int trace_start_by_environment(const char *program, long long bytes_max, struct ipcl_error *error);
/* Sets what trace_switch() begins: a trace of `program` in that folder. Before there are threads.
 * Returns 0 or -1 with `error` set. */
int trace_offer(const char *program, const char *folder, long long bytes_max,
                struct ipcl_error *error);
/* Begins or ends a trace while the program runs; the place is the one of trace_offer(). Returns the
 * file that is written, or was; NULL with `error` set. */
const char *trace_switch(bool on, struct ipcl_error *error);
/* Ends the trace. It waits at most a second until all steps are written. Also done when the process
 * exits. */
void trace_stop(void);
/* The name of the process in the picture ("engine 3"), and its place there: the lowest is on top.
 * Before or during a trace. */
enum trace_place { TRACE_PLACE_CLIENT, TRACE_PLACE_CONTROLLER, TRACE_PLACE_ENGINES };
void trace_name(const char *name, int place);

/* Whether steps are also logged, at level DEBUG: a limited number for each second and thread. */
void trace_to_log(bool logs);

extern atomic_int trace_ways; /* where steps are written; 0: nowhere */
static inline bool trace_is_on(void)
{
    return __builtin_expect(atomic_load_explicit(&trace_ways, memory_order_relaxed), 0);
}

/* The present time, for `since_ns` below; 0 while there is no trace. */
static inline long long trace_now(void)
{
    return trace_is_on() ? clock_ns() : 0;
}
/* The same for a time of the wall clock, in seconds since the epoch. */
long long trace_of_wall(double wall_s);

/* For the functions below: the thread's next step begins now, as with a message that it reads. */
void trace_mark(void);
static inline void trace_arrived(void)
{
    if (trace_is_on())
        trace_mark();
}

/* What a step is about. */
struct trace_subject {
    const char *id; /* a msg_id, or an engine's uuid */
    size_t size;
    const char *parent; /* for output: the request's msg_id; NULL for none */
    size_t parent_size;
    int engine;         /* its id; -1 for none */
    long long since_ns; /* when the wait began that ends with this step; 0 for none */
};
void trace_note(enum trace_step step, const struct trace_subject *subject);

/* Notes a step of the thread. It began at trace_arrived(), or at the end of the thread's last
 * step. */
static inline void trace_step(enum trace_step step, const char *id, size_t size, int engine)
{
    if (trace_is_on())
        trace_note(step, &(struct trace_subject){.id = id, .size = size, .engine = engine});
}
/* The same for a step that ends a wait, which began at `since_ns`. */
static inline void trace_step_since(enum trace_step step, const char *id, size_t size, int engine,
                                    long long since_ns)
{
    if (trace_is_on())
        trace_note(step, &(struct trace_subject){
                             .id = id, .size = size, .engine = engine, .since_ns = since_ns});
}

#endif
