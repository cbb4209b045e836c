/* ipengine: an engine, or what becomes one. */
#include <stdio.h>

#include "base/log.h"
#include "engine/engine.h"
#include "engine/module.h"
#include "engine/watcher.h"

int main(int argc, char **argv)
{
    struct ipcl_error error;
    log_open("ipengine", NULL, NULL); /* so that nothing of the watcher's is a standard file */
    int watcher = watcher_start();
    const struct engine_module *module = module_load(&error);
    if (module)
        return module->run(argc, argv, watcher);
    fprintf(stderr, "ipengine: %s\n", error.text);
    return ENGINE_EXIT_FAILED;
}
