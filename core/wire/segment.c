/* Segments: sealed memory files that programs of one host share. */
#include "wire/segment.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>
#include <uthash.h>

#include "base/log.h"
#include "base/random.h"

#define ID_BYTES 16
/* What is sealed can be mapped: it does not change, and does not become shorter. */
#define SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)

static const char label[] = "\0ipcluster segment 1";
_Static_assert(SEGMENT_REFERENCE_BYTES == sizeof(label) + ID_BYTES + sizeof(uint64_t),
               "a reference is a label, an identifier and a size");

/* A segment that this program has, and how many frames own it; copies of a frame are one. */
struct segment {
    UT_hash_handle hh;
    size_t size;
    size_t frames;
    int descriptor;
    unsigned char reference[SEGMENT_REFERENCE_BYTES];
};

/* libzmq releases frames in threads of its own. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct segment *segments; /* a hash by reference */
static size_t all_bytes;

bool segment_is_reference(zmq_msg_t *frame)
{
    return zmq_msg_size(frame) == SEGMENT_REFERENCE_BYTES &&
           !memcmp(zmq_msg_data(frame), label, sizeof(label));
}

static uint64_t size_of(const unsigned char *reference)
{
    uint64_t size;
    memcpy(&size, reference + sizeof(label) + ID_BYTES, sizeof(size));
    return be64toh(size);
}

size_t segment_bytes_of(zmq_msg_t *frame)
{
    return segment_is_reference(frame) ? size_of(zmq_msg_data(frame)) : zmq_msg_size(frame);
}

static struct segment *find(const void *reference)
{
    struct segment *segment;
    HASH_FIND(hh, segments, reference, SEGMENT_REFERENCE_BYTES, segment);
    return segment;
}

/* Returns the descriptor, for the caller to close, if no frame owns the segment any more; otherwise
 * -1. */
static int let_go(struct segment *segment)
{
    int descriptor = segment->descriptor;
    if (--segment->frames)
        return -1;
    HASH_DEL(segments, segment);
    all_bytes -= segment->size;
    free(segment);
    return descriptor;
}

static void release(void *data, void *segment)
{
    (void)data;
    pthread_mutex_lock(&lock);
    int descriptor = let_go(segment);
    pthread_mutex_unlock(&lock);
    if (descriptor >= 0)
        close(descriptor); /* which may free gigabytes */
}

static void lock_all(void)
{
    pthread_mutex_lock(&lock);
}

static void unlock_all(void)
{
    pthread_mutex_unlock(&lock);
}

/* A forked child may use segments, too. */
static void watch_forks(void)
{
    pthread_atfork(lock_all, unlock_all, unlock_all);
}

/* A new entry in the hash, which takes over the descriptor. NULL if memory is short. */
static struct segment *enter(const void *reference, size_t size, int descriptor)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    struct segment *segment = calloc(1, sizeof(*segment));
    if (!segment)
        return NULL;
    pthread_once(&once, watch_forks);
    segment->size = size;
    segment->descriptor = descriptor;
    memcpy(segment->reference, reference, SEGMENT_REFERENCE_BYTES);
    HASH_ADD(hh, segments, reference, SEGMENT_REFERENCE_BYTES, segment);
    all_bytes += size;
    return segment;
}

/* Makes `frame` own the segment. Returns 0 or -1. */
static int own(zmq_msg_t *frame, struct segment *segment)
{
    segment->frames++;
    if (!zmq_msg_init_data(frame, segment->reference, SEGMENT_REFERENCE_BYTES, release, segment))
        return 0;
    int descriptor = let_go(segment);
    if (descriptor >= 0)
        close(descriptor);
    return -1;
}

/* A write beyond the limit of a file's size would end the process. */
static bool is_allowed(size_t size)
{
    struct rlimit limit;
    return getrlimit(RLIMIT_FSIZE, &limit) || size <= limit.rlim_cur;
}

static int fill(int descriptor, const char *data, size_t size)
{
    for (size_t done = 0; done < size;) {
        ssize_t count = write(descriptor, data + done, size - done);
        if (count <= 0 && errno != EINTR)
            return -1;
        done += count > 0 ? (size_t)count : 0;
    }
    return fcntl(descriptor, F_ADD_SEALS, SEALS);
}

/* Newer kernels want to be told that it is no program. */
static int create(void)
{
    const unsigned flags = MFD_CLOEXEC | MFD_ALLOW_SEALING, no_program = 8; /* MFD_NOEXEC_SEAL */
    int descriptor = memfd_create("ipcluster-segment", flags | no_program);
    return descriptor < 0 && errno == EINVAL ? memfd_create("ipcluster-segment", flags)
                                             : descriptor;
}

