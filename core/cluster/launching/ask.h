/* Runs a program with text on its standard input, and reads its standard output. */
#ifndef CLUSTER_LAUNCHING_ASK_H
#define CLUSTER_LAUNCHING_ASK_H

#include <ipcluster/error.h>

/* Runs a program to its end; its standard error is this process's. Returns its output, malloc'ed
 * and ended by NUL, and its exit code in *status (-1 if a signal ended it); NULL with `error` set
 * if it cannot be run. */
char *ask_program(const char *const *argv, const char *input, int *status,
                  struct ipcl_error *error);

#endif
