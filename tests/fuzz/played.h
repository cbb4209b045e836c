/* The engine's I/O thread; what the main thread does is played. */
#ifndef FUZZ_PLAYED_H
#define FUZZ_PLAYED_H

#include <stdbool.h>

/* What a harness of it defines: whether user code has called bind_kernel(), and inputs come by what
 * that opens. */
extern const bool fuzz_frontends;

#endif
