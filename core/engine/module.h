/* The engine as a module, which ipengine loads once it has started the watcher, and the watcher
 * once the engine is gone: so that a watcher that sleeps has none of the libraries that an
 * engine has. */
#ifndef ENGINE_MODULE_H
#define ENGINE_MODULE_H

#include <stdbool.h>

#include <ipcluster/error.h>

struct end_notice;

struct engine_module {
    const char *version; /* the same installation may have another by now */
    int (*run)(int argc, char **argv, int watcher);
    void (*send_end_notice)(const struct end_notice *notice);
};

/* Loads the module of this program's installation. Returns NULL with `error` set. */
const struct engine_module *module_load(struct ipcl_error *error);

#endif
