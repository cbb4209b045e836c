/* The module _ipcluster_host: what the Python half of the kernel asks of the engine. */
#include "python.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>

#include "base/trust.h"

json_t *python_json(PyObject *text)
{
    char *data;
    Py_ssize_t size;
    json_error_t reason;
    if (PyBytes_AsStringAndSize(text, &data, &size))
        return NULL;
    json_t *value = json_loadb(data, (size_t)size, JSON_ALLOW_NUL | JSON_DECODE_ANY, &reason);
    if (!value)
        PyErr_Format(PyExc_ValueError, "not JSON: %s", reason.text);
    return value;
}

/* publish(msg_type, content, metadata, buffers): content and metadata are JSON text as bytes,
 * metadata or None. */
static PyObject *host_publish(PyObject *self, PyObject *args)
{
    const char *msg_type;
    PyObject *content_text, *metadata_text, *list;
    (void)self;
    if (!PyArg_ParseTuple(args, "sOOO", &msg_type, &content_text, &metadata_text, &list))
        return NULL;
    json_t *content = python_json(content_text);
    json_t *metadata = content && metadata_text != Py_None ? python_json(metadata_text) : NULL;
    size_t count = 0;
    struct ipcl_buffer *buffers = PyErr_Occurred() ? NULL : python_buffers_out(list, &count);
    if (!buffers) {
        json_decref(content);
        json_decref(metadata);
        return NULL;
    }
    fflush(stdout);
    const struct ipcl_kernel_services *services = python_kernel->services;
    services->publish(services->base.host, msg_type, content, metadata, buffers, count);
    free(buffers);
    Py_RETURN_NONE;
}

static PyObject *host_engine(PyObject *self, PyObject *none)
{
    const struct ipcl_kernel_services *services = python_kernel->services;
    (void)self;
    (void)none;
    return Py_BuildValue("sL", services->engine_uuid,
                         (long long)services->engine_id(services->base.host));
}

static PyObject *host_finished(PyObject *self, PyObject *none)
{
    (void)self;
    (void)none;
    python_running_end(python_kernel);
    Py_RETURN_NONE;
}

static PyObject *host_hold_interrupts(PyObject *self, PyObject *hold)
{
    (void)self;
    python_interrupts_hold(python_kernel, hold == Py_True);
    Py_RETURN_NONE;
}

static PyObject *host_log(PyObject *self, PyObject *text)
{
    const struct ipcl_kernel_services *services = python_kernel->services;
    const char *line = PyUnicode_AsUTF8AndSize(text, NULL);
    (void)self;
    if (!line)
        return NULL;
    services->base.log(services->base.host, IPCL_LOG_WARN, line);
    Py_RETURN_NONE;
}

/* open(path): a descriptor, for reading, of a file that nobody else can change. */
static PyObject *host_open(PyObject *self, PyObject *path)
{
    struct ipcl_error error;
    PyObject *name;
    (void)self;
    if (!PyUnicode_FSConverter(path, &name))
        return NULL;
    int fd = trust_open(PyBytes_AsString(name), O_RDONLY | O_NONBLOCK, 0, NULL, &error);
    int reason = errno;
    Py_DECREF(name);
    if (fd >= 0)
        return PyLong_FromLong(fd);
    PyObject *arguments = Py_BuildValue("(is)", reason, error.text);
    PyErr_SetObject(PyExc_OSError, arguments); /* by the number FileNotFoundError, or another */
    Py_XDECREF(arguments);
    return NULL;
}

/* part(name): the running request's "header" or "metadata" as JSON text; None if none runs. */
static PyObject *host_part(PyObject *self, PyObject *name)
{
    const struct ipcl_kernel_services *services = python_kernel->services;
    const char *wanted = PyUnicode_AsUTF8AndSize(name, NULL);
    (void)self;
    if (!wanted)
        return NULL;
    json_t *part = services->part(services->base.host, wanted);
    char *text = part ? json_dumps(part, JSON_COMPACT) : NULL;
    PyObject *result = Py_BuildValue("z", text);
    json_decref(part);
    free(text);
    return result;
}

/* ask(prompt, secret): a line from the client of the running request. */
static PyObject *host_ask(PyObject *self, PyObject *args)
{
    const struct ipcl_kernel_services *services = python_kernel->services;
    struct ipcl_error error;
    const char *prompt;
    char *text = NULL;
    int secret, status;
    (void)self;
    if (!PyArg_ParseTuple(args, "sp", &prompt, &secret))
        return NULL;
    if (!pthread_equal(pthread_self(), python_kernel->main_thread)) {
        PyErr_SetString(PyExc_RuntimeError, "questions can be asked in the main thread only");
        return NULL;
    }
    Py_BEGIN_ALLOW_THREADS status = services->ask(services->base.host, prompt, secret, &error);
    if (!status)
        status = services->answer(services->base.host, &text, &error);
    Py_END_ALLOW_THREADS while (status == 1)
    {
        if (PyErr_CheckSignals())
            return NULL;
        Py_BEGIN_ALLOW_THREADS status = services->answer(services->base.host, &text, &error);
        Py_END_ALLOW_THREADS
    }
    if (status) {
        PyErr_SetString(PyExc_RuntimeError, error.text);
        return NULL;
    }
    PyObject *line = PyUnicode_FromString(text);
    free(text);
    return line;
}

/* listen(wishes): JSON text. Returns the connection file's path. */
static PyObject *host_listen(PyObject *self, PyObject *wishes)
{
    const struct ipcl_kernel_services *services = python_kernel->services;
    struct ipcl_error error;
    char path[4096];
    int status;
    (void)self;
    PyObject *bytes = PyUnicode_AsUTF8String(wishes);
    json_t *asked = bytes ? python_json(bytes) : NULL;
    Py_XDECREF(bytes);
    if (!asked)
        return NULL;
    Py_BEGIN_ALLOW_THREADS status =
        services->listen(services->base.host, asked, path, sizeof(path), &error);
    Py_END_ALLOW_THREADS json_decref(asked);
    if (status) {
        PyErr_SetString(PyExc_RuntimeError, error.text);
        return NULL;
    }
    return PyUnicode_DecodeFSDefault(path);
}

static PyMethodDef methods[] = {
    {"publish", host_publish, METH_VARARGS,
     "publish(msg_type, content, metadata, buffers): on iopub."},
    {"engine", host_engine, METH_NOARGS, "engine() -> (uuid, id)"},
    {"finished", host_finished, METH_NOARGS,
     "User code has come to its end: interrupts do nothing from here on."},
    {"hold_interrupts", host_hold_interrupts, METH_O,
     "hold_interrupts(on): while on, they come later. Main thread."},
    {"ask", host_ask, METH_VARARGS, "ask(prompt, secret): a line from the request's client."},
    {"listen", host_listen, METH_O, "listen(wishes): for frontends; returns their file's path."},
    {"log", host_log, METH_O, "log(text): a warning in the engine's log."},
    {"open", host_open, METH_O, "open(path): a descriptor of a file that nobody else can change."},
    {"part", host_part, METH_O, "part(name): of the request that runs, as JSON text."},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, .m_name = "_ipcluster_host",
                                        .m_size = -1, .m_methods = methods};

int python_host_start(void)
{
    PyObject *module = PyModule_Create(&definition);
    int status =
        module ? PyDict_SetItemString(PyImport_GetModuleDict(), definition.m_name, module) : -1;
    Py_XDECREF(module);
    return status;
}
