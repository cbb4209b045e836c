/* The plugin interface: the descriptor that every plugin exports, and the services that it gets.
 *
 * A plugin is a shared object that exports one constant:
 *
 * const struct ipcl_plugin ipcl_plugin = { IPCL_PLUGIN_HEAD, .kind = "launcher", .name = "mine",
 * ... };
 *
 * It is built from these headers alone and links to nothing of ipcluster: it reaches the program
 * that loads it only through the services struct. The loader checks the ABI, kind, name and all
 * that must be there before it calls anything. It refuses a plugin that lacks something, or that
 * needs a function which no library has; `ipcluster plugins` says why. */
#ifndef IPCLUSTER_PLUGIN_H
#define IPCLUSTER_PLUGIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <ipcluster/error.h>
#include <ipcluster/option.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The loader takes a plugin of its own major version and of a minor version up to its own. The
 * major version changes when a struct of these headers changes its shape, the minor version when a
 * struct grows at its end. */
#define IPCL_ABI_MAJOR 1
#define IPCL_ABI_MINOR 4

#define IPCL_PLUGIN_HEAD                                                                           \
    .abi_major = IPCL_ABI_MAJOR, .abi_minor = IPCL_ABI_MINOR, .size = sizeof(struct ipcl_plugin)

/* The descriptor. All pointers are static and live as long as the plugin is loaded. No pointer may
 * be NULL unless its comment says so, here and in the structs of a kind's operations. Texts are
 * UTF-8. */
struct ipcl_plugin {
    uint32_t abi_major;
    uint32_t abi_minor;
    uint32_t size;       /* sizeof(struct ipcl_plugin) when the plugin was built */
    const char *kind;    /* "launcher", "mpi", "serial", "kernel" or "store" */
    const char *name;    /* the name users type, equal to the file's name without its suffix */
    const char *version; /* the plugin's own version */
    const char *summary; /* one line */
    const char *license; /* an SPDX identifier */
    const char *author;
    /* the settings that it reads; may be NULL where table_count is 0 */
    const struct ipcl_option_table *tables;
    size_t table_count;
    const void *operations; /* the struct of its kind: struct ipcl_launcher_operations and so on */
};

/* What is visible outside a plugin built with -fvisibility=hidden. */
#ifdef __GNUC__
#define IPCL_EXPORT __attribute__((visibility("default")))
#else
#define IPCL_EXPORT
#endif

enum ipcl_log_level { IPCL_LOG_ERROR, IPCL_LOG_WARN, IPCL_LOG_INFO, IPCL_LOG_DEBUG };

/* What every plugin may ask of the program that loaded it. `host` stands for that program: pass it
 * as the first argument of each call. Unless a kind's header says otherwise, a plugin is called,
 * and calls, in one thread only. */
struct ipcl_services {
    void *host;
    /* Writes one line to the program's log. Any thread. */
    void (*log)(void *host, enum ipcl_log_level level, const char *text);
    /* Reads a setting of one of the plugin's own tables. To ask for another is a programming error:
     * it is logged, and the answer is "", 0, 0.0, false or NULL. Strings live as long as the
     * program. */
    const char *(*option_string)(void *host, const char *class_name, const char *name);
    int64_t (*option_int)(void *host, const char *class_name, const char *name);
    double (*option_real)(void *host, const char *class_name, const char *name);
    bool (*option_bool)(void *host, const char *class_name, const char *name);
    /* A NULL-terminated array; *count, if not NULL, receives its length. */
    const char *const *(*option_list)(void *host, const char *class_name, const char *name,
                                      size_t *count);
    /* The settings that were given of rows of type IPCL_PASSED: {"Class": {"trait": value}}. A
     * value is JSON, or the text of a command line or an environment variable. Returns JSON text
     * that the caller frees; NULL if memory is short. */
    char *(*options_passed)(void *host);
};

/* A piece of memory that travels as one frame. When a plugin hands one over, `release(owner)` is
 * called once, from any thread, when the bytes are no longer needed. `release` is NULL if the bytes
 * are never freed. */
struct ipcl_buffer {
    const void *data;
    size_t size; /* bytes */
    void *owner;
    void (*release)(void *owner);
};

#ifdef __cplusplus
}
#endif
#endif
