/* The Python kernel: runs requests through ipcluster.engine.kernel in the Python that this process
 * is, and hands results over without copies. */
#include "python.h"

#include <stdlib.h>
#include <string.h>

/* The name of an exception's type; NULL if it has none. */
static PyObject *name_of(PyObject *type)
{
    PyObject *name = type && PyType_Check(type) ? PyType_GetName((PyTypeObject *)type) : NULL;
    PyErr_Clear();
    return name;
}

static const char *text_of_name(PyObject *name)
{
    const char *text = name ? PyUnicode_AsUTF8AndSize(name, NULL) : NULL;
    PyErr_Clear();
    return text ? text : "error";
}

/* The pending exception as one line. Clears it. */
static void exception_line(struct ipcl_error *error)
{
    PyObject *type, *value, *traceback;
    PyErr_Fetch(&type, &value, &traceback);
    PyErr_NormalizeException(&type, &value, &traceback);
    PyObject *text = value ? PyObject_Str(value) : NULL;
    PyObject *name = name_of(type);
    const char *message = text ? PyUnicode_AsUTF8AndSize(text, NULL) : NULL;
    ipcl_error_set(error, "%s%s%s", text_of_name(name), message && *message ? ": " : "",
                   message ? message : "");
    PyErr_Clear();
    Py_XDECREF(name);
    Py_XDECREF(text);
    Py_XDECREF(type);
    Py_XDECREF(value);
    Py_XDECREF(traceback);
}

static int look_up(struct python_kernel *kernel, struct ipcl_error *error)
{
    const struct {
        const char *name;
        PyObject **function;
    } functions[] = {
        {"apply", &kernel->apply}, {"answer", &kernel->answer},     {"clear", &kernel->clear},
        {"run", &kernel->run},     {"integer", &kernel->integer},   {"bind", &kernel->bind},
        {"flush", &kernel->flush}, {"describe", &kernel->describe}, {"info", &kernel->info},
        {"start", &kernel->start}, {"run_file", &kernel->run_file},
    };
    struct ipcl_error reason;
    PyObject *module = PyImport_ImportModule("ipcluster.engine.kernel");
    for (size_t i = 0; module && i < sizeof(functions) / sizeof(*functions); i++)
        if (!(*functions[i].function = PyObject_GetAttrString(module, functions[i].name)))
            Py_CLEAR(module);
    if (module) {
        Py_DECREF(module);
        return 0;
    }
    exception_line(&reason);
    return ipcl_error_set(error, "the Python package ipcluster.engine cannot be used: %.900s",
                          reason.text);
}

static void kernel_destroy(void *self)
{
    struct python_kernel *kernel = self;
    if (!kernel)
        return;
    PyEval_RestoreThread(kernel->state);
    python_buffers_drain();
    Py_CLEAR(kernel->apply);
    Py_CLEAR(kernel->answer);
    Py_CLEAR(kernel->clear);
    Py_CLEAR(kernel->run);
    Py_CLEAR(kernel->integer);
    Py_CLEAR(kernel->bind);
    Py_CLEAR(kernel->flush);
    Py_CLEAR(kernel->describe);
    Py_CLEAR(kernel->info);
    Py_CLEAR(kernel->start);
    Py_CLEAR(kernel->run_file);
    python_interrupts_stop(kernel);
    Py_FinalizeEx();
    pthread_mutex_destroy(&kernel->interrupting);
    python_kernel = NULL;
    free(kernel);
}

/* Interrupts last: while Python is still busy with imports of ours, Ctrl-C ends the process. */
static int prepare(struct python_kernel *kernel, struct ipcl_error *error)
{
    if (!python_host_start() && !python_buffers_start()) {
        if (look_up(kernel, error))
            return -1;
        if (!python_interrupts_start(kernel))
            return 0;
    }
    exception_line(error);
    return -1;
}

