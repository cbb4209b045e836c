/* Option tables: one row a setting, from which parsing, help, man pages, profile files and the check of
 * profile files are all made. Programs and plugins describe their settings in the same way. */
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
    IPCL_LIST,   /* a list of texts: a JSON array, or words split as a shell would on the command line */
    /* Rows that hold no value, for those who come from elsewhere. Their `name` may be several, with commas
     * between, or "*" for every trait of a class that has no row with a value. */
    IPCL_RENAMED, /* another name of the setting `fallback`, "Class.trait" or "Class.*" for the same trait there */
    IPCL_PASSED,  /* accepted, to be read with the services' options_passed(); `help` says what for, to stand behind a colon */
    IPCL_IGNORED  /* accepted with a warning, and without effect: `help` says why, to stand behind a colon */
};

/* One setting, `Class.name`, as traitlets spells it. Strings are static and owned by the table, and there unless it says
 * that they may be NULL. A plugin whose tables have a setting or an alias twice, or a default of another type, is refused. */
struct ipcl_option {
    const char *name;             /* the trait, without its class: "ip" */
    enum ipcl_option_type type;
    const char *fallback;         /* the default, as it would be typed on a command line; "" for none. May be NULL where a row has no use for it */
    const char *aliases;          /* command-line names, comma separated: "elauncher,engines"; NULL for none */
    const char *bare;             /* what `--alias` without a value means; NULL where a value is required */
    const char *help;             /* one or more sentences; units are named. May be NULL for IPCL_RENAMED */
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
