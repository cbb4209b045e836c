/* The direct scheduler. */
#include "module.h"

static const struct module *const modules[] = {&direct_module, NULL};
static const char *const inside[] = {"direct", NULL};

const struct fuzz_modules fuzz_modules = {
    .modules = modules, .inside = inside, .notices = CHANNEL_DIRECT, .arrival = NOTICE_ADDED};
