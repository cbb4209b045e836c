/* The trace of a program that has clients. Any thread. */
#ifndef CLIENT_TRACING_PRIVATE_H
#define CLIENT_TRACING_PRIVATE_H

#include <ipcluster/error.h>

/* Begins the trace that the environment asks for, once a process. Returns 0 or -1 with `error`
 * set. */
int client_trace_by_environment(struct ipcl_error *error);

#endif
