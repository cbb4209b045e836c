/* A network that goes nowhere, for harnesses of threads: NETWORK_WRAP of local.mk puts these in the
 * place of the calls by which sockets meet others, and by which threads tell their loop what to
 * read. Sockets themselves are real, and so is inproc between those that a harness names. */
#ifndef FUZZ_NETWORK_H
#define FUZZ_NETWORK_H

#include <stdbool.h>

#include "fuzz.h"
#include "wire/loop.h"

/* Whether messages to peers leave. */
extern bool network_reachable;

/* What a harness of a thread defines. An input is a byte of settings and messages, each with a
 * first byte that says what happens; with its bit 7 peers are gone. A state of the thread, and a
 * network with it, lives for several inputs: one for each setting, as inputs have these in any
 * order. */
#define NETWORKS 32
struct network_harness {
    unsigned settings;              /* how many: the lowest bits of the first byte */
    void (*enter)(unsigned number); /* the state that counts from now on */
    void (*create)(unsigned number);
    void (*destroy)(void);
    bool (*is_over)(void); /* whether it is to be destroyed at once; NULL: never */
    void (*happen)(unsigned what, struct fuzz_bytes bytes, struct message *message);
};
extern const struct network_harness network_harness;

/* While a state is created: the names of inproc that are real, NULL-terminated. */
void network_set_inside(const char *const *names);
/* What the next message_recv() receives instead of what its socket has. It is forgotten when the
 * present event has been handled. */
void network_arrive(struct fuzz_bytes bytes);
/* Hands a message, of at least as many frames as its kind of socket gives, to what reads the
 * `index`th socket that peers can send to (modulo their number). */
void network_receive(unsigned index, struct fuzz_bytes bytes, struct message *message);
/* Has everything that waits within the program read. */
void network_settle(void);
/* Runs the loops' ticks as if it were so much later. */
void network_tick(long long later_ms);

#endif
