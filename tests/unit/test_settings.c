/* Settings: where a value comes from, what is refused, and what the refusal says. */
#include <criterion/criterion.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/log.h"
#include "config/settings.h"
#include "unit.h"

static const struct ipcl_option server_options[] = {
    {"ip", IPCL_STRING, "127.0.0.1", "ip", NULL, "The address."},
    {"port", IPCL_INT, "0", "port,p", NULL, "The port."},
    {"ratio", IPCL_REAL, "0.5", NULL, NULL, "A ratio."},
    {"reuse", IPCL_BOOL, "false", "reuse", "true", "Reuse files."},
    {"command", IPCL_LIST, "run 'two words'", "command", NULL, "A command."},
    {"launcher", IPCL_STRING, "local", "elauncher,engines", "mpi", "A launcher."},
    {"level", IPCL_STRING, "20", "log-level", NULL, "A level."},
};
static const struct ipcl_option_table server = {"Server", server_options, 7};
static const struct ipcl_option base_options[] = {
    {"work_dir", IPCL_STRING, "", "work-dir", NULL, "A folder."}};
static const struct ipcl_option_table base = {"Base", base_options, 1};
static const struct ipcl_option late_options[] = {
    {"nodes", IPCL_INT, "1", NULL, NULL, "Nodes."},
    {"args", IPCL_LIST, "", NULL, NULL, "Arguments."}};
static const struct ipcl_option_table late = {"Late", late_options, 2};
static const struct settings_flag flags[] = {
    {"any", "Server", "ip", "0.0.0.0", "Listen everywhere."}};
static const struct settings_program program = {
    .name = "server",
    .usage = "server [options]",
    .description = "Serves. It does so well.",
    .examples = "  server --port=80\n",
    .flags = flags,
    .flag_count = 1,
    .classes = "Server,Base",
};

static struct settings *settings;
static struct ipcl_error error;
static char folder[PATH_BYTES];

static void create(void)
{
    unit_make_folder(folder);
    settings = settings_create(&program, &error);
    cr_assert(settings != NULL);
    cr_assert_eq(settings_add(settings, &server, &error), 0, "%s", error.text);
    cr_assert_eq(settings_add(settings, &base, &error), 0, "%s", error.text);
}

static void destroy(void)
{
    settings_destroy(settings);
    unit_remove_folder(folder);
}

TestSuite(settings, .init = create, .fini = destroy);

#define WORDS_MAX 8

/* Parses up to WORDS_MAX words, ended by NULL. Returns what settings_parse() does. */
static int parse(const char *first, ...)
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

/* Writes the profile's file and loads everything. */
static int load(const char *text)
{
    char path[PATH_BYTES];
    cr_assert_eq(path_format(path, &error, "%s/server_config.json", folder), 0);
    unit_write(path, text);
    return settings_load(settings, folder, NULL, &error);
}

#define EXPECT_REFUSED(call, ...)                                                                  \
    do {                                                                                           \
        static const char *const expected[] = {__VA_ARGS__};                                       \
        cr_expect_eq(call, -1);                                                                    \
        for (size_t i = 0; i < sizeof(expected) / sizeof(expected[0]); i++)                        \
            cr_expect(strstr(error.text, expected[i]) != NULL, "expected '%s': %s", expected[i],   \
                      error.text);                                                                 \
    } while (0)

#define EXPECT_INT(class_name, name, expected)                                                     \
    cr_expect_eq(settings_int(settings, class_name, name), expected)
#define EXPECT_STRING(name, expected)                                                              \
    cr_expect_str_eq(settings_string(settings, "Server", name), expected)

Test(settings, defaults_come_from_the_table)
{
    size_t count;
    EXPECT_STRING("ip", "127.0.0.1");
    EXPECT_INT("Server", "port", 0);
    cr_expect_eq(settings_real(settings, "Server", "ratio"), 0.5);
    cr_expect_not(settings_bool(settings, "Server", "reuse"));
    const char *const *command = settings_list(settings, "Server", "command", &count);
    cr_expect_eq(count, 2);
    cr_expect_str_eq(command[1], "two words");
    cr_expect_eq(command[2], NULL);
    cr_expect_not(settings_given(settings, "Server", "ip"));
}

