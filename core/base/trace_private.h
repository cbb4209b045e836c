/* What trace.c, which takes steps, and trace_write.c, which writes them, share. */
#ifndef BASE_TRACE_PRIVATE_H
#define BASE_TRACE_PRIVATE_H

#include <stdint.h>
#include <sys/types.h>

#include "base/path.h"
#include "base/trace.h"

#define TRACE_ID_BYTES     104 /* for a msg_id; the parts of a broadcast have the longest: 86 */
#define TRACE_PARENT_BYTES 56
#define TRACE_NAME_BYTES   64
#define TRACE_RING_RECORDS 8192 /* a power of 2 */

struct trace_record {
    int64_t begin_ns, end_ns, since_ns;
    int32_t engine;
    uint8_t step;
    uint8_t size;
    uint8_t parent_size;
    char id[TRACE_ID_BYTES];
    char parent[TRACE_PARENT_BYTES];
};

/* Who has a ring. */
enum trace_ring_state {
    TRACE_RING_FREE,
    TRACE_RING_TAKEN, /* a thread's */
    TRACE_RING_LEFT   /* its thread has ended, and its records are still to be written */
};

/* One thread adds records, the writer removes them. */
struct trace_ring {
    struct trace_ring *next; /* in the list of all rings, which only grows */
    _Atomic int state;
    pid_t thread;
    char name[16];         /* of the thread */
    unsigned written_file; /* used by the writer: the number of the file that has the thread's
                              name */
    _Atomic uint64_t head; /* how many records were ever added */
    _Atomic uint64_t tail; /* how many were ever removed */
    struct trace_record records[TRACE_RING_RECORDS];
};

struct trace_file {
    int fd;
    unsigned number;             /* counts the files that this process has ever begun, from 1 on */
    char name[TRACE_NAME_BYTES]; /* of the process: every file of the trace has it */
    int place;
    unsigned named; /* the version of the name and place that the file has */
    long long bytes, bytes_max;
    char path[PATH_BYTES];
    char process[17];        /* random: distinguishes this process from others with its number */
    unsigned long lost;      /* steps */
    bool failed;             /* nothing more can be written; `error` says why */
    struct ipcl_error error; /* why writing failed */
    size_t used;             /* bytes in the buffer */
    char buffer[1 << 16];
};

/* What a step is called in the log. */
const char *trace_step_name(enum trace_step step);

/* Opens the file and writes its head. Returns 0 or -1 with `error` set. */
int trace_file_open(struct trace_file *file, struct ipcl_error *error);
/* Write: the process's name; a record, in a new file if this one is full; the number of lost
 * steps. */
void trace_file_name(struct trace_file *file, const char *name, int place);
void trace_file_record(struct trace_file *file, struct trace_ring *ring,
                       const struct trace_record *record);
void trace_file_lost(struct trace_file *file, unsigned long lost);
/* Writes the buffer. Returns 0, or -1 with `error` set; the file then ends with the last whole
 * line. */
int trace_file_flush(struct trace_file *file, struct ipcl_error *error);

#endif
