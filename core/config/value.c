/* Values of settings: from a word of the command line, and from JSON. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "config/settings_internal.h"

void value_destroy(struct value *value)
{
    if (!value)
        return;
    for (size_t i = 0; i < value->count; i++)
        free(value->list[i]);
    free(value->list);
    free(value->text);
    free(value);
}

static bool parse_bool(const char *text, bool *boolean)
{
    static const struct {
        const char *word;
        bool boolean;
    } words[] = {{"true", true}, {"1", true},   {"yes", true}, {"false", false},
                 {"0", false},   {"no", false}, {"", false}};
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (strcasecmp(text, words[i].word))
            continue;
        *boolean = words[i].boolean;
        return true;
    }
    return false;
}

/* Adds a text of `length` bytes to a list. Returns false where memory is short. */
static bool append(struct value *value, const char *text, size_t length)
{
    char **list = realloc(value->list, (value->count + 2) * sizeof(*list));
    if (!list)
        return false;
    value->list = list;
    list[value->count] = strndup(text, length);
    list[value->count + 1] = NULL;
    return list[value->count] && ++value->count;
}

/* Copies one word to `word` as a shell would read it: quotes are taken off, and \ takes a letter as
 * it is. Returns where it ends, or NULL where a quote is left open. */
static const char *read_word(const char *at, char *word)
{
    char quote = '\0';
    for (; *at && (quote || !strchr(" \t\n", *at)); at++) {
        if (quote ? *at == quote : *at == '"' || *at == '\'') {
            quote = quote ? '\0' : *at;
            continue;
        }
        if (*at == '\\' && quote != '\'' && at[1])
            at++;
        *word++ = *at;
    }
    *word = '\0';
    return quote ? NULL : at;
}

static bool split_words(struct value *value, const char *text)
{
    char *word = malloc(strlen(text) + 1);
    bool good = word != NULL;
    while (good) {
        text += strspn(text, " \t\n");
        if (!*text)
            break;
        text = read_word(text, word);
        good = text && append(value, word, strlen(word));
    }
    free(word);
    return good;
}

static bool parse_array(struct value *value, const json_t *array)
{
    if (!json_is_array(array))
        return false;
    for (size_t i = 0; i < json_array_size(array); i++) {
        const json_t *text = json_array_get(array, i);
        if (!json_is_string(text) ||
            !append(value, json_string_value(text), json_string_length(text)))
            return false;
    }
    return true;
}

static bool parse_list(struct value *value, const char *text)
{
    if (*text != '[')
        return split_words(value, text);
    json_t *array = json_loads(text, 0, NULL);
    bool good = parse_array(value, array);
    json_decref(array);
    return good;
}

static struct value *create(void)
{
    struct value *value = calloc(1, sizeof(*value));
    if (value && !(value->list = calloc(1, sizeof(*value->list)))) {
        free(value);
        value = NULL;
    }
    return value;
}

struct value *value_from_text(enum ipcl_option_type type, const char *text)
{
    struct value *value = create();
    bool good = value != NULL;
    char *end = (char *)text + strlen(text);
    errno = 0;
    if (!good)
        return NULL;
    switch (type) {
    case IPCL_BOOL:
        good = parse_bool(text, &value->boolean);
        break;
    case IPCL_INT:
        value->integer = strtoll(text, &end, 10);
        break;
    case IPCL_REAL:
        value->real = strtod(text, &end);
        good = isfinite(value->real);
        break;
    case IPCL_STRING:
        good = (value->text = strdup(text)) != NULL;
        break;
    case IPCL_LIST:
        good = parse_list(value, text);
        break;
    }
    if (good && !*end && !errno)
        return value;
    value_destroy(value);
    return NULL;
}

/* Text whose default is a number may be one in a file: traitlets' log_level is "INFO" or 20. */
static bool takes_number(const struct ipcl_option *option)
{
    return *option->fallback && strspn(option->fallback, "0123456789") == strlen(option->fallback);
}

static bool parse_string(struct value *value, const struct ipcl_option *option, const json_t *json)
{
    char number[32];
    if (json_is_integer(json) && takes_number(option)) {
        snprintf(number, sizeof(number), "%" JSON_INTEGER_FORMAT, json_integer_value(json));
        value->text = strdup(number);
    } else if (json_is_string(json)) {
        value->text = strdup(json_string_value(json));
    }
    return value->text != NULL;
}

struct value *value_from_json(const struct ipcl_option *option, const json_t *json)
{
    struct value *value = create();
    bool good = false;
    if (!value)
        return NULL;
    switch (option->type) {
    case IPCL_BOOL:
        good = json_is_boolean(json);
        value->boolean = json_is_true(json);
        break;
    case IPCL_INT:
        good = json_is_integer(json);
        value->integer = json_integer_value(json);
        break;
    case IPCL_REAL:
        good = json_is_number(json);
        value->real = json_number_value(json);
        break;
    case IPCL_STRING:
        good = parse_string(value, option, json);
        break;
    case IPCL_LIST:
        good = parse_array(value, json);
        break;
    }
    if (good)
        return value;
    value_destroy(value);
    return NULL;
}