Test(settings, every_way_to_type_an_option)
{
    cr_assert_eq(parse("--port=1", NULL), 0);
    EXPECT_INT("Server", "port", 1);
    cr_assert_eq(parse("--port", "2", NULL), 0);
    EXPECT_INT("Server", "port", 2);
    cr_assert_eq(parse("-p", "3", NULL), 0);
    EXPECT_INT("Server", "port", 3);
    cr_assert_eq(parse("-p4", NULL), 0);
    EXPECT_INT("Server", "port", 4);
    cr_assert_eq(parse("-p=5", NULL), 0);
    EXPECT_INT("Server", "port", 5);
    cr_assert_eq(parse("--p=6", NULL), 0);
    EXPECT_INT("Server", "port", 6);
    cr_assert_eq(parse("--Server.port=7", NULL), 0);
    EXPECT_INT("Server", "port", 7);
    cr_assert_eq(parse("--Server.port", "-8", NULL), 0);
    EXPECT_INT("Server", "port", -8);
    cr_assert_eq(parse("--log_level=10", NULL), 0);
    EXPECT_STRING("level", "10");
    cr_assert_eq(parse("--elauncher=slurm", NULL), 0);
    EXPECT_STRING("launcher", "slurm");
    cr_assert_eq(parse("--engines", NULL), 0);
    EXPECT_STRING("launcher", "mpi");
}

Test(settings, flags_and_booleans)
{
    cr_assert_eq(parse("--any", "--reuse", NULL), 0);
    EXPECT_STRING("ip", "0.0.0.0");
    cr_expect(settings_bool(settings, "Server", "reuse"));
    cr_assert_eq(parse("--reuse=no", NULL), 0);
    cr_expect_not(settings_bool(settings, "Server", "reuse"));
    cr_assert_eq(parse("--Server.reuse=True", NULL), 0);
    cr_expect(settings_bool(settings, "Server", "reuse"));
    EXPECT_REFUSED(parse("--any=1", NULL), "takes no value");
    EXPECT_REFUSED(parse("--reuse=maybe", NULL), "true or false", "maybe");
}

Test(settings, words_are_left_over)
{
    char *argv[] = {(char *)"server",
                    (char *)"start",
                    (char *)"--port=1",
                    (char *)"x",
                    (char *)"--",
                    (char *)"--y",
                    NULL};
    char *words[6];
    cr_assert_eq(settings_parse(settings, 6, argv, words, &error), 3, "%s", error.text);
    cr_expect_str_eq(words[0], "start");
    cr_expect_str_eq(words[1], "x");
    cr_expect_str_eq(words[2], "--y");
}

Test(settings, a_mistyped_option_is_answered_with_the_nearest)
{
    EXPECT_REFUSED(parse("--prot=1", NULL), "--prot=1", "--port");
    EXPECT_REFUSED(parse("--enignes=1", NULL), "--engines");
    EXPECT_REFUSED(parse("--Server.prot=1", NULL), "Server.prot", "Server.port");
    EXPECT_REFUSED(parse("-z", NULL), "-z");
    EXPECT_REFUSED(parse("--port=many", NULL), "Server.port", "an integer", "many");
    EXPECT_REFUSED(parse("--port=1x", NULL), "an integer");
    EXPECT_REFUSED(parse("--port=99999999999999999999", NULL), "an integer");
    EXPECT_REFUSED(parse("--port", NULL), "--port", "needs a value");
    EXPECT_REFUSED(parse("--port", "--ip=x", NULL), "--port", "needs a value");
    EXPECT_REFUSED(parse("--Server.ratio=nan", NULL), "a number");
    EXPECT_REFUSED(parse("--command='open", NULL), "a list");
}

Test(settings, an_option_of_any_length_is_survived)
{
    char option[5000] = "--";
    memset(option + 2, 'x', sizeof(option) - 3);
    option[sizeof(option) - 1] = '\0';
    EXPECT_REFUSED(parse(option, NULL), "unknown option");
    option[200] = '.';
    option[250] = '=';
    cr_assert_eq(parse(option, NULL), 0);
    EXPECT_REFUSED(settings_finish(settings, &error), "there is no setting");
}

