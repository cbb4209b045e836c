/* The file in which the hub keeps its engines for the next controller: ids and uuids, as
 * ipyparallel's hub keeps them, and what the engines say about themselves. */
#ifndef CONTROLLER_HUB_ENGINE_TABLE_H
#define CONTROLLER_HUB_ENGINE_TABLE_H

#include "controller/hub/engines.h"

struct engine_table {
    const char *path; /* "": nothing is kept */
    long long due_ms; /* when to write; 0: the file is up to date */
    long long written_ms;
};

/* An engine has come or gone: the file is written soon, once for all changes until then. */
void engine_table_changed(struct engine_table *table, const struct engines *engines,
                          long long now_ms);
/* Writes if it is time to. Returns the time of the next call, or CLOCK_NEVER. */
long long engine_table_tick(struct engine_table *table, const struct engines *engines,
                            long long now_ms);
/* Calls `each` for each engine of the file, with its id, uuid, route (routes.h; "" for none) and
 * info, and whether it seals. Returns 0, also if there is no file, or -1 with `error` set. */
int engine_table_names(const struct engine_table *table,
                       void (*each)(void *self, const struct hub_engine *engine), void *self,
                       struct ipcl_error *error);
/* Writes all changes now. */
void engine_table_finish(struct engine_table *table, const struct engines *engines);
/* Adds the file's engines, to an empty list, as engines that have asked to be registered. Returns
 * how many, 0 if there is no file, or -1 with `error` set, which says what is wrong with the file:
 * then the list stays empty. */
int engine_table_load(const struct engine_table *table, struct engines *engines,
                      long long expires_ms, struct ipcl_error *error);

#endif
