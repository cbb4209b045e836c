/* The module: its functions, types and constants. */
#include "extension.h"

static PyObject *trace(PyObject *module, PyObject *args)
{
    PyObject *path = NULL;
    struct ipcl_error error;
    (void)module;
    if (!PyArg_ParseTuple(args, "O&", PyUnicode_FSConverter, &path))
        return NULL;
    int status = ipcl_trace(PyBytes_AsString(path), &error);
    Py_DECREF(path);
    if (!status)
        Py_RETURN_NONE;
    PyErr_SetString(PyExc_OSError, error.text);
    return NULL;
}

static PyMethodDef module_functions[] = {
    {"connect", (PyCFunction)(void (*)(void))connection_connect, METH_VARARGS | METH_KEYWORDS,
     "connect(connection_file=None, profile=None, profile_dir=None, cluster_id=None, timeout=10, "
     "ssh_server=None, ssh_key=None, drop_tasks=False) -> Connection"},
    {"trace", trace, METH_VARARGS, "trace(path): write what happens to messages to this file."},
    {NULL},
};

static struct PyModuleDef module_definition = {
    PyModuleDef_HEAD_INIT,
    .m_name = "ipcluster._client",
    .m_doc = "The client library of ipcluster, as Python objects.",
    .m_size = -1,
    .m_methods = module_functions,
};

static int add_types(PyObject *module)
{
    const struct {
        PyTypeObject **type;
        PyType_Spec *spec;
    } types[] = {{&connection_type, &connection_spec},
                 {&future_type, &future_spec},
                 {&completions_type, &completions_spec},
                 {&frame_type, &frame_spec}};
    for (size_t i = 0; i < sizeof(types) / sizeof(*types); i++) {
        *types[i].type = (PyTypeObject *)PyType_FromSpec(types[i].spec);
        if (!*types[i].type || PyModule_AddType(module, *types[i].type))
            return -1;
    }
    return 0;
}

static int add_constants(PyObject *module)
{
    return PyModule_AddIntConstant(module, "DIRECT", IPCL_CHANNEL_DIRECT) ||
           PyModule_AddIntConstant(module, "TASK", IPCL_CHANNEL_TASK) ||
           PyModule_AddIntConstant(module, "BROADCAST", IPCL_CHANNEL_BROADCAST) ||
           PyModule_AddIntConstant(module, "CONTROL", IPCL_CHANNEL_CONTROL) ||
           PyModule_AddIntConstant(module, "HUB", IPCL_CHANNEL_HUB) ||
           PyModule_AddIntConstant(module, "OK", IPCL_OK) ||
           PyModule_AddIntConstant(module, "FAILED", IPCL_FAILED) ||
           PyModule_AddIntConstant(module, "ABORTED", IPCL_ABORTED);
}

PyMODINIT_FUNC PyInit__client(void);
PyMODINIT_FUNC PyInit__client(void)
{
    PyObject *module = PyModule_Create(&module_definition);
    if (!module)
        return NULL;
    if (add_types(module) || add_constants(module) ||
        PyModule_AddFunctions(module, future_functions)) {
        Py_DECREF(module);
        return NULL;
    }
    return module;
}
