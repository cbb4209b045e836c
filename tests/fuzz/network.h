/* A network that goes nowhere, for harnesses of threads: NETWORK_WRAP of local.mk puts these in the
 * place of the calls by which sockets meet others, and by which threads tell their loop what to
 * read. Sockets themselves are real, and so is inproc between those that a harness names. */
#ifndef FUZZ_NETWORK_H
#define FUZZ_NETWORK_H

#include <stdbool.h>

#include "fuzz.h"
#include "wire/loop.h"

/* What is taken for granted of peers: whether messages to them leave. */
extern bool network_reachable;

/* Several states of a harness live side by side, each with a network by its number. */
#define NETWORKS 32
/* Makes a network empty, and the one that counts. `inside` has the names of inproc that are real,
 * NULL-terminated. */
void network_begin(unsigned number, const char *const *inside);
/* The one that counts from now on. */
void network_select(unsigned number);
/* Hands a message, of at least as many frames as its kind of socket gives, to what reads the
 * `index`th socket that peers can send to (modulo their number). */
void network_receive(unsigned index, struct fuzz_bytes bytes, struct message *message);
/* Has everything that waits within the program read. */
void network_settle(void);
/* Runs the loops' ticks as if it were so much later. */
void network_tick(long long later_ms);

#endif
