/* Values of settings: from a word of the command line, and from JSON. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/secret.h"
#include "config/settings_private.h"

void value_destroy(struct value *value)
{
    if (!value)
        return;
    for (size_t i = 0; i < value->count; i++)
        free(value->list[i]);
    free(value->list);
    free(value->text);
    json_decref(value->json);
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

/* Adds a text of `length` bytes to a list. Returns false if memory is short. */
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

/* Copies one word to `word` as a shell would read it: without its quotes; \ takes the next letter
 * as it is. Returns the word's end, or NULL if a quote is not closed. */
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

/* Numbers are kept as text: a port is a word too. */
static bool append_json(struct value *value, const json_t *json)
{
    char number[32];
    if (json_is_string(json))
        return append(value, json_string_value(json), json_string_length(json));
    if (!json_is_integer(json))
        return false;
    int length =
        snprintf(number, sizeof(number), "%" JSON_INTEGER_FORMAT, json_integer_value(json));
    return append(value, number, (size_t)length);
}

static bool parse_array(struct value *value, const json_t *array)
{
    if (!json_is_array(array))
        return false;
    for (size_t i = 0; i < json_array_size(array); i++)
        if (!append_json(value, json_array_get(array, i)))
            return false;
    return true;
}

/* Copies a text in quotes, as Python writes it, to `word`. Returns where it ends, or NULL. */
static const char *read_quoted(const char *at, char *word)
{
    char quote = *at++;
    for (; *at && *at != quote; at++) {
        if (*at == '\\' && at[1])
            at++;
        *word++ = *at;
    }
    *word = '\0';
    return *at ? at + 1 : NULL;
}

/* ['--ip=*', 'b'] or (1, 2), as Python writes them. */
static bool parse_python_list(struct value *value, const char *text)
{
    char close = *text++ == '[' ? ']' : ')';
    char *word = malloc(strlen(text) + 1);
    bool good = word != NULL;
    while (good) {
        text += strspn(text, " \t\n,");
        if (*text == close)
            break;
        if (*text && strchr("ub", *text) && (text[1] == '\'' || text[1] == '"'))
            text++;
        if (*text == '\'' || *text == '"') {
            text = read_quoted(text, word);
        } else {
            size_t length = strcspn(text, " \t\n,])");
            memcpy(word, text, length);
            word[length] = '\0';
            text += length;
            good = length > 0;
        }
        good = good && text && append(value, word, strlen(word));
    }
    free(word);
    return good && !text[1];
}

static bool parse_list(struct value *value, const char *text)
{
    if (*text != '[' && *text != '(')
        return split_words(value, text);
    json_t *array = json_loads(text, 0, NULL);
    bool good = array ? parse_array(value, array) : parse_python_list(value, text);
    json_decref(array);
    return good;
}

/* {"name": value} as words NAME=VALUE; a value that is no text is JSON. */
static bool parse_object(struct value *value, json_t *object)
{
    const char *name;
    json_t *item;
    bool good = json_is_object(object);
    json_object_foreach (object, name, item) {
        char *text = json_is_string(item) ? strdup(json_string_value(item))
                                          : json_dumps(item, JSON_COMPACT | JSON_ENCODE_ANY);
        size_t size = strlen(name) + (text ? strlen(text) : 0) + 2;
        char *word = malloc(size);
        good = good && text && word && snprintf(word, size, "%s=%s", name, text) >= 0 &&
               append(value, word, strlen(word));
        free(text);
        free(word);
    }
    return good;
}

/* Each word has a name and a value. */
static bool are_pairs(const struct value *value)
{
    for (size_t i = 0; i < value->count; i++)
        if (!strchr(value->list[i], '=') || *value->list[i] == '=')
            return false;
    return true;
}

