/* Keys in memory: kept out of core files and swap, and wiped. */
#include "base/secret.h"

#include <malloc.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/own_words.h"

/* A limit of 0 stops no core that goes to a program (/proc/sys/kernel/core_pattern begins with |):
 * 1 stops that, too, and is too little for a file (core(5), and do_coredump() of Linux). A process
 * that is not dumpable (PR_SET_DUMPABLE) would be closed to debuggers and LeakSanitizer, and its
 * folder below /proc to its own user. */
#define NO_CORE 1

static struct rlimit before;
static bool forbidden;

void secret_hide(const void *at, size_t size)
{
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), begin = (uintptr_t)at & ~(page - 1);
    size = (uintptr_t)at + size - begin;
    madvise((void *)begin, size, MADV_DONTDUMP);
    mlock((void *)begin, size);
}

void secret_hide_words(void)
{
    struct own_words words;
    if (own_words_find(&words))
        secret_hide(words.arguments, (size_t)(words.end - words.arguments));
}

void secret_free(void *at)
{
    if (at)
        explicit_bzero(at, malloc_usable_size(at));
    free(at);
}

static void set_limit(rlim_t cores)
{
    setrlimit(RLIMIT_CORE, &(struct rlimit){.rlim_cur = cores, .rlim_max = before.rlim_max});
}

void secret_forbid_cores(void)
{
    forbidden = !getrlimit(RLIMIT_CORE, &before) && before.rlim_max >= NO_CORE;
    if (forbidden)
        set_limit(NO_CORE);
}

void secret_allow_cores(void)
{
    if (forbidden)
        set_limit(before.rlim_cur);
    forbidden = false;
}

void secret_start_child(bool begun)
{
    if (forbidden)
        set_limit(begun ? NO_CORE : before.rlim_cur);
}
