/* Settings: option tables filled from defaults, profile files, the environment and the command
 * line.
 *
 * Precedence, lowest first: the table's default, site files (/etc/ipcluster/NAME_config.json), the
 * profile's NAME_config.json, the environment (IPCLUSTER_CLASS_TRAIT, upper case), the command
 * line. Files are JSON: {"Class": {"trait": value}}, as traitlets reads. */
#ifndef CONFIG_SETTINGS_H
#define CONFIG_SETTINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <ipcluster/option.h>
#include <ipcluster/error.h>

struct settings;

/* As Session.key: a new one that nobody knows. */
#define SETTINGS_RANDOM_KEY "random"

/* A command-line word without a value that sets a setting: {"nodb", "IPController", "db_class",
 * "nodb", "help"}. Further rows with the same flag, whose help is NULL, set further ones. */
struct settings_flag {
    const char *flag;
    const char *class_name;
    const char *name;
    const char *value;
    const char *help;
};

/* A further environment variable that sets a setting, such as one of ipyparallel:
 * {"IPP_CLUSTER_ID", "BaseParallelApplication", "cluster_id"}. The variable that every setting has
 * wins. */
struct settings_variable {
    const char *variable;
    const char *class_name;
    const char *name;
};

/* A text setting that takes one of several words, with commas between, in any case:
 * {"IPClusterList", "output_format", "text,json"}. Its value is the word as it stands here, or a
 * number if its default is one. */
struct settings_choice {
    const char *class_name;
    const char *name;
    const char *words;
};

/* Words that a shell can offer as values of a setting, if only the program knows them: `write`
 * calls settings_offer() for each. If `class_name` is NULL, they are offered for words that are no
 * options; if it is "*", for the setting of that name of every class. */
struct settings_offer {
    const char *class_name;
    const char *name;
    void (*write)(const struct settings *settings, const void *context, FILE *stream);
};

/* Writes items of a manual page: calls `item` for each, with its name and a text. */
typedef void settings_item(FILE *stream, const char *name, const char *text);
typedef void settings_items(settings_item *item, FILE *stream);

/* What a program says of itself in --help. */
struct settings_program {
    const char *name;        /* "ipcontroller"; also names its files: ipcontroller_config.json */
    const char *usage;       /* "ipcontroller [options]" */
    const char *description; /* a paragraph */
    const char *examples;    /* lines */
    const char *exit_status; /* "0  it ended as asked\n3  ...": lines for --help-all and the manual
                              * page; NULL where there are only 0 and 1 */
    const char *more;        /* the title of a section of the manual page, "METRICS", whose items */
    settings_items *more_items; /* this writes; NULL for none */
    const char *words;          /* that may stand first, "create,list"; NULL for none */
    const char *page; /* the manual page's name, "ipcluster-start"; NULL if it is `name` */
    const struct settings_flag *flags;
    size_t flag_count;
    const struct settings_variable *variables;
    size_t variable_count;
    const struct settings_choice *choices;
    size_t choice_count;
    /* Names of the program's class and of those it inherits from, most specific first, comma
     * separated: "IPController,BaseParallelApplication". As with traitlets, a trait of one is known
     * under the name of each, and what is given for a more specific one wins. NULL: no class
     * inherits from another. */
    const char *classes;
};

struct settings *settings_create(const struct settings_program *program, struct ipcl_error *error);
void settings_destroy(struct settings *settings);

/* Adds a table (static, not copied). Tables may be added until settings_finish(), also after the
 * files are loaded: what was given for their class so far is applied then. A class may have two
 * tables. Aliases are for the command line: those of a table that comes after it have no effect.
 * Returns 0. Returns -1 with `error` set if a row lacks what option.h says must be there, a trait
 * or alias is there twice, or a given value is not of its type. */
int settings_add(struct settings *settings, const struct ipcl_option_table *table,
                 struct ipcl_error *error);
/* Adds flags (static, not copied) to the program's own. Returns 0 or -1 with `error` set. */
int settings_add_flags(struct settings *settings, const struct settings_flag *flags, size_t count,
                       struct ipcl_error *error);
/* Adds variables (static, not copied) to the program's own. Returns 0 or -1 with `error` set. */
int settings_add_variables(struct settings *settings, const struct settings_variable *variables,
                           size_t count, struct ipcl_error *error);
/* Adds choices (static, not copied) to the program's own, before their tables. Returns 0 or -1 with
 * `error` set. */
int settings_add_choices(struct settings *settings, const struct settings_choice *choices,
                         size_t count, struct ipcl_error *error);

/* Adds offers (static, not copied), each called with `context`. Returns 0 or -1 with `error`
 * set. */
int settings_add_offers(struct settings *settings, const struct settings_offer *offers,
                        size_t count, const void *context, struct ipcl_error *error);
/* Writes a word, and the first sentence of `about` (may be NULL), if the word begins with what was
 * typed. */
void settings_offer(const struct settings *settings, FILE *stream, const char *word,
                    const char *about);

