/* Segments: large buffers in memory that the programs of one host share, so that they are not
 * copied through sockets. A segment is a sealed memfd: it has no name, nobody can change or cut it
 * any more, and the kernel frees it when the last descriptor and the last mapping have gone. In a
 * message a reference stands in the buffer's place:
 *
 *     label "\0ipcluster segment 1" and its NUL; 16 random bytes; the size, 8 bytes, big-endian
 *
 * In a program, a frame that is a reference owns the segment: with the last copy of the frame the
 * program's descriptor is closed. Bytes that look like a reference and own nothing, because another
 * program has sent them, are not opened. Any thread. */
#ifndef WIRE_SEGMENT_H
#define WIRE_SEGMENT_H

#include <stdbool.h>
#include <stddef.h>
#include <zmq.h>

/* Smaller buffers are as fast by sockets: those for several receivers, and those for one. */
#define SEGMENT_LEAST_BYTES     ((size_t)1 << 20)
#define SEGMENT_ALONE_BYTES     ((size_t)32 << 20)
#define SEGMENT_REFERENCE_BYTES 45

/* Whether the frame is a reference. */
bool segment_is_reference(zmq_msg_t *frame);
/* How many bytes a frame stands for that has the size of a reference. */
size_t segment_bytes_of(zmq_msg_t *frame);
/* How many bytes any frame stands for: the segment's, or its own. It is asked often of each. */
static inline size_t segment_frame_bytes(zmq_msg_t *frame)
{
    size_t size = zmq_msg_size(frame);
    return size == SEGMENT_REFERENCE_BYTES ? segment_bytes_of(frame) : size;
}
/* Makes a segment with a copy of these bytes, and `frame`, which holds nothing, the reference to
 * it. Returns 0, or -1 with errno set: there is no memory for it, or no descriptor. */
int segment_make(zmq_msg_t *frame, const void *data, size_t size);
/* Has a reference that another program sent own the segment, whose descriptor came with it and is
 * taken over. Returns 0, or -1 where it is not such a segment. */
int segment_adopt(zmq_msg_t *frame, int descriptor);
/* The descriptor of a reference's segment, for as long as the frame is there; -1: it owns none. */
int segment_descriptor(zmq_msg_t *frame);
/* Replaces a reference by the bytes: a mapping of this program's own, which can be written to and
 * is copied, a page at a time, only then. Returns 0, or -1: it owns no segment, or memory is
 * short. */
int segment_open(zmq_msg_t *frame);
/* Maps all pages of a frame that was opened, which is faster at once than one by one. */
void segment_populate(zmq_msg_t *frame);
/* How many segments this program has descriptors of, and their bytes. */
size_t segment_count(size_t *bytes);

#endif
