/* The task scheduler: tasks of clients, replies of engines. */
#include "module.h"

static const struct module *const modules[] = {&task_module, NULL};
static const char *const inside[] = {"task", NULL};

const struct fuzz_modules fuzz_modules = {
    .modules = modules, .inside = inside, .notices = CHANNEL_TASK, .arrival = NOTICE_ADDED};
