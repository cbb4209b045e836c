/* Counting messages by type: a type without a counter of its own is named in the log. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "unit.h"
#include "wire/traffic.h"

Test(traffic, the_first_type_that_has_no_place_of_its_own_is_named_in_the_log)
{
    static char types[TRAFFIC_TYPES][32];
    char folder[PATH_BYTES], path[PATH_BYTES + 8];
    size_t size, count = 0;
    unit_make_folder(folder);
    snprintf(path, sizeof(path), "%s/log", folder);
    cr_assert_eq(log_open("tester", path, NULL), 0);
    while (traffic_types[TRAFFIC_TYPES - 1] == NULL) {
        snprintf(types[count], sizeof(types[count]), "type %zu", count);
        traffic_tell_apart(types[count++]);
    }
    traffic_tell_apart(types[0]); /* it has a place */
    char *text = path_read_file(path, 1 << 20, &size, NULL);
    cr_expect_str_eq(text, "");
    free(text);
    traffic_tell_apart("one too many");
    text = path_read_file(path, 1 << 20, &size, NULL);
    cr_expect(strstr(text, "messages of type one too many count as \"other\""), "%s", text);
    free(text);
    unit_remove_folder(folder);
}
