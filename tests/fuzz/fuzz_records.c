/* All that becomes a record: the hub with the records thread, and the threads that report to it. */
#include "module.h"

static const struct module *const modules[] = {&records_module, &hub_module,  &heart_module,
                                               &direct_module,  &task_module, NULL};
static const char *const inside[] = {"records", "notes", "hub",      "heart",
                                     "direct",  "task",  "restored", NULL};

const struct fuzz_modules fuzz_modules = {
    .modules = modules, .inside = inside, .notices = CHANNEL_LISTENERS, .store = true};
