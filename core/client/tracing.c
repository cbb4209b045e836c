/* The trace of a program that has clients (base/trace.h): one for all of them. Any thread. */
#include "client/tracing_private.h"

#include <stdatomic.h>
#include <unistd.h>

#include <ipcluster/client.h>

#include "base/trace.h"

#define PROGRAM "client" /* the beginning of a file's name, and the process in the picture */

int ipcl_trace(const char *path, struct ipcl_error *error)
{
    if (path)
        return trace_start(PROGRAM, path, TRACE_BYTES_MAX, error);
    trace_stop();
    return 0;
}

int client_trace_by_environment(struct ipcl_error *error)
{
    static atomic_int asked; /* the process that has looked */
    int before = atomic_exchange(&asked, (int)getpid());
    return before == (int)getpid() || trace_is_on()
               ? 0
               : trace_start_by_environment(PROGRAM, TRACE_BYTES_MAX, error);
}
