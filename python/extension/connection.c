/* Connection: a client of a cluster. */
#include "extension.h"

#include <limits.h>
#include <stdlib.h>

/* While less is copied, nobody misses the interpreter's lock. */
#define COPIED_ALONE_BYTES ((size_t)1 << 20)

struct connection {
    PyObject_HEAD
    struct ipcl_client *client; /* NULL once closed */
};

PyObject *connection_connect(PyObject *module, PyObject *args, PyObject *keywords)
{
    static const char *const names[] = {"connection_file", "profile",    "profile_dir",
                                        "cluster_id",      "timeout",    "ssh_server",
                                        "ssh_key",         "drop_tasks", NULL};
    struct ipcl_connect options = {0};
    struct ipcl_error error;
    struct waiting waiting;
    double timeout = 0; /* the library's default */
    int drop_tasks = 0;
    (void)module;
    if (!PyArg_ParseTupleAndKeywords(args, keywords, "|zzzzdzzp", (char **)names,
                                     &options.connection_file, &options.profile,
                                     &options.profile_dir, &options.cluster_id, &timeout,
                                     &options.ssh_server, &options.ssh_key, &drop_tasks))
        return NULL;
    options.drop_tasks = drop_tasks;
    options.timeout_ms = timeout > 0 && timeout < INT_MAX / 1000 ? (int)(timeout * 1000)
                         : timeout > 0                           ? INT_MAX
                                                                 : 0;
    waiting_begin(&waiting);
    struct ipcl_client *client =
        ipcl_client_connect(&options, waiting_interrupted, &waiting, &error);
    waiting_end(&waiting);
    if (!client) {
        if (!PyErr_Occurred())
            PyErr_SetString(PyExc_ConnectionError, error.text);
        return NULL;
    }
    struct connection *self = PyObject_New(struct connection, connection_type);
    if (self)
        self->client = client;
    else
        ipcl_client_close(client);
    return (PyObject *)self;
}

static struct ipcl_client *open_client(PyObject *self)
{
    struct ipcl_client *client = ((struct connection *)self)->client;
    if (!client)
        PyErr_SetString(PyExc_ConnectionError, "the client is closed");
    return client;
}

/* A reference to the client, for code that runs Python code or does not have the interpreter's
 * lock: another thread may close the client meanwhile. */
static struct ipcl_client *hold_client(PyObject *self)
{
    struct ipcl_client *client = open_client(self);
    return client ? ipcl_client_hold(client) : NULL;
}

static PyObject *connection_close(PyObject *self, PyObject *unused)
{
    struct ipcl_client *client = ((struct connection *)self)->client;
    struct waiting waiting;
    (void)unused;
    ((struct connection *)self)->client = NULL;
    waiting_begin(&waiting);
    ipcl_client_close(client);
    waiting_end(&waiting);
    buffers_collect();
    Py_RETURN_NONE;
}

static void connection_dealloc(PyObject *self)
{
    Py_XDECREF(connection_close(self, NULL));
    object_free(self);
}

static PyObject *connection_engines(PyObject *self, PyObject *unused)
{
    struct ipcl_client *client = open_client(self);
    struct ipcl_error error;
    (void)unused;
    if (!client)
        return NULL;
    if (ipcl_client_check(client, &error)) {
        PyErr_SetString(PyExc_ConnectionError, error.text);
        return NULL;
    }
    size_t count = ipcl_client_engines(client, NULL, 0);
    struct ipcl_engine *engines = PyMem_Calloc(count ? count : 1, sizeof(*engines));
    if (!engines)
        return PyErr_NoMemory();
    size_t now = ipcl_client_engines(client, engines, count);
    count = now < count ? now : count;
    PyObject *list = PyList_New((Py_ssize_t)count);
    for (size_t i = 0; list && i < count; i++) {
        PyObject *pair = Py_BuildValue("(is)", engines[i].id, engines[i].uuid);
        if (!pair)
            Py_CLEAR(list);
        else
            PyList_SetItem(list, (Py_ssize_t)i, pair);
    }
    PyMem_Free(engines);
    return list;
}

