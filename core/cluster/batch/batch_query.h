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
    char text[BATCH_TEXT_BYTES]; /* what it waits for, or how it ended; "": nothing to say */
    int status;                  /* if it has ended: as a shell has it, 128 plus the signal */
    bool cut_short;              /* if it has ended: for another reason than what it ran */
    char state[64];              /* the word for its state, as printed; "": none was found */
    bool known;                  /* the table has this word */
};

/* Finds a job's id: the given group of the expression. If `group` is 0, it is the first group, or
 * the whole match. Returns 0, or -1 with `error` set if there is none, or the expression is
 * wrong. */
int batch_read_id(const char *expression, unsigned group, const char *text, char id[BATCH_ID_BYTES],
                  struct ipcl_error *error);
/* Returns 0, or -1 with `error` set if it is not a regular expression. */
int batch_check_expression(const char *expression, struct ipcl_error *error);
/* Whether an expression matches somewhere in a text. */
bool batch_matches(const char *expression, const char *text);
/* Calls `each` for every job that was printed, until it returns true. Returns 0, or -1 with `error`
 * set if an expression of the table is wrong. */
int batch_read(const struct ipcl_batch_system *system, const struct ipcl_batch_query *query,
               const char *text, bool (*each)(void *context, const struct batch_record *record),
               void *context, struct ipcl_error *error);
/* What a command printed, as one line of at most `size` bytes. */
void batch_one_line(const char *text, char *line, size_t size);

#endif
