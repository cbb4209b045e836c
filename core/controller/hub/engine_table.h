/* The file in which the hub keeps its engines, so that the next controller knows
 * them: ids and uuids, as ipyparallel's hub keeps them, and what they say of themselves. */
#ifndef CONTROLLER_HUB_ENGINE_TABLE_H
#define CONTROLLER_HUB_ENGINE_TABLE_H

#include "controller/hub/engines.h"

struct engine_table {
    const char *path; /* "": nothing is kept */
    long long due_ms; /* when to write; 0: the file is as it should be */
    long long written_ms;
};

/* An engine has come or gone: the file is written soon, once for all that change meanwhile. */
void engine_table_changed(struct engine_table *table, const struct engines *engines,
                          long long now_ms);
/* Writes where it is time to. Returns when to be called again, or CLOCK_NEVER. */
long long engine_table_tick(struct engine_table *table, const struct engines *engines,
                            long long now_ms);
/* Calls `each` for each engine of the file, with its id, uuid, route (routes.h; "" for none) and
 * info, and whether it seals. Returns 0, also where there is no file, or -1 with `error` set. */
int engine_table_names(const struct engine_table *table,
                       void (*each)(void *self, const struct hub_engine *engine), void *self,
                       struct ipcl_error *error);
/* Writes now what has changed. */
void engine_table_finish(struct engine_table *table, const struct engines *engines);
/* Enters the file's engines, into an empty list, as such that have asked to be registered. Returns
 * how many, 0 where there is no file, or -1 with `error` set, which says what is wrong with it:
 * then the list stays empty. */
int engine_table_load(const struct engine_table *table, struct engines *engines,
                      long long expires_ms, struct ipcl_error *error);

#endif
