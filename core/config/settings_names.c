/* The names of things in settings: classes and their line of inheritance, environment variables,
 * and lists of words. */
#include <ctype.h>
#include <string.h>

#include "config/settings_private.h"

#define WORD_BYTES 256

bool settings_each_word(const char *list, bool (*each)(void *context, const char *word),
                        void *context)
{
    char word[WORD_BYTES];
    while (list && *list) {
        size_t length = strcspn(list, ",");
        snprintf(word, sizeof(word), "%.*s", (int)length, list);
        if (each(context, word))
            return true;
        list += length + (list[length] == ',');
    }
    return false;
}

/* The place of a class in the program's line of inheritance; CLASSES_MAX if it is not there. */
struct class_place {
    const char *name;
    int place;
};

static bool is_class(void *context, const char *word)
{
    struct class_place *class_place = context;
    if (!strcmp(word, class_place->name) || class_place->place == CLASSES_MAX - 1)
        return true;
    class_place->place++;
    return false;
}

int settings_class_place(const struct settings *settings, const char *name)
{
    struct class_place place = {name, 0};
    return settings_each_word(settings->program->classes, is_class, &place) ? place.place
                                                                            : CLASSES_MAX;
}

bool settings_same_class(const struct settings *settings, const char *one, const char *other)
{
    return !strcmp(one, other) || (settings_class_place(settings, one) < CLASSES_MAX &&
                                   settings_class_place(settings, other) < CLASSES_MAX);
}

bool settings_class_known(const struct settings *settings, const char *class_name)
{
    if (settings_class_place(settings, class_name) < CLASSES_MAX)
        return true;
    for (size_t i = 0; i < settings->count; i++)
        if (!strcmp(settings->items[i].class_name, class_name))
            return true;
    return false;
}

const char *settings_choice_words(const struct settings *settings, const struct setting *item)
{
    for (size_t i = 0; i < settings->choice_count; i++)
        if (!strcmp(settings->choices[i]->class_name, item->class_name) &&
            !strcmp(settings->choices[i]->name, item->option->name))
            return settings->choices[i]->words;
    return NULL;
}

void settings_variable(const char *class_name, const char *name,
                       char variable[SETTINGS_VARIABLE_BYTES])
{
    snprintf(variable, SETTINGS_VARIABLE_BYTES, "IPCLUSTER_%s_%s", class_name, name);
    for (char *at = variable; *at; at++)
        *at = (char)toupper((unsigned char)*at);
}

void settings_command(const struct settings_program *program, char command[SETTINGS_COMMAND_BYTES])
{
    int length = (int)strspn(program->usage, "abcdefghijklmnopqrstuvwxyz ");
    while (length && program->usage[length - 1] == ' ')
        length--;
    snprintf(command, SETTINGS_COMMAND_BYTES, "%.*s", length, program->usage);
}
