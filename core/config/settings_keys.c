/* Settings that are keys: hidden where others could see them. */
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/secret.h"
#include "config/settings_private.h"

static const struct key {
    const char *class_name;
    const char *name;
    const char *file; /* how it is given in a file of its own; "": it cannot be */
} keys[] = {
    {"Session", "key", "in a file (--keyfile=FILE), "},
    {"IPController", "curve_secretkey", ""},
    {"IPController", "engine_curve_secretkey", ""},
    {"IPEngine", "curve_secretkey", ""},
};
#define KEY_COUNT    (sizeof(keys) / sizeof(*keys))
#define OPTION_BYTES 64

/* Whether a value is no key: it is empty, or asks for a random one. */
static bool names_none(const char *value)
{
    return !value || !*value || !strcmp(value, SETTINGS_RANDOM_KEY);
}

/* NULL if the setting holds no key. */
static const struct key *find(const char *class_name, const char *name)
{
    for (const struct key *key = keys; key < keys + KEY_COUNT; key++)
        if (!strcmp(key->class_name, class_name) && !strcmp(key->name, name))
            return key;
    return NULL;
}

bool settings_is_key(const char *class_name, const char *name, const char *value)
{
    return find(class_name, name) && !names_none(value);
}

void settings_hide_key(struct settings *settings, const char *class_name, const char *name,
                       char *value)
{
    memset(value, '*', strlen(value));
    settings->keys_shown |= 1u << (find(class_name, name) - keys);
}

/* The key that the first of these words gives: --Class.trait=VALUE, or --Class.trait with VALUE as
 * the next word; then `*words` is moved to that. NULL if it gives none. */
static char *take_value(char ***words, const struct key **key)
{
    char option[OPTION_BYTES], *word = **words;
    for (*key = keys; *key < keys + KEY_COUNT; ++*key) {
        int length = snprintf(option, sizeof(option), "--%s.%s", (*key)->class_name, (*key)->name);
        if (strncmp(word, option, (size_t)length))
            continue;
        if (word[length] == '=')
            return names_none(word + length + 1) ? NULL : word + length + 1;
        if (!word[length] && !names_none((*words)[1]))
            return *++*words;
    }
    return NULL;
}

void settings_take_keys(struct settings *settings, char **words)
{
    char variable[SETTINGS_VARIABLE_BYTES];
    const struct key *key;
    char **kept = words;
    for (; *words; words++) {
        char *word = *words, *value = take_value(&words, &key);
        if (!value) {
            *kept++ = word;
            continue;
        }
        settings_variable(key->class_name, key->name, variable);
        if (!setenv(variable, value, true))
            secret_hide(getenv(variable), strlen(value));
        settings_hide_key(settings, key->class_name, key->name, value);
    }
    *kept = NULL;
}

bool settings_gives_key(const char *entry)
{
    char variable[SETTINGS_VARIABLE_BYTES];
    for (size_t i = 0; i < KEY_COUNT; i++) {
        settings_variable(keys[i].class_name, keys[i].name, variable);
        if (!strncmp(entry, variable, strlen(variable)) && entry[strlen(variable)] == '=')
            return true;
    }
    return false;
}

void settings_warn_of_keys(const struct settings *settings)
{
    char variable[SETTINGS_VARIABLE_BYTES];
    for (size_t i = 0; i < KEY_COUNT; i++) {
        if (!(settings->keys_shown & 1u << i))
            continue;
        settings_variable(keys[i].class_name, keys[i].name, variable);
        log_warn("everybody on this host could read the key in --%s.%s (with ps) until it was "
                 "overwritten just now: give it %sin the environment (%s) or in a file of "
                 "settings that only you can read",
                 keys[i].class_name, keys[i].name, keys[i].file, variable);
    }
}