static PyObject *connection_engine_info(PyObject *self, PyObject *args)
{
    struct ipcl_client *client = open_client(self);
    int id;
    if (!client || !PyArg_ParseTuple(args, "i", &id))
        return NULL;
    char *info = ipcl_client_engine_info(client, id);
    PyObject *text = PyUnicode_FromString(info ? info : "{}");
    free(info);
    return text;
}

static PyObject *connection_wait_for_engines(PyObject *self, PyObject *args)
{
    PyObject *seconds = Py_None;
    struct ipcl_error error;
    struct waiting waiting;
    Py_ssize_t count;
    if (!PyArg_ParseTuple(args, "n|O", &count, &seconds))
        return NULL;
    int timeout_ms = timeout_from(seconds);
    struct ipcl_client *client = timeout_ms == -2 ? NULL : hold_client(self);
    if (!client)
        return NULL;
    if (count < 0)
        count = 0;
    waiting_begin(&waiting);
    int status = ipcl_client_wait_for_engines(client, (size_t)count, timeout_ms,
                                              waiting_interrupted, &waiting, &error);
    bool closed = ipcl_client_closed(client);
    ipcl_client_release(client);
    waiting_end(&waiting);
    if (!status)
        Py_RETURN_NONE;
    if (!PyErr_Occurred())
        PyErr_SetString(closed ? PyExc_ConnectionError : PyExc_TimeoutError, error.text);
    return NULL;
}

/* Text of a str, or NULL for None; false with an exception set for anything else. */
static bool text_of(PyObject *object, const char **text)
{
    *text = object == Py_None ? NULL : PyUnicode_AsUTF8AndSize(object, NULL);
    return *text || object == Py_None;
}

/* Gives the interpreter's lock away while much is copied. `list` had the buffers. */
struct copying {
    PyObject *held; /* small buffers are its members' */
    PyThreadState *state;
};

static void copying_begin(struct copying *copying, const struct ipcl_submission *request,
                          PyObject *list)
{
    size_t bytes = 0;
    for (size_t i = 0; i < request->buffer_count; i++)
        bytes += request->buffers[i].size;
    copying->held = bytes >= COPIED_ALONE_BYTES ? PyList_AsTuple(list) : NULL;
    PyErr_Clear();
    copying->state = copying->held ? PyEval_SaveThread() : NULL;
}

static void copying_end(struct copying *copying)
{
    if (copying->state)
        PyEval_RestoreThread(copying->state);
    Py_XDECREF(copying->held);
}

/* Submits a request with the buffers in a list. NULL with an exception set. */
static struct ipcl_future *submit_list(struct ipcl_client *client, struct ipcl_submission *request,
                                       PyObject *list)
{
    struct ipcl_error error;
    struct copying copying;
    struct ipcl_buffer *buffers = buffers_from(list, &request->buffer_count);
    if (!buffers)
        return NULL;
    request->buffers = buffers;
    copying_begin(&copying, request, list);
    struct ipcl_future *future = ipcl_submit(client, request, &error);
    copying_end(&copying);
    if (!future)
        PyErr_SetString(ipcl_client_closed(client) ? PyExc_ConnectionError : PyExc_ValueError,
                        error.text);
    free(buffers);
    return future;
}

static PyObject *connection_submit(PyObject *self, PyObject *const *args, Py_ssize_t count)
{
    struct ipcl_submission request = {0};
    if (count != 6 || !PyList_Check(args[5])) {
        PyErr_SetString(PyExc_TypeError,
                        "submit(channel, engine_id, msg_type, content, metadata, buffers: list)");
        return NULL;
    }
    request.channel = (enum ipcl_channel)PyLong_AsLong(args[0]);
    request.engine_id = (int)PyLong_AsLong(args[1]);
    if (PyErr_Occurred() || !text_of(args[2], &request.msg_type) ||
        !text_of(args[3], &request.content) || !text_of(args[4], &request.metadata))
        return NULL;
    if (!request.msg_type) {
        PyErr_SetString(PyExc_TypeError, "msg_type must be a str");
        return NULL;
    }
    buffers_collect();
    struct ipcl_client *client = hold_client(self);
    struct ipcl_future *future = client ? submit_list(client, &request, args[5]) : NULL;
    ipcl_client_release(client);
    return future ? future_wrap(future) : NULL;
}

