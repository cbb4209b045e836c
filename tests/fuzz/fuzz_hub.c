/* The hub and the heart, which tells it which engines live: registrations, queries, notices of
 * death. */
#include "module.h"

static const struct module *const modules[] = {&hub_module, &heart_module, NULL};
static const char *const inside[] = {"hub", "heart", NULL};

const struct fuzz_modules fuzz_modules = {
    .modules = modules, .inside = inside, .notices = CHANNEL_LISTENERS};
