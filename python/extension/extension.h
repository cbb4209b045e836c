/* ipcluster._client: the Python face of libipcluster. It adds no protocol: it turns objects into
 * calls and results into objects.
 *
 * Threads: everything here runs with the interpreter's lock, except what is said to run in the
 * library's I/O thread or libzmq's. */
#ifndef EXTENSION_H
#define EXTENSION_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <structmember.h>

#include <ipcluster/client.h>

extern PyTypeObject *connection_type, *future_type, *frame_type, *completions_type;
extern PyType_Spec connection_spec, future_spec, frame_spec, completions_spec;

/* waiting.c: */
/* Waiting: releases the interpreter's lock, and takes it every 100 ms to see whether Ctrl-C was
 * typed. */
struct waiting {
    PyThreadState *thread;
};
void waiting_begin(struct waiting *waiting);
void waiting_end(struct waiting *waiting);
bool waiting_interrupted(void *context); /* a struct waiting */
/* Converts a timeout in seconds to milliseconds; None and negative numbers mean no limit. Returns
 * -2 with an exception set if it is not a number. */
int timeout_from(PyObject *seconds);
/* Frees an object of one of these types. */
void object_free(PyObject *self);

/* buffers.c: */
/* Makes buffers from the members of a list. Returns a malloc'ed array, or NULL with an exception
 * set. */
struct ipcl_buffer *buffers_from(PyObject *list, size_t *count);
/* Releases Python objects whose memory has been sent. libzmq's threads put them aside for this,
 * because they do not have the interpreter's lock. */
void buffers_collect(void);
/* A list of bytes objects (small ones) and memoryviews, which keep `owner`. */
PyObject *buffers_to_list(PyObject *owner, const struct ipcl_buffer *buffers, size_t count);

/* future.c: */
/* Takes over a reference. */
PyObject *future_wrap(struct ipcl_future *future);
/* NULL with an exception set if `object` is not a future. */
struct ipcl_future *future_of(PyObject *object);
extern PyMethodDef future_functions[]; /* functions of the module */
/* In a forked child: sets the exception for code that waits for a future of the parent's. */
void future_set_forked(void);

/* connection.c */
PyObject *connection_connect(PyObject *module, PyObject *args, PyObject *keywords);

#endif
