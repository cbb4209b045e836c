/* Future: one request's result and output. */
#include "extension.h"

#include <string.h>
#include <time.h>

struct future {
    PyObject_HEAD
    struct ipcl_future *future;
    PyObject *weak_references;
    PyObject *msg_id; /* made when it is first needed, and then the same object for all */
};

PyObject *future_wrap(struct ipcl_future *future)
{
    struct future *self = PyObject_New(struct future, future_type);
    if (!self) {
        ipcl_future_release(future);
        return NULL;
    }
    self->future = future;
    self->weak_references = self->msg_id = NULL;
    return (PyObject *)self;
}

struct ipcl_future *future_of(PyObject *object)
{
    if (Py_IS_TYPE(object, future_type))
        return ((struct future *)object)->future;
    PyErr_Format(PyExc_TypeError, "a Future is expected, not %R", object);
    return NULL;
}

static void future_dealloc(PyObject *self)
{
    if (((struct future *)self)->weak_references)
        PyObject_ClearWeakRefs(self);
    ipcl_future_release(((struct future *)self)->future);
    Py_XDECREF(((struct future *)self)->msg_id);
    object_free(self);
}

/* The result; NULL with an exception set while there is none. */
static const struct ipcl_result *result_of(PyObject *self)
{
    const struct ipcl_result *result = ipcl_future_result(((struct future *)self)->future);
    if (!result)
        PyErr_SetString(PyExc_TimeoutError, "the result is not ready");
    return result;
}

static PyObject *future_ready(PyObject *self, PyObject *unused)
{
    (void)unused;
    return PyBool_FromLong(ipcl_future_ready(((struct future *)self)->future));
}

void future_set_forked(void)
{
    PyErr_SetString(
        PyExc_ConnectionError,
        "this was submitted before a fork, by the parent of this process, and resolves there only");
}

/* Converts the result of a wait to a bool. NULL if the wait was interrupted, with the exception set
 * that interrupted it. */
static PyObject *from_wait(int status)
{
    buffers_collect();
    if (status == 2 && PyErr_Occurred())
        return NULL;
    if (status == 3) {
        future_set_forked();
        return NULL;
    }
    return PyBool_FromLong(status == 0);
}

static PyObject *future_wait(PyObject *self, PyObject *args)
{
    PyObject *seconds = Py_None;
    struct waiting waiting;
    if (!PyArg_ParseTuple(args, "|O", &seconds))
        return NULL;
    int timeout_ms = timeout_from(seconds);
    if (timeout_ms == -2)
        return NULL;
    waiting_begin(&waiting);
    int status = ipcl_future_wait(((struct future *)self)->future, timeout_ms, waiting_interrupted,
                                  &waiting);
    waiting_end(&waiting);
    return from_wait(status);
}

static PyObject *future_buffers(PyObject *self, PyObject *unused)
{
    const struct ipcl_result *result = result_of(self);
    (void)unused;
    return result ? buffers_to_list(self, result->buffers, result->buffer_count) : NULL;
}

static const struct ipcl_output *output_at(const struct ipcl_future *future, Py_ssize_t index)
{
    const struct ipcl_output *output = NULL;
    while (index-- > 0) {
        const struct ipcl_output *next = ipcl_future_output(future, output);
        if (!next)
            break;
        output = next;
    }
    return output;
}

static PyObject *future_outputs(PyObject *self, PyObject *args)
{
    const struct ipcl_future *future = ((struct future *)self)->future;
    Py_ssize_t start = 0;
    if (!PyArg_ParseTuple(args, "|n", &start))
        return NULL;
    PyObject *list = PyList_New(0);
    const struct ipcl_output *output = output_at(future, start);
    while (list && (output = ipcl_future_output(future, output))) {
        PyObject *buffers = buffers_to_list(self, output->buffers, output->buffer_count);
        PyObject *entry = buffers ? Py_BuildValue("(sssN)", output->msg_type, output->content,
                                                  output->metadata, buffers)
                                  : NULL;
        if (!entry || PyList_Append(list, entry))
            Py_CLEAR(list);
        Py_XDECREF(entry);
    }
    return list;
}

static PyObject *future_output_complete(PyObject *self, PyObject *unused)
{
    (void)unused;
    return PyBool_FromLong(ipcl_future_output_complete(((struct future *)self)->future));
}

static PyObject *future_output_missing(PyObject *self, PyObject *unused)
{
    (void)unused;
    return PyLong_FromLongLong(ipcl_future_output_missing(((struct future *)self)->future));
}