static PyObject *connection_submit_tasks(PyObject *self, PyObject *args)
{
    struct ipcl_submission request = {.channel = IPCL_CHANNEL_TASK};
    PyObject *requests, *futures;
    if (!PyArg_ParseTuple(args, "szO!O!", &request.msg_type, &request.metadata, &PyList_Type,
                          &requests, &PyList_Type, &futures))
        return NULL;
    buffers_collect();
    struct ipcl_client *client = hold_client(self);
    bool submitted = client;
    for (Py_ssize_t i = 0; submitted && i < PyList_Size(requests); i++) {
        PyObject *list = Py_NewRef(PyList_GetItem(requests, i)), *wrapped = NULL;
        struct ipcl_future *future = NULL;
        if (PyList_Check(list))
            future = submit_list(client, &request, list);
        else
            PyErr_SetString(PyExc_TypeError, "a request's buffers are a list");
        if (future)
            wrapped = future_wrap(future);
        submitted = wrapped && !PyList_Append(futures, wrapped);
        Py_XDECREF(wrapped);
        Py_DECREF(list);
    }
    ipcl_client_release(client);
    return submitted ? Py_NewRef(Py_None) : NULL;
}

/* Makes a list of futures, and takes over the references to them. */
static PyObject *list_of(struct ipcl_future **futures, Py_ssize_t count)
{
    PyObject *list = PyList_New(count);
    for (Py_ssize_t i = 0; i < count; i++) {
        PyObject *future = list ? future_wrap(futures[i]) : NULL;
        if (future)
            PyList_SetItem(list, i, future);
        else if (list)
            Py_CLEAR(list);
        else
            ipcl_future_release(futures[i]);
    }
    return list;
}

/* The engines' ids as a malloc'ed array; NULL with an exception set. */
static int *ids_from(PyObject *list, size_t *count)
{
    PyObject *objects = PyList_AsTuple(list); /* an object's __index__() may change the list */
    Py_ssize_t size = objects ? PyTuple_Size(objects) : 0;
    int *ids = objects ? PyMem_Calloc((size_t)size + 1, sizeof(*ids)) : NULL;
    if (objects && !ids)
        PyErr_NoMemory();
    for (Py_ssize_t i = 0; ids && !PyErr_Occurred() && i < size; i++)
        ids[i] = (int)PyLong_AsLong(PyTuple_GetItem(objects, i));
    Py_XDECREF(objects);
    *count = (size_t)size;
    if (ids && PyErr_Occurred()) {
        PyMem_Free(ids);
        return NULL;
    }
    return ids;
}

typedef int submit_to_engines(struct ipcl_client *client, const struct ipcl_submission *submission,
                              const int *engine_ids, size_t count, struct ipcl_future **futures,
                              struct ipcl_error *error);

static PyObject *submit_to(PyObject *self, PyObject *args, submit_to_engines *submit)
{
    struct ipcl_submission request = {.channel = IPCL_CHANNEL_DIRECT};
    struct ipcl_error error;
    PyObject *engines, *sequence, *list = NULL;
    size_t count;
    if (!PyArg_ParseTuple(args, "O!szzO!", &PyList_Type, &engines, &request.msg_type,
                          &request.content, &request.metadata, &PyList_Type, &sequence))
        return NULL;
    struct ipcl_client *client = hold_client(self);
    if (!client)
        return NULL;
    int *ids = ids_from(engines, &count);
    struct ipcl_future **futures =
        ids ? PyMem_Calloc(count + 1, sizeof(struct ipcl_future *)) : NULL;
    buffers_collect();
    struct ipcl_buffer *buffers =
        ids && futures ? buffers_from(sequence, &request.buffer_count) : NULL;
    if (buffers) {
        struct copying copying;
        request.buffers = buffers;
        copying_begin(&copying, &request, sequence);
        int status = submit(client, &request, ids, count, futures, &error);
        copying_end(&copying);
        if (!status)
            list = list_of(futures, (Py_ssize_t)count);
        else
            PyErr_SetString(ipcl_client_closed(client) ? PyExc_ConnectionError : PyExc_ValueError,
                            error.text);
        free(buffers);
    } else if (!PyErr_Occurred()) {
        PyErr_NoMemory();
    }
    ipcl_client_release(client);
    PyMem_Free(ids);
    PyMem_Free(futures);
    return list;
}

