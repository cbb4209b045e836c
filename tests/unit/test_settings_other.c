/* Names of settings that hold no value: without effect, handed on, or another name of a setting. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "server.h"

TestSuite(settings_other, .init = server_create, .fini = server_destroy);

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

static const struct ipcl_option base_options[] = {
    {"queue", IPCL_STRING, "any", "queue", NULL, "A queue."},
    {"hosts", IPCL_MAPPING, "", NULL, NULL, "Hosts."},
};
static const struct ipcl_option_table base_class = {"Batch", base_options, 2};
static const struct ipcl_option inherited_options[] = {
    {"hosts", IPCL_MAPPING, "a=1", NULL, NULL, "Hosts of its own."},
    {"*", IPCL_INHERITED, "Batch", NULL, NULL, NULL},
};
static const struct ipcl_option_table role_class = {"RoleBatch", inherited_options, 2};

static void add_role(void)
{
    cr_assert_eq(settings_add(settings, &base_class, &error), 0, "%s", error.text);
    cr_assert_eq(settings_add(settings, &role_class, &error), 0, "%s", error.text);
}

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

Test(settings_other, a_setting_without_effect_is_accepted_with_one_warning_that_says_why)
{
    int status;
    add_others();
    cr_assert_eq(server_parse("--Server.threads=1", "--threads", "--Kernel.anything=x", NULL), 0,
                 "%s", error.text);
    cr_assert_eq(server_load("{\"Server\": {\"nanny\": false}, \"Kernel\": {\"links\": [1]}}"), 0,
                 "%s", error.text);
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

Test(settings_other, a_setting_without_effect_takes_the_word_behind_it_as_its_value)
{
    add_others();
    cr_assert_eq(server_parse("--threads", "2", "--Kernel.name", "--port", "80", NULL), 0, "%s",
                 error.text);
    cr_assert_eq(settings_int(settings, "Server", "port"), 80);
}

Test(settings_other, what_is_to_be_handed_on_is_kept_as_it_was_given_and_the_command_line_wins)
{
    static const struct ipcl_option all_passed[] = {
        {"*", IPCL_PASSED, "", NULL, NULL, "the shell is configured with it"}};
    static const struct ipcl_option_table shell = {"Shell", all_passed, 1};
    int status;
    cr_assert_eq(settings_add(settings, &shell, &error), 0, "%s", error.text);
    cr_assert_eq(server_parse("--Shell.colors=a", "--Shell.colors=b", NULL), 0, "%s", error.text);
    cr_assert_eq(server_load("{\"Shell\": {\"colors\": \"c\", \"lines\": [1, true]}}"), 0, "%s",
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

Test(settings_other, a_setting_that_no_table_has_stays_an_error)
{
    add_others();
    cr_assert_eq(server_parse("--Server.thread=1", NULL), -1);
    cr_assert(strstr(error.text, "the nearest known one is Server.threads"), "%s", error.text);
}

Test(settings_other, a_table_that_comes_later_has_its_settings_back)
{
    int status;
    add_others();
    cr_assert_eq(server_parse("--Late.nodes=3", NULL), 0, "%s", error.text);
    cr_assert_eq(settings_add(settings, &server_late_table, &error), 0, "%s", error.text);
    char *log = finish_logging(&status);
    cr_assert_eq(status, 0, "%s", error.text);
    cr_assert_str_empty(log);
    cr_assert_eq(settings_int(settings, "Late", "nodes"), 3);
    free(log);
}

Test(settings_other, another_name_sets_the_setting_but_does_not_win_over_its_own)
{
    add_others();
    cr_assert_eq(server_parse("--folder", "/a", "--Factory.port=9", NULL), 0, "%s", error.text);
    cr_assert_str_eq(settings_string(settings, "Base", "work_dir"), "/a");
    cr_assert_eq(settings_int(settings, "Server", "port"), 9);
    cr_assert_eq(server_parse("--port=10", "--Factory.port=11", NULL), 0, "%s", error.text);
    cr_assert_eq(settings_int(settings, "Server", "port"), 10);
}

Test(settings_other, an_inherited_setting_has_the_value_of_the_class_it_is_from_until_it_is_given)
{
    add_role();
    cr_assert_str_eq(settings_string(settings, "RoleBatch", "queue"), "any");
    cr_assert_eq(server_load("{\"Batch\": {\"queue\": \"long\"}}"), 0, "%s", error.text);
    cr_assert_str_eq(settings_string(settings, "RoleBatch", "queue"), "long");
    cr_assert(settings_given(settings, "RoleBatch", "queue"));
    cr_assert_eq(server_load("{\"RoleBatch\": {\"queue\": \"short\"}}"), 0, "%s", error.text);
    cr_assert_str_eq(settings_string(settings, "RoleBatch", "queue"), "short");
    cr_assert_str_eq(settings_string(settings, "Batch", "queue"), "long");
    cr_assert_eq(server_parse("--queue=typed", NULL), 0, "%s", error.text);
    cr_assert_str_eq(settings_string(settings, "RoleBatch", "queue"), "typed");
    cr_assert_str_eq(settings_list(settings, "RoleBatch", "hosts", NULL)[0], "a=1");
}

Test(settings_other, an_inherited_setting_is_shown_once)
{
    char *text;
    size_t size;
    FILE *stream = open_memstream(&text, &size);
    add_role();
    settings_help(settings, true, stream);
    fclose(stream);
    cr_assert_eq(count_of(text, "A queue."), 1, "%s", text);
    cr_assert_eq(count_of(text, "RoleBatch.*: by default as for Batch"), 1, "%s", text);
    free(text);
    cr_assert_eq(server_load("{\"Batch\": {\"queue\": \"long\"}}"), 0, "%s", error.text);
    const char *const nothing[] = {NULL};
    text = settings_to_json(settings, nothing, &error);
    cr_assert_eq(count_of(text, "queue"), 1, "%s", text);
    free(text);
}

Test(settings_other, a_class_inherits_only_what_there_is)
{
    static const struct ipcl_option wrong[] = {
        {"ports", IPCL_INHERITED, "Batch", NULL, NULL, NULL}};
    static const struct ipcl_option_table table = {"Wrong", wrong, 1};
    add_role();
    cr_assert_eq(settings_add(settings, &table, &error), -1);
    cr_assert(strstr(error.text, "Wrong.ports is inherited from Batch, which lacks this setting"),
              "%s", error.text);
}

Test(settings_other, a_mapping_is_an_object_or_words)
{
    add_role();
    cr_assert_eq(
        server_load("{\"Batch\": {\"hosts\": {\"x\": 2, \"y\": {\"n\": 1}, \"z\": \"t\"}}}"), 0,
        "%s", error.text);
    size_t count;
    const char *const *hosts = settings_list(settings, "Batch", "hosts", &count);
    cr_assert_eq(count, 3);
    cr_assert_str_eq(hosts[0], "x=2");
    cr_assert_str_eq(hosts[1], "y={\"n\":1}");
    cr_assert_str_eq(hosts[2], "z=t");
    cr_assert_eq(server_parse("--Batch.hosts=a=1 b='2 3'", NULL), 0, "%s", error.text);
    cr_assert_str_eq(settings_list(settings, "Batch", "hosts", &count)[1], "b=2 3");
    cr_assert_eq(server_parse("--Batch.hosts=a", NULL), -1);
    cr_assert(strstr(error.text, "Batch.hosts expects names with values, not a"), "%s", error.text);
}

Test(settings_other, help_names_what_has_no_effect_and_why)
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
