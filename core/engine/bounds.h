/* What a request and the engine may take: time for the one that runs, memory for the process, and
 * time for that where its batch job has an end. I/O thread. */
#ifndef ENGINE_BOUNDS_H
#define ENGINE_BOUNDS_H

#include <stdbool.h>

#include <ipcluster/error.h>

struct engine;
struct io;
struct job;
struct settings;

struct bounds {
    long long look_ms; /* when to look at the memory next */
    bool warned;       /* that it is near the limit */
    double seconds;    /* that what runs may take; 0: as long as it likes */
    long long due_ms;  /* when to interrupt it, and when that was done, to end the engine */
    bool interrupted;
};

/* Reads how much memory the process may have; 0: as much as there is. Returns 0, or -1 with `error`
 * set where the setting is no amount of memory. Main thread. */
int bounds_read_memory(const struct settings *settings, long long *bytes, struct ipcl_error *error);
/* Reads when the batch job ends in which the process is, where that is known. Main thread. */
void bounds_read_end(struct engine *engine, const struct settings *settings);
/* The end of what may last until then: the batch job may end before that. */
long long bounds_until(const struct engine *engine, long long until_ms);
/* A request begins to run: notes how long it may. */
void bounds_begin(struct io *io, struct job *job);
/* What runs has ended. Returns whether it was interrupted because its time was over, and says no
 * more than that. */
bool bounds_end(struct io *io, const struct job *job);
/* Interrupts what runs too long, and ends the engine where it runs on, or has too much memory. Has
 * it take nothing new when its job is to end. Returns when to be called again. */
long long bounds_tick(struct io *io, long long now_ms);

#endif
