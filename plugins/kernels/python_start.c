/* The embedded interpreter's start: which Python it is, and where it finds the ipcluster package.
 */
#include "python.h"

#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* True where $VIRTUAL_ENV is an environment of this version of Python. */
static bool environment_fits(const char *folder)
{
    char path[PATH_MAX], line[256], version[32];
    bool fits = false;
    snprintf(path, sizeof(path), "%s/pyvenv.cfg", folder);
    FILE *file = fopen(path, "r");
    if (!file)
        return false;
    while (!fits && fgets(line, sizeof(line), file))
        if (sscanf(line, "version = %31s", version) == 1 ||
            sscanf(line, "version_info = %31s", version) == 1)
            fits = !strncmp(version, PYTHON_VERSION, strlen(PYTHON_VERSION)) &&
                   (version[strlen(PYTHON_VERSION)] == '.' || !version[strlen(PYTHON_VERSION)]);
    fclose(file);
    return fits;
}

static void choose_executable(char path[PATH_MAX])
{
    const char *environment = getenv("VIRTUAL_ENV");
    if (environment && *environment && environment_fits(environment))
        snprintf(path, PATH_MAX, "%s/bin/python", environment);
    else
        snprintf(path, PATH_MAX, "%s", PYTHON_PROGRAM);
}

/* Where the running program lies in a build tree, that is, config.status stands in a folder above
 * it: the tree's python/ in `path`. */
static bool find_build_tree(char path[PATH_MAX])
{
    ssize_t length = readlink("/proc/self/exe", path, PATH_MAX - sizeof("/config.status"));
    if (length <= 0)
        return false;
    path[length] = '\0';
    for (char *slash = strrchr(path, '/'); slash && slash != path; slash = strrchr(path, '/')) {
        strcpy(slash, "/config.status");
        if (!access(path, F_OK)) {
            strcpy(slash, "/python");
            return true;
        }
        *slash = '\0';
    }
    return false;
}

/* '' first, as an interactive Python has it; then the package, of the build tree where we run from
 * one. */
static int extend_path(void)
{
    char folder[PATH_MAX];
    bool build_tree = find_build_tree(folder);
    PyObject *path = PySys_GetObject("path");
    PyObject *here = PyUnicode_FromString("");
    PyObject *package = PyUnicode_DecodeFSDefault(build_tree ? folder : PYTHON_DIR);
    int status = -1;
    if (path && here && package && PyList_Insert(path, 0, here) == 0) {
        int there = build_tree ? 0 : PySequence_Contains(path, package);
        status = there == 1   ? 0
                 : there < 0  ? -1
                 : build_tree ? PyList_Insert(path, 1, package)
                              : PyList_Append(path, package);
    }
    Py_XDECREF(here);
    Py_XDECREF(package);
    return status;
}

int python_start(struct ipcl_error *error)
{
    char executable[PATH_MAX];
    PyConfig config;
    /* Whoever started us in the background of a script had SIGINT ignored, and then Python would
     * let nothing interrupt it. */
    signal(SIGINT, SIG_DFL);
    choose_executable(executable);
    PyConfig_InitPythonConfig(&config);
    config.parse_argv = 0;
    char *arguments[] = {(char *)""};
    PyStatus status = PyConfig_SetBytesArgv(&config, 1, arguments);
    if (!PyStatus_Exception(status))
        status = PyConfig_SetBytesString(&config, &config.program_name, executable);
    if (!PyStatus_Exception(status))
        status = PyConfig_SetString(&config, &config.stdio_encoding, L"utf-8");
    if (!PyStatus_Exception(status))
        status = PyConfig_SetString(&config, &config.stdio_errors, L"backslashreplace");
    if (!PyStatus_Exception(status))
        status = Py_InitializeFromConfig(&config);
    PyConfig_Clear(&config);
    if (PyStatus_Exception(status))
        return ipcl_error_set(error, "Python %s (%s) does not start: %s", PYTHON_VERSION,
                              executable, status.err_msg ? status.err_msg : "it gives no reason");
    if (extend_path()) {
        PyErr_Clear();
        return ipcl_error_set(error, "Python's search path cannot be set");
    }
    return 0;
}