/* Takes what the command line says: --alias=value, --alias value, -n 4, --flag,
 * --Class.trait=value; in aliases _ is as good as -. Positional words are left in `words` (pointers
 * into argv, room for argc). Values of classes that no table has yet are kept until
 * settings_finish(). Returns the number of words, or -1 with `error` set: the unknown option and
 * the nearest known one. `--help`, `--help-all`,
 * `--version` and `--help-man` (the manual page as roff; not listed in the help) are noted: see
 * settings_answer(). So is `--complete WORDS...`, for shells: what could be typed for the last of
 * them. */
int settings_parse(struct settings *settings, int argc, char **argv, char **words,
                   struct ipcl_error *error);
/* For words of our own command line that are meant for a program that we start: moves the keys in
 * them (--Session.key=...) into the environment, which that program inherits. `words` ends with
 * NULL. */
void settings_take_keys(struct settings *settings, char **words);
/* Whether an entry of the environment, NAME=value, gives a setting that is a key. */
bool settings_gives_key(const char *entry);
enum settings_wish {
    SETTINGS_RUN,
    SETTINGS_HELP,
    SETTINGS_HELP_ALL,
    SETTINGS_VERSION,
    SETTINGS_MAN,
    SETTINGS_COMPLETE,
    SETTINGS_CARRY /* --carry-settings, which is not listed: the caller does settings_carry() */
};
enum settings_wish settings_wants(const struct settings *settings);
/* Writes --help (aliases and flags) or --help-all (every trait with its type, default and help). */
void settings_help(const struct settings *settings, bool all, FILE *stream);
/* Writes what the command line asked for instead of running, if anything. Returns true if the
 * program is done. */
bool settings_answer(const struct settings *settings, FILE *stream);

/* Loads a file as the profile's: it never overrides what the environment or command line has set. A
 * file that is not there is no error. Returns 0, or -1 with `error` set: file, key, what was
 * expected, and the nearest known key. Classes that no table has yet are kept until
 * settings_finish(), except those in `also_known` (a NULL-terminated list of class names that other
 * programs own; may be NULL), which are passed over. */
int settings_load_file(struct settings *settings, const char *path, const char *const *also_known,
                       struct ipcl_error *error);
/* Reads the environment for the tables there are, and for those that are added later. Returns 0 or
 * -1 with `error` set. */
int settings_load_environment(struct settings *settings, struct ipcl_error *error);
/* Loads the site files, then the profile's file, then the environment. Returns 0 or -1 with `error`
 * set. */
int settings_load(struct settings *settings, const char *profile_dir, const char *const *also_known,
                  struct ipcl_error *error);
/* Whether a setting was given that no table has yet. */
bool settings_waiting(const struct settings *settings);
/* Checks that nothing of the files or command line was left without a table, and logs a warning for
 * each setting that was given and has no effect: to be called when all tables are there and the log
 * is open. Returns 0 or -1 with `error` set. */
int settings_finish(struct settings *settings, struct ipcl_error *error);

/* Values. Asking for one that no table has is a programming error: it aborts. Strings live as long
 * as the settings. */
const char *settings_string(const struct settings *settings, const char *class_name,
                            const char *name);
/* Keeps a string setting that holds a key out of core files, also values of it that stronger
 * sources have replaced. */
void settings_hide(const struct settings *settings, const char *class_name, const char *name);
int64_t settings_int(const struct settings *settings, const char *class_name, const char *name);
double settings_real(const struct settings *settings, const char *class_name, const char *name);
bool settings_bool(const struct settings *settings, const char *class_name, const char *name);
const char *const *settings_list(const struct settings *settings, const char *class_name,
                                 const char *name, size_t *count);
/* Whether a setting was given by any source except its table. */
bool settings_given(const struct settings *settings, const char *class_name, const char *name);
bool settings_known(const struct settings *settings, const char *class_name, const char *name);
/* Whether there is such a setting and it has this type. */
bool settings_has(const struct settings *settings, const char *class_name, const char *name,
                  enum ipcl_option_type type);
/* The values of IPCL_PASSED rows, as plugin.h says. Malloc'ed JSON text, or NULL where memory is
 * short. */
char *settings_passed(const struct settings *settings);
/* Sets a value as the command line would. Returns 0 or -1 with `error` set. */
int settings_set(struct settings *settings, const char *class_name, const char *name,
                 const char *value, struct ipcl_error *error);

/* Reads settings that were written for other programs, {"Class": {"trait": value}}, and writes
 * which of them these tables take: {"settings": as a profile file has them, "without_effect":
 * [["Class.trait", "reason"]], "refused": the same}. All tables that there are should be there.
 * Returns 0 or -1 with `error` set. */
int settings_carry(struct settings *settings, FILE *input, FILE *output, struct ipcl_error *error);

/* A profile file of these tables: JSON text with what was given so far except the settings of
 * `except` (a NULL-terminated list of "Class.trait"), and an "about" member that says where to read
 * about the others (defaults are not written, because they may change). Returns malloc'ed text, or
 * NULL with `error` set. */
char *settings_to_json(const struct settings *settings, const char *const *except,
                       struct ipcl_error *error);

#endif
