/* A program's manual page, written as roff from the option tables. */
#include <config.h>
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "config/settings_private.h"

/* Writes text that roff is to take as it is. */
static void write_bytes(FILE *stream, const char *text, size_t length)
{
    bool line_start = true;
    for (const char *end = text + length; text < end; text++) {
        if (line_start && (*text == '.' || *text == '\''))
            fputs("\\&", stream);
        if (*text == '\\')
            fputs("\\e", stream);
        else if (*text == '-')
            fputs("\\-", stream);
        else
            fputc(*text, stream);
        line_start = *text == '\n';
    }
}

static void write_text(FILE *stream, const char *text)
{
    write_bytes(stream, text, strlen(text));
}

/* Writes paragraphs. Lines that are indented stay as they are. */
static void write_paragraphs(FILE *stream, const char *text)
{
    bool verbatim = false;
    while (*text) {
        size_t length = strcspn(text, "\n");
        if (verbatim != (*text == ' ')) {
            verbatim = !verbatim;
            fputs(verbatim ? ".nf\n" : ".fi\n", stream);
        }
        fputs(length ? "" : ".PP", stream);
        write_bytes(stream, text, length);
        fputc('\n', stream);
        text += length + (text[length] == '\n');
    }
    fputs(verbatim ? ".fi\n" : "", stream);
}

/* A paragraph under a term. */
static void write_item(FILE *stream, const char *term, const char *text)
{
    fputs(".TP\n.B ", stream);
    write_text(stream, term);
    fputc('\n', stream);
    write_text(stream, text);
    fputc('\n', stream);
}

static const char *page_name(const struct settings_program *program)
{
    return program->page ? program->page : program->name;
}

/* Writes the first sentence without its full stop: what apropos shows. */
static void write_title(const struct settings_program *program, FILE *stream)
{
    char summary[256];
    const char *end = strstr(program->description, ". ");
    size_t length =
        end ? (size_t)(end - program->description) : strcspn(program->description, "\n");
    if (length && program->description[length - 1] == '.')
        length--;
    snprintf(summary, sizeof(summary), "%.*s", (int)length, program->description);
    for (char *at = summary; *at; at++)
        if (*at == '\n')
            *at = ' ';
    fputs(".TH ", stream);
    for (const char *at = page_name(program); *at; at++)
        fputc(toupper((unsigned char)*at), stream);
    fprintf(stream, " 1 \"\" \"ipcluster %s\" \"User Commands\"\n.SH NAME\n%s \\- ",
            PACKAGE_VERSION, page_name(program));
    write_text(stream, summary);
    fputs("\n.SH SYNOPSIS\n", stream);
    write_text(stream, program->usage);
    fputs("\n.SH DESCRIPTION\n", stream);
    write_paragraphs(stream, program->description);
}

static bool write_alias(void *context, const char *alias)
{
    FILE *stream = context;
    fputs(alias[1] ? ", " : ", \\-", stream);
    fputs(alias[1] ? "\\-\\-" : "", stream);
    write_text(stream, alias);
    return false;
}

static void write_setting(const struct setting *item, FILE *stream)
{
    const struct ipcl_option *option = item->option;
    fprintf(stream, ".TP\n.B \\-\\-%s.", item->class_name);
    write_text(stream, option->name);
    settings_each_word(option->aliases, write_alias, stream);
    fputc('\n', stream);
    write_text(stream, option->help);
    fprintf(stream, "\nTakes %s", settings_type_text(option->type));
    if (*option->fallback) {
        fputs("; the default is \"", stream);
        write_text(stream, option->fallback);
        fputc('"', stream);
    }
    if (option->bare) {
        fputs("; without a value it means \"", stream);
        write_text(stream, option->bare);
        fputc('"', stream);
    }
    fputs(".\n", stream);
}

static void write_options(const struct settings *settings, FILE *stream)
{
    const char *class_name = "";
    fputs(".SH OPTIONS\nA value is given as \\-\\-name=value or \\-\\-name value.\n", stream);
    for (size_t i = 0; i < settings->flag_count; i++) {
        char term[128];
        if (!settings->flags[i]->help)
            continue;
        snprintf(term, sizeof(term), "--%s", settings->flags[i]->flag);
        write_item(stream, term, settings->flags[i]->help);
    }
    write_item(stream, "-h, --help", "Writes the options with short names.");
    write_item(stream, "--help-all", "Writes every setting.");
    write_item(stream, "-V, --version", "Writes the version.");
    for (size_t i = 0; i < settings->count; i++) {
        if (settings->items[i].base)
            continue;
        if (strcmp(class_name, settings->items[i].class_name)) {
            class_name = settings->items[i].class_name;
            fprintf(stream, ".SS %s\n", class_name);
        }
        write_setting(&settings->items[i], stream);
    }
}

