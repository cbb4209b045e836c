/* The Python kernel's own parts: which Python it is, frames as buffers, and the module that Python
 * code calls. */
#ifndef KERNELS_PYTHON_H
#define KERNELS_PYTHON_H

/* Programs that are no Python also load this plugin, to list it and to learn which Python it wants.
 * So Python's symbols are weak: they may be missing when the plugin is loaded. Every Python from
 * 3.11 on has them. */
#define PyAPI_FUNC(type) __attribute__((weak)) type
#define PyAPI_DATA(type) extern __attribute__((weak)) type
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <pthread.h>
#include <stdbool.h>
#include <time.h>

#include <ipcluster/kernel.h>

struct python_kernel {
    const struct ipcl_kernel_services *services;
    PyThreadState *state; /* the main thread's, while it does not hold the interpreter's lock */
    /* Functions of ipcluster.engine.kernel, looked up once. */
    PyObject *apply;
    PyObject *answer;
    PyObject *clear;
    PyObject *run;
    PyObject *integer;
    PyObject *bind;
    PyObject *flush;
    PyObject *describe;
    PyObject *info;
    PyObject *start;
    PyObject *run_file;
    pthread_t main_thread;
    pthread_mutex_t interrupting; /* guards the next six */
    timer_t interrupts; /* sends the main thread a signal until it has seen an interrupt */
    bool timed;         /* the timer exists */
    uint64_t request;   /* the newest that has begun */
    uint64_t early;     /* a request that was interrupted before it had begun */
    bool running;       /* user code: interrupts reach nothing else */
    bool interrupted;   /* and Python has not seen it yet */
    bool held;          /* only the main thread uses it: Python must not see an interrupt now */
};

/* python_command.c: the kernel's `command`. Without Python. */
char **python_command(const struct ipcl_services *services, const char *folder,
                      struct ipcl_error *error);

/* python_buffers.c. All need the interpreter's lock, except the buffers' release(). */
/* Prepares the type of received frames. Returns 0 or -1 with an exception. */
int python_buffers_start(void);
/* A request's buffers as a list: small ones copied to bytes, others memoryviews over the frames.
 * NULL with an exception. */
PyObject *python_buffers_in(const struct ipcl_kernel_services *services,
                            const struct ipcl_request *request);
/* Lends objects with a buffer to the host without a copy; *count is the list's length. Returns a
 * malloc'ed array, NULL with an exception. */
struct ipcl_buffer *python_buffers_out(PyObject *list, size_t *count);
/* Releases the buffers that the host has given back. */
void python_buffers_drain(void);

/* python_host.c: the module _ipcluster_host. */
extern struct python_kernel *python_kernel; /* the process's one; python_interrupt.c has it */
/* Makes the module importable. Returns 0 or -1 with an exception. */
int python_host_start(void);
/* JSON text to a json_t. NULL with an exception. */
json_t *python_json(PyObject *text);

/* python_interrupt.c. Main thread with the interpreter's lock, except python_interrupt(). */
/* Returns 0 or -1 with an exception. */
int python_interrupts_start(struct python_kernel *kernel);
void python_interrupts_stop(struct python_kernel *kernel);
/* The kernel's `interrupt`: any thread. */
void python_interrupt(void *self, uint64_t number);
void python_interrupts_hold(struct python_kernel *kernel, bool on);
/* User code begins and ends: interrupts reach it in between only. */
void python_running_begin(struct python_kernel *kernel, uint64_t number);
void python_running_end(struct python_kernel *kernel);

#endif
