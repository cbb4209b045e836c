/* What a shell can offer for the last word of a command line: --complete, written from the option
 * tables. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "config/settings_private.h"

int settings_add_offers(struct settings *settings, const struct settings_offer *offers,
                        size_t count, const void *context, struct ipcl_error *error)
{
    struct value_offer *grown =
        realloc(settings->offerings, (settings->offering_count + count) * sizeof(*grown));
    if (!grown)
        return ipcl_error_set(error, "out of memory");
    settings->offerings = grown;
    for (size_t i = 0; i < count; i++)
        grown[settings->offering_count++] = (struct value_offer){&offers[i], context};
    return 0;
}

void settings_offer(const struct settings *settings, FILE *stream, const char *word,
                    const char *about)
{
    const char *typed = settings->typed.value;
    const char *end = about ? strstr(about, ". ") : NULL;
    if (strncmp(word, typed, strlen(typed)))
        return;
    fprintf(stream, "%.*s%s\t", (int)(typed - settings->typed.word), settings->typed.word, word);
    for (const char *at = about; at && *at && at != end; at++)
        fputc(isspace((unsigned char)*at) ? ' ' : *at, stream);
    fputc('\n', stream);
}

/* For settings_each_word(). */
struct words_offered {
    const struct settings *settings;
    FILE *stream;
    const struct ipcl_option *option;
};

static bool offer_word(void *context, const char *word)
{
    const struct words_offered *offered = context;
    settings_offer(offered->settings, offered->stream, word, NULL);
    return false;
}

static bool offer_alias(void *context, const char *alias)
{
    const struct words_offered *offered = context;
    bool bare = offered->option->bare || offered->option->type == IPCL_BOOL;
    char word[SETTINGS_VARIABLE_BYTES];
    snprintf(word, sizeof(word), "--%s%s", alias, bare ? "" : "=");
    settings_offer(offered->settings, offered->stream, word, offered->option->help);
    return false;
}

static void offer_options(const struct settings *settings, FILE *stream)
{
    char word[SETTINGS_VARIABLE_BYTES];
    for (size_t i = 0; i < settings->count; i++) {
        const struct setting *item = &settings->items[i];
        struct words_offered offered = {settings, stream, item->option};
        if (item->base)
            continue;
        settings_each_word(item->option->aliases, offer_alias, &offered);
        /* There are hundreds: only for words that begin with a class. */
        if (strlen(settings->typed.word) < 3 || !isupper((unsigned char)settings->typed.word[2]))
            continue;
        snprintf(word, sizeof(word), "--%s.%s=", item->class_name, item->option->name);
        settings_offer(settings, stream, word, item->option->help);
    }
    for (size_t i = 0; i < settings->flag_count; i++) {
        snprintf(word, sizeof(word), "--%s", settings->flags[i]->flag);
        if (settings->flags[i]->help)
            settings_offer(settings, stream, word, settings->flags[i]->help);
    }
    settings_offer(settings, stream, "--help", "The options and what they mean.");
    settings_offer(settings, stream, "--help-all", "Every setting.");
    settings_offer(settings, stream, "--version", "The version.");
}

/* The program's own words, if this is the first word; NULL if there are none. */
static const char *first_words(const struct settings *settings)
{
    return settings->typed.follows ? NULL : settings->program->words;
}

/* Offers values of a setting, or, if `item` is NULL, words that are no options. */
static void offer_values(const struct settings *settings, const struct setting *item, FILE *stream)
{
    struct words_offered offered = {.settings = settings, .stream = stream};
    for (size_t i = 0; i < settings->offering_count; i++) {
        const struct settings_offer *offer = settings->offerings[i].offer;
        if (item ? offer->class_name &&
                       (!strcmp(offer->class_name, "*") ||
                        !strcmp(offer->class_name, item->class_name)) &&
                       !strcmp(offer->name, item->option->name)
                 : !offer->class_name)
            offer->write(settings, settings->offerings[i].context, stream);
    }
    settings_each_word(!item                             ? first_words(settings)
                       : item->option->type == IPCL_BOOL ? "true,false"
                                                         : settings_choice_words(settings, item),
                       offer_word, &offered);
}

void settings_complete(const struct settings *settings, FILE *stream)
{
    const char *word = settings->typed.word;
    if (!word)
        return;
    if (settings->typed.item || *word != '-')
        offer_values(settings, settings->typed.item, stream);
    if (!settings->typed.item && (*word == '-' || (!*word && !first_words(settings))))
        offer_options(settings, stream);
}
