/* The engine as a module. ipengine loads it after it has started the watcher. The watcher loads it
 * when the engine has ended, so that while it sleeps it has none of an engine's libraries. */
#ifndef ENGINE_MODULE_H
#define ENGINE_MODULE_H

#include <stdbool.h>

#include <ipcluster/error.h>

struct end_notice;

struct engine_module {
    const char *version; /* may be another than this program's: an update since it started */
    int (*run)(int argc, char **argv, int watcher);
    void (*send_end_notice)(const struct end_notice *notice);
};

/* Loads the module of this program's installation. Returns NULL with `error` set. */
const struct engine_module *module_load(struct ipcl_error *error);

#endif
