/* Limits of a request and of the engine: the time of the running request, the memory of the
 * process, and the time of its batch job if that ends. I/O thread. */
#ifndef ENGINE_BOUNDS_H
#define ENGINE_BOUNDS_H

#include <stdbool.h>

#include <ipcluster/error.h>

struct engine;
struct io;
struct job;
struct settings;

struct bounds {
    long long look_ms;    /* when to look at the memory next */
    bool warned;          /* a warning has said that it is near the limit */
    double seconds;       /* how long the running request may take; 0: no limit */
    long long due_ms;     /* when to interrupt it; after that, when to end the engine */
    unsigned interrupted; /* how often */
};

/* Reads how much memory the process may have; 0: no limit. Returns 0, or -1 with `error` set if the
 * setting is not an amount of memory. Main thread. */
int bounds_read_memory(const struct settings *settings, long long *bytes, struct ipcl_error *error);
/* Reads when the batch job that the process is in ends, if that is known. Main thread. */
void bounds_read_end(struct engine *engine, const struct settings *settings);
/* The earlier of `until_ms` and the last moment at which answers still leave before the batch job
 * ends. */
long long bounds_until(const struct engine *engine, long long until_ms);
/* A request begins to run: notes how long it may take. */
void bounds_begin(struct io *io, struct job *job);
/* What was running has ended. Returns whether it was interrupted because its time was over, and the
 * reply says no more than that. */
bool bounds_end(struct io *io, const struct job *job);
/* Interrupts what runs too long. Ends the engine if that runs on, or if the engine has too much
 * memory. Lets it accept nothing new when its job is about to end. Returns the time of the next
 * call. */
long long bounds_tick(struct io *io, long long now_ms);

#endif
