/* Message frames as Python buffers and Python buffers as message frames, without copies. */
#include "python.h"

#include <stdatomic.h>
#include <stdlib.h>

/* Smaller frames are cheaper copied than kept, and may not be written to. */
#define COPIED_BYTES IPCL_KERNEL_SHARED_BYTES

/* A received frame, which memoryviews show. It is writable, as in ipyparallel's engines: nothing
 * else reads it any more. */
struct frame {
    PyObject_HEAD
    struct ipcl_buffer buffer;
};

static int frame_get_buffer(PyObject *self, Py_buffer *view, int flags)
{
    struct frame *frame = (struct frame *)self;
    return PyBuffer_FillInfo(view, self, (void *)frame->buffer.data, (Py_ssize_t)frame->buffer.size,
                             0, flags);
}

static void frame_dealloc(PyObject *self)
{
    struct frame *frame = (struct frame *)self;
    if (frame->buffer.release)
        frame->buffer.release(frame->buffer.owner);
    PyTypeObject *type = Py_TYPE(self);
    PyObject_Free(self);
    Py_DECREF(type);
}

static PyTypeObject *frame_type;

int python_buffers_start(void)
{
    PyType_Slot slots[] = {{Py_tp_doc, (char *)"A received frame of a message."},
                           {Py_tp_dealloc, frame_dealloc},
                           {Py_bf_getbuffer, frame_get_buffer},
                           {0, NULL}};
    PyType_Spec spec = {.name = "_ipcluster_host.Frame",
                        .basicsize = sizeof(struct frame),
                        .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION |
                                 Py_TPFLAGS_IMMUTABLETYPE,
                        .slots = slots};
    frame_type = (PyTypeObject *)PyType_FromSpec(&spec);
    return frame_type ? 0 : -1;
}

static PyObject *view_frame(const struct ipcl_kernel_services *services,
                            const struct ipcl_request *request, size_t index)
{
    struct frame *frame = PyObject_New(struct frame, frame_type);
    if (!frame)
        return NULL;
    frame->buffer = services->retain(services->base.host, request, index);
    PyObject *view = PyMemoryView_FromObject((PyObject *)frame);
    Py_DECREF(frame);
    return view;
}

PyObject *python_buffers_in(const struct ipcl_kernel_services *services,
                            const struct ipcl_request *request)
{
    PyObject *list = PyList_New((Py_ssize_t)request->buffer_count);
    for (size_t i = 0; list && i < request->buffer_count; i++) {
        const struct ipcl_buffer *buffer = &request->buffers[i];
        PyObject *item = buffer->size <= COPIED_BYTES
                             ? PyBytes_FromStringAndSize(buffer->data, (Py_ssize_t)buffer->size)
                             : view_frame(services, request, i);
        if (!item)
            Py_CLEAR(list);
        else
            PyList_SetItem(list, (Py_ssize_t)i, item);
    }
    return list;
}

/* A Python buffer that the host has. zmq gives it back from a thread of its own, which cannot hold
 * the interpreter's lock: it is put on a list, and the main thread takes the whole list. */
struct lent {
    struct lent *next;
    Py_buffer view;
};

static _Atomic(struct lent *) given_back;

static void give_back(void *owner)
{
    struct lent *lent = owner;
    lent->next = atomic_load_explicit(&given_back, memory_order_relaxed);
    while (!atomic_compare_exchange_weak_explicit(&given_back, &lent->next, lent,
                                                  memory_order_release, memory_order_relaxed))
        ;
}

void python_buffers_drain(void)
{
    struct lent *lent = atomic_exchange_explicit(&given_back, NULL, memory_order_acquire);
    while (lent) {
        struct lent *next = lent->next;
        PyBuffer_Release(&lent->view);
        free(lent);
        lent = next;
    }
}

static int lend(PyObject *object, struct ipcl_buffer *buffer)
{
    struct lent *lent = malloc(sizeof(*lent));
    if (!lent) {
        PyErr_NoMemory();
        return -1;
    }
    if (PyObject_GetBuffer(object, &lent->view, PyBUF_ANY_CONTIGUOUS)) {
        free(lent);
        return -1;
    }
    buffer->data = lent->view.buf;
    buffer->size = (size_t)lent->view.len;
    buffer->owner = lent;
    buffer->release = give_back;
    return 0;
}

struct ipcl_buffer *python_buffers_out(PyObject *list, size_t *count)
{
    Py_ssize_t length = PyList_Check(list) ? PyList_Size(list) : -1;
    if (length < 0) {
        PyErr_SetString(PyExc_TypeError, "serialized objects are lists of buffers");
        return NULL;
    }
    struct ipcl_buffer *buffers = calloc((size_t)length + 1, sizeof(*buffers));
    if (!buffers) {
        PyErr_NoMemory();
        return NULL;
    }
    for (Py_ssize_t i = 0; i < length; i++) {
        PyObject *item = PyList_GetItem(list, i); /* what makes a buffer may change the list */
        if (!item || lend(item, &buffers[i])) {
            while (i-- > 0)
                give_back(buffers[i].owner);
            free(buffers);
            return NULL;
        }
    }
    *count = (size_t)length;
    return buffers;
}
