// A stand-in for the packaging of PyTrilinos: the Python module PyTrilinos.Epetra with PyComm, over the real libtrilinos-epetra and MPI.
// For tests only; built by tests/session/test_engine_mpi.py.
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <Epetra_MpiComm.h>
#include <mpi.h>

#include <vector>

namespace {

struct PyComm {
    PyObject_HEAD
    Epetra_MpiComm *comm;
};

PyObject *create(PyTypeObject *type, PyObject *, PyObject *)
{
    PyComm *self = reinterpret_cast<PyComm *>(type->tp_alloc(type, 0));
    if (self)
        self->comm = new Epetra_MpiComm(MPI_COMM_WORLD);
    return reinterpret_cast<PyObject *>(self);
}

void dealloc(PyObject *self)
{
    delete reinterpret_cast<PyComm *>(self)->comm;
    Py_TYPE(self)->tp_free(self);
}

PyObject *my_pid(PyObject *self, PyObject *)
{
    return PyLong_FromLong(reinterpret_cast<PyComm *>(self)->comm->MyPID());
}

PyObject *num_proc(PyObject *self, PyObject *)
{
    return PyLong_FromLong(reinterpret_cast<PyComm *>(self)->comm->NumProc());
}

// SumAll(numbers) -> the sums over all processes, element by element.
PyObject *sum_all(PyObject *self, PyObject *numbers)
{
    PyObject *sequence = PySequence_Fast(numbers, "SumAll takes a sequence of numbers");
    if (!sequence)
        return nullptr;
    Py_ssize_t count = PySequence_Fast_GET_SIZE(sequence);
    std::vector<double> mine(count), sums(count);
    for (Py_ssize_t i = 0; i < count; i++)
        mine[i] = PyFloat_AsDouble(PySequence_Fast_GET_ITEM(sequence, i));
    Py_DECREF(sequence);
    if (PyErr_Occurred())
        return nullptr;
    reinterpret_cast<PyComm *>(self)->comm->SumAll(mine.data(), sums.data(), static_cast<int>(count));
    PyObject *list = PyList_New(count);
    for (Py_ssize_t i = 0; list && i < count; i++)
        PyList_SET_ITEM(list, i, PyFloat_FromDouble(sums[i]));
    return list;
}

PyMethodDef methods[] = {
    {"MyPID", my_pid, METH_NOARGS, "This process's rank."},
    {"NumProc", num_proc, METH_NOARGS, "The number of processes."},
    {"SumAll", sum_all, METH_O, "The sums of a sequence of numbers over all processes."},
    {nullptr, nullptr, 0, nullptr},
};

PyTypeObject comm_type = {PyVarObject_HEAD_INIT(nullptr, 0)};
PyModuleDef module = {PyModuleDef_HEAD_INIT, "Epetra", "A stand-in for PyTrilinos.Epetra.", -1, nullptr, nullptr, nullptr, nullptr, nullptr};

void finalise()
{
    int finalised = 0;
    MPI_Finalized(&finalised);
    if (!finalised)
        MPI_Finalize();
}

} // namespace

PyMODINIT_FUNC PyInit_Epetra(void)
{
    int initialised = 0;
    MPI_Initialized(&initialised);
    if (!initialised) {
        MPI_Init(nullptr, nullptr);
        Py_AtExit(finalise); // as PyTrilinos does
    }
    comm_type.tp_name = "PyTrilinos.Epetra.PyComm";
    comm_type.tp_basicsize = sizeof(PyComm);
    comm_type.tp_flags = Py_TPFLAGS_DEFAULT;
    comm_type.tp_new = create;
    comm_type.tp_dealloc = dealloc;
    comm_type.tp_methods = methods;
    PyObject *made = PyType_Ready(&comm_type) ? nullptr : PyModule_Create(&module);
    Py_INCREF(&comm_type);
    if (made && PyModule_AddObject(made, "PyComm", reinterpret_cast<PyObject *>(&comm_type))) {
        Py_DECREF(&comm_type);
        Py_CLEAR(made);
    }
    return made;
}