static PyObject *future_wait_output(PyObject *self, PyObject *args)
{
    struct ipcl_future *future = ((struct future *)self)->future;
    PyObject *seconds = Py_None;
    struct waiting waiting;
    Py_ssize_t seen;
    if (!PyArg_ParseTuple(args, "n|O", &seen, &seconds))
        return NULL;
    int timeout_ms = timeout_from(seconds);
    if (timeout_ms == -2)
        return NULL;
    const struct ipcl_output *previous = output_at(future, seen);
    waiting_begin(&waiting);
    int status =
        ipcl_future_wait_output(future, previous, timeout_ms, waiting_interrupted, &waiting);
    waiting_end(&waiting);
    return from_wait(status);
}

static PyObject *get_msg_id(PyObject *object, void *unused)
{
    struct future *self = (struct future *)object;
    (void)unused;
    if (!self->msg_id)
        self->msg_id = PyUnicode_FromString(ipcl_future_id(self->future));
    return Py_XNewRef(self->msg_id);
}

static PyObject *get_status(PyObject *self, void *unused)
{
    const struct ipcl_result *result = result_of(self);
    (void)unused;
    return result ? PyLong_FromLong(result->status) : NULL;
}

static PyObject *get_channel(PyObject *self, void *unused)
{
    int engine_id;
    (void)unused;
    return PyLong_FromLong(ipcl_future_sent_to(((struct future *)self)->future, &engine_id));
}

static PyObject *get_target(PyObject *self, void *unused)
{
    int engine_id;
    (void)unused;
    ipcl_future_sent_to(((struct future *)self)->future, &engine_id);
    return engine_id < 0 ? Py_NewRef(Py_None) : PyLong_FromLong(engine_id);
}

static PyObject *get_engine_id(PyObject *self, void *unused)
{
    const struct ipcl_result *result = result_of(self);
    (void)unused;
    if (!result)
        return NULL;
    return result->engine_id < 0 ? Py_NewRef(Py_None) : PyLong_FromLong(result->engine_id);
}

/* Attributes that are texts of the result, by their offset in it. */
static PyObject *get_text(PyObject *self, void *offset)
{
    const struct ipcl_result *result = result_of(self);
    if (!result)
        return NULL;
    const char *text = *(const char *const *)((const char *)result + (size_t)offset);
    return PyUnicode_DecodeUTF8(text, (Py_ssize_t)strlen(text), "replace");
}

static PyObject *get_submitted(PyObject *self, void *unused)
{
    const struct ipcl_future *future = ((struct future *)self)->future;
    const struct ipcl_result *result = ipcl_future_result(future);
    (void)unused;
    /* The hub knows it for a result that was fetched. */
    return PyFloat_FromDouble(result && result->submitted ? result->submitted
                                                          : ipcl_future_submitted(future));
}

static PyObject *get_received(PyObject *self, void *unused)
{
    const struct ipcl_result *result = result_of(self);
    (void)unused;
    return result ? PyFloat_FromDouble(result->received) : NULL;
}

#define TEXT(name, doc)                                                                            \
    {                                                                                              \
#name, get_text, NULL, doc, (void *)offsetof(struct ipcl_result, name)                     \
    }
static PyGetSetDef future_attributes[] = {
    {"msg_id", get_msg_id, NULL, "The identifier of the request.", NULL},
    {"channel", get_channel, NULL, "How it was sent: DIRECT, TASK, BROADCAST, CONTROL or HUB.",
     NULL},
    {"target", get_target, NULL, "The engine that it was sent to, or None.", NULL},
    {"status", get_status, NULL, "OK, FAILED or ABORTED.", NULL},
    {"engine_id", get_engine_id, NULL, "The engine that answered, or None.", NULL},
    TEXT(engine_uuid, "The uuid of the engine that answered, or ''."),
    TEXT(msg_type, "The reply's type."),
    TEXT(header, "The reply's header, as JSON."),
    TEXT(metadata, "The reply's metadata, as JSON."),
    TEXT(content, "The reply's content, as JSON."),
    TEXT(error, "One sentence on what failed, or ''."),
    {"submitted", get_submitted, NULL,
     "When the request was submitted, in seconds since the epoch.", NULL},
    {"received", get_received, NULL, "When the reply came, in seconds since the epoch.", NULL},
    {NULL},
};

