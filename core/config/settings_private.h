/* What the files of settings share: the values and where they came from. */
#ifndef CONFIG_SETTINGS_PRIVATE_H
#define CONFIG_SETTINGS_PRIVATE_H

#include <jansson.h>

#include "config/nearest.h"
#include "config/settings.h"

#define CLASSES_MAX 31 /* of a program's, for ranking */

/* Where a value came from; a later source overrides an earlier one. */
enum source {
    SOURCE_DEFAULT,
    SOURCE_SITE,
    SOURCE_PROFILE,
    SOURCE_ENVIRONMENT,
    SOURCE_COMMAND_LINE
};

/* The setting's type says which member holds the value. Values that were overridden are kept until
 * the end, because callers may hold their strings. */
struct value {
    struct value *next;
    const struct ipcl_option *option; /* of the setting that it was given to */
    char *text;
    int64_t integer;
    double real;
    bool boolean;
    char **list;  /* NULL-terminated */
    json_t *json; /* a list as a file had it, with numbers or as one text; otherwise NULL */
    size_t count;
};

struct setting {
    const char *class_name;
    const struct ipcl_option *option;
    const struct value *value;
    int rank;         /* of the value: its source, and within one the class it was given under */
    const char *base; /* the class that it is inherited from; NULL for one of its own */
};

/* A row of a table that holds no value: IPCL_RENAMED, IPCL_PASSED or IPCL_IGNORED. */
struct other_row {
    const char *class_name;
    const struct ipcl_option *option;
};

/* A value for a setting that no table has yet: given as text or, if that is NULL, as JSON. */
struct pending {
    struct pending *next;
    char *class_name;
    char *name;
    char *text;
    json_t *json;
    enum source source;
    char *origin;
};

/* What others can offer as values of a setting. */
struct value_offer {
    const struct settings_offer *offer;
    const void *context;
};

/* What --complete asks for: the word as far as it was typed. */
struct typed {
    const char *word; /* NULL: it is another program's */
    /* the part of it that is a value for `item`; the word itself while an option is typed */
    const char *value;
    const struct setting *item; /* NULL: none */
    bool follows;               /* other words stand before it that are no options */
};

struct settings {
    const struct settings_program *program;
    struct setting *items;
    size_t count;
    struct other_row *others;
    size_t other_count;
    const struct settings_flag **flags;
    size_t flag_count;
    const struct settings_variable **variables;
    size_t variable_count;
    const struct settings_choice **choices;
    size_t choice_count;
    struct value_offer *offerings;
    size_t offering_count;
    struct typed typed;
    struct value *values;
    struct pending *pending;
    bool command_line_read; /* the aliases of later tables have no effect */
    bool environment_read;
    unsigned keys_shown; /* which keys were on the command line: bits of settings_keys.c */
    enum settings_wish wish;
};

/* A value on its way to a setting. `text` or `json`; `origin` is how messages name the source. */
struct given {
    const char *class_name;
    const char *name;
    const char *text;
    const json_t *json;
    enum source source;
    const char *origin;
};
/* Gives the setting a value if that outranks the one it has. Returns 0, or -1 with `error` set if
 * the value is not of its type. */
int settings_assign(struct settings *settings, struct setting *item, const struct given *given,
                    struct ipcl_error *error);
/* Sets a setting, or keeps the value for a class that no table has yet. Returns 0, or -1 with
 * `error` set if the trait is unknown, or the value is not of its type. */
int settings_give(struct settings *settings, const struct given *given, struct ipcl_error *error);
/* Gives settings what was kept for them. Returns 0 or -1 with `error` set. */
int settings_apply_pending(struct settings *settings, struct ipcl_error *error);
/* Gives a setting what the environment has for it. Returns likewise. */
int settings_read_variables(struct settings *settings, struct setting *item,
                            struct ipcl_error *error);
/* NULL if there is none. */
struct setting *settings_lookup(const struct settings *settings, const char *class_name,
                                const char *name);
/* The words that a setting takes; NULL if it takes any value of its type. */
const char *settings_choice_words(const struct settings *settings, const struct setting *item);
/* Writes what could stand for the word that was typed. */
void settings_complete(const struct settings *settings, FILE *stream);
/* Where a class stands in the program's line of inheritance; CLASSES_MAX: not in it. */
int settings_class_place(const struct settings *settings, const char *name);
/* Whether two classes have the same settings: they are one, or both are in the program's line of
 * inheritance. */