Test(settings, a_file_is_read_as_traitlets_writes_it)
{
    cr_assert_eq(load("{\"version\": 1, \"//\": \"a remark\", \"about\": [\"notes\"], \"Server\": "
                      "{\"port\": 5, \"ratio\": "
                      "1, \"reuse\": true,"
                      " \"command\": [\"a b\", \"\"], \"level\": 10, \"//port\": \"why\"}}"),
                 0, "%s", error.text);
    size_t count;
    EXPECT_INT("Server", "port", 5);
    EXPECT_STRING("level", "10");
    cr_expect_eq(settings_real(settings, "Server", "ratio"), 1.0);
    cr_expect_str_eq(settings_list(settings, "Server", "command", &count)[0], "a b");
    cr_expect_eq(count, 2);
    cr_expect(settings_given(settings, "Server", "port"));
    cr_expect_not(settings_given(settings, "Server", "ip"));
}

Test(settings, a_wrong_file_is_an_error_that_names_file_key_and_expectation)
{
    EXPECT_REFUSED(load("{\"Server\": {\"prot\": 1}}"), "server_config.json", "Server.prot",
                   "Server.port");
    EXPECT_REFUSED(load("{\"Server\": {\"port\": \"1\"}}"), "server_config.json", "Server.port",
                   "an integer", "\"1\"");
    EXPECT_REFUSED(load("{\"Server\": {\"port\": 1.5}}"), "an integer", "1.5");
    EXPECT_REFUSED(load("{\"Server\": {\"ip\": 5}}"), "Server.ip", "text", "5");
    EXPECT_REFUSED(load("{\"Server\": {\"reuse\": 1}}"), "true or false");
    EXPECT_REFUSED(load("{\"Server\": {\"command\": 1}}"), "a list of texts");
    EXPECT_REFUSED(load("{\"Server\": {\"command\": [1.5]}}"), "a list of texts");
    EXPECT_REFUSED(load("{\"Server\": []}"), "mapping of its traits");
    EXPECT_REFUSED(load("[]"), "mapping of classes");
    EXPECT_REFUSED(load("{\"Server\":\n {\"port\": 1,}}"), "server_config.json", "line 2");
    EXPECT_REFUSED(load("{\"Server\": {}, \"Server\": {}}"), "duplicate");
    EXPECT_REFUSED(load(""), "not JSON");
}

Test(settings, an_unknown_class_is_refused_when_all_tables_are_there)
{
    cr_assert_eq(load("{\"Sevrer\": {\"port\": 1}}"), 0, "%s", error.text);
    EXPECT_REFUSED(settings_finish(settings, &error), "server_config.json", "Sevrer.port",
                   "Server.port");
}

Test(settings, classes_of_other_programs_are_passed_over)
{
    static const char *const others[] = {"Other", NULL};
    char path[PATH_BYTES];
    cr_assert_eq(path_format(path, &error, "%s/x.json", folder), 0);
    unit_write(path, "{\"Other\": {\"x\": 1}, \"Server\": {\"port\": 9}}");
    cr_assert_eq(settings_load_file(settings, path, others, &error), 0, "%s", error.text);
    cr_expect_eq(settings_finish(settings, &error), 0);
    EXPECT_INT("Server", "port", 9);
}

Test(settings, a_file_that_is_not_there_is_no_error)
{
    cr_expect_eq(settings_load(settings, "/nonexistent", NULL, &error), 0, "%s", error.text);
}

Test(settings, later_sources_win_whatever_the_order_of_reading)
{
    cr_assert_eq(parse("--port=4", NULL), 0);
    setenv("IPCLUSTER_SERVER_PORT", "3", 1);
    setenv("IPCLUSTER_SERVER_IP", "from-environment", 1);
    cr_assert_eq(
        load("{\"Server\": {\"port\": 2, \"ip\": \"from-file\", \"level\": \"from-file\"}}"), 0,
        "%s", error.text);
    EXPECT_INT("Server", "port", 4);
    EXPECT_STRING("ip", "from-environment");
    EXPECT_STRING("level", "from-file");
}

