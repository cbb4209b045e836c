/* How a process calls its batch job. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "base/job_name.h"

Test(job_name, a_name_has_variables_with_names_in_braces)
{
    static const char *const sound[] = {"{A}", "{A}_{B}|{C}", "{A!0}[{B?}]|job {C}"};
    static const char *const wrong[] = {"",     "A",    "{A",    "{}",    "{!0}", "{A}}",
                                        "{A}|", "|{A}", "{A}|B", "{{A}}", "{A}{", "}{A}"};
    for (size_t i = 0; i < sizeof(sound) / sizeof(*sound); i++)
        cr_expect(job_name_is_sound(sound[i]), "%s", sound[i]);
    for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++)
        cr_expect_not(job_name_is_sound(wrong[i]), "%s", wrong[i]);
}

Test(job_name, the_first_name_whose_variables_have_values_is_taken)
{
    char name[JOB_NAME_BYTES];
    cr_expect_not(job_name_find("My job {MY_JOB}", name));
    setenv("MY_JOB", "", 1);
    cr_expect_not(job_name_find("My job {MY_JOB}", name));
    setenv("MY_JOB", "88", 1);
    setenv("MY_TASK", "none", 1);
    cr_assert(job_name_find("My job {MY_JOB}.{MY_TASK!none}|{MY_JOB}{MY_TASK?}", name));
    cr_expect_str_eq(name, "My job 88");
    setenv("MY_TASK", "3", 1);
    cr_assert(job_name_find("My job {MY_JOB}.{MY_TASK!none}|{MY_JOB}{MY_TASK?}", name));
    cr_expect_str_eq(name, "My job 88.3");
    setenv("MY_JOB", "two\nlines", 1);
    cr_expect_not(job_name_find("My job {MY_JOB}", name));
}

Test(job_name, a_name_that_has_no_room_is_not_cut)
{
    char value[2 * JOB_NAME_BYTES], name[JOB_NAME_BYTES];
    memset(value, 'x', sizeof(value));
    value[JOB_NAME_BYTES - 1] = '\0';
    setenv("MY_JOB", value, 1);
    cr_assert(job_name_find("{MY_JOB}", name));
    cr_expect_str_eq(name, value);
    cr_expect_not(job_name_find("j{MY_JOB}", name));
    cr_expect_not(job_name_find("{MY_JOB}j", name));
    value[JOB_NAME_BYTES - 1] = 'x';
    value[sizeof(value) - 2] = '{';
    value[sizeof(value) - 1] = '\0';
    cr_expect_not(job_name_find(value, name));
}

Test(job_name, a_system_is_known_by_its_name_and_another_is_refused_with_the_list)
{
    char name[JOB_NAME_BYTES];
    struct ipcl_error error;
    setenv("SLURM_JOB_ID", "7", 1);
    unsetenv("SLURM_ARRAY_JOB_ID");
    unsetenv("PBS_JOBID");
    cr_assert(job_name_find("", name));
    cr_expect_str_eq(name, "Slurm job 7");
    cr_assert(job_name_find("PBS", name));
    cr_expect_str_eq(name, "PBS job 7");
    cr_expect_eq(job_name_check("", &error), 0);
    cr_expect_eq(job_name_check("PBS", &error), 0);
    cr_expect_eq(job_name_check("Some job {SOME_JOB}", &error), 0);
    cr_expect_eq(job_name_check("Some job {SOME_JOB", &error), -1);
    cr_assert_eq(job_name_check("Some", &error), -1);
    cr_expect(strstr(error.text, "Slurm, ") && strstr(error.text, "not 'Some'"), "%s", error.text);
}
