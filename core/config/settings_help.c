/* --help and --help-all, written from the option tables. */
#include <string.h>

#include "config/settings_private.h"

#define WIDTH 78

/* Writes one word, in a new line if the old one is full. */
static void write_word(FILE *stream, int indent, const char *word, int length, int *column)
{
    if (*column && *column + 1 + length > WIDTH) {
        fputc('\n', stream);
        *column = 0;
    }
    *column += *column ? fprintf(stream, " %.*s", length, word)
                       : fprintf(stream, "%*s%.*s", indent, "", length, word);
}

/* Writes text in lines of WIDTH columns, each behind `indent` spaces. As in roff, an empty line
 * ends a paragraph, and a line that is indented stays as it is. */
static void write_wrapped(FILE *stream, int indent, const char *text)
{
    int column = 0;
    while (*text) {
        int length = (int)strcspn(text, " \n");
        if (!column && *text == ' ') {
            length = (int)strcspn(text, "\n");
            fprintf(stream, "%*s%.*s\n", indent, "", length, text);
            length += text[length] == '\n';
        } else if (*text == '\n') {
            length = 1;
            if (!column || strchr(" \n", text[1])) {
                fputc('\n', stream);
                column = 0;
            }
        } else if (*text == ' ') {
            length = 1;
        } else {
            write_word(stream, indent, text, length, &column);
        }
        text += length;
    }
    if (column)
        fputc('\n', stream);
}

void settings_lines(FILE *stream, const char *before, const char *lines)
{
    while (lines && *lines) {
        lines += strspn(lines, " ");
        int length = (int)strcspn(lines, "\n");
        fprintf(stream, "%s%.*s\n", before, length, lines);
        lines += length + (lines[length] == '\n');
    }
}

/* The word for a value in --name=WORD. */
static const char *value_word(enum ipcl_option_type type)
{
    static const char *const words[] = {
        [IPCL_BOOL] = "true|false", [IPCL_INT] = "NUMBER",         [IPCL_REAL] = "NUMBER",
        [IPCL_STRING] = "TEXT",     [IPCL_LIST] = "WORDS",         [IPCL_RENAMED] = "VALUE",
        [IPCL_IGNORED] = "VALUE",   [IPCL_MAPPING] = "NAME=VALUE",
    };
    return words[type];
}

/* For settings_each_word(): writes the aliases of one option. */
struct alias_list {
    FILE *stream;
    const struct ipcl_option *option;
    const char *before;
};

static bool write_alias(void *context, const char *alias)
{
    struct alias_list *list = context;
    const char *word = value_word(list->option->type);
    bool optional = list->option->bare || list->option->type == IPCL_BOOL;
    if (alias[1])
        fprintf(list->stream, "%s--%s%s=%s%s", list->before, alias, optional ? "[" : "", word,
                optional ? "]" : "");
    else
        fprintf(list->stream, "%s-%s %s", list->before, alias, word);
    list->before = ", ";
    return false;
}

static void write_default(const struct ipcl_option *option, FILE *stream)
{
    if (*option->fallback)
        fprintf(stream, "  (default: %s)", option->fallback);
    fputc('\n', stream);
}

static void write_aliases(const struct settings *settings, FILE *stream)
{
    for (size_t i = 0; i < settings->count; i++) {
        const struct ipcl_option *option = settings->items[i].option;
        struct alias_list list = {stream, option, "  "};
        if (!option->aliases || settings->items[i].base)
            continue;
        settings_each_word(option->aliases, write_alias, &list);
        write_default(option, stream);
        write_wrapped(stream, 6, option->help);
    }
}

static void write_flags(const struct settings *settings, FILE *stream)
{
    for (size_t i = 0; i < settings->flag_count; i++) {
        if (!settings->flags[i]->help)
            continue;
        fprintf(stream, "  --%s\n", settings->flags[i]->flag);
        write_wrapped(stream, 6, settings->flags[i]->help);
    }
    fputs("  -h, --help\n      This text.\n"
          "  --help-all\n      Every setting, also settings without a short name.\n"
          "  -V, --version\n      The version.\n",
          stream);
}

