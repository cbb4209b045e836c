/* What the module engine.so exports. */
#include <ipcluster/plugin.h>

#include "engine/module.h"
#include "engine/end_notice.h"
#include "engine/run.h"

IPCL_EXPORT extern const struct engine_module engine_module;
const struct engine_module engine_module = {PACKAGE_VERSION, engine_run, end_notice_send};