Test(settings, a_wrong_environment_names_the_variable)
{
    setenv("IPCLUSTER_SERVER_PORT", "x", 1);
    EXPECT_REFUSED(load("{}"), "IPCLUSTER_SERVER_PORT", "an integer", "x");
}

Test(settings, the_environment_knows_inherited_settings_under_each_class)
{
    setenv("IPCLUSTER_SERVER_WORK_DIR", "/of-server", 1);
    setenv("IPCLUSTER_BASE_WORK_DIR", "/of-base", 1);
    cr_assert_eq(settings_load_environment(settings, &error), 0, "%s", error.text);
    EXPECT_STRING("work_dir", "/of-server");
}

Test(settings, strings_stay_when_they_are_overridden)
{
    const char *before = settings_string(settings, "Server", "ip");
    cr_assert_eq(settings_set(settings, "Server", "ip", "10.0.0.1", &error), 0);
    cr_expect_str_eq(before, "127.0.0.1");
    EXPECT_STRING("ip", "10.0.0.1");
}

Test(settings, a_class_inherits_from_the_classes_behind_it)
{
    cr_assert_eq(
        load(
            "{\"Server\": {\"work_dir\": \"/of-server\"}, \"Base\": {\"work_dir\": \"/of-base\"}}"),
        0, "%s", error.text);
    cr_expect_str_eq(settings_string(settings, "Base", "work_dir"), "/of-server");
    EXPECT_STRING("work_dir", "/of-server");
    cr_assert_eq(parse("--Base.work_dir=/typed", NULL), 0);
    EXPECT_STRING("work_dir", "/typed");
    cr_assert_eq(parse("--Server.work_dir=/typed-too", NULL), 0);
    cr_expect_str_eq(settings_string(settings, "Base", "work_dir"), "/typed-too");
}

Test(settings, values_wait_for_tables_that_come_later)
{
    setenv("IPCLUSTER_LATE_ARGS", "from environment", 1);
    cr_assert_eq(parse("--Late.nodes=3", NULL), 0);
    cr_assert_eq(load("{\"Late\": {\"nodes\": 2, \"args\": [\"file\"]}}"), 0, "%s", error.text);
    cr_expect_not(settings_known(settings, "Late", "nodes"));
    cr_assert_eq(settings_add(settings, &late, &error), 0, "%s", error.text);
    cr_assert_eq(settings_finish(settings, &error), 0, "%s", error.text);
    EXPECT_INT("Late", "nodes", 3);
    cr_expect_str_eq(settings_list(settings, "Late", "args", NULL)[0], "from");
    cr_expect(settings_has(settings, "Late", "nodes", IPCL_INT));
    cr_expect_not(settings_has(settings, "Late", "nodes", IPCL_STRING));
}

Test(settings, a_late_value_of_the_wrong_type_is_refused_with_its_file)
{
    cr_assert_eq(load("{\"Late\": {\"nodes\": \"two\"}}"), 0, "%s", error.text);
    EXPECT_REFUSED(settings_add(settings, &late, &error), "server_config.json", "Late.nodes",
                   "an integer");
}

Test(settings, nothing_may_be_there_twice)
{
    static const struct ipcl_option alias[] = {{"other", IPCL_INT, "0", "x,port", NULL, ""}};
    static const struct ipcl_option_table with_alias = {"Other", alias, 1};
    static const struct ipcl_option bad[] = {{"bad", IPCL_INT, "none", NULL, NULL, ""}};
    static const struct ipcl_option_table with_bad_default = {"Other", bad, 1};
    EXPECT_REFUSED(settings_add(settings, &server, &error), "Server.ip", "twice");
    EXPECT_REFUSED(settings_add(settings, &with_alias, &error), "Other.other", "twice");
    EXPECT_REFUSED(settings_add_flags(settings, flags, 1, &error), "--any", "twice");
    EXPECT_REFUSED(settings_add(settings, &with_bad_default, &error), "Other.bad", "an integer");
}

