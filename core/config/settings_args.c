/* Settings from the command line: aliases, flags and --Class.trait. */
#include <config.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "config/settings_private.h"

#define KEY_BYTES 256

/* The command line as far as it was read. */
struct arguments {
    struct settings *settings;
    int argc;
    char **argv;
    int at; /* the word that is being read */
    struct ipcl_error *error;
};

/* One option: --KEY, --KEY=VALUE, -K VALUE. */
struct option_word {
    const char *typed;
    char key[KEY_BYTES];
    const char *value; /* NULL if the same word has none */
};

static bool same_alias(const char *typed, const char *alias)
{
    for (; *typed && *alias; typed++, alias++)
        if (*typed != *alias && !(*typed == '_' && *alias == '-'))
            return false;
    return *typed == *alias;
}

static bool is_alias(void *context, const char *alias)
{
    return same_alias(context, alias);
}

static const struct setting *find_alias(const struct settings *settings, const char *key)
{
    for (size_t i = 0; i < settings->count; i++)
        if (settings_each_word(settings->items[i].option->aliases, is_alias, (void *)key))
            return &settings->items[i];
    return NULL;
}

static bool is_flag(const struct settings *settings, const char *key)
{
    for (size_t i = 0; i < settings->flag_count; i++)
        if (same_alias(key, settings->flags[i]->flag))
            return true;
    return false;
}

static int give(struct arguments *arguments, const struct option_word *word, const char *class_name,
                const char *name, const char *value)
{
    char origin[KEY_BYTES];
    snprintf(origin, sizeof(origin), "%.*s", (int)strcspn(word->typed, "="), word->typed);
    struct given given = {
        .class_name = class_name,
        .name = name,
        .text = value,
        .source = SOURCE_COMMAND_LINE,
        .origin = origin,
    };
    int status = settings_give(arguments->settings, &given, arguments->error);
    if (settings_is_key(class_name, name, value)) /* the value is a part of argv */
        settings_hide_key(arguments->settings, class_name, name, (char *)(uintptr_t)value);
    return status;
}

/* The settings of all rows of a flag. */
static int give_flag(struct arguments *arguments, const struct option_word *word)
{
    const struct settings *settings = arguments->settings;
    if (word->value)
        return ipcl_error_set(arguments->error, "%s: --%s takes no value", word->typed, word->key);
    for (size_t i = 0; i < settings->flag_count; i++) {
        const struct settings_flag *flag = settings->flags[i];
        if (same_alias(word->key, flag->flag) &&
            give(arguments, word, flag->class_name, flag->name, flag->value))
            return -1;
    }
    return 0;
}

/* As traitlets takes it: --Class.trait True. */
static bool next_is_bool(const struct arguments *arguments)
{
    const char *next =
        arguments->at + 1 < arguments->argc ? arguments->argv[arguments->at + 1] : "";
    return !strcasecmp(next, "true") || !strcasecmp(next, "false");
}

/* The option's value: the text behind its =, or the value that the option has without one, or the
 * next word. NULL with `error` set if there is none. */
static const char *take_value(struct arguments *arguments, const struct option_word *word,
                              const struct ipcl_option *option)
{
    if (word->value)
        return word->value;
    if (option->type == IPCL_BOOL && next_is_bool(arguments))
        return arguments->argv[++arguments->at];
    if (option->bare)
        return option->bare;
    if (option->type == IPCL_BOOL)
        return "true";
    if (arguments->at + 1 < arguments->argc && strncmp(arguments->argv[arguments->at + 1], "--", 2))
        return arguments->argv[++arguments->at];
    ipcl_error_set(arguments->error, "%s needs a value, %s: %s=VALUE", word->typed,
                   settings_type_text(option->type), word->typed);
    return NULL;
}

/* The value of a setting that has no effect: any, or none. */
static const char *pass_value(struct arguments *arguments, const struct option_word *word)
{
    if (word->value)
        return word->value;
    if (arguments->at + 1 < arguments->argc && *arguments->argv[arguments->at + 1] != '-')
        return arguments->argv[++arguments->at];
    return "";
}

