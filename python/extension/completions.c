/* Completions: futures in the order in which they resolve, without polling. */
#include "extension.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

#define SLICE_MS 100

/* Shared with the I/O thread, which has a reference for each future that is watched. */
struct queue {
    atomic_int holds;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct entry *first, **last; /* resolved, and not taken */
    bool abandoned;
};

struct entry {
    struct entry *next;
    struct queue *queue;
    PyObject *object;
};

struct completions {
    PyObject_HEAD
    struct queue *queue;
    Py_ssize_t watched; /* how many are not taken yet */
};

/* Objects whose queue is gone: the I/O thread may not release them. */
static pthread_mutex_t orphans_lock = PTHREAD_MUTEX_INITIALIZER;
static struct entry *orphans;

static void release_orphans(void)
{
    pthread_mutex_lock(&orphans_lock);
    struct entry *entry = orphans;
    orphans = NULL;
    pthread_mutex_unlock(&orphans_lock);
    while (entry) {
        struct entry *next = entry->next;
        Py_DECREF(entry->object);
        free(entry);
        entry = next;
    }
}

static void queue_release(struct queue *queue)
{
    if (atomic_fetch_sub(&queue->holds, 1) != 1)
        return;
    pthread_cond_destroy(&queue->changed);
    pthread_mutex_destroy(&queue->lock);
    free(queue);
}

/* Runs in the I/O thread, or in watch() if the future has resolved already. */
static void when_done(void *context, struct ipcl_future *future)
{
    struct entry *entry = context;
    struct queue *queue = entry->queue;
    (void)future;
    entry->next = NULL;
    pthread_mutex_lock(&queue->lock);
    bool abandoned = queue->abandoned;
    if (!abandoned) {
        *queue->last = entry;
        queue->last = &entry->next;
        pthread_cond_signal(&queue->changed);
    }
    pthread_mutex_unlock(&queue->lock);
    if (abandoned) {
        pthread_mutex_lock(&orphans_lock);
        entry->next = orphans;
        orphans = entry;
        pthread_mutex_unlock(&orphans_lock);
    }
    queue_release(queue);
}

static PyObject *completions_new(PyTypeObject *type, PyObject *args, PyObject *keywords)
{
    (void)args;
    (void)keywords;
    struct completions *self = (struct completions *)PyType_GenericAlloc(type, 0);
    struct queue *queue = self ? calloc(1, sizeof(*queue)) : NULL;
    if (!queue) {
        Py_XDECREF((PyObject *)self);
        return PyErr_NoMemory();
    }
    atomic_init(&queue->holds, 1);
    pthread_mutex_init(&queue->lock, NULL);
    pthread_cond_init(&queue->changed, NULL);
    queue->last = &queue->first;
    self->queue = queue;
    return (PyObject *)self;
}

static void completions_dealloc(PyObject *self)
{
    struct queue *queue = ((struct completions *)self)->queue;
    if (queue) {
        pthread_mutex_lock(&queue->lock);
        queue->abandoned = true;
        struct entry *entry = queue->first;
        pthread_mutex_unlock(&queue->lock);
        while (entry) {
            struct entry *next = entry->next;
            Py_DECREF(entry->object);
            free(entry);
            entry = next;
        }
        queue_release(queue);
    }
    object_free(self);
}

static PyObject *completions_watch(PyObject *self, PyObject *args)
{
    struct queue *queue = ((struct completions *)self)->queue;
    PyObject *object, *result;
    if (!PyArg_ParseTuple(args, "OO", &object, &result))
        return NULL;
    struct ipcl_future *future = future_of(object);
    if (future && ipcl_future_wait(future, 0, NULL, NULL) == 3) {
        future_set_forked();
        return NULL;
    }
    struct entry *entry = future ? malloc(sizeof(*entry)) : NULL;
    if (!entry)
        return future ? PyErr_NoMemory() : NULL;
    release_orphans();
    *entry = (struct entry){.queue = queue, .object = Py_NewRef(result)};
    atomic_fetch_add(&queue->holds, 1);
    ((struct completions *)self)->watched++;
    ipcl_future_on_done(future, when_done, entry);
    Py_RETURN_NONE;
}

static struct entry *take(struct queue *queue, long long deadline_ms)
{
    struct timespec until = {.tv_sec = deadline_ms / 1000, .tv_nsec = deadline_ms % 1000 * 1000000};
    pthread_mutex_lock(&queue->lock);
    while (!queue->first && pthread_cond_clockwait(&queue->changed, &queue->lock, CLOCK_MONOTONIC,
                                                   &until) != ETIMEDOUT)
        ;
    struct entry *entry = queue->first;
    if (entry) {
        queue->first = entry->next;
        if (!queue->first)
            queue->last = &queue->first;
    }
    pthread_mutex_unlock(&queue->lock);
    return entry;
}

static long long now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000LL + now.tv_nsec / 1000000;
}

static PyObject *completions_get(PyObject *self, PyObject *args)
{
    struct queue *queue = ((struct completions *)self)->queue;
    PyObject *seconds = Py_None;
    struct waiting waiting;
    struct entry *entry;
    bool interrupted = false;
    if (!PyArg_ParseTuple(args, "|O", &seconds))
        return NULL;
    int timeout_ms = timeout_from(seconds);
    if (timeout_ms == -2)
        return NULL;
    long long deadline = now_ms() + timeout_ms;
    waiting_begin(&waiting);
    do {
        long long slice = now_ms() + SLICE_MS;
        entry = take(queue, timeout_ms >= 0 && deadline < slice ? deadline : slice);
        if (!entry)
            interrupted = waiting_interrupted(&waiting);
    } while (!entry && !interrupted && (timeout_ms < 0 || now_ms() < deadline));
    waiting_end(&waiting);
    if (!entry) {
        if (!interrupted)
            PyErr_SetString(PyExc_TimeoutError, "no result came within the time given");
        return NULL;
    }
    PyObject *object = entry->object;
    free(entry);
    ((struct completions *)self)->watched--;
    return object;
}

static Py_ssize_t completions_length(PyObject *self)
{
    return ((struct completions *)self)->watched;
}

static PyMethodDef completions_methods[] = {
    {"watch", completions_watch, METH_VARARGS,
     "watch(future, object): get() gives the object once the future has resolved"},
    {"get", completions_get, METH_VARARGS,
     "get(timeout=None) -> the object of the next future that resolves"},
    {NULL},
};

PyTypeObject *completions_type;
PyType_Spec completions_spec = {
    .name = "ipcluster._client.Completions",
    .basicsize = sizeof(struct completions),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE,
    .slots =
        (PyType_Slot[]){
            {Py_tp_doc,
             (char *)"Futures in the order in which they resolve. Its length is the number that "
                     "is watched and was not got."},
            {Py_tp_new, completions_new},
            {Py_tp_dealloc, completions_dealloc},
            {Py_tp_methods, completions_methods},
            {Py_sq_length, completions_length},
            {0, NULL}},
};
