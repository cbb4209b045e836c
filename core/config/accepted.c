/* Settings of ipyparallel's programs that have no effect in ours. */
#include "config/accepted.h"

#define COUNT(rows) (sizeof(rows) / sizeof(*(rows)))

static const struct ipcl_option base[] = {
    {"log_format,log_datefmt,logging_config", IPCL_IGNORED, "", NULL, NULL,
     "log lines have one form"},
    {"log_url", IPCL_IGNORED, "", "log-url", NULL,
     "there is no iplogger; logs go to standard error or a file"},
    {"copy_config_files,overwrite", IPCL_IGNORED, "", NULL, NULL,
     "ipcluster profile create writes configuration files"},
    {"verbose_crash", IPCL_IGNORED, "", NULL, NULL,
     "only Python programs write such crash reports"},
    {"add_ipython_dir_to_sys_path", IPCL_IGNORED, "", NULL, NULL,
     "IPython's folder holds no modules"},
};
static const struct ipcl_option profile_dir[] = {
    {"location", IPCL_RENAMED, "BaseParallelApplication.profile_dir", NULL, NULL, NULL},
};
static const struct ipcl_option session[] = {
    {"session", IPCL_IGNORED, "", "ident", NULL, "identities are always random"},
    {"username", IPCL_IGNORED, "", "user", NULL, "messages do not name a user"},
    {"metadata", IPCL_IGNORED, "", NULL, NULL, "messages carry the metadata that they need"},
    {"buffer_threshold,copy_threshold,item_threshold", IPCL_IGNORED, "", NULL, NULL,
     "buffers are never copied"},
    {"check_pid", IPCL_IGNORED, "", NULL, NULL, "it is for Python processes that fork"},
    {"debug", IPCL_IGNORED, "", NULL, NULL, "--log-level=DEBUG logs what can be logged"},
    {"digest_history_size", IPCL_IGNORED, "", NULL, NULL,
     "the size of the history of signatures "
     "is fixed"},
};
static const struct ipcl_option_table common[] = {
    {"BaseParallelApplication", base, COUNT(base)},
    {"ProfileDir", profile_dir, COUNT(profile_dir)},
    {"Session", session, COUNT(session)},
};

/* Kernel and shell of ipyparallel's engine. */
static const struct ipcl_option kernel[] = {
    {"*", IPCL_IGNORED, "", NULL, NULL, "this engine does not use IPython's kernel"}};
static const struct ipcl_option shell[] = {
    {"*", IPCL_PASSED, "", NULL, NULL, "IPython's shell in the engine is configured with it"}};
static const struct ipcl_option shell_app[] = {
    {"*", IPCL_PASSED, "", NULL, NULL,
     "only exec_lines, exec_files, extensions and exec_PYTHONSTARTUP have an effect on an engine"}};
static const struct ipcl_option_table python[] = {
    {"IPythonParallelKernel", kernel, 1},
    {"IPythonKernel", kernel, 1},
    {"Kernel", kernel, 1},
    {"IPKernelApp", shell_app, 1},
    {"InteractiveShellApp", shell_app, 1},
    {"ConnectionFileMixin", kernel, 1},
    {"InteractiveShell", shell, 1},
    {"ZMQInteractiveShell", shell, 1},
    {"HistoryAccessor", shell, 1},
    {"HistoryManager", shell, 1},
    {"MagicsManager", shell, 1},
    {"LoggingMagics", shell, 1},
    {"OSMagics", shell, 1},
    {"ScriptMagics", shell, 1},
    {"StoreMagics", shell, 1},
    {"PrefilterManager", shell, 1},
    {"AliasManager", shell, 1},
    {"ExtensionManager", shell, 1},
    {"Completer", shell, 1},
    {"IPCompleter", shell, 1},
    {"DisplayFormatter", shell, 1},
    {"BaseFormatter", shell, 1},
    {"PlainTextFormatter", shell, 1},
    {"InlineBackend", shell, 1},
};

static int add(struct settings *settings, const struct ipcl_option_table *tables, size_t count,
               struct ipcl_error *error)
{
    for (size_t i = 0; i < count; i++)
        if (settings_add(settings, &tables[i], error))
            return -1;
    return 0;
}

int accepted_add(struct settings *settings, struct ipcl_error *error)
{
    return add(settings, common, COUNT(common), error);
}

int accepted_add_python(struct settings *settings, struct ipcl_error *error)
{
    return add(settings, python, COUNT(python), error);
}