/* The first of the names of a row without a value. */
static void first_name(const struct ipcl_option *option, char name[KEY_BYTES])
{
    snprintf(name, KEY_BYTES, "%.*s", (int)strcspn(option->name, ","), option->name);
}

static int give_other(struct arguments *arguments, const struct option_word *word,
                      const struct other_row *other)
{
    char name[KEY_BYTES];
    first_name(other->option, name);
    if (other->option->type == IPCL_IGNORED)
        return give(arguments, word, other->class_name, name, pass_value(arguments, word));
    const struct setting *item = settings_lookup(arguments->settings, other->class_name, name);
    const char *value = item ? take_value(arguments, word, item->option) : NULL;
    return value ? give(arguments, word, other->class_name, name, value) : -1;
}

static bool offer_alias(void *context, const char *alias)
{
    nearest_offer(context, alias);
    return false;
}

static int refuse_option(struct arguments *arguments, const struct option_word *word)
{
    const struct settings *settings = arguments->settings;
    struct nearest nearest;
    char command[SETTINGS_COMMAND_BYTES];
    settings_command(settings->program, command);
    nearest_begin(&nearest, word->key);
    nearest_offer(&nearest, "help");
    for (size_t i = 0; i < settings->count; i++)
        settings_each_word(settings->items[i].option->aliases, offer_alias, &nearest);
    for (size_t i = 0; i < settings->flag_count; i++)
        nearest_offer(&nearest, settings->flags[i]->flag);
    for (size_t i = 0; i < settings->other_count; i++)
        settings_each_word(settings->others[i].option->aliases, offer_alias, &nearest);
    return ipcl_error_set(
        arguments->error,
        "unknown option %.200s: the nearest known one is --%s (%s --help lists them)", word->typed,
        nearest.best, command);
}

/* --Class.trait */
static int parse_trait(struct arguments *arguments, struct option_word *word)
{
    char *dot = strrchr(word->key, '.');
    *dot = '\0';
    const struct setting *item = settings_lookup(arguments->settings, word->key, dot + 1);
    bool ignored = !item && others_accepted(arguments->settings, word->key, dot + 1);
    const char *value = item      ? take_value(arguments, word, item->option)
                        : ignored ? pass_value(arguments, word)
                                  : word->value;
    if (value)
        return give(arguments, word, word->key, dot + 1, value);
    if (item)
        return -1;
    return ipcl_error_set(arguments->error, "%s needs a value after a =: %s=VALUE", word->typed,
                          word->typed);
}

/* --help and similar options. Returns whether the option is one of them. */
static bool parse_wish(struct settings *settings, const char *key)
{
    static const struct {
        const char *key;
        enum settings_wish wish;
    } wishes[] = {{"help", SETTINGS_HELP},           {"h", SETTINGS_HELP},
                  {"help-all", SETTINGS_HELP_ALL},   {"version", SETTINGS_VERSION},
                  {"V", SETTINGS_VERSION},           {"help-man", SETTINGS_MAN},
                  {"carry-settings", SETTINGS_CARRY}};
    for (size_t i = 0; i < sizeof(wishes) / sizeof(wishes[0]); i++) {
        if (strcmp(key, wishes[i].key))
            continue;
        if (settings->wish != SETTINGS_COMPLETE)
            settings->wish = wishes[i].wish;
        return true;
    }
    return false;
}

static int parse_option(struct arguments *arguments, struct option_word *word)
{
    const struct setting *item = find_alias(arguments->settings, word->key);
    const struct other_row *other = others_alias(arguments->settings, word->key, is_alias);
    if (is_flag(arguments->settings, word->key))
        return give_flag(arguments, word);
    if (other)
        return give_other(arguments, word, other);
    if (item) {
        const char *value = take_value(arguments, word, item->option);
        return value ? give(arguments, word, item->class_name, item->option->name, value) : -1;
    }
    if (strchr(word->key, '.'))
        return parse_trait(arguments, word);
    if (!word->value && parse_wish(arguments->settings, word->key))
        return 0;
    return refuse_option(arguments, word);
}

