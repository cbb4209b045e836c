/* The command line: every way to type an option, what is refused and what the refusal says, and
 * help. */
#include <stdio.h>
#include <stdlib.h>

#include "server.h"

TestSuite(settings_args, .init = server_create, .fini = server_destroy);

Test(settings_args, every_way_to_type_an_option)
{
    cr_assert_eq(server_parse("--port=1", NULL), 0);
    EXPECT_INT("Server", "port", 1);
    cr_assert_eq(server_parse("--port", "2", NULL), 0);
    EXPECT_INT("Server", "port", 2);
    cr_assert_eq(server_parse("-p", "3", NULL), 0);
    EXPECT_INT("Server", "port", 3);
    cr_assert_eq(server_parse("-p4", NULL), 0);
    EXPECT_INT("Server", "port", 4);
    cr_assert_eq(server_parse("-p=5", NULL), 0);
    EXPECT_INT("Server", "port", 5);
    cr_assert_eq(server_parse("--p=6", NULL), 0);
    EXPECT_INT("Server", "port", 6);
    cr_assert_eq(server_parse("--Server.port=7", NULL), 0);
    EXPECT_INT("Server", "port", 7);
    cr_assert_eq(server_parse("--Server.port", "-8", NULL), 0);
    EXPECT_INT("Server", "port", -8);
    cr_assert_eq(server_parse("--log_level=10", NULL), 0);
    EXPECT_STRING("level", "10");
    cr_assert_eq(server_parse("--elauncher=slurm", NULL), 0);
    EXPECT_STRING("launcher", "slurm");
    cr_assert_eq(server_parse("--engines", NULL), 0);
    EXPECT_STRING("launcher", "mpi");
}

Test(settings_args, flags_and_booleans)
{
    cr_assert_eq(server_parse("--any", "--reuse", NULL), 0);
    EXPECT_STRING("ip", "0.0.0.0");
    cr_expect(settings_bool(settings, "Server", "reuse"));
    cr_assert_eq(server_parse("--reuse=no", NULL), 0);
    cr_expect_not(settings_bool(settings, "Server", "reuse"));
    cr_assert_eq(server_parse("--Server.reuse=True", NULL), 0);
    cr_expect(settings_bool(settings, "Server", "reuse"));
    EXPECT_REFUSED(server_parse("--any=1", NULL), "takes no value");
    EXPECT_REFUSED(server_parse("--reuse=maybe", NULL), "true or false", "maybe");
}

Test(settings_args, words_are_left_over)
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

Test(settings_args, a_mistyped_option_is_answered_with_the_nearest)
{
    EXPECT_REFUSED(server_parse("--prot=1", NULL), "--prot=1", "--port");
    EXPECT_REFUSED(server_parse("--enignes=1", NULL), "--engines");
    EXPECT_REFUSED(server_parse("--Server.prot=1", NULL), "Server.prot", "Server.port");
    EXPECT_REFUSED(server_parse("-z", NULL), "-z");
    EXPECT_REFUSED(server_parse("--port=many", NULL), "Server.port", "an integer", "many");
    EXPECT_REFUSED(server_parse("--port=1x", NULL), "an integer");
    EXPECT_REFUSED(server_parse("--port=99999999999999999999", NULL), "an integer");
    EXPECT_REFUSED(server_parse("--port", NULL), "--port", "needs a value");
    EXPECT_REFUSED(server_parse("--port", "--ip=x", NULL), "--port", "needs a value");
    EXPECT_REFUSED(server_parse("--Server.ratio=nan", NULL), "a number");
    EXPECT_REFUSED(server_parse("--command='open", NULL), "a list");
}

Test(settings_args, an_option_of_any_length_is_survived)
{
    char option[5000] = "--";
    memset(option + 2, 'x', sizeof(option) - 3);
    option[sizeof(option) - 1] = '\0';
    EXPECT_REFUSED(server_parse(option, NULL), "unknown option");
    option[200] = '.';
    option[250] = '=';
    cr_assert_eq(server_parse(option, NULL), 0);
    EXPECT_REFUSED(settings_finish(settings, &error), "there is no setting");
}

Test(settings_args, values_are_read_as_traitlets_spells_them)
{
    size_t count;
    cr_assert_eq(server_parse("--ip='*'", "--Server.reuse", "True", "--port=None",
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
    cr_assert_eq(server_load("{\"Server\": {\"port\": null}}"), 0, "%s", error.text);
}

Test(settings_args, a_flag_of_several_rows_sets_all_of_them)
{
    static const struct settings_flag several[] = {
        {"fresh", "Server", "reuse", "false", "Begin anew."},
        {"fresh", "Server", "port", "7", NULL},
    };
    cr_assert_eq(settings_add_flags(settings, several, 2, &error), 0, "%s", error.text);
    cr_assert_eq(server_parse("--reuse", "--fresh", NULL), 0, "%s", error.text);
    cr_assert_eq(settings_bool(settings, "Server", "reuse"), false);
    cr_assert_eq(settings_int(settings, "Server", "port"), 7);
}

Test(settings_args, a_list_that_is_left_open_ends_with_its_word)
{
    char typed[] = "--command=['a', \0'b']";
    EXPECT_REFUSED(server_parse(typed, NULL), "a list");
    EXPECT_REFUSED(server_parse("--command=['a'", NULL), "a list");
    EXPECT_REFUSED(server_parse("--command=(1", NULL), "a list");
}

/* A command line is read with the options that are known then. Plugins that are loaded because of
 * it bring settings of their own, which only files and Class.trait can set. */
Test(settings_args, aliases_of_tables_that_come_later_are_none)
{
    static const struct ipcl_option same_alias[] = {
        {"size", IPCL_INT, "1", "port", NULL, "A size."}};
    static const struct ipcl_option_table later = {"Plugin", same_alias, 1};
    EXPECT_REFUSED(settings_add(settings, &later, &error), "Plugin.size", "twice");
    cr_assert_eq(server_parse("--port=5", "--Plugin.size=6", NULL), 0, "%s", error.text);
    cr_assert_eq(settings_add(settings, &later, &error), 0, "%s", error.text);
    cr_assert_eq(settings_finish(settings, &error), 0, "%s", error.text);
    EXPECT_INT("Server", "port", 5);
    EXPECT_INT("Plugin", "size", 6);
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
    cr_assert_eq(server_parse(option, NULL), 0);
    char *text = answer();
    for (size_t i = 0; i < count; i++)
        cr_expect(strstr(text, expected[i]) != NULL, "%s lacks '%s':\n%s", option, expected[i],
                  text);
    free(text);
}

Test(settings_args, help_teaches)
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
    cr_assert_eq(server_parse("-V", NULL), 0);
    cr_expect_eq(settings_wants(settings), SETTINGS_VERSION);
}

Test(settings_args, nothing_is_answered_that_was_not_asked)
{
    cr_assert_eq(server_parse("--port=1", NULL), 0);
    cr_expect_not(settings_answer(settings, stdout));
}
