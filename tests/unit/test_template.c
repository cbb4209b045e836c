/* Templates: ipyparallel's are filled in as Python would, what is wrong is named with its place,
 * and words go through a shell as they are. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cluster/batch/template.h"

static struct template_value values[] = {
    {"n", "10", false},
    {"queue", "short", false},
    {"profile_dir", "/home/u/p", false},
    {"minus", "-7", false},
    {"empty", "", false},
    {"nodes", "a{n}b", false},
    {"größe", "3", false},
    {"huge", "9223372036854775807", false},
};
#define COUNT (sizeof(values) / sizeof(values[0]))

static void expect(const char *text, const char *filled)
{
    struct ipcl_error error;
    char *got = template_fill(text, values, COUNT, &error);
    cr_assert(got, "%s: %s", text, error.text);
    cr_assert_str_eq(got, filled, "%s: %s", text, got);
    free(got);
}

static void refuse(const char *text, const char *sentence)
{
    struct ipcl_error error = {""};
    cr_assert_null(template_fill(text, values, COUNT, &error), "%s", text);
    cr_assert(strstr(error.text, sentence), "%s: %s", text, error.text);
}

Test(template, names_stand_for_their_values)
{
    expect("", "");
    expect("#PBS -q {queue}\ncd {profile_dir}\n", "#PBS -q short\ncd /home/u/p\n");
    expect("{ queue }{empty}|{größe}", "short|3");
}

Test(template, a_value_is_not_filled_in_again)
{
    expect("{nodes}", "a{n}b");
}

Test(template, doubled_braces_are_braces)
{
    expect("${{HOME}} {{n}} {{{n}}}", "${HOME} {n} {10}");
    expect("awk '{{ print $1 }}'", "awk '{ print $1 }'");
}

Test(template, whole_numbers_are_computed_as_python_does)
{
    expect("{n//4} {(n+7)//8} {n%4} {n*2-1}", "2 2 2 19");
    expect("{ ( n + 7 ) // 8 }", "2");
    expect("{minus//2} {minus%3} {7//-2} {7%-3} {-minus} {+n} {--n}", "-4 2 -4 -2 7 10 10");
    expect("{2+3*4} {(2+3)*4} {20-5-5} {100//7//2} {n//-1} {n%-1}", "14 20 10 7 -10 0");
    expect("{16} {((n))}", "16 10");
}

Test(template, a_number_may_have_a_width)
{
    expect("{n:} {n:d} {n:4} {n:04} {n:04d} {n//4:03d} {minus:05d}",
           "10 10   10 0010 0010 002 -0007");
    refuse("{n:100}", "a width is at most 99");
    refuse("{n:99999999999999999999}", "a width is at most 99");
    refuse("{n:.2f}", "line 1, column 4: {n:.2f}: a width, as in");
    refuse("{n:>4}", "instead of >");
    refuse("{queue:4}", "queue is \"short\", which is not a whole number");
}

Test(template, what_is_wrong_is_named_with_line_and_column)
{
    refuse("a\nüb {nodse} c", "line 2, column 5: {nodse}: nodse is not known; "
                              "known names: n, queue, profile_dir, ");
    refuse("x {} y", "line 1, column 4: {}: it has no name");
    refuse("x {  } y", "it has no name");
    refuse("a }\n", "line 1, column 3: this } closes nothing; write }} for a } in the script");
    refuse("\n\n${HOME}", "line 3, column 3: {HOME}: HOME is not known");
    refuse("{n", "the { is not closed");
    refuse("{", "the { is not closed");
    refuse("{n\n}", "line 1, column 3: {n: the { is not closed");
    refuse("{print $1}", "line 1, column 2: {print $1}: print is not known");
    refuse("{n $1}",
           "line 1, column 4: {n $1}: an operator (+ - * // %) or } was expected instead of $");
    refuse("{{n}", "this } closes nothing");
    refuse("{n{n}}", "instead of {");
    refuse("{n:{n}}", "instead of {");
    refuse("{n!r}", "instead of !");
    refuse("{n ü}", "instead of ü");
    refuse("{queue.upper()}", "queue is \"short\"");
    refuse("{n[0]}", "instead of [");
    refuse("{n**2}", "instead of *");
    refuse("{n/4}", "line 1, column 3: {n/4}: / does not give a whole number: use //");
    refuse("{(n}", "an operator or ) was expected instead of }");
    refuse("{n+}", "a name, a whole number or ( was expected instead of }");
    refuse("{()}", "a name, a whole number or ( was expected instead of )");
    refuse("{0x10}", "instead of x");
    refuse("{queue//2}",
           "line 1, column 2: {queue//2}: queue is \"short\", which is not a whole number");
    refuse("{empty+1}", "empty is \"\"");
}

Test(template, where_nothing_is_known_that_is_said)
{
    struct ipcl_error error;
    cr_assert_null(template_fill("{n}", NULL, 0, &error));
    cr_assert(strstr(error.text, "n is not known; known names: none"), "%s", error.text);
}

Test(template, numbers_have_64_bits_and_nothing_is_divided_by_zero)
{
    expect("{huge}", "9223372036854775807");
    expect("{huge//-1}", "-9223372036854775807");
    refuse("{huge+1}", "too large for 64 bits");
    refuse("{huge*2}", "line 1, column 6: {huge*2}: the number is too large for 64 bits");
    refuse("{-huge-2}", "too large for 64 bits");
    refuse("{(-huge-1)//-1}", "too large for 64 bits");
    refuse("{-(-huge-1)}", "too large for 64 bits");
    refuse("{9223372036854775808}", "too large for 64 bits");
    refuse("{n//0}", "line 1, column 3: {n//0}: it divides by zero");
    refuse("{n%(n-10)}", "it divides by zero");
}

Test(template, what_is_nested_has_a_bound)
{
    enum { DEPTH = 1000 };
    static char text[2 * DEPTH + 8];
    memset(text, '(', DEPTH + 1);
    text[0] = '{';
    refuse(text, "are nested more than 64 deep");
    memset(text + 1, '-', DEPTH);
    refuse(text, "are nested more than 64 deep");
    expect("{((((((((((((((((((((((((((((((((n))))))))))))))))))))))))))))))))}", "10");
}

Test(template, what_it_uses_is_known_afterwards)
{
    struct template_value two[] = {{"n", "4", false}, {"queue", "q", false}, {"n", "5", false}};
    char *filled = template_fill("{n//2} {{queue}}", two, 3, NULL);
    cr_assert_str_eq(filled, "2 {queue}");
    cr_assert(two[0].used && !two[1].used && !two[2].used);
    free(filled);
}

Test(template, words_go_through_a_shell_as_they_are)
{
    const char *words[] = {"printf", "%s|",    "plain-1.2/x=y:z,@%+",
                           "",       "a b",    "it's",
                           "\"q\"",  "$HOME`", "a\nb",
                           "\\n",    "~",      "#",
                           "ü",      "'",      NULL};
    char command[512], got[512] = "";
    char *quoted = template_quote(words);
    cr_assert(strstr(quoted, "printf '%s|' plain-1.2/x=y:z,@%+ '' 'a b' 'it'\\''s'"), "%s", quoted);
    snprintf(command, sizeof(command), "%s", quoted);
    FILE *shell = popen(command, "r");
    cr_assert(shell && fread(got, 1, sizeof(got) - 1, shell));
    pclose(shell);
    cr_assert_str_eq(got, "plain-1.2/x=y:z,@%+||a b|it's|\"q\"|$HOME`|a\nb|\\n|~|#|ü|'|");
    free(quoted);
}
