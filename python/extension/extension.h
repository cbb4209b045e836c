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
/* Ends what is of one of these types: frees its memory. */
void object_free(PyObject *self);

/* Waiting: releases the interpreter's lock, and takes it every 100 ms to see whether Ctrl-C was
 * typed. */
struct waiting {
    PyThreadState *thread;
};
void waiting_begin(struct waiting *waiting);
void waiting_end(struct waiting *waiting);
bool waiting_interrupted(void *context); /* a struct waiting */
/* Milliseconds of a timeout in seconds, where None and negative ones mean no limit. Returns -2 with
 * an exception set for what is no number. */
int timeout_from(PyObject *seconds);

/* Makes buffers of a list's members. Returns a malloc'ed array, or NULL with an exception set. */
struct ipcl_buffer *buffers_from(PyObject *list, size_t *count);
/* Gives back Python objects whose memory has been sent: libzmq's threads put them aside, as they
 * have no interpreter's lock. */
void buffers_collect(void);
/* A list of bytes objects (small ones) and memoryviews, which keep `owner`. */
PyObject *buffers_to_list(PyObject *owner, const struct ipcl_buffer *buffers, size_t count);

/* Takes over a hold. */
PyObject *future_wrap(struct ipcl_future *future);
/* NULL with an exception set where `object` is no future. */
struct ipcl_future *future_of(PyObject *object);
extern PyMethodDef future_functions[]; /* of the module */
/* Sets the exception of who waits for a future of the parent's in a child that was forked. */
void future_set_forked(void);

PyObject *connection_connect(PyObject *module, PyObject *args, PyObject *keywords);

#endif
