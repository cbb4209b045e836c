/* Reads what a batch system's commands print: ids of jobs, and their states. */
#ifndef CLUSTER_BATCH_BATCH_QUERY_H
#define CLUSTER_BATCH_BATCH_QUERY_H

#include <stdbool.h>
#include <stddef.h>

#include <ipcluster/batch.h>
#include <ipcluster/error.h>

#define BATCH_ID_BYTES   128
#define BATCH_TEXT_BYTES 200

/* One job, as it was printed. */
struct batch_record {
    char id[BATCH_ID_BYTES];
    enum ipcl_batch_phase phase;
    char text[BATCH_TEXT_BYTES]; /* what it waits for, or how it ended; "" where there is nothing to
                                    say */
    int status;                  /* of one that ended, as a shell has it: 128 and the signal */
    bool cut_short;              /* likewise: not by what it ran */
    char state[64];              /* the word for its state, as printed; "" where none is found */
    bool known;                  /* it is one of the table */
};

/* Finds a job's id: the group of the expression, or where that is 0 its first group, or the whole.
 * Returns 0, or -1 with `error` set where there is none, or the expression is wrong. */
int batch_read_id(const char *expression, unsigned group, const char *text, char id[BATCH_ID_BYTES],
                  struct ipcl_error *error);
/* Returns 0, or -1 with `error` set where it is no regular expression. */
int batch_check_expression(const char *expression, struct ipcl_error *error);
/* Whether an expression matches somewhere in a text. */
bool batch_matches(const char *expression, const char *text);
/* Calls `each` for every job that was printed; stops where it returns true. Returns 0, or -1 with
 * `error` set where an expression of the table is wrong. */
int batch_read(const struct ipcl_batch_system *system, const struct ipcl_batch_query *query,
               const char *text, bool (*each)(void *context, const struct batch_record *record),
               void *context, struct ipcl_error *error);
/* What a command printed, as one line of at most `size` bytes. */
void batch_one_line(const char *text, char *line, size_t size);

#endif
