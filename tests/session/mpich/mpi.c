/* A stand-in for a user's mpi4py that was built for MPICH: the Python module mpi4py.MPI, with as
 * much of it as the tests use, over Debian's MPICH. For tests only; built by tests/conftest.py. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <mpi.h>

static PyObject *get_rank(PyObject *self, PyObject *nothing)
{
    int rank = -1;
    (void)self, (void)nothing;
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    return PyLong_FromLong(rank);
}

static PyObject *get_size(PyObject *self, PyObject *nothing)
{
    int size = -1;
    (void)self, (void)nothing;
    MPI_Comm_size(MPI_COMM_WORLD, &size);
    return PyLong_FromLong(size);
}

/* allreduce(number) -> the sum over all ranks. */
static PyObject *allreduce(PyObject *self, PyObject *number)
{
    double mine = PyFloat_AsDouble(number), total = 0;
    (void)self;
    if (PyErr_Occurred())
        return NULL;
    MPI_Allreduce(&mine, &total, 1, MPI_DOUBLE, MPI_SUM, MPI_COMM_WORLD);
    return PyFloat_FromDouble(total);
}

static PyMethodDef world_methods[] = {
    {"Get_rank", get_rank, METH_NOARGS, NULL},
    {"Get_size", get_size, METH_NOARGS, NULL},
    {"allreduce", allreduce, METH_O, NULL},
    {NULL, NULL, 0, NULL},
};
static struct PyModuleDef world = {PyModuleDef_HEAD_INIT, .m_name = "COMM_WORLD", .m_size = -1,
                                   .m_methods = world_methods};
static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, .m_name = "MPI", .m_size = -1};

static void finalise(void)
{
    int finalised = 0;
    MPI_Finalized(&finalised);
    if (!finalised)
        MPI_Finalize();
}

PyMODINIT_FUNC PyInit_MPI(void)
{
    int initialised = 0, provided;
    MPI_Initialized(&initialised);
    if (!initialised) {
        MPI_Init_thread(NULL, NULL, MPI_THREAD_MULTIPLE, &provided);
        Py_AtExit(finalise);
    }
    PyObject *made = PyModule_Create(&module);
    if (made && PyModule_AddObject(made, "COMM_WORLD", PyModule_Create(&world)) == 0)
        return made;
    Py_XDECREF(made);
    return NULL;
}
