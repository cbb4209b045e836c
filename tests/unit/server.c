/* The settings of a program that exists for tests only. */
#include "server.h"

#include <stdarg.h>

static const struct ipcl_option server_options[] = {
    {"ip", IPCL_STRING, "127.0.0.1", "ip", NULL, "The address."},
    {"port", IPCL_INT, "0", "port,p", NULL, "The port."},
    {"ratio", IPCL_REAL, "0.5", NULL, NULL, "A ratio."},
    {"reuse", IPCL_BOOL, "false", "reuse", "true", "Reuse files."},
    {"command", IPCL_LIST, "run 'two words'", "command", NULL, "A command."},
    {"launcher", IPCL_STRING, "local", "elauncher,engines", "mpi", "A launcher."},
    {"level", IPCL_STRING, "20", "log-level", NULL, "A level."},
    {"shape", IPCL_STRING, "", "shape", NULL, "A shape."},
};
const struct ipcl_option_table server_table = {"Server", server_options, 8};
static const struct settings_choice choices[] = {{"Server", "shape", "round,square"}};
static const struct ipcl_option base_options[] = {
    {"work_dir", IPCL_STRING, "", "work-dir", NULL, "A folder."}};
static const struct ipcl_option_table base = {"Base", base_options, 1};
const struct settings_flag server_flags[] = {
    {"any", "Server", "ip", "0.0.0.0", "Listen everywhere."}};
static const struct settings_program program = {
    .name = "server",
    .usage = "server [options]",
    .description = "Serves. It does so well.",
    .examples = "  server --port=80\n",
    .flags = server_flags,
    .flag_count = 1,
    .choices = choices,
    .choice_count = 1,
    .classes = "Server,Base",
};

struct settings *settings;
struct ipcl_error error;
char folder[PATH_BYTES];

void server_create(void)
{
    unit_make_folder(folder);
    settings = settings_create(&program, &error);
    cr_assert(settings != NULL);
    cr_assert_eq(settings_add(settings, &server_table, &error), 0, "%s", error.text);
    cr_assert_eq(settings_add(settings, &base, &error), 0, "%s", error.text);
}

void server_destroy(void)
{
    settings_destroy(settings);
    unit_remove_folder(folder);
}

static const struct ipcl_option late_options[] = {
    {"nodes", IPCL_INT, "1", NULL, NULL, "Nodes."},
    {"args", IPCL_LIST, "", NULL, NULL, "Arguments."}};
const struct ipcl_option_table server_late_table = {"Late", late_options, 2};
#define WORDS_MAX 8

int server_parse(const char *first, ...)
{
    char *argv[WORDS_MAX + 1] = {(char *)"server"}, *words[WORDS_MAX + 1];
    int argc = 1;
    va_list rest;
    va_start(rest, first);
    for (const char *word = first; word; word = va_arg(rest, const char *))
        argv[argc++] = (char *)word;
    va_end(rest);
    return settings_parse(settings, argc, argv, words, &error);
}

int server_load(const char *text)
{
    char path[PATH_BYTES];
    cr_assert_eq(path_format(path, &error, "%s/server_config.json", folder), 0);
    unit_write(path, text);
    return settings_load(settings, folder, NULL, &error);
}
