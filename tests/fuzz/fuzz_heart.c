/* Heartbeats: pongs, subscriptions, connections that end. */
#include "module.h"

static const struct module *const modules[] = {&heart_module, NULL};
static const char *const inside[] = {"heart", NULL};

const struct fuzz_modules fuzz_modules = {
    .modules = modules, .inside = inside, .notices = CHANNEL_HEART, .arrival = NOTICE_EXPECTED};
