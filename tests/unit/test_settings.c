/* Settings: where a value comes from, what files and the environment are refused, and what the
 * refusal says. */
#include <stdlib.h>

#include "server.h"

TestSuite(settings, .init = server_create, .fini = server_destroy);

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

Test(settings, a_file_is_read_as_traitlets_writes_it)
{
    cr_assert_eq(
        server_load("{\"version\": 1, \"//\": \"a remark\", \"about\": [\"notes\"], \"Server\": "
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
    EXPECT_REFUSED(server_load("{\"Server\": {\"prot\": 1}}"), "server_config.json", "Server.prot",
                   "Server.port");
    EXPECT_REFUSED(server_load("{\"Server\": {\"port\": \"1\"}}"), "server_config.json",
                   "Server.port", "an integer", "\"1\"");
    EXPECT_REFUSED(server_load("{\"Server\": {\"port\": 1.5}}"), "an integer", "1.5");
    EXPECT_REFUSED(server_load("{\"Server\": {\"ip\": 5}}"), "Server.ip", "text", "5");
    EXPECT_REFUSED(server_load("{\"Server\": {\"reuse\": 1}}"), "true or false");
    EXPECT_REFUSED(server_load("{\"Server\": {\"command\": 1}}"), "a list of texts");
    EXPECT_REFUSED(server_load("{\"Server\": {\"command\": [1.5]}}"), "a list of texts");
    EXPECT_REFUSED(server_load("{\"Server\": []}"), "mapping of its traits");
    EXPECT_REFUSED(server_load("[]"), "mapping of classes");
    EXPECT_REFUSED(server_load("{\"Server\":\n {\"port\": 1,}}"), "server_config.json", "line 2");
    EXPECT_REFUSED(server_load("{\"Server\": {}, \"Server\": {}}"), "duplicate");
    EXPECT_REFUSED(server_load(""), "not JSON");
}

Test(settings, one_of_several_words_is_taken_in_any_case_and_others_are_refused_with_the_list)
{
    EXPECT_STRING("shape", "");
    cr_assert_eq(server_load("{\"Server\": {\"shape\": \"Round\"}}"), 0, "%s", error.text);
    EXPECT_STRING("shape", "round");
    cr_assert_eq(server_parse("--shape=SQUARE", NULL), 0, "%s", error.text);
    EXPECT_STRING("shape", "square");
    EXPECT_REFUSED(server_load("{\"Server\": {\"shape\": \"oval\"}}"), "server_config.json",
                   "Server.shape", "one of round,square", "oval");
    EXPECT_REFUSED(server_parse("--shape=roun", NULL), "--shape", "one of round,square", "roun");
    EXPECT_REFUSED(server_load("{\"Server\": {\"shape\": 5}}"), "one of round,square", "5");
}

Test(settings, an_unknown_class_is_refused_when_all_tables_are_there)
{
    cr_assert_eq(server_load("{\"Sevrer\": {\"port\": 1}}"), 0, "%s", error.text);
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
    cr_assert_eq(server_parse("--port=4", NULL), 0);
    setenv("IPCLUSTER_SERVER_PORT", "3", 1);
    setenv("IPCLUSTER_SERVER_IP", "from-environment", 1);
    cr_assert_eq(
        server_load("{\"Server\": {\"port\": 2, \"ip\": \"from-file\", \"level\": \"from-file\"}}"),
        0, "%s", error.text);
    EXPECT_INT("Server", "port", 4);
    EXPECT_STRING("ip", "from-environment");
    EXPECT_STRING("level", "from-file");
}

Test(settings, a_wrong_environment_names_the_variable)
{
    setenv("IPCLUSTER_SERVER_PORT", "x", 1);
    EXPECT_REFUSED(server_load("{}"), "IPCLUSTER_SERVER_PORT", "an integer", "x");
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
        server_load(
            "{\"Server\": {\"work_dir\": \"/of-server\"}, \"Base\": {\"work_dir\": \"/of-base\"}}"),
        0, "%s", error.text);
    cr_expect_str_eq(settings_string(settings, "Base", "work_dir"), "/of-server");
    EXPECT_STRING("work_dir", "/of-server");
    cr_assert_eq(server_parse("--Base.work_dir=/typed", NULL), 0);
    EXPECT_STRING("work_dir", "/typed");
    cr_assert_eq(server_parse("--Server.work_dir=/typed-too", NULL), 0);
    cr_expect_str_eq(settings_string(settings, "Base", "work_dir"), "/typed-too");
}

Test(settings, values_wait_for_tables_that_come_later)
{
    setenv("IPCLUSTER_LATE_ARGS", "from environment", 1);
    cr_assert_eq(server_parse("--Late.nodes=3", NULL), 0);
    cr_assert_eq(server_load("{\"Late\": {\"nodes\": 2, \"args\": [\"file\"]}}"), 0, "%s",
                 error.text);
    cr_expect_not(settings_known(settings, "Late", "nodes"));
    cr_assert_eq(settings_add(settings, &server_late_table, &error), 0, "%s", error.text);
    cr_assert_eq(settings_finish(settings, &error), 0, "%s", error.text);
    EXPECT_INT("Late", "nodes", 3);
    cr_expect_str_eq(settings_list(settings, "Late", "args", NULL)[0], "from");
    cr_expect(settings_has(settings, "Late", "nodes", IPCL_INT));
    cr_expect_not(settings_has(settings, "Late", "nodes", IPCL_STRING));
}

Test(settings, a_late_value_of_the_wrong_type_is_refused_with_its_file)
{
    cr_assert_eq(server_load("{\"Late\": {\"nodes\": \"two\"}}"), 0, "%s", error.text);
    EXPECT_REFUSED(settings_add(settings, &server_late_table, &error), "server_config.json",
                   "Late.nodes", "an integer");
}

Test(settings, nothing_may_be_there_twice)
{
    static const struct ipcl_option alias[] = {{"other", IPCL_INT, "0", "x,port", NULL, ""}};
    static const struct ipcl_option_table with_alias = {"Other", alias, 1};
    static const struct ipcl_option bad[] = {{"bad", IPCL_INT, "none", NULL, NULL, ""}};
    static const struct ipcl_option_table with_bad_default = {"Other", bad, 1};
    EXPECT_REFUSED(settings_add(settings, &server_table, &error), "Server.ip", "twice");
    EXPECT_REFUSED(settings_add(settings, &with_alias, &error), "Other.other", "twice");
    EXPECT_REFUSED(settings_add_flags(settings, server_flags, 1, &error), "--any", "twice");
    EXPECT_REFUSED(settings_add(settings, &with_bad_default, &error), "Other.bad", "an integer");
}

Test(settings, what_was_given_is_written_and_read_again)
{
    cr_assert_eq(server_parse("--port=8", "--command=a 'b c'", "--reuse", NULL), 0);
    static const char *const except[] = {"Base.work_dir", NULL};
    cr_assert_eq(settings_set(settings, "Base", "work_dir", "/left/out", &error), 0);
    char *text = settings_to_json(settings, except, &error);
    cr_assert(text != NULL, "%s", error.text);
    cr_expect_eq(strstr(text, "ratio"), NULL);
    cr_expect_eq(strstr(text, "work_dir"), NULL);
    server_destroy();
    server_create();
    cr_assert_eq(server_load(text), 0, "%s", error.text);
    free(text);
    EXPECT_INT("Server", "port", 8);
    cr_expect(settings_bool(settings, "Server", "reuse"));
    cr_expect_str_eq(settings_list(settings, "Server", "command", NULL)[1], "b c");
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

Test(settings, a_list_in_a_file_may_hold_numbers_or_be_one_text)
{
    size_t count;
    cr_assert_eq(server_load("{\"Server\": {\"command\": [\"a\", 7]}}"), 0, "%s", error.text);
    const char *const *list = settings_list(settings, "Server", "command", &count);
    cr_assert_eq(count, 2);
    cr_assert_str_eq(list[1], "7");
    cr_assert_eq(server_load("{\"Server\": {\"command\": \"10-20\"}}"), 0, "%s", error.text);
    list = settings_list(settings, "Server", "command", &count);
    cr_assert_eq(count, 1);
    cr_assert_str_eq(list[0], "10-20");
}

Test(settings, a_text_of_several_lines_in_a_file_may_be_an_array_of_them)
{
    static const char *const except[] = {NULL};
    const char *file = "{\"Server\": {\"ip\": [\"first\", \"\", \"  third\"], \"port\": 1}}";
    cr_assert_eq(server_load(file), 0, "%s", error.text);
    EXPECT_STRING("ip", "first\n\n  third");
    char *text = settings_to_json(settings, except, &error);
    server_destroy();
    server_create();
    cr_assert_eq(server_load(text), 0, "%s", error.text);
    cr_expect(strchr(text, '['), "%s", text);
    free(text);
    EXPECT_STRING("ip", "first\n\n  third");
    cr_assert_eq(server_load("{\"Server\": {\"ip\": []}}"), 0, "%s", error.text);
    EXPECT_STRING("ip", "");
    EXPECT_REFUSED(server_load("{\"Server\": {\"ip\": [\"a\", 5]}}"), "Server.ip", "text");
    EXPECT_REFUSED(server_load("{\"Server\": {\"shape\": [\"ova\", \"l\"]}}"),
                   "one of round,square");
}