static int make(zmq_msg_t *frame, const void *data, size_t size)
{
    unsigned char reference[SEGMENT_REFERENCE_BYTES];
    uint64_t number = htobe64(size);
    if (!size || !is_allowed(size)) {
        errno = EFBIG;
        return -1;
    }
    int descriptor = create();
    if (descriptor < 0)
        return -1;
    if (fill(descriptor, data, size)) {
        close(descriptor);
        return -1;
    }
    memcpy(reference, label, sizeof(label));
    random_bytes(reference + sizeof(label), ID_BYTES);
    memcpy(reference + sizeof(label) + ID_BYTES, &number, sizeof(number));
    pthread_mutex_lock(&lock);
    struct segment *segment = enter(reference, size, descriptor);
    int status = segment ? own(frame, segment) : -1;
    pthread_mutex_unlock(&lock);
    if (!segment)
        close(descriptor);
    return status;
}

int segment_make(zmq_msg_t *frame, const void *data, size_t size)
{
    static struct log_limit limit;
    int status = make(frame, data, size);
    if (!status)
        return 0;
    pthread_mutex_lock(&lock);
    log_limited(&limit, IPCL_LOG_WARN, "a buffer of %zu bytes is sent, as it cannot be shared: %s",
                size, strerror(errno));
    pthread_mutex_unlock(&lock);
    return -1;
}

/* Whether a descriptor is that of a segment of this size. A hole would be memory only for who maps
 * it. */
static bool is_sealed(int descriptor, uint64_t size)
{
    struct stat status;
    int seals = fcntl(descriptor, F_GET_SEALS);
    return seals >= 0 && (seals & SEALS) == SEALS && !fstat(descriptor, &status) && size &&
           status.st_size >= 0 && (uint64_t)status.st_size == size &&
           lseek(descriptor, 0, SEEK_HOLE) == status.st_size;
}

static bool is_same(int descriptor, int other)
{
    struct stat one, two;
    return !fstat(descriptor, &one) && !fstat(other, &two) && one.st_dev == two.st_dev &&
           one.st_ino == two.st_ino;
}

int segment_adopt(zmq_msg_t *frame, int descriptor)
{
    const void *reference = zmq_msg_data(frame);
    size_t size = segment_frame_bytes(frame);
    zmq_msg_t owner;
    pthread_mutex_lock(&lock);
    struct segment *segment = find(reference);
    bool known = segment;
    if (known && !is_same(descriptor, segment->descriptor))
        segment = NULL; /* another one under the same reference */
    else if (!known && is_sealed(descriptor, size))
        segment = enter(reference, size, descriptor);
    int status = segment ? own(&owner, segment) : -1;
    pthread_mutex_unlock(&lock);
    if (known || !segment)
        close(descriptor);
    if (status)
        return -1;
    zmq_msg_move(frame, &owner);
    zmq_msg_close(&owner);
    return 0;
}

int segment_descriptor(zmq_msg_t *frame)
{
    pthread_mutex_lock(&lock);
    const struct segment *segment = segment_is_reference(frame) ? find(zmq_msg_data(frame)) : NULL;
    int descriptor = segment ? segment->descriptor : -1;
    pthread_mutex_unlock(&lock);
    return descriptor;
}

static void unmap(void *data, void *size)
{
    munmap(data, (size_t)(uintptr_t)size);
}

int segment_open(zmq_msg_t *frame)
{
    size_t size = segment_frame_bytes(frame);
    int descriptor = segment_descriptor(frame);
    zmq_msg_t opened;
    if (descriptor < 0)
        return -1;
    void *data = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE, descriptor, 0);
    if (data == MAP_FAILED)
        return -1;
    if (zmq_msg_init_data(&opened, data, size, unmap, (void *)(uintptr_t)size)) {
        munmap(data, size);
        return -1;
    }
    zmq_msg_move(frame, &opened);
    zmq_msg_close(&opened);
    return 0;
}

void segment_populate(zmq_msg_t *frame)
{
#ifdef MADV_POPULATE_READ
    madvise(zmq_msg_data(frame), zmq_msg_size(frame), MADV_POPULATE_READ);
#else
    (void)frame;
#endif
}

size_t segment_count(size_t *bytes)
{
    pthread_mutex_lock(&lock);
    size_t count = HASH_COUNT(segments);
    *bytes = all_bytes;
    pthread_mutex_unlock(&lock);
    return count;
}
