/* What a supervisor marks the processes with that it starts. */
#include "base/mark.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

static char *mark;

/* In a child that is forked: /proc shows the environment that its parent was started with. */
static void erase(void)
{
    memset(mark, ' ', strlen(mark));
}

void mark_keep_to_self(void)
{
    mark = getenv(MARK_VARIABLE);
    if (!mark)
        return;
    unsetenv(MARK_VARIABLE);
    pthread_atfork(NULL, NULL, erase);
}