static void *kernel_create(const struct ipcl_kernel_services *services, struct ipcl_error *error)
{
    if (!Py_IsInitialized || !Py_IsInitialized()) {
        ipcl_error_set(error, "this process is not a Python");
        return NULL;
    }
    struct python_kernel *kernel = python_kernel ? NULL : calloc(1, sizeof(*kernel));
    if (!kernel) {
        ipcl_error_set(error, "a process has one Python kernel, or memory is short");
        return NULL;
    }
    kernel->services = services;
    kernel->main_thread = pthread_self();
    pthread_mutex_init(&kernel->interrupting, NULL);
    python_kernel = kernel;
    bool ready = !prepare(kernel, error);
    kernel->state = PyEval_SaveThread();
    if (!ready) {
        kernel_destroy(kernel);
        return NULL;
    }
    return kernel;
}

/* The answer to a failed operation: the Python half's description or, if that fails too, only the
 * exception. */
static json_t *describe_exception(struct python_kernel *kernel, const char *method)
{
    struct ipcl_error line;
    PyObject *type, *value, *traceback;
    PyErr_Fetch(&type, &value, &traceback);
    PyErr_NormalizeException(&type, &value, &traceback);
    if (value && traceback)
        PyException_SetTraceback(value, traceback);
    python_running_end(kernel);
    PyObject *text = value ? PyObject_CallFunction(kernel->describe, "Os", value, method) : NULL;
    json_t *content = text ? python_json(text) : NULL;
    Py_XDECREF(text);
    PyErr_Clear();
    if (content) {
        Py_XDECREF(type);
        Py_XDECREF(value);
        Py_XDECREF(traceback);
        return content;
    }
    PyObject *name = name_of(type);
    content = json_pack("{s:s s:s s:s s:[]}", "status", "error", "ename", text_of_name(name),
                        "evalue", "the exception cannot be described", "traceback");
    Py_XDECREF(name);
    PyErr_Restore(type, value, traceback);
    exception_line(&line);
    return content;
}

static void flush(struct python_kernel *kernel)
{
    PyObject *done = PyObject_CallNoArgs(kernel->flush);
    Py_XDECREF(done);
    PyErr_Clear();
    fflush(stdout); /* what C libraries printed; others may be locked by a thread that reads */
}

static void apply(void *self, const struct ipcl_request *request, struct ipcl_reply *reply)
{
    struct python_kernel *kernel = self;
    PyEval_RestoreThread(kernel->state);
    python_buffers_drain();
    python_running_begin(kernel, request->number);
    PyObject *buffers = python_buffers_in(kernel->services, request);
    PyObject *result = buffers ? PyObject_CallFunctionObjArgs(kernel->apply, buffers, NULL) : NULL;
    Py_XDECREF(buffers);
    if (result && PyList_Check(result))
        reply->buffers = python_buffers_out(result, &reply->buffer_count);
    else if (result)
        reply->content = python_json(result);
    if (!reply->buffers && !reply->content)
        reply->content = describe_exception(kernel, "apply");
    Py_XDECREF(result);
    python_running_end(kernel);
    flush(kernel);
    kernel->state = PyEval_SaveThread();
}

/* The content of the reply to a request. ipcluster.engine.kernel makes it from the request's
 * content and buffers; both contents are JSON text. NULL if there is none, or with an exception. */
static json_t *call_answer(struct python_kernel *kernel, const struct ipcl_request *request)
{
    char *text = json_dumps(request->content, JSON_COMPACT);
    PyObject *buffers = text ? python_buffers_in(kernel->services, request) : PyErr_NoMemory();
    PyObject *answer =
        buffers ? PyObject_CallFunction(kernel->answer, "syO", request->msg_type, text, buffers)
                : NULL;
    json_t *content = answer && answer != Py_None ? python_json(answer) : NULL;
    Py_XDECREF(answer);
    Py_XDECREF(buffers);
    free(text);
    return content;
}

static void answer(void *self, const struct ipcl_request *request, struct ipcl_reply *reply)
{
    struct python_kernel *kernel = self;
    PyEval_RestoreThread(kernel->state);
    python_buffers_drain();
    python_running_begin(kernel, request->number);
    reply->content = call_answer(kernel, request);
    if (PyErr_Occurred())
        reply->content = describe_exception(kernel, request->msg_type);
    python_running_end(kernel);
    flush(kernel);
    kernel->state = PyEval_SaveThread();
}

