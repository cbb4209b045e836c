/* Asking a program something: text to its standard input, its standard output back. */
#ifndef CLUSTER_LAUNCHING_ASK_H
#define CLUSTER_LAUNCHING_ASK_H

#include <ipcluster/error.h>

/* Runs a program to its end; what it writes to standard error is not kept from the user. Returns
 * its output, malloc'ed and ended by NUL, and its exit code in *status (-1 where a signal ended
 * it); NULL with `error` set where it cannot be run. */
char *ask_program(const char *const *argv, const char *input, int *status,
                  struct ipcl_error *error);

#endif
