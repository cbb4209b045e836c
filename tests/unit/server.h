/* The settings of the program `server`, which exists for tests only, and its profile folder. */
#ifndef TESTS_SERVER_H
#define TESTS_SERVER_H

#include <criterion/criterion.h>
#include <string.h>

#include "config/settings.h"
#include "unit.h"

extern const struct ipcl_option_table server_table;
extern const struct ipcl_option_table server_late_table; /* its program adds it late */
extern const struct settings_flag server_flags[];

/* The settings, error and folder of the test that runs. */
extern struct settings *settings;
extern struct ipcl_error error;
extern char folder[PATH_BYTES];

void server_create(void);
void server_destroy(void);
/* Parses a few words, ended by NULL. Returns what settings_parse() does. */
int server_parse(const char *first, ...) __attribute__((sentinel));
/* Writes the profile's file and loads everything. Returns what settings_load() does. */
int server_load(const char *text);

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

#endif
