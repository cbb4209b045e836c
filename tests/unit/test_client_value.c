/* The pickles that the C client writes and reads. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "client/value_private.h"

static void expect_bytes(struct bytes *bytes, const char *expected, size_t size)
{
    cr_assert_not(bytes->failed);
    cr_assert_eq(bytes->size, size);
    cr_assert_arr_eq(bytes->data, expected, size);
    bytes_free(bytes);
}

Test(value, a_text_is_written_as_a_unicode_string)
{
    struct bytes bytes = {0};
    static const char expected[] = "\x80\x02X\x03\0\0\0\xc3\xa4"
                                   "b.";
    value_pickle_text(&bytes, "äb");
    expect_bytes(&bytes, expected, sizeof(expected) - 1);
}

Test(value, a_reference_names_ipyparallels_class)
{
    struct bytes bytes = {0};
    static const char expected[] =
        "\x80\x02"
        "cipyparallel.serialize.canning\nReference\n)\x81}(X\x04\0\0\0nameX\x01\0\0\0xX\x07\0\0\0buffers]ub.";
    value_pickle_reference(&bytes, "x");
    expect_bytes(&bytes, expected, sizeof(expected) - 1);
}

Test(value, what_was_written_is_read_back)
{
    struct bytes bytes = {0};
    char *text;
    value_pickle_text(&bytes, "{\"a\": [1, 2]}");
    cr_assert_eq(value_unpickle_text(bytes.data, bytes.size, &text), 0);
    cr_assert_str_eq(text, "{\"a\": [1, 2]}");
    free(text);
    bytes_free(&bytes);
}

Test(value, pythons_own_strings_are_read)
{
    static const struct {
        const char *pickle;
        size_t size;
        const char *text;
    } cases[] = {
#define CASE(pickle, text) {pickle, sizeof(pickle) - 1, text}
        CASE("\x80\x04\x95\x06\0\0\0\0\0\0\0\x8c\x02hi\x94.", "hi"),
        CASE("\x80\x04\x8c\x00\x94.", ""),
        CASE("\x80\x03X\x02\0\0\0hi.", "hi"),
        CASE("\x80\x04\x8d\x02\0\0\0\0\0\0\0hi\x94.", "hi"),
        CASE("\x80\x04N.", NULL),
#undef CASE
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        char *text;
        cr_assert_eq(value_unpickle_text(cases[i].pickle, cases[i].size, &text), 0, "case %zu", i);
        if (cases[i].text)
            cr_assert_str_eq(text, cases[i].text);
        else
            cr_assert_null(text);
        free(text);
    }
}

Test(value, what_is_no_string_or_is_cut_is_refused)
{
    static const char framed[] = "\x80\x04\x95\x06\0\0\0\0\0\0\0\x8c\x02hi\x94.";
    static const char number[] = "\x80\x04K\x05.", huge[] = "\x80\x04X\xff\xff\xff\xffhi.";
    static const char wide[] = "\x80\x04\x8d\xff\xff\xff\xff\xff\xff\xff\xffhi.";
    char *text;
    for (size_t size = 0; size < sizeof(framed) - 3; size++) {
        /* A copy of exactly this size, so that AddressSanitizer sees a read beyond its end. */
        char *cut = malloc(size ? size : 1);
        memcpy(cut, framed, size);
        cr_assert_neq(value_unpickle_text(cut, size, &text), 0, "%zu bytes", size);
        free(cut);
    }
    cr_assert_neq(value_unpickle_text(number, sizeof(number) - 1, &text), 0);
    cr_assert_neq(value_unpickle_text(huge, sizeof(huge) - 1, &text), 0);
    cr_assert_neq(value_unpickle_text(wide, sizeof(wide) - 1, &text), 0);
}
