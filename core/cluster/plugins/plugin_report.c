/* What a check of a plugin says: its faults, and to the process that waits for it what it does. */
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include "cluster/plugins/plugin_check_private.h"

void check_fault(const struct plugin_check *check, const char *format, ...)
{
    char fault[IPCL_ERROR_BYTES];
    va_list args;
    va_start(args, format);
    vsnprintf(fault, sizeof(fault), format, args);
    va_end(args);
    check->faults.found(check->faults.context, fault);
}

void check_stage(const struct plugin_check *check, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(check->stage, CHECK_STAGE_BYTES, format, args);
    va_end(args);
    alarm(CHECK_STAGE_S);
}
