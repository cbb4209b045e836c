/* Memory that crosses between Python and libzmq without a copy, in both directions. */
#include "extension.h"

#include <stdatomic.h>

/* Received frames up to this size become bytes objects: cheaper than a view of the frame. */
#define VIEW_BYTES 8192

/* A Python object whose memory is being sent. */
struct lent {
    Py_buffer view;
    struct lent *next;
};

static _Atomic(struct lent *) returned;

/* libzmq's threads, or the calling one. */
static void give_back(void *owner)
{
    struct lent *lent = owner;
    lent->next = atomic_load(&returned);
    while (!atomic_compare_exchange_weak(&returned, &lent->next, lent))
        ;
}

void buffers_collect(void)
{
    if (!atomic_load(&returned))
        return;
    struct lent *lent = atomic_exchange(&returned, NULL);
    while (lent) {
        struct lent *next = lent->next;
        PyBuffer_Release(&lent->view);
        PyMem_RawFree(lent);
        lent = next;
    }
}

/* Small bytes objects are copied by ipcl_submit(), so they need no owner: the sequence holds them until then. */
static int make_buffer(PyObject *object, struct ipcl_buffer *buffer)
{
    if (PyBytes_CheckExact(object) && PyBytes_GET_SIZE(object) <= IPCL_COPY_BYTES) {
        *buffer = (struct ipcl_buffer){.data = PyBytes_AS_STRING(object), .size = (size_t)PyBytes_GET_SIZE(object)};
        return 0;
    }
    struct lent *lent = PyMem_RawMalloc(sizeof(*lent));
    if (!lent) {
        PyErr_NoMemory();
        return -1;
    }
    if (PyObject_GetBuffer(object, &lent->view, PyBUF_C_CONTIGUOUS)) {
        PyMem_RawFree(lent);
        return -1;
    }
    *buffer = (struct ipcl_buffer){.data = lent->view.buf, .size = (size_t)lent->view.len, .owner = lent,
                                   .release = give_back};
    return 0;
}

struct ipcl_buffer *buffers_from(PyObject *sequence, size_t *count)
{
    Py_ssize_t size = PySequence_Fast_GET_SIZE(sequence);
    struct ipcl_buffer *buffers = PyMem_RawMalloc((size_t)(size ? size : 1) * sizeof(*buffers));
    *count = 0;
    if (!buffers) {
        PyErr_NoMemory();
        return NULL;
    }
    for (Py_ssize_t i = 0; i < size; i++) {
        if (make_buffer(PySequence_Fast_GET_ITEM(sequence, i), &buffers[i])) {
            while (i-- > 0)
                if (buffers[i].release)
                    buffers[i].release(buffers[i].owner);
            PyMem_RawFree(buffers);
            return NULL;
        }
    }
    *count = (size_t)size;
    return buffers;
}

/* A received frame, which a memoryview shows; it keeps the future that has the frame. It can be written to, as ipyparallel's can: nobody
 * else reads it any more. */
struct frame {
    PyObject_HEAD
    PyObject *owner;
    struct ipcl_buffer buffer;
};

static int frame_get_buffer(PyObject *self, Py_buffer *view, int flags)
{
    struct frame *frame = (struct frame *)self;
    return PyBuffer_FillInfo(view, self, (void *)frame->buffer.data, (Py_ssize_t)frame->buffer.size, 0, flags);
}

static void frame_dealloc(PyObject *self)
{
    Py_DECREF(((struct frame *)self)->owner);
    Py_TYPE(self)->tp_free(self);
}

static PyBufferProcs frame_buffer = {.bf_getbuffer = frame_get_buffer};

PyTypeObject frame_type = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = "ipcluster._client.Frame",
    .tp_doc = "A received frame's memory.",
    .tp_basicsize = sizeof(struct frame),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .tp_dealloc = frame_dealloc,
    .tp_as_buffer = &frame_buffer,
};

static PyObject *make_view(PyObject *owner, const struct ipcl_buffer *buffer)
{
    if (buffer->size <= VIEW_BYTES)
        return PyBytes_FromStringAndSize(buffer->data, (Py_ssize_t)buffer->size);
    struct frame *frame = PyObject_New(struct frame, &frame_type);
    if (!frame)
        return NULL;
    frame->owner = Py_NewRef(owner);
    frame->buffer = *buffer;
    PyObject *view = PyMemoryView_FromObject((PyObject *)frame);
    Py_DECREF(frame);
    return view;
}

PyObject *buffers_to_list(PyObject *owner, const struct ipcl_buffer *buffers, size_t count)
{
    PyObject *list = PyList_New((Py_ssize_t)count);
    for (size_t i = 0; list && i < count; i++) {
        PyObject *view = make_view(owner, &buffers[i]);
        if (!view)
            Py_CLEAR(list);
        else
            PyList_SET_ITEM(list, (Py_ssize_t)i, view);
    }
    return list;
}