static PyObject *connection_submit_each(PyObject *self, PyObject *args)
{
    return submit_to(self, args, ipcl_submit_each);
}

static PyObject *connection_broadcast(PyObject *self, PyObject *args)
{
    return submit_to(self, args, ipcl_broadcast);
}

static PyObject *connection_fetch(PyObject *self, PyObject *args)
{
    struct ipcl_client *client = open_client(self);
    struct ipcl_error error;
    const char *msg_id;
    if (!client || !PyArg_ParseTuple(args, "s", &msg_id))
        return NULL;
    struct ipcl_future *future = ipcl_fetch(client, msg_id, &error);
    if (future)
        return future_wrap(future);
    PyErr_SetString(ipcl_client_closed(client) ? PyExc_ConnectionError : PyExc_ValueError,
                    error.text);
    return NULL;
}

static PyObject *connection_get_closed(PyObject *self, void *unused)
{
    struct ipcl_client *client = ((struct connection *)self)->client;
    (void)unused;
    return PyBool_FromLong(!client || ipcl_client_closed(client));
}

static PyObject *connection_get_refused(PyObject *self, void *unused)
{
    struct ipcl_client *client = open_client(self);
    (void)unused;
    return client ? PyLong_FromUnsignedLongLong(ipcl_client_refused(client)) : NULL;
}

static PyObject *connection_get_file(PyObject *self, void *unused)
{
    struct ipcl_client *client = open_client(self);
    (void)unused;
    return client ? PyUnicode_DecodeFSDefault(ipcl_client_connection_file(client)) : NULL;
}

static PyMethodDef connection_methods[] = {
    {"close", connection_close, METH_NOARGS,
     "End the connection; what is open resolves with an error."},
    {"engines", connection_engines, METH_NOARGS, "The registered engines: a list of (id, uuid)."},
    {"engine_info", connection_engine_info, METH_VARARGS,
     "engine_info(id): what an engine said of itself, as JSON text."},
    {"wait_for_engines", connection_wait_for_engines, METH_VARARGS,
     "wait_for_engines(count, timeout=None)"},
    {"submit", (PyCFunction)(void (*)(void))connection_submit, METH_FASTCALL,
     "submit(channel, engine_id, msg_type, content, metadata, buffers) -> Future"},
    {"submit_tasks", connection_submit_tasks, METH_VARARGS,
     "submit_tasks(msg_type, metadata, [buffers of each task], futures): appends a Future of each "
     "that was submitted, also if another cannot be"},
    {"submit_each", connection_submit_each, METH_VARARGS,
     "submit_each(engine_ids, msg_type, content, metadata, buffers) -> [Future of each engine]"},
    {"broadcast", connection_broadcast, METH_VARARGS,
     "broadcast(engine_ids, msg_type, content, metadata, buffers) -> [Future of each engine]"},
    {"fetch", connection_fetch, METH_VARARGS,
     "fetch(msg_id) -> Future: the result that the hub has, or will have, of a request"},
    {NULL},
};

static PyGetSetDef connection_attributes[] = {
    {"closed", connection_get_closed, NULL, "Whether it was closed, or has lost its controller.",
     NULL},
    {"refused", connection_get_refused, NULL,
     "How many messages were dropped because they did not verify.", NULL},
    {"connection_file", connection_get_file, NULL, "The file that was read to connect.", NULL},
    {NULL},
};

PyTypeObject *connection_type;
PyType_Spec connection_spec = {
    .name = "ipcluster._client.Connection",
    .basicsize = sizeof(struct connection),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = (PyType_Slot[]){{Py_tp_doc, (char *)"A connection to a cluster; made by connect()."},
                             {Py_tp_dealloc, connection_dealloc},
                             {Py_tp_methods, connection_methods},
                             {Py_tp_getset, connection_attributes},
                             {0, NULL}},
};
