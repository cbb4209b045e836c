/* Whether a row of an option table has all that option.h demands. */
#include <stdbool.h>
#include <string.h>

#include "config/settings_private.h"

const char *settings_type_text(enum ipcl_option_type type)
{
    static const char *const texts[] = {
        [IPCL_BOOL] = "true or false",   [IPCL_INT] = "an integer",
        [IPCL_REAL] = "a number",        [IPCL_STRING] = "text",
        [IPCL_LIST] = "a list of texts", [IPCL_MAPPING] = "names with values",
    };
    return texts[type];
}

int option_check(const char *class_name, const struct ipcl_option *option, struct ipcl_error *error)
{
    enum ipcl_option_type type = option->type;
    if (!option->name || !*option->name)
        return ipcl_error_set(error, "a setting of %s has no name", class_name);
    if ((unsigned)type > IPCL_INHERITED)
        return ipcl_error_set(error, "the setting %s.%s has the type %u, which does not exist",
                              class_name, option->name, (unsigned)type);
    if (type == IPCL_RENAMED)
        return option->fallback && strchr(option->fallback, '.')
                   ? 0
                   : ipcl_error_set(error,
                                    "%s.%s is another name of something that is not a "
                                    "Class.trait",
                                    class_name, option->name);
    if (type == IPCL_INHERITED)
        return option->fallback && *option->fallback
                   ? 0
                   : ipcl_error_set(error, "%s.%s is inherited, but no class is named", class_name,
                                    option->name);
    if (!option->help)
        return ipcl_error_set(error, "the setting %s.%s has no help", class_name, option->name);
    bool holds = type < IPCL_RENAMED || type == IPCL_MAPPING;
    if (holds && !option->fallback)
        return ipcl_error_set(error, "the setting %s.%s has no default (\"\" stands for none)",
                              class_name, option->name);
    if (!holds || !option->bare)
        return 0;
    struct value *value = value_from_text(type, option->bare);
    value_destroy(value);
    return value ? 0
                 : ipcl_error_set(error, "%s.%s expects %s, not %.80s without a value", class_name,
                                  option->name, settings_type_text(type), option->bare);
}