Test(settings, what_was_given_is_written_and_read_again)
{
    cr_assert_eq(parse("--port=8", "--command=a 'b c'", "--reuse", NULL), 0);
    static const char *const except[] = {"Base.work_dir", NULL};
    cr_assert_eq(settings_set(settings, "Base", "work_dir", "/left/out", &error), 0);
    char *text = settings_to_json(settings, except, &error);
    cr_assert(text != NULL, "%s", error.text);
    cr_expect_eq(strstr(text, "ratio"), NULL);
    cr_expect_eq(strstr(text, "work_dir"), NULL);
    destroy();
    create();
    cr_assert_eq(load(text), 0, "%s", error.text);
    free(text);
    EXPECT_INT("Server", "port", 8);
    cr_expect(settings_bool(settings, "Server", "reuse"));
    cr_expect_str_eq(settings_list(settings, "Server", "command", NULL)[1], "b c");
}

/* What settings_answer() writes. */
static char *answer(void)
{
    char *text;
    size_t size;
    FILE *stream = open_memstream(&text, &size);
    cr_assert(settings_answer(settings, stream));
    fclose(stream);
    return text;
}

static void expect_texts(const char *option, const char *const *expected, size_t count)
{
    cr_assert_eq(parse(option, NULL), 0);
    char *text = answer();
    for (size_t i = 0; i < count; i++)
        cr_expect(strstr(text, expected[i]) != NULL, "%s lacks '%s':\n%s", option, expected[i],
                  text);
    free(text);
}

Test(settings, help_teaches)
{
    static const char *const help[] = {"Usage: server",    "--port=NUMBER, -p NUMBER  (default: 0)",
                                       "The port.",        "--any",
                                       "server --port=80", "--help-all"};
    static const char *const all[] = {"--Server.ratio=NUMBER  (default: 0.5)",
                                      "IPCLUSTER_SERVER_RATIO", "--Base.work_dir",
                                      "/etc/ipcluster/server_config.json"};
    static const char *const man[] = {".TH SERVER 1",
                                      ".SH NAME\nserver \\- Serves\n",
                                      ".SH SYNOPSIS",
                                      ".SH OPTIONS",
                                      "\\-\\-Server.port, \\-\\-port, \\-p",
                                      ".SH FILES",
                                      ".SH ENVIRONMENT",
                                      ".SH EXIT STATUS"};
    expect_texts("--help", help, 6);
    expect_texts("--help-all", all, 4);
    expect_texts("--help-man", man, 8);
    cr_assert_eq(parse("-V", NULL), 0);
    cr_expect_eq(settings_wants(settings), SETTINGS_VERSION);
}

Test(settings, nothing_is_answered_that_was_not_asked)
{
    cr_assert_eq(parse("--port=1", NULL), 0);
    cr_expect_not(settings_answer(settings, stdout));
}

/* Names of ipyparallel's that hold no value here. */
static const struct ipcl_option other_options[] = {
    {"threads,nanny", IPCL_IGNORED, "", "threads", NULL, "threads are always used"},
    {"folder", IPCL_RENAMED, "Base.work_dir", "folder", NULL, NULL},
};
static const struct ipcl_option_table others = {"Server", other_options, 2};
static const struct ipcl_option all_ignored[] = {
    {"*", IPCL_IGNORED, "", NULL, NULL, "there is no such kernel"}};
static const struct ipcl_option_table kernel_class = {"Kernel", all_ignored, 1};
static const struct ipcl_option_table late_ignored = {"Late", all_ignored, 1};
static const struct ipcl_option all_renamed[] = {{"*", IPCL_RENAMED, "Server.*", NULL, NULL, NULL}};
static const struct ipcl_option_table factory_class = {"Factory", all_renamed, 1};

static void add_others(void)
{
    cr_assert_eq(settings_add(settings, &others, &error), 0, "%s", error.text);
    cr_assert_eq(settings_add(settings, &kernel_class, &error), 0, "%s", error.text);
    cr_assert_eq(settings_add(settings, &late_ignored, &error), 0, "%s", error.text);
    cr_assert_eq(settings_add(settings, &factory_class, &error), 0, "%s", error.text);
}