/* Writes the rows of a type that holds no value, under a title. */
static void write_others(const struct settings *settings, enum ipcl_option_type type,
                         const char *title, FILE *stream)
{
    bool reasoned = true; /* the row before was the last of those with its reason */
    for (size_t i = 0; i < settings->other_count; i++) {
        const struct other_row *other = &settings->others[i];
        if (other->option->type != type)
            continue;
        fputs(title, stream);
        title = "";
        fputs(reasoned ? ".TP\n" : ".TQ\n", stream);
        settings_write_names(other, "", stream);
        settings_each_word(other->option->aliases, write_alias, stream);
        fputc('\n', stream);
        bool same = type == IPCL_RENAMED, inherited = type == IPCL_INHERITED;
        reasoned = same || inherited || !settings_same_reason(settings, i);
        if (!reasoned)
            continue;
        write_text(stream, same        ? "The same as "
                           : inherited ? "By default as for "
                                       : other->option->help);
        write_text(stream, same || inherited ? other->option->fallback : "");
        fputs(".\n", stream);
    }
}

static void write_files(const struct settings_program *program, FILE *stream)
{
    char path[256];
    fputs(".SH FILES\n", stream);
    snprintf(path, sizeof(path), "/etc/ipcluster/%s_config.json", program->name);
    write_item(stream, path, "Settings of this machine: JSON, {\"Class\": {\"trait\": value}}.");
    snprintf(path, sizeof(path), "PROFILE/%s_config.json", program->name);
    write_item(stream, path,
               "Settings of a profile. A profile NAME is the folder profile_NAME in $IPYTHONDIR.");
    write_item(stream, "PROFILE/security/",
               "Connection files and keys, readable only by their owner.");
    write_item(stream, "PROFILE/log/", "Logs.");
    fputs(".SH ENVIRONMENT\n", stream);
    write_item(stream, "IPCLUSTER_CLASS_TRAIT",
               "The setting Class.trait, all in capitals. It wins over files, and the command line "
               "wins over it.");
    write_item(stream, "IPCLUSTER_PLUGIN_PATH",
               "Folders of plugins that are searched first, separated by colons.");
    write_item(stream, "IPYTHONDIR", "The folder that holds the profiles. Default: ~/.ipython.");
}

/* Lines of `number  meaning`. */
static void write_exit_status(const struct settings_program *program, FILE *stream)
{
    const char *lines = program->exit_status;
    fputs(".SH EXIT STATUS\n", stream);
    if (!lines)
        lines =
            "0  It succeeded.\n1  It failed; a sentence on standard error or in the log says why.";
    while (*lines) {
        char number[16], meaning[256];
        int length = (int)strcspn(lines, "\n"), digits = (int)strspn(lines, "0123456789");
        int space = (int)strspn(lines + digits, " ");
        snprintf(number, sizeof(number), "%.*s", digits, lines);
        snprintf(meaning, sizeof(meaning), "%.*s", length - digits - space, lines + digits + space);
        write_item(stream, number, meaning);
        lines += length + (lines[length] == '\n');
    }
}

/* Lines as they are. */
static void write_examples(const struct settings_program *program, FILE *stream)
{
    char *text;
    size_t size;
    FILE *lines = program->examples ? open_memstream(&text, &size) : NULL;
    if (!lines)
        return;
    settings_lines(lines, "", program->examples);
    fclose(lines);
    fputs(".SH EXAMPLES\n.nf\n", stream);
    write_text(stream, text);
    fputs(".fi\n", stream);
    free(text);
}

static void write_see_also(const struct settings_program *program, FILE *stream)
{
    static const char *const programs[] = {"ipcluster", "ipcontroller", "ipengine"};
    const char *before = "";
    fputs(".SH SEE ALSO\n", stream);
    for (size_t i = 0; i < 3; i++) {
        if (!strcmp(programs[i], page_name(program)))
            continue;
        fprintf(stream, "%s.BR %s (1)", before, programs[i]);
        before = " ,\n";
    }
    fputc('\n', stream);
}

void settings_man(const struct settings *settings, FILE *stream)
{
    const struct settings_program *program = settings->program;
    write_title(program, stream);
    write_options(settings, stream);
    write_others(settings, IPCL_INHERITED, ".SS Settings that a class takes from another class\n",
                 stream);
    write_others(settings, IPCL_RENAMED, ".SS ipyparallel's other names\n", stream);
    write_others(settings, IPCL_PASSED, ".SS Passed on unchanged\n", stream);
    write_others(settings, IPCL_IGNORED, ".SS Accepted with a warning, and without effect\n",
                 stream);
    write_files(program, stream);
    write_exit_status(program, stream);
    write_examples(program, stream);
    if (program->more) {
        fprintf(stream, ".SH %s\n", program->more);
        program->more_items(write_item, stream);
    }
    write_see_also(program, stream);
}
