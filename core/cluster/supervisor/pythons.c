/* Which Python engines run in. */
#include "cluster/supervisor/pythons.h"

#include <stdlib.h>
#include <string.h>

/* A Python, and how many engines run in it. */
struct python {
    const char *version, *executable;
    unsigned count;
    int first; /* of them: the id */
};

struct pythons {
    struct python *list;
    size_t count;
};

static void note(void *context, const struct hub_engine *engine)
{
    struct pythons *pythons = context;
    if (!*engine->executable)
        return;
    for (size_t i = 0; i < pythons->count; i++) {
        struct python *each = &pythons->list[i];
        if (strcmp(each->version, engine->python) || strcmp(each->executable, engine->executable))
            continue;
        each->count++;
        each->first = engine->id < each->first ? engine->id : each->first;
        return;
    }
    struct python *list = realloc(pythons->list, (pythons->count + 1) * sizeof(*list));
    if (!list)
        return;
    pythons->list = list;
    list[pythons->count++] = (struct python){engine->python, engine->executable, 1, engine->id};
}

void pythons_say(struct progress *progress, const struct hub_watch *hub, const char *engine_set)
{
    struct pythons pythons = {.list = NULL};
    hub_watch_each(hub, engine_set, note, &pythons);
    for (size_t i = 0; i < pythons.count; i++) {
        const struct python *each = &pythons.list[i];
        if (pythons.count == 1)
            progress_say(progress, "Python %s, %s", each->version, each->executable);
        else
            progress_say(progress, "Python %s, %s: engine %d%s", each->version, each->executable,
                         each->first, each->count > 1 ? " and others" : "");
    }
    free(pythons.list);
}
