/* Settings: their values, as programs ask for them. */
#include <stdlib.h>
#include <string.h>

#include "base/secret.h"
#include "config/settings_private.h"

/* The setting that has the value: this one, or the one that it inherits, if that was given by a
 * higher source. NULL for NULL. */
static const struct setting *holder(const struct settings *settings, const struct setting *item)
{
    if (!item || !item->base)
        return item;
    const struct setting *base =
        holder(settings, settings_lookup(settings, item->base, item->option->name));
    return base && base->rank > item->rank ? base : item;
}

static bool is_of_type(const struct setting *item, enum ipcl_option_type type)
{
    return item->option->type == type || (type == IPCL_LIST && item->option->type == IPCL_MAPPING);
}

/* The value of a setting that must be there and of this type. */
static const struct value *need(const struct settings *settings, const char *class_name,
                                const char *name, enum ipcl_option_type type)
{
    const struct setting *item = holder(settings, settings_lookup(settings, class_name, name));
    if (item && is_of_type(item, type))
        return item->value;
    fprintf(stderr, "programming error: there is no setting %s.%s that is %s\n", class_name, name,
            settings_type_text(type));
    abort();
}

const char *settings_string(const struct settings *settings, const char *class_name,
                            const char *name)
{
    return need(settings, class_name, name, IPCL_STRING)->text;
}

void settings_hide(const struct settings *settings, const char *class_name, const char *name)
{
    const struct setting *item = holder(settings, settings_lookup(settings, class_name, name));
    /* All values that sources have given are hidden: each is a key. */
    for (const struct value *value = settings->values; item && value; value = value->next)
        if (value->option == item->option && value->text)
            secret_hide(value->text, strlen(value->text));
}

int64_t settings_int(const struct settings *settings, const char *class_name, const char *name)
{
    return need(settings, class_name, name, IPCL_INT)->integer;
}

double settings_real(const struct settings *settings, const char *class_name, const char *name)
{
    return need(settings, class_name, name, IPCL_REAL)->real;
}

bool settings_bool(const struct settings *settings, const char *class_name, const char *name)
{
    return need(settings, class_name, name, IPCL_BOOL)->boolean;
}

const char *const *settings_list(const struct settings *settings, const char *class_name,
                                 const char *name, size_t *count)
{
    const struct value *value = need(settings, class_name, name, IPCL_LIST);
    if (count)
        *count = value->count;
    return (const char *const *)value->list;
}

bool settings_given(const struct settings *settings, const char *class_name, const char *name)
{
    const struct setting *item = holder(settings, settings_lookup(settings, class_name, name));
    return item && item->rank > CLASSES_MAX;
}

bool settings_known(const struct settings *settings, const char *class_name, const char *name)
{
    return settings_lookup(settings, class_name, name) != NULL;
}

bool settings_has(const struct settings *settings, const char *class_name, const char *name,
                  enum ipcl_option_type type)
{
    const struct setting *item = settings_lookup(settings, class_name, name);
    return item && is_of_type(item, type);
}