/* ["name=value"], or, as ipyparallel has it, [["name", "value"]]. */
static bool parse_pairs(struct value *value, const json_t *array)
{
    bool good = json_is_array(array);
    for (size_t i = 0; good && i < json_array_size(array); i++) {
        json_t *item = json_array_get(array, i);
        json_t *pair = json_array_size(item) == 2 && json_is_string(json_array_get(item, 0))
                           ? json_object()
                           : NULL;
        if (pair)
            json_object_set(pair, json_string_value(json_array_get(item, 0)),
                            json_array_get(item, 1));
        good = pair ? parse_object(value, pair) : append_json(value, item);
        json_decref(pair);
    }
    return good && are_pairs(value);
}

static bool parse_mapping_json(struct value *value, const json_t *json)
{
    return json_is_object(json) ? parse_object(value, (json_t *)(uintptr_t)json)
                                : parse_pairs(value, json);
}

static bool parse_mapping(struct value *value, const char *text)
{
    if (*text != '{' && *text != '[')
        return split_words(value, text) && are_pairs(value);
    json_t *json = json_loads(text, 0, NULL);
    bool good = parse_mapping_json(value, json);
    json_decref(json);
    return good;
}

/* Quotes around a whole text are not part of it, as with traitlets. A shell takes them off; other
 * programs that start programs do not. */
static char *unquote(const char *text)
{
    size_t length = strlen(text), bytes = length > 2 && *text == 'b' ? 1 : 0;
    char quote = text[bytes];
    if (length >= bytes + 2 && (quote == '\'' || quote == '"') && text[length - 1] == quote &&
        strchr(text + bytes + 1, quote) == text + length - 1)
        return strndup(text + bytes + 1, length - bytes - 2);
    return strdup(text);
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
        good = (value->text = unquote(text)) != NULL;
        break;
    case IPCL_LIST:
        good = parse_list(value, text);
        break;
    case IPCL_MAPPING:
        good = parse_mapping(value, text);
        break;
    case IPCL_RENAMED:
    case IPCL_PASSED:
    case IPCL_IGNORED:
    case IPCL_INHERITED:
        good = false;
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

bool value_is_number(const struct ipcl_option *option, const char *text)
{
    return takes_number(option) && *text && !text[strspn(text, "0123456789")];
}

/* A text of several lines may be an array of lines. NULL if it is no such array. */
static char *join_lines(const json_t *lines)
{
    size_t size = 1;
    for (size_t i = 0; i < json_array_size(lines); i++)
        size += json_string_length(json_array_get(lines, i)) + 1;
    char *text = calloc(1, size), *end = text;
    for (size_t i = 0; text && i < json_array_size(lines); i++) {
        const json_t *line = json_array_get(lines, i);
        if (!json_is_string(line)) {
            free(text);
            return NULL;
        }
        end = stpcpy(stpcpy(end, i ? "\n" : ""), json_string_value(line));
    }
    return text;
}

static bool parse_string(struct value *value, const struct ipcl_option *option, const json_t *json)
{
    char number[32];
    if (json_is_integer(json) && takes_number(option)) {
        snprintf(number, sizeof(number), "%" JSON_INTEGER_FORMAT, json_integer_value(json));
        value->text = strdup(number);
    } else if (json_is_string(json)) {
        value->text = strdup(json_string_value(json));
    } else if (json_is_array(json)) {
        value->text = join_lines(json);
        value->json = json_deep_copy(json);
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
        good = json_is_string(json) ? split_words(value, json_string_value(json))
                                    : parse_array(value, json);
        value->json = json_deep_copy(json);
        break;
    case IPCL_MAPPING:
        good = parse_mapping_json(value, json);
        value->json = json_deep_copy(json);
        break;
    case IPCL_RENAMED:
    case IPCL_PASSED:
    case IPCL_IGNORED:
    case IPCL_INHERITED:
        break;
    }
    if (good)
        return value;
    value_destroy(value);
    return NULL;
}

bool value_add(struct value *value, const struct value *more)
{
    for (size_t i = 0; i < more->count; i++)
        if (!append(value, more->list[i], strlen(more->list[i])))
            return false;
    return true;
}

void pending_destroy(struct pending *pending)
{
    free(pending->class_name);
    free(pending->name);
    secret_free(pending->text);
    free(pending->origin);
    json_decref(pending->json);
    free(pending);
}
