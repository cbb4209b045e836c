/* The log: one line a call, a bounded rate where others can cause lines, and a full disk stops
 * nothing. */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/path.h"

static char file[] = "/tmp/ipcl-log-XXXXXX";

static char *read_log(void)
{
    size_t size;
    return path_read_file(file, 1 << 20, &size, NULL);
}

static void open_log(void)
{
    close(mkstemp(file));
    cr_assert_eq(log_open("tester", file, NULL), 0);
}

static void close_log(void)
{
    unlink(file);
}

TestSuite(log, .init = open_log, .fini = close_log);

static size_t count_lines(const char *text)
{
    size_t lines = 0;
    for (; *text; text++)
        lines += *text == '\n';
    return lines;
}

Test(log, writes_one_line_a_call_whatever_is_in_it)
{
    log_error("a line\nwith breaks\r\nand \033[31m colours");
    char *text = read_log();
    cr_assert_eq(count_lines(text), 1);
    cr_assert_null(strchr(text, '\033'));
    cr_assert(strstr(text, "tester") && strstr(text, "ERROR"));
    free(text);
}

Test(log, keeps_to_its_level)
{
    struct ipcl_error error;
    cr_assert_eq(log_set_level_name("WARN", &error), 0);
    log_info("not this");
    log_warn("but this");
    cr_assert_eq(log_set_level_name("10", &error), 0);
    log_debug("and this");
    char *text = read_log();
    cr_assert_eq(count_lines(text), 2);
    free(text);
    cr_assert_eq(log_set_level_name("LOUD", &error), -1);
    cr_assert(strstr(error.text, "LOUD"));
}

Test(log, holds_back_what_comes_too_often)
{
    struct log_limit limit = {0};
    for (int i = 0; i < 10000; i++)
        log_limited(&limit, IPCL_LOG_WARN, "again");
    char *text = read_log();
    cr_assert_leq(count_lines(text), 3);
    free(text);
}

Test(log, survives_a_full_disk)
{
    int full = open("/dev/full", O_WRONLY);
    cr_assert_geq(full, 0);
    cr_assert_eq(log_open("tester", "/dev/full", NULL), 0);
    for (int i = 0; i < 100; i++)
        log_error("lost");
    cr_assert_eq(log_open("tester", file, NULL), 0);
    log_error("found");
    char *text = read_log();
    cr_assert(strstr(text, "100 lines of this log could not be written"));
    cr_assert(strstr(text, "found"));
    free(text);
    close(full);
}