bool settings_same_class(const struct settings *settings, const char *one, const char *other);
/* Whether a class is the program's, or has a row with a value. */
bool settings_class_known(const struct settings *settings, const char *class_name);

/* Whether a row of a table has what option.h says must be there. Returns 0 or -1 with `error`
 * set. */
int option_check(const char *class_name, const struct ipcl_option *option,
                 struct ipcl_error *error);
/* Adds a row without a value. Returns 0 or -1 with `error` set. */
int others_add(struct settings *settings, const char *class_name, const struct ipcl_option *option,
               struct ipcl_error *error);
#define OTHERS_NAME_BYTES 128
/* The setting that this is another name of: returns its name, and its class in `target`. NULL:
 * there is none. */
const char *others_renamed(const struct settings *settings, const char *class_name,
                           const char *name, char target[OTHERS_NAME_BYTES]);
/* The row of a setting without effect, or NULL. */
const struct ipcl_option *others_ignored(const struct settings *settings, const char *class_name,
                                         const char *name);
/* Whether the setting is handed on as it is. */
bool others_passed(const struct settings *settings, const char *class_name, const char *name);
/* Adds what is handed on to a mapping of classes. */
void others_add_passed(const struct settings *settings, json_t *classes);
/* Whether a row accepts the setting without a value of its own: IPCL_PASSED or IPCL_IGNORED. */
bool others_accepted(const struct settings *settings, const char *class_name, const char *name);
/* The row that has `alias`, by the comparison `same`; NULL if there is none. */
const struct other_row *others_alias(const struct settings *settings, const char *alias,
                                     bool (*same)(void *alias, const char *word));
/* Offers the names of these rows as candidates for a mistyped one. */
void others_offer(const struct settings *settings, const char *class_name, struct nearest *nearest);
/* Offers a setting under the names that it has in the program's own classes, which all inherit
 * it. */
void inherited_offer(const struct settings *settings, const char *name, struct nearest *nearest);
/* Logs which values that no table took have no effect, and forgets them. */
void others_warn(struct settings *settings);

/* Whether a value is a key: its setting holds one, and it is not "" or the word for a new key. */
bool settings_is_key(const char *class_name, const char *name, const char *value);
/* Overwrites a key on the command line, so that lists of processes do not show it. */
void settings_hide_key(struct settings *settings, const char *class_name, const char *name,
                       char *value);
/* If there were keys on the command line, logs what to use instead. */
void settings_warn_of_keys(const struct settings *settings);

/* "text", "an integer", ... */
const char *settings_type_text(enum ipcl_option_type type);
/* Calls `each` for every word of a comma-separated list; if that returns true, stops and returns
 * true. `list` may be NULL. */
bool settings_each_word(const char *list, bool (*each)(void *context, const char *word),
                        void *context);

/* From text, and from a JSON value of a file. Return a value that is in no list, or NULL if it is
 * not of the type. */
struct value *value_from_text(enum ipcl_option_type type, const char *text);
struct value *value_from_json(const struct ipcl_option *option, const json_t *json);
/* Whether a setting's text is written as a number in a file. */
bool value_is_number(const struct ipcl_option *option, const char *text);
/* Appends the words of `more`. Returns false if memory is short. */
bool value_add(struct value *value, const struct value *more);
void value_destroy(struct value *value); /* takes NULL */
void pending_destroy(struct pending *pending);

/* The name of a setting's environment variable. */
#define SETTINGS_VARIABLE_BYTES 256
void settings_variable(const char *class_name, const char *name,
                       char variable[SETTINGS_VARIABLE_BYTES]);

/* The words that start the program, as its usage has them: "ipcluster start". */
#define SETTINGS_COMMAND_BYTES 64
void settings_command(const struct settings_program *program, char command[SETTINGS_COMMAND_BYTES]);

/* Writes lines, each with `before` instead of its own indentation. `lines` may be NULL. */
void settings_lines(FILE *stream, const char *before, const char *lines);
/* Writes the names of a row without a value, each with its class, after `before`. */
void settings_write_names(const struct other_row *other, const char *before, FILE *stream);
/* Whether the row without a value after the i-th has the same reason, which is then said once. */
bool settings_same_reason(const struct settings *settings, size_t i);
/* The manual page, as roff. */
void settings_man(const struct settings *settings, FILE *stream);

#endif
