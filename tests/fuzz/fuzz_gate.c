/* What libzmq is given to read of a connection. An input is a byte of settings, a byte that says in
 * which pieces the rest comes, and the rest:
 *
 *     bit 0     without encryption
 *     bit 1     a subscriber's
 *     bit 2     a libzmq peer's, which keeps to the bounds: the parts of the input are its frames
 *     bits 3-4  of that: 0 version 4.1 or 4.2, otherwise 4.3 */
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "controller/door/gate.h"
#include "fuzz.h"
#include "wire/socket.h"

#define DESCRIPTORS         1024
#define GREETING_BYTES      64
#define HANDSHAKE_BYTES_MAX 2048
#define FRAME_BYTES_MAX     3000
#define BYTES_MAX           (1 << 14)
#define COMMAND             4
#define LARGE               2

static struct {
    bool encrypted, subscriber, misnamed;
    uint8_t bytes[BYTES_MAX];
    size_t size;
    size_t
        whole; /* where a frame begins that is too large; 0 where nothing before it is handed on */
} peer;

static size_t frame_max(unsigned frame)
{
    return frame < (peer.encrypted ? 2 : 1) ? HANDSHAKE_BYTES_MAX
           : peer.subscriber                ? SOCKET_TOPIC_BYTES_MAX
                                            : FRAME_BYTES_MAX;
}

/* `size` bytes of READY have come. Returns where in them a name begins with a zero byte; `size` if
 * none does. */
static size_t reserved(const uint8_t *ready, size_t size)
{
    size_t at = size ? 1 + ready[0] : 0, value, length;
    while (at < size && (value = at + 1 + ready[at] + 4) < size) {
        length = (size_t)ready[value - 4] << 24 | ready[value - 3] << 16 | ready[value - 2] << 8 |
                 ready[value - 1];
        if (length && !ready[value] && ready[at] == 8 && !memcmp(ready + at + 1, "Identity", 8))
            return value;
        at = value + length;
    }
    return size;
}

/* RFC 23 of ZeroMQ, for the whole input at once. Returns at which byte the bounds are left; the
 * size if they are not. */
static size_t allowed(void)
{
    for (size_t i = 0; i < peer.size && i < GREETING_BYTES; i++)
        if ((i == 0 && peer.bytes[i] != 0xff) || (i == 9 && !(peer.bytes[i] & 1)) ||
            (i == 10 && peer.bytes[i] < 3))
            return i;
    size_t at = GREETING_BYTES;
    for (unsigned frame = 0;; frame++) {
        size_t header = at < peer.size && peer.bytes[at] & LARGE ? 9 : 2, body = 0;
        if (at + header > peer.size)
            return peer.size;
        for (size_t i = 1; i < header; i++)
            body = body << 8 | peer.bytes[at + i];
        if (body > frame_max(frame)) {
            peer.whole = frame_max(frame) == FRAME_BYTES_MAX ? at : 0;
            return at + header - 1;
        }
        at += header;
        size_t here = body < peer.size - at ? body : peer.size - at;
        size_t name = frame || peer.encrypted ? here : reserved(peer.bytes + at, here);
        peer.misnamed = name < here;
        if (peer.misnamed)
            return at + name;
        at += body;
    }
}

static void say(const void *data, size_t size)
{
    FUZZ_ASSERT(peer.size + size <= BYTES_MAX);
    memcpy(peer.bytes + peer.size, data, size);
    peer.size += size;
}

/* Adds a frame in the form that libzmq's encoder gives it, cut to the size that is allowed. */
static void say_frame(struct fuzz_bytes part, unsigned frame)
{
    size_t size = fuzz_size(part) < frame_max(frame) ? fuzz_size(part) : frame_max(frame);
    uint8_t command = frame_max(frame) == HANDSHAKE_BYTES_MAX ? COMMAND : 0;
    uint8_t small[2] = {command, (uint8_t)size};
    uint8_t large[9] = {command | LARGE, [7] = (uint8_t)(size >> 8), (uint8_t)size};
    if (size > UINT8_MAX)
        say(large, sizeof(large));
    else
        say(small, sizeof(small));
    say(part.at, size);
}

static void speak_as_libzmq(struct fuzz_bytes input, unsigned version)
{
    struct fuzz_bytes part;
    uint8_t greeting[GREETING_BYTES] = {[0] = 0xff, [8] = 1, [9] = 0x7f, [10] = 3};
    greeting[11] = version > 0;
    strcpy((char *)greeting + 12, peer.encrypted ? "CURVE" : "NULL");
    say(greeting, sizeof(greeting));
    for (unsigned frame = 0; fuzz_cut(&input, FUZZ_FRAME, &part); frame++)
        say_frame(part, frame);
}

static int listener(void)
{
    static int fd = -1;
    struct ipcl_error error;
    if (fd < 0) {
        FUZZ_ASSERT(!gate_open(DESCRIPTORS, &error));
        fd = socket(AF_UNIX, SOCK_STREAM, 0);
        FUZZ_ASSERT(!bind(fd, &(struct sockaddr){.sa_family = AF_UNIX}, sizeof(sa_family_t)));
    }
    gate_set(FRAME_BYTES_MAX);
    gate_expect((struct gate_peers){.encrypted = peer.encrypted, .subscribers = peer.subscriber});
    FUZZ_ASSERT(!listen(fd, 1));
    return fd;
}

/* Sends all, in pieces of two sizes. Everything before the piece in which the bounds are left has
 * to come through; of that piece only what is before a frame that is too large; and nothing after
 * it. */
static void send_in_pieces(size_t even, size_t odd)
{
    int ends[2];
    size_t bound = allowed(), piece = even, sent = 0;
    bool through = true;
    FUZZ_ASSERT(!socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends));
    FUZZ_ASSERT(gate_admit(listener(), ends[0]));
    for (bool is_odd = false; through && sent < peer.size; is_odd = !is_odd) {
        piece = is_odd ? odd : even;
        piece = piece < peer.size - sent ? piece : peer.size - sent;
        uint8_t *room = malloc(piece); /* AddressSanitizer knows where it ends */
        FUZZ_ASSERT(send(ends[1], peer.bytes + sent, piece, 0) == (ssize_t)piece);
        ssize_t received = recv(ends[0], room, piece, 0);
        through = sent + piece <= bound;
        size_t here = through ? piece : peer.whole > sent ? peer.whole - sent : 0;
        FUZZ_ASSERT(received == (here ? (ssize_t)here : -1));
        FUZZ_ASSERT(!here || !memcmp(room, peer.bytes + sent, here));
        FUZZ_ASSERT(through || recv(ends[0], room, piece, 0) == -1);
        sent += piece;
        free(room);
    }
    close(ends[0]);
    close(ends[1]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    struct fuzz_bytes input = {data + 2, data + size};
    peer.encrypted = !(data[0] & 1);
    peer.subscriber = data[0] & 2;
    peer.size = peer.whole = 0;
    peer.misnamed = false;
    if (data[0] & 4) {
        speak_as_libzmq(input, data[0] >> 3 & 3);
        FUZZ_ASSERT(allowed() == peer.size || peer.misnamed);
    } else {
        say(input.at, fuzz_size(input));
    }
    send_in_pieces(1 + (data[1] & 15), 1 + 16 * (data[1] >> 4));
    return 0;
}
