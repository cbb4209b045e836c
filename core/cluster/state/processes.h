/* Processes of this host, read from /proc: when one was started, and which session it belongs
 * to. */
#ifndef CLUSTER_STATE_PROCESSES_H
#define CLUSTER_STATE_PROCESSES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BOOT_ID_BYTES      40
#define PROCESS_MARK_BYTES 64

struct seen_process {
    int64_t pid;
    int64_t group;
    int64_t session; /* its leader's pid; the number is not given to a new process as long as the
                        session has members */
    int64_t born;    /* clock ticks since boot: with the pid, a name that is never reused */
};

/* If descriptors or memory are short, /proc cannot be read. Then it is not known whether a process
 * runs: it counts as running, and a warning is logged. */

/* Calls `visit` for each process there is, zombies left out. Returns false if it could not see
 * all. */
bool processes_walk(void (*visit)(void *context, const struct seen_process *process),
                    void *context);
/* When a process was started; -1 if there is none, or only its zombie, or if it is not known. */
int64_t process_born(int64_t pid);
/* Whether this process still runs, and not another that has its pid now. */
bool process_runs(int64_t pid, int64_t born);
/* Whether it runs, or has left processes in the session that it leads. For many that have gone, all
 * processes are listed only once. */
bool process_left(int64_t pid, int64_t born);
/* The mark that a supervisor gives to processes that it starts: base/mark.h. */
void process_mark(int64_t pid, int64_t born, char mark[PROCESS_MARK_BYTES]);
/* Whether a process was started with a mark. */
bool process_is_marked(int64_t pid, const char *mark);
/* The id of the host's boot: pids mean nothing in another. "": the system does not say. */
void boot_id(char text[BOOT_ID_BYTES]);

#endif