/* Ends an operation: `result` is what its Python function returned, which is released. */
static int finish(struct python_kernel *kernel, PyObject *result, struct ipcl_error *error)
{
    int status = result ? 0 : -1;
    if (!result)
        exception_line(error);
    Py_XDECREF(result);
    flush(kernel);
    kernel->state = PyEval_SaveThread();
    return status;
}

static int clear(void *self, struct ipcl_error *error)
{
    struct python_kernel *kernel = self;
    PyEval_RestoreThread(kernel->state);
    python_buffers_drain();
    return finish(kernel, PyObject_CallNoArgs(kernel->clear), error);
}

static int kernel_run(void *self, const char *code, struct ipcl_error *error)
{
    struct python_kernel *kernel = self;
    PyEval_RestoreThread(kernel->state);
    return finish(kernel, PyObject_CallFunction(kernel->run, "s", code), error);
}

static int kernel_start(void *self, const char *profile_dir, struct ipcl_error *error)
{
    struct python_kernel *kernel = self;
    const struct ipcl_kernel_services *services = kernel->services;
    char *passed = services->base.options_passed(services->base.host);
    PyEval_RestoreThread(kernel->state);
    PyObject *folder = PyUnicode_DecodeFSDefault(profile_dir);
    PyObject *result = folder && passed ? PyObject_CallFunction(kernel->start, "Os", folder, passed)
                                        : PyErr_NoMemory();
    Py_XDECREF(folder);
    free(passed);
    return finish(kernel, result, error);
}

static int run_file(void *self, const char *path, struct ipcl_error *error)
{
    struct python_kernel *kernel = self;
    PyEval_RestoreThread(kernel->state);
    PyObject *name = PyUnicode_DecodeFSDefault(path);
    PyObject *result = name ? PyObject_CallFunctionObjArgs(kernel->run_file, name, NULL) : NULL;
    Py_XDECREF(name);
    return finish(kernel, result, error);
}

static int integer(void *self, const char *expression, int64_t *value, struct ipcl_error *error)
{
    struct python_kernel *kernel = self;
    PyEval_RestoreThread(kernel->state);
    PyObject *result = PyObject_CallFunction(kernel->integer, "s", expression);
    if (result) {
        *value = PyLong_AsLongLong(result);
        if (PyErr_Occurred())
            Py_CLEAR(result);
    }
    return finish(kernel, result, error);
}

static int bind_integer(void *self, const char *name, int64_t value, struct ipcl_error *error)
{
    struct python_kernel *kernel = self;
    PyEval_RestoreThread(kernel->state);
    return finish(kernel, PyObject_CallFunction(kernel->bind, "sL", name, (long long)value), error);
}

static json_t *describe(void *self, struct ipcl_error *error)
{
    struct python_kernel *kernel = self;
    PyEval_RestoreThread(kernel->state);
    PyObject *text = PyObject_CallNoArgs(kernel->info);
    json_t *info = text ? python_json(text) : NULL;
    if (text && !info)
        Py_CLEAR(text);
    finish(kernel, text, error);
    return info;
}

static const char *const requests[] = {
    "execute_request",     "complete_request",  "inspect_request", "history_request", "comm_open",
    "is_complete_request", "comm_info_request", "comm_msg",        "comm_close",      NULL,
};

static const struct ipcl_kernel_operations operations = {
    .requests = requests,
    .create = kernel_create,
    .apply = apply,
    .answer = answer,
    .describe = describe,
    .clear = clear,
    .start = kernel_start,
    .run_file = run_file,
    .run = kernel_run,
    .integer = integer,
    .bind_integer = bind_integer,
    .interrupt = python_interrupt,
    .destroy = kernel_destroy,
    .command = python_command,
};

extern const struct ipcl_plugin ipcl_plugin;
IPCL_EXPORT const struct ipcl_plugin ipcl_plugin = {
    IPCL_PLUGIN_HEAD,
    .kind = "kernel",
    .name = "python",
    .version = "1.0",
    .summary = "the user's own Python, with IPython's shell where that has it",
    .license = "BSD-2-Clause",
    .author = "the ipcluster developers",
    .operations = &operations,
};