/* Calls settings_finish() and returns what was logged, to be freed. */
static char *finish_logging(int *status)
{
    char path[PATH_BYTES];
    size_t size;
    cr_assert_eq(path_format(path, &error, "%s/log", folder), 0);
    cr_assert_eq(log_open("server", path, &error), 0, "%s", error.text);
    *status = settings_finish(settings, &error);
    log_open("server", NULL, NULL);
    char *text = path_read_file(path, 65536, &size, &error);
    cr_assert_not_null(text, "%s", error.text);
    return text;
}

static size_t count_of(const char *text, const char *part)
{
    size_t count = 0;
    for (; (text = strstr(text, part)); text++)
        count++;
    return count;
}

Test(settings, a_setting_without_effect_is_accepted_with_one_warning_that_says_why)
{
    int status;
    add_others();
    cr_assert_eq(parse("--Server.threads=1", "--threads", "--Kernel.anything=x", NULL), 0, "%s",
                 error.text);
    cr_assert_eq(load("{\"Server\": {\"nanny\": false}, \"Kernel\": {\"links\": [1]}}"), 0, "%s",
                 error.text);
    char *log = finish_logging(&status);
    cr_assert_eq(status, 0, "%s", error.text);
    cr_assert_eq(count_of(log, "Server.threads has no effect: threads are always used"), 1, "%s",
                 log);
    cr_assert_eq(count_of(log, "Server.nanny has no effect"), 1, "%s", log);
    cr_assert_eq(count_of(log, "Kernel.anything has no effect: there is no such kernel"), 1, "%s",
                 log);
    cr_assert_eq(count_of(log, "Kernel.links has no effect"), 1, "%s", log);
    free(log);
}

Test(settings, a_setting_without_effect_takes_the_word_behind_it_as_its_value)
{
    add_others();
    cr_assert_eq(parse("--threads", "2", "--Kernel.name", "--port", "80", NULL), 0, "%s",
                 error.text);
    cr_assert_eq(settings_int(settings, "Server", "port"), 80);
}

Test(settings, what_is_to_be_handed_on_is_kept_as_it_was_given_and_the_command_line_wins)
{
    static const struct ipcl_option all_passed[] = {
        {"*", IPCL_PASSED, "", NULL, NULL, "the shell is configured with it"}};
    static const struct ipcl_option_table shell = {"Shell", all_passed, 1};
    int status;
    cr_assert_eq(settings_add(settings, &shell, &error), 0, "%s", error.text);
    cr_assert_eq(parse("--Shell.colors=a", "--Shell.colors=b", NULL), 0, "%s", error.text);
    cr_assert_eq(load("{\"Shell\": {\"colors\": \"c\", \"lines\": [1, true]}}"), 0, "%s",
                 error.text);
    char *log = finish_logging(&status);
    cr_assert_eq(status, 0, "%s", error.text);
    cr_assert_str_empty(log);
    char *passed = settings_passed(settings);
    json_t *read = json_loads(passed, 0, NULL);
    json_t *expected = json_pack("{s:{s:s s:[ib]}}", "Shell", "colors", "b", "lines", 1, 1);
    cr_assert(json_equal(read, expected), "%s", passed);
    json_decref(expected);
    json_decref(read);
    free(passed);
    free(log);
}

Test(settings, a_setting_that_no_table_has_stays_an_error)
{
    add_others();
    cr_assert_eq(parse("--Server.thread=1", NULL), -1);
    cr_assert(strstr(error.text, "the nearest known one is Server.threads"), "%s", error.text);
}

Test(settings, a_table_that_comes_later_has_its_settings_back)
{
    int status;
    add_others();
    cr_assert_eq(parse("--Late.nodes=3", NULL), 0, "%s", error.text);
    cr_assert_eq(settings_add(settings, &late, &error), 0, "%s", error.text);
    char *log = finish_logging(&status);
    cr_assert_eq(status, 0, "%s", error.text);
    cr_assert_str_empty(log);
    cr_assert_eq(settings_int(settings, "Late", "nodes"), 3);
    free(log);
}

