/* The mark that a supervisor gives to the processes that it starts. */
#include "base/mark.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char *mark;

/* For a forked child, /proc shows the environment that its parent was started with: the mark in it
 * is overwritten. */
void mark_erase(void)
{
    if (!mark)
        mark = getenv(MARK_VARIABLE);
    if (mark)
        memset(mark, ' ', strlen(mark));
}

void mark_keep_to_self(void)
{
    char *given = getenv(MARK_VARIABLE);
    if (!given)
        return;
    mark = given;
    unsetenv(MARK_VARIABLE);
    pthread_atfork(NULL, NULL, mark_erase);
}

void mark_keep_to_process(void)
{
    const char *given = getenv(MARK_VARIABLE);
    char own[128];
    if (given && snprintf(own, sizeof(own), "%s-%ld", given, (long)getpid()) < (int)sizeof(own))
        setenv(MARK_VARIABLE, own, 1);
}
