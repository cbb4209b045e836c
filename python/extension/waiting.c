/* What the module's types share: waiting, time-outs, and the end of an object. */
#include "extension.h"

#include <limits.h>
#include <math.h>

void waiting_begin(struct waiting *waiting)
{
    waiting->thread = PyEval_SaveThread();
}

void waiting_end(struct waiting *waiting)
{
    PyEval_RestoreThread(waiting->thread);
}

bool waiting_interrupted(void *context)
{
    struct waiting *waiting = context;
    PyEval_RestoreThread(waiting->thread);
    bool interrupted = PyErr_CheckSignals() < 0;
    waiting->thread = PyEval_SaveThread();
    return interrupted;
}

int timeout_from(PyObject *seconds)
{
    if (seconds == Py_None)
        return -1;
    double value = PyFloat_AsDouble(seconds);
    if (value == -1.0 && PyErr_Occurred())
        return -2;
    if (isnan(value)) {
        PyErr_SetString(PyExc_ValueError, "a time-out is a number of seconds, or None");
        return -2;
    }
    if (value < 0 || value > INT_MAX / 1000)
        return -1;
    return (int)(value * 1000);
}

void object_free(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    PyObject_Free(self);
    Py_DECREF(type);
}
