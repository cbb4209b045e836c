/* Interrupts of the code that a request runs: from the engine's I/O thread to Python's main thread,
 * where they become KeyboardInterrupt, or call the code's own handler of SIGINT. */
#include "python.h"

#include <signal.h>
#include <time.h>
#include <unistd.h>

/* The signal that ends a blocking system call of the main thread. Without a handler it is
 * ignored. */
#define INTERRUPT_SIGNAL SIGURG
/* It is repeated until Python has seen it: a signal that comes just before a system call blocks
 * does not end that call. */
#define AGAIN_MS 100

#ifndef sigev_notify_thread_id /* glibc documents the name and does not define it */
#define sigev_notify_thread_id _sigev_un._tid
#endif

struct python_kernel *python_kernel;

static void set_timer(struct python_kernel *kernel, bool on)
{
    struct itimerspec when = {{0, 0}, {0, 0}};
    if (on) {
        when.it_value.tv_nsec = 1;
        when.it_interval.tv_nsec = AGAIN_MS * 1000L * 1000L;
    }
    timer_settime(kernel->interrupts, 0, &when, NULL);
    kernel->interrupted = on;
}

static bool take_interrupt(struct python_kernel *kernel)
{
    pthread_mutex_lock(&kernel->interrupting);
    bool wanted = kernel->interrupted;
    if (wanted)
        set_timer(kernel, false);
    pthread_mutex_unlock(&kernel->interrupting);
    return wanted;
}

/* Python calls it in the main thread, between two instructions or within a system call that was
 * ended. What is late does nothing. */
static PyObject *on_interrupt(PyObject *getsignal, PyObject *arguments)
{
    PyObject *frame;
    int number;
    if (!PyArg_ParseTuple(arguments, "iO", &number, &frame))
        return NULL;
    if (!python_kernel || python_kernel->held || !take_interrupt(python_kernel))
        Py_RETURN_NONE;
    PyObject *handler = PyObject_CallFunction(getsignal, "i", SIGINT);
    PyObject *result = handler;
    if (handler && PyCallable_Check(handler)) {
        result = PyObject_CallFunction(handler, "iO", SIGINT, frame);
        Py_DECREF(handler);
    }
    if (!result)
        return NULL;
    Py_DECREF(result);
    Py_RETURN_NONE;
}

static PyMethodDef handler_method = {"interrupted", on_interrupt, METH_VARARGS,
                                     "The engine was asked to interrupt what runs."};

/* Whoever started us in the background of a script had SIGINT ignored, and then Python lets nothing
 * interrupt it. */
static int take_sigint(PyObject *module)
{
    PyObject *handler = PyObject_GetAttrString(module, "default_int_handler");
    PyObject *before =
        handler ? PyObject_CallMethod(module, "signal", "iO", SIGINT, handler) : NULL;
    Py_XDECREF(handler);
    Py_XDECREF(before);
    return before ? 0 : -1;
}

int python_interrupts_start(struct python_kernel *kernel)
{
    struct sigevent event = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = INTERRUPT_SIGNAL};
    event.sigev_notify_thread_id = gettid();
    if (timer_create(CLOCK_MONOTONIC, &event, &kernel->interrupts)) {
        PyErr_SetFromErrno(PyExc_OSError);
        return -1;
    }
    kernel->timed = true;
    PyObject *module = PyImport_ImportModule("signal");
    PyObject *getsignal = module ? PyObject_GetAttrString(module, "getsignal") : NULL;
    PyObject *handler = getsignal ? PyCFunction_New(&handler_method, getsignal) : NULL;
    PyObject *before =
        handler ? PyObject_CallMethod(module, "signal", "iO", INTERRUPT_SIGNAL, handler) : NULL;
    int status = before ? take_sigint(module) : -1;
    Py_XDECREF(module);
    Py_XDECREF(getsignal);
    Py_XDECREF(handler);
    Py_XDECREF(before);
    return status;
}

void python_interrupts_stop(struct python_kernel *kernel)
{
    if (kernel->timed)
        timer_delete(kernel->interrupts);
}

void python_interrupt(void *self, uint64_t number)
{
    struct python_kernel *kernel = self;
    pthread_mutex_lock(&kernel->interrupting);
    if (number > kernel->request)
        kernel->early = number;
    else if (number == kernel->request && kernel->running)
        set_timer(kernel, true);
    pthread_mutex_unlock(&kernel->interrupting);
}

void python_interrupts_hold(struct python_kernel *kernel, bool on)
{
    kernel->held = on;
}

/* A Ctrl-C of before goes nowhere. */
static void forget_interrupts(void)
{
    while (PyErr_CheckSignals())
        PyErr_Clear();
}

void python_running_begin(struct python_kernel *kernel, uint64_t number)
{
    forget_interrupts();
    pthread_mutex_lock(&kernel->interrupting);
    kernel->request = number;
    kernel->running = true;
    if (kernel->early == number)
        set_timer(kernel, true);
    pthread_mutex_unlock(&kernel->interrupting);
}

void python_running_end(struct python_kernel *kernel)
{
    pthread_mutex_lock(&kernel->interrupting);
    bool was_running = kernel->running;
    kernel->running = false;
    if (kernel->interrupted)
        set_timer(kernel, false);
    pthread_mutex_unlock(&kernel->interrupting);
    if (was_running)
        forget_interrupts();
}
