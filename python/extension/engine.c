/* ipcluster._engine: the engine as a module, for the Python process that becomes an engine. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <stdlib.h>
#include <string.h>

#include "engine/run.h"

/* Copies a list to words like those of a command line, which live as long as the process. NULL with
 * an exception set. */
static char **words_from(PyObject *list, Py_ssize_t count)
{
    char **words = calloc((size_t)count + 1, sizeof(*words));
    for (Py_ssize_t i = 0; words && i < count; i++) {
        PyObject *word = PyUnicode_EncodeFSDefault(PyList_GetItem(list, i));
        if (!word)
            return NULL;
        words[i] = strdup(PyBytes_AsString(word));
        Py_DECREF(word);
        if (!words[i])
            return (char **)PyErr_NoMemory();
    }
    return words ? words : (char **)PyErr_NoMemory();
}

static PyObject *module_main(PyObject *module, PyObject *list)
{
    (void)module;
    if (!PyList_Check(list)) {
        PyErr_SetString(PyExc_TypeError, "a list of words is expected");
        return NULL;
    }
    Py_ssize_t count = PyList_Size(list);
    char **words = words_from(list, count);
    if (!words)
        return NULL;
    int status = engine_run((int)count, words, ENGINE_INSIDE);
    /* If there was a kernel, it has ended the interpreter. */
    if (Py_IsInitialized())
        Py_Exit(status);
    exit(status);
}

static PyMethodDef functions[] = {
    {"main", module_main, METH_O,
     "main(words): runs an engine with this command line, and ends the process with it."},
    {NULL},
};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT,
    .m_name = "ipcluster._engine",
    .m_doc = "The engine of ipcluster, which this Python becomes.",
    .m_size = -1,
    .m_methods = functions,
};

PyMODINIT_FUNC PyInit__engine(void);
PyMODINIT_FUNC PyInit__engine(void)
{
    return PyModule_Create(&definition);
}