Test(settings, another_name_sets_the_setting_but_does_not_win_over_its_own)
{
    add_others();
    cr_assert_eq(parse("--folder", "/a", "--Factory.port=9", NULL), 0, "%s", error.text);
    cr_assert_str_eq(settings_string(settings, "Base", "work_dir"), "/a");
    cr_assert_eq(settings_int(settings, "Server", "port"), 9);
    cr_assert_eq(parse("--port=10", "--Factory.port=11", NULL), 0, "%s", error.text);
    cr_assert_eq(settings_int(settings, "Server", "port"), 10);
}

Test(settings, a_flag_of_several_rows_sets_all_of_them)
{
    static const struct settings_flag several[] = {
        {"fresh", "Server", "reuse", "false", "Begin anew."},
        {"fresh", "Server", "port", "7", NULL},
    };
    cr_assert_eq(settings_add_flags(settings, several, 2, &error), 0, "%s", error.text);
    cr_assert_eq(parse("--reuse", "--fresh", NULL), 0, "%s", error.text);
    cr_assert_eq(settings_bool(settings, "Server", "reuse"), false);
    cr_assert_eq(settings_int(settings, "Server", "port"), 7);
}

Test(settings, a_variable_that_others_made_known_is_read_behind_ours)
{
    static const struct settings_variable variables[] = {{"OTHERS_FOLDER", "Base", "work_dir"},
                                                         {"OTHERS_IP", "Server", "ip"}};
    cr_assert_eq(settings_add_variables(settings, variables, 2, &error), 0, "%s", error.text);
    setenv("OTHERS_FOLDER", "/theirs", 1);
    setenv("OTHERS_IP", "1.2.3.4", 1);
    setenv("IPCLUSTER_SERVER_IP", "5.6.7.8", 1);
    cr_assert_eq(settings_load_environment(settings, &error), 0, "%s", error.text);
    unsetenv("OTHERS_FOLDER");
    unsetenv("OTHERS_IP");
    unsetenv("IPCLUSTER_SERVER_IP");
    cr_assert_str_eq(settings_string(settings, "Base", "work_dir"), "/theirs");
    cr_assert_str_eq(settings_string(settings, "Server", "ip"), "5.6.7.8");
}

Test(settings, values_are_read_as_traitlets_spells_them)
{
    size_t count;
    cr_assert_eq(parse("--ip='*'", "--Server.reuse", "True", "--port=None",
                       "--command=['--a=b', u'c d']", "--command=e", NULL),
                 0, "%s", error.text);
    cr_assert_str_eq(settings_string(settings, "Server", "ip"), "*");
    cr_assert(settings_bool(settings, "Server", "reuse"));
    cr_assert_eq(settings_int(settings, "Server", "port"), 0);
    const char *const *list = settings_list(settings, "Server", "command", &count);
    cr_assert_eq(count, 3);
    cr_assert_str_eq(list[0], "--a=b");
    cr_assert_str_eq(list[1], "c d");
    cr_assert_str_eq(list[2], "e");
    cr_assert_eq(load("{\"Server\": {\"port\": null}}"), 0, "%s", error.text);
}

Test(settings, a_list_in_a_file_may_hold_numbers_or_be_one_text)
{
    size_t count;
    cr_assert_eq(load("{\"Server\": {\"command\": [\"a\", 7]}}"), 0, "%s", error.text);
    const char *const *list = settings_list(settings, "Server", "command", &count);
    cr_assert_eq(count, 2);
    cr_assert_str_eq(list[1], "7");
    cr_assert_eq(load("{\"Server\": {\"command\": \"10-20\"}}"), 0, "%s", error.text);
    list = settings_list(settings, "Server", "command", &count);
    cr_assert_eq(count, 1);
    cr_assert_str_eq(list[0], "10-20");
}

Test(settings, help_names_what_has_no_effect_and_why)
{
    char *text;
    size_t size;
    FILE *stream = open_memstream(&text, &size);
    add_others();
    settings_help(settings, true, stream);
    fclose(stream);
    cr_assert(
        strstr(text,
               "Server.threads, Server.nanny, --threads=VALUE\n      threads are always used"),
        "%s", text);
    cr_assert(strstr(text, "Factory.* is Server.*"), "%s", text);
    free(text);
}
