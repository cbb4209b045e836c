/* Memory that crosses between Python and libzmq without a copy, in both directions. */
#include "extension.h"

#include <stdatomic.h>
#include <stdlib.h>

/* Received frames up to this size become bytes objects: cheaper than a view of the frame. */
#define VIEW_BYTES 8192

/* A Python object whose memory is being sent. */
struct lent {
    Py_buffer view;
    struct lent *next;
};

static _Atomic(struct lent *) returned;

/* Runs in one of libzmq's threads, or in the calling one. */
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
        free(lent);
        lent = next;
    }
}

/* ipcl_submit() copies small bytes objects, so they need no owner: the sequence holds them until
 * then. */
static int make_buffer(PyObject *object, struct ipcl_buffer *buffer)
{
    if (PyBytes_CheckExact(object) && PyBytes_Size(object) <= IPCL_COPY_BYTES) {
        *buffer = (struct ipcl_buffer){.data = PyBytes_AsString(object),
                                       .size = (size_t)PyBytes_Size(object)};
        return 0;
    }
    struct lent *lent = malloc(sizeof(*lent));
    if (!lent) {
        PyErr_NoMemory();
        return -1;
    }
    if (PyObject_GetBuffer(object, &lent->view, PyBUF_C_CONTIGUOUS)) {
        free(lent);
        return -1;
    }
    *buffer = (struct ipcl_buffer){.data = lent->view.buf,
                                   .size = (size_t)lent->view.len,
                                   .owner = lent,
                                   .release = give_back};
    return 0;
}

struct ipcl_buffer *buffers_from(PyObject *list, size_t *count)
{
    Py_ssize_t size = PyList_Size(list);
    struct ipcl_buffer *buffers = malloc((size_t)(size ? size : 1) * sizeof(*buffers));
    *count = 0;
    if (!buffers) {
        PyErr_NoMemory();
        return NULL;
    }
    for (Py_ssize_t i = 0; i < size; i++) {
        PyObject *item = PyList_GetItem(list, i); /* code that makes a buffer may change the list */
        if (!item || make_buffer(item, &buffers[i])) {
            while (i-- > 0)
                if (buffers[i].release)
                    buffers[i].release(buffers[i].owner);
            free(buffers);
            return NULL;
        }
    }
    *count = (size_t)size;
    return buffers;
}

/* A received frame, shown by a memoryview. It keeps the future that has the frame. It can be
 * written to, as in ipyparallel: nobody else reads it any more. */
struct frame {
    PyObject_HEAD
    PyObject *owner;
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
    Py_DECREF(((struct frame *)self)->owner);
    object_free(self);
}

PyTypeObject *frame_type;
PyType_Spec frame_spec = {
    .name = "ipcluster._client.Frame",
    .basicsize = sizeof(struct frame),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = (PyType_Slot[]){{Py_tp_doc, (char *)"A received frame's memory."},
                             {Py_tp_dealloc, frame_dealloc},
                             {Py_bf_getbuffer, frame_get_buffer},
                             {0, NULL}},
};

static PyObject *make_view(PyObject *owner, const struct ipcl_buffer *buffer)
{
    if (buffer->size <= VIEW_BYTES)
        return PyBytes_FromStringAndSize(buffer->data, (Py_ssize_t)buffer->size);
    struct frame *frame = PyObject_New(struct frame, frame_type);
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
            PyList_SetItem(list, (Py_ssize_t)i, view);
    }
    return list;
}
