/* Finds and loads the module engine.so. */
#include <dlfcn.h>
#include <string.h>

#include "base/installation.h"
#include "base/trust.h"
#include "engine/module.h"

const struct engine_module *module_load(struct ipcl_error *error)
{
    char folder[PATH_BYTES], path[PATH_BYTES];
    const char *tree = installation_build_tree();
    if (tree ? path_format(folder, error, "%s/core/engine/.libs", tree)
             : installation_place(PLUGIN_DIR, folder, error))
        return NULL;
    if (path_format(path, error, "%s/engine.so", folder))
        return NULL;
    /* In a build tree whoever can change it can change this program beside it. */
    if (!tree && trust_check(path, error))
        return NULL;
    void *library = dlopen(path, RTLD_NOW);
    const struct engine_module *module = library ? dlsym(library, "engine_module") : NULL;
    if (module && !strcmp(module->version, PACKAGE_VERSION))
        return module;
    if (module)
        ipcl_error_set(error,
                       "%s belongs to ipcluster %s, but this program to %s: install both again",
                       path, module->version, PACKAGE_VERSION);
    else
        ipcl_error_set(error, "the engine cannot be loaded: %s. Install ipcluster again",
                       dlerror());
    return NULL;
}
