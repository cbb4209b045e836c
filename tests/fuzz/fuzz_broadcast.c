/* The broadcast scheduler. */
#include "module.h"

static const struct module *const modules[] = {&broadcast_module, NULL};
static const char *const inside[] = {"broadcast", NULL};

const struct fuzz_modules fuzz_modules = {
    .modules = modules, .inside = inside, .notices = CHANNEL_BROADCAST, .arrival = NOTICE_ADDED};
