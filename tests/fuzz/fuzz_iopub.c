/* Output of engines, and subscriptions to it. */
#include "module.h"

static const struct module *const modules[] = {&iopub_module, NULL};
static const char *const inside[] = {"iopub", NULL};

const struct fuzz_modules fuzz_modules = {
    .modules = modules, .inside = inside, .notices = CHANNEL_IOPUB, .arrival = NOTICE_EXPECTED};