static void write_settings(const struct settings *settings, FILE *stream)
{
    const char *class_name = "";
    fputs("\nSettings:\n"
          "  Each can be given as --Class.trait=value, in the environment, or in a file.\n",
          stream);
    for (size_t i = 0; i < settings->count; i++) {
        const struct setting *item = &settings->items[i];
        char variable[SETTINGS_VARIABLE_BYTES];
        struct alias_list list = {stream, item->option, "      Short: "};
        if (item->base)
            continue;
        if (strcmp(class_name, item->class_name)) {
            class_name = item->class_name;
            fprintf(stream, "\n%s\n", class_name);
        }
        settings_variable(class_name, item->option->name, variable);
        fprintf(stream, "  --%s.%s=%s", class_name, item->option->name,
                value_word(item->option->type));
        write_default(item->option, stream);
        write_wrapped(stream, 6, item->option->help);
        settings_each_word(item->option->aliases, write_alias, &list);
        fprintf(stream, "%s      Environment: %s\n", item->option->aliases ? "\n" : "", variable);
    }
}

/* For settings_each_word(): writes the names of a row without a value. */
struct name_list {
    FILE *stream;
    const char *class_name;
    const char *before;
};

static bool write_name(void *context, const char *name)
{
    struct name_list *list = context;
    fprintf(list->stream, "%s%s.%s", list->before, list->class_name, name);
    list->before = ", ";
    return false;
}

void settings_write_names(const struct other_row *other, const char *before, FILE *stream)
{
    struct name_list list = {stream, other->class_name, before};
    settings_each_word(other->option->name, write_name, &list);
}

bool settings_same_reason(const struct settings *settings, size_t i)
{
    return i + 1 < settings->other_count &&
           settings->others[i + 1].option->help == settings->others[i].option->help;
}

/* Writes the rows of a type that holds no value, under a title. */
static void write_others(const struct settings *settings, enum ipcl_option_type type,
                         const char *title, FILE *stream)
{
    for (size_t i = 0; i < settings->other_count; i++) {
        const struct other_row *other = &settings->others[i];
        if (other->option->type != type)
            continue;
        fputs(title, stream);
        title = "";
        settings_write_names(other, "  ", stream);
        if (type == IPCL_RENAMED)
            fprintf(stream, " is %s", other->option->fallback);
        if (type == IPCL_INHERITED)
            fprintf(stream, ": by default as for %s", other->option->fallback);
        struct alias_list list = {stream, other->option, ", "};
        settings_each_word(other->option->aliases, write_alias, &list);
        fputc('\n', stream);
        if (type == IPCL_IGNORED && !settings_same_reason(settings, i))
            write_wrapped(stream, 6, other->option->help);
    }
}

static void write_sources(const struct settings_program *program, FILE *stream)
{
    fputs("\nSettings come from these places; a later one wins:\n", stream);
    fprintf(stream,
            "  /etc/ipcluster/%s_config.json\n"
            "  PROFILE/%s_config.json           {\"Class\": {\"trait\": value}}\n"
            "  IPCLUSTER_CLASS_TRAIT in the environment\n"
            "  the command line\n",
            program->name, program->name);
    if (program->classes)
        fprintf(stream, "These class names mean the same: %s.\n", program->classes);
}

void settings_help(const struct settings *settings, bool all, FILE *stream)
{
    const struct settings_program *program = settings->program;
    char command[SETTINGS_COMMAND_BYTES];
    settings_command(program, command);
    fprintf(stream, "Usage: %s\n\n", program->usage);
    write_wrapped(stream, 0, program->description);
    fputs("\nOptions:\n", stream);
    if (!all)
        write_aliases(settings, stream);
    write_flags(settings, stream);
    if (all) {
        write_settings(settings, stream);
        write_others(settings, IPCL_INHERITED,
                     "\nSettings that a class takes from another class:\n", stream);
        write_others(settings, IPCL_RENAMED, "\nipyparallel's other names:\n", stream);
        write_others(settings, IPCL_PASSED, "\nPassed on unchanged:\n", stream);
        write_others(settings, IPCL_IGNORED, "\nAccepted with a warning, and without effect:\n",
                     stream);
        write_sources(program, stream);
    }
    if (program->exit_status)
        fputs("\nExit status:\n", stream);
    settings_lines(stream, "  ", program->exit_status);
    if (program->examples)
        fputs("\nExamples:\n", stream);
    settings_lines(stream, "  ", program->examples);
    if (!all)
        fprintf(stream, "\n%s --help-all lists every setting, and the files that hold settings.\n",
                command);
}
