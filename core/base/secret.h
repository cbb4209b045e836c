/* Keys in memory: kept out of core files and swap, and wiped. */
#ifndef BASE_SECRET_H
#define BASE_SECRET_H

#include <stdbool.h>
#include <stddef.h>

/* Keeps the pages that hold `at` out of core files and, as far as the limit of locked memory allows
 * it, out of swap. This also applies to everything else in these pages, and goes on after the
 * memory is freed. */
void secret_hide(const void *at, size_t size);
/* The same for the command line and the environment, where keys may be. */
void secret_hide_words(void);
/* Wipes memory from malloc(), and frees it. Takes NULL. */
void secret_free(void *at);

/* Forbids core files of this process; ptrace(2), as debuggers and sanitizers use it, works as
 * before. */
void secret_forbid_cores(void);
/* Sets the limit for core files back to the one that this process was started with. */
void secret_allow_cores(void);
/* Call with false before a program is started, and with true afterwards: so the program has the
 * limit for core files that this process was started with. One thread. */
void secret_start_child(bool begun);

#endif
