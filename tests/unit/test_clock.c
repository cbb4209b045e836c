/* Dates: whatever form they come in, one moment has one text. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <time.h>

#include "base/clock.h"

Test(clock, gives_a_date_one_form)
{
    static const struct {
        const char *text, *date;
    } cases[] = {
        {"2026-02-03T04:05:06.789012Z", "2026-02-03T04:05:06.789012Z"},
        {"2026-02-03T04:05:06Z", "2026-02-03T04:05:06.000000Z"},
        {"2026-02-03T04:05:06.5+00:00", "2026-02-03T04:05:06.500000Z"},
        {"2026-02-03T04:05:06.123456789+01:30", "2026-02-03T02:35:06.123456Z"},
        {"2026-02-03T04:05:06-0500", "2026-02-03T09:05:06.000000Z"},
        {"2026-02-03 04:05:06+05", "2026-02-02T23:05:06.000000Z"},
        {"1969-12-31T23:59:59.999999Z", "1969-12-31T23:59:59.999999Z"},
        /* Without a zone it is local time: ten hours behind here. */
        {"2026-02-03T04:05:06", "2026-02-03T14:05:06.000000Z"},
    };
    static const char *const none[] = {
        "",
        "now",
        "2026-02-03",
        "2026-02-03T04:05",
        "x2026-02-03T04:05:06Z",
        "2026-02-03T04:05:06Zulu",
        "2026-02-03T04:05:06+1",
        "2026-02-03T04:05:06+01:0",
        "2026-02-03T04:05:06+01:00x",
        "2026-02-03T04:05:06 Z",
        "2026/02/03T04:05:06Z",
        "0000-02-03T04:05:06Z",
    };
    char date[CLOCK_DATE_BYTES];
    setenv("TZ", "HST10", 1);
    tzset();
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        cr_expect(clock_normalize(cases[i].text, date), "%s", cases[i].text);
        cr_expect_str_eq(date, cases[i].date, "%s", cases[i].text);
        cr_expect(clock_normalize(date, date));
        cr_expect_str_eq(date, cases[i].date);
    }
    for (size_t i = 0; i < sizeof(none) / sizeof(*none); i++)
        cr_expect_not(clock_normalize(none[i], date), "%s", none[i]);
}

Test(clock, writes_now_in_that_form)
{
    char now[CLOCK_DATE_BYTES], date[CLOCK_DATE_BYTES];
    clock_date(now);
    cr_expect(clock_normalize(now, date));
    cr_expect_str_eq(date, now);
}
