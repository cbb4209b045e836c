/* Keys in memory: kept out of core files and swap, and wiped. */
#ifndef BASE_SECRET_H
#define BASE_SECRET_H

#include <stdbool.h>
#include <stddef.h>

/* Leaves the pages that hold `at` out of core files, and where the limit of locked memory allows
 * it, out of swap; what else lies in these pages as well. Memory that is freed afterwards stays
 * so. */
void secret_hide(const void *at, size_t size);
/* The same for the command line and the environment, where keys may be. */
void secret_hide_words(void);
/* Wipes what malloc() gave, and frees it. Takes NULL. */
void secret_free(void *at);

/* Lets the system write no core file of this process; ptrace(2), as debuggers and sanitizers use
 * it, works as before. */
void secret_forbid_cores(void);
/* Sets back the limit that this process was started with. */
void secret_allow_cores(void);
/* Around the start of a program: that has the limit that this one was started with. One thread. */
void secret_start_child(bool begun);

#endif