static PyMethodDef future_methods[] = {
    {"ready", future_ready, METH_NOARGS, "Whether there is a result."},
    {"wait", future_wait, METH_VARARGS, "wait(timeout=None) -> whether there is a result"},
    {"buffers", future_buffers, METH_NOARGS,
     "The reply's buffers: bytes, or memoryviews of the received frames."},
    {"outputs", future_outputs, METH_VARARGS,
     "outputs(start=0) -> [(msg_type, content, metadata, buffers), ...]: what was published so "
     "far"},
    {"output_complete", future_output_complete, METH_NOARGS,
     "Whether no more output is waited for."},
    {"output_missing", future_output_missing, METH_NOARGS,
     "How many messages of output have not come though all should have; -1: the engine did not say "
     "how many there are."},
    {"wait_output", future_wait_output, METH_VARARGS,
     "wait_output(seen, timeout=None): until there is more output than `seen` entries, or it is "
     "complete"},
    {NULL},
};

static PyMemberDef future_members[] = {
    {"__weaklistoffset__", T_PYSSIZET, offsetof(struct future, weak_references), READONLY, NULL},
    {NULL},
};

PyTypeObject *future_type;
PyType_Spec future_spec = {
    .name = "ipcluster._client.Future",
    .basicsize = sizeof(struct future),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = (PyType_Slot[]){{Py_tp_doc, (char *)"What a request will have resolved to."},
                             {Py_tp_dealloc, future_dealloc},
                             {Py_tp_methods, future_methods},
                             {Py_tp_getset, future_attributes},
                             {Py_tp_members, future_members},
                             {0, NULL}},
};

static long long now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000LL + now.tv_nsec / 1000000;
}

/* The last ones first: they usually resolve last, so that this thread wakes seldom. */
static int wait_for_all(PyObject *futures, int timeout_ms)
{
    struct waiting waiting;
    long long deadline = now_ms() + timeout_ms;
    int status = 0;
    waiting_begin(&waiting);
    for (Py_ssize_t i = PyTuple_Size(futures); !status && i > 0; i--) {
        struct ipcl_future *future = ((struct future *)PyTuple_GetItem(futures, i - 1))->future;
        if (ipcl_future_ready(future))
            continue;
        int left = -1;
        if (timeout_ms >= 0) {
            long long rest = deadline - now_ms();
            left = rest > 0 ? (int)rest : 0;
        }
        status = ipcl_future_wait(future, left, waiting_interrupted, &waiting);
    }
    waiting_end(&waiting);
    return status;
}

/* If there is nothing to wait for, the interpreter's lock need not be released. */
static bool are_ready(PyObject *futures)
{
    for (Py_ssize_t i = PyTuple_Size(futures); i > 0; i--)
        if (!ipcl_future_ready(((struct future *)PyTuple_GetItem(futures, i - 1))->future))
            return false;
    return true;
}

static PyObject *module_wait_all(PyObject *module, PyObject *args)
{
    PyObject *sequence, *seconds = Py_None;
    (void)module;
    if (!PyArg_ParseTuple(args, "O|O", &sequence, &seconds))
        return NULL;
    int timeout_ms = timeout_from(seconds);
    if (timeout_ms == -2)
        return NULL;
    PyObject *futures = PySequence_Tuple(sequence);
    if (!futures)
        return NULL;
    for (Py_ssize_t i = 0; i < PyTuple_Size(futures); i++) {
        if (!future_of(PyTuple_GetItem(futures, i))) {
            Py_DECREF(futures);
            return NULL;
        }
    }
    int status = are_ready(futures) ? 0 : wait_for_all(futures, timeout_ms);
    Py_DECREF(futures);
    return from_wait(status);
}

static PyObject *module_count_ready(PyObject *module, PyObject *list)
{
    Py_ssize_t ready = 0;
    (void)module;
    if (!PyList_Check(list)) {
        PyErr_SetString(PyExc_TypeError, "a list of futures is expected");
        return NULL;
    }
    for (Py_ssize_t i = 0; i < PyList_Size(list); i++) {
        struct ipcl_future *future = future_of(PyList_GetItem(list, i));
        if (!future)
            return NULL;
        ready += ipcl_future_ready(future);
    }
    return PyLong_FromSsize_t(ready);
}

PyMethodDef future_functions[] = {
    {"wait_all", module_wait_all, METH_VARARGS,
     "wait_all(futures, timeout=None) -> whether all have results"},
    {"count_ready", module_count_ready, METH_O,
     "count_ready(list of futures) -> how many have results"},
    {NULL},
};
