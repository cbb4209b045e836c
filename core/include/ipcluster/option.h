/* Option tables: a row for each setting. Parsing, help, man pages, profile files and the check of
 * profile files all come from them. Programs and plugins describe their settings in the same
 * way. */
#ifndef IPCLUSTER_OPTION_H
#define IPCLUSTER_OPTION_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

enum ipcl_option_type {
    IPCL_BOOL,   /* true, false, 1, 0, yes, no */
    IPCL_INT,    /* a 64-bit integer */
    IPCL_REAL,   /* a double */
    IPCL_STRING, /* text */
    /* a list of texts: a JSON array, or words split as a shell would on the command line */
    IPCL_LIST,
    /* Rows that hold no value, for settings of other programs and versions. Their `name` may be
     * several names, with commas between, or "*" for every trait of a class that has no row with a
     * value. */
    /* another name of the setting `fallback`: "Class.trait", or "Class.*" for the same trait of
     * that class */
    IPCL_RENAMED,
    /* accepted, to be read with the services' options_passed(); `help` says what for: it is shown
     * after a colon */
    IPCL_PASSED,
    /* accepted with a warning, and without effect; `help` says why: it is shown after a colon */
    IPCL_IGNORED,
    /* Since ABI 1.2. */
    /* names with values: a JSON object, or words NAME=VALUE. Read as a list of such words; a value
     * that is not text is JSON there */
    IPCL_MAPPING,
    /* holds no value: the settings `name` ("*" for all) of the class `fallback` are settings of
     * this class, too. The table of `fallback` comes earlier. A setting that is not given for this
     * class has its value from `fallback`. Help shows it once */
    IPCL_INHERITED
};

/* One setting, `Class.name`, as traitlets spells it. Strings are static and owned by the table.
 * They must be there unless a comment says that they may be NULL. A plugin is refused if its tables
 * have a setting or an alias twice, or a default of another type. */
struct ipcl_option {
    const char *name; /* the trait, without its class: "ip" */
    enum ipcl_option_type type;
    /* the default, as it is typed on a command line; "" for none. May be NULL in a row that does
     * not use it */
    const char *fallback;
    /* command-line names, comma separated: "elauncher,engines"; NULL for none */
    const char *aliases;
    /* what `--alias` without a value means; NULL if a value is required */
    const char *bare;
    /* one or more sentences; units are named. May be NULL for IPCL_RENAMED and IPCL_INHERITED */
    const char *help;
};

/* The settings of one class: `IPController`, `MPIExecEngineSetLauncher`. */
struct ipcl_option_table {
    const char *class_name;
    const struct ipcl_option *options;
    size_t count;
};

#ifdef __cplusplus
}
#endif
#endif