/* Reads --key, --key=value, -k, -k=value or -kvalue. */
static int read_word(const char *typed, struct option_word *word)
{
    word->typed = typed;
    const char *key = typed + (typed[1] == '-' ? 2 : 1);
    size_t length = typed[1] == '-' ? strcspn(key, "=") : 1;
    if (length >= sizeof(word->key))
        return -1;
    memcpy(word->key, key, length);
    word->key[length] = '\0';
    word->value = key[length] ? key + length + (key[length] == '=') : NULL;
    return 0;
}

/* The setting that a word names, or NULL. */
static const struct setting *find_key(const struct settings *settings, const char *key)
{
    char class_name[KEY_BYTES];
    const char *dot = strrchr(key, '.');
    if (!dot)
        return find_alias(settings, key);
    snprintf(class_name, sizeof(class_name), "%.*s", (int)(dot - key), key);
    return settings_lookup(settings, class_name, dot + 1);
}

/* --complete WORDS...: notes what was typed of the last word. The words before it are still to be
 * read. */
static void read_typed(struct arguments *arguments)
{
    struct typed *typed = &arguments->settings->typed;
    struct option_word word;
    arguments->settings->wish = SETTINGS_COMPLETE;
    typed->word = typed->value = arguments->argv[--arguments->argc];
    arguments->at = 2;
    if (typed->word[0] == '-' && typed->word[1] && !read_word(typed->word, &word) && word.value) {
        typed->value = word.value;
        typed->item = find_key(arguments->settings, word.key);
    } else if (arguments->argc > 2 && *typed->word != '-') {
        const char *before = arguments->argv[arguments->argc - 1];
        const struct setting *item = NULL;
        if (before[0] == '-' && before[1] && !read_word(before, &word) && !word.value)
            item = find_key(arguments->settings, word.key);
        if (item && item->option->type != IPCL_BOOL && !item->option->bare) {
            typed->item = item;
            arguments->argc--;
        }
    }
    for (int i = 2; i < arguments->argc; i++)
        if (!strcmp(arguments->argv[i], "--"))
            typed->word = NULL;
}

int settings_parse(struct settings *settings, int argc, char **argv, char **words,
                   struct ipcl_error *error)
{
    struct arguments arguments = {settings, argc, argv, 1, error};
    if (argc > 2 && !strcmp(argv[1], "--complete"))
        read_typed(&arguments);
    int word_count = 0;
    bool options = true;
    for (; arguments.at < arguments.argc; arguments.at++) {
        char *typed = argv[arguments.at];
        struct option_word word;
        if (options && !strcmp(typed, "--")) {
            options = false;
        } else if (!options || *typed != '-' || !typed[1]) {
            words[word_count++] = typed;
        } else if (read_word(typed, &word)) {
            return ipcl_error_set(error, "unknown option %.80s...: the name is too long", typed);
        } else if (parse_option(&arguments, &word)) {
            return -1;
        }
    }
    settings->command_line_read = true;
    settings->typed.follows = word_count > 0;
    return word_count;
}

enum settings_wish settings_wants(const struct settings *settings)
{
    return settings->wish;
}

bool settings_answer(const struct settings *settings, FILE *stream)
{
    switch (settings->wish) {
    case SETTINGS_HELP:
    case SETTINGS_HELP_ALL:
        settings_help(settings, settings->wish == SETTINGS_HELP_ALL, stream);
        return true;
    case SETTINGS_VERSION:
        fprintf(stream, "%s %s\n", settings->program->name, PACKAGE_VERSION);
        return true;
    case SETTINGS_MAN:
        settings_man(settings, stream);
        return true;
    case SETTINGS_COMPLETE:
        settings_complete(settings, stream);
        return true;
    case SETTINGS_RUN:
    case SETTINGS_CARRY:
        break;
    }
    return false;
}
