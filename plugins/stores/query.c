/* Queries: ipyparallel's, which are a part of MongoDB's. A key that a record does not have is null.
 *
 * Values of different kinds are unequal and have no order. Dates come as text of one form, so their
 * order is that of text. */
#include "query.h"

#include <math.h>
#include <string.h>

#define DEPTH_MAX 32

enum query_operator query_operator_of(const char *name)
{
    static const char *const names[QUERY_OPERATORS] = {
        "$eq", "$ne", "$lt", "$lte", "$gt", "$gte", "$in", "$nin", "$all", "$mod", "$exists"};
    int found = 0;
    while (found < QUERY_OPERATORS && strcmp(names[found], name))
        found++;
    return (enum query_operator)found;
}

bool query_is_group(const char *key)
{
    return !strcmp(key, "$and") || !strcmp(key, "$or");
}

bool query_is_operators(const json_t *test)
{
    void *first = json_object_iter((json_t *)test);
    return json_is_object(test) && (!first || json_object_iter_key(first)[0] == '$');
}

bool query_truth(const json_t *value)
{
    return json_is_true(value) || (json_is_number(value) && json_number_value(value) != 0) ||
           json_string_length(value) || json_array_size(value) || json_object_size(value);
}

/* Orders two values: -1, 0 or 1; 2 if they have no order. */
static int order(const json_t *a, const json_t *b)
{
    if (json_is_string(a) && json_is_string(b)) {
        size_t x = json_string_length(a), y = json_string_length(b);
        int difference = memcmp(json_string_value(a), json_string_value(b), x < y ? x : y);
        return difference ? (difference > 0) - (difference < 0) : (x > y) - (x < y);
    }
    if (json_is_integer(a) && json_is_integer(b)) {
        json_int_t x = json_integer_value(a), y = json_integer_value(b);
        return (x > y) - (x < y);
    }
    if (json_is_number(a) && json_is_number(b)) {
        double x = json_number_value(a), y = json_number_value(b);
        return (x > y) - (x < y);
    }
    return 2;
}

static bool equal(const json_t *a, const json_t *b)
{
    return json_is_number(a) ? order(a, b) == 0 : json_equal(a, b);
}

static bool is_in(const json_t *value, const json_t *list)
{
    for (size_t i = 0; i < json_array_size(list); i++)
        if (equal(value, json_array_get(list, i)))
            return true;
    return false;
}

/* Python's `value in container`. */
static bool is_inside(const json_t *value, const json_t *container)
{
    if (json_is_string(container))
        return json_is_string(value) &&
               strstr(json_string_value(container), json_string_value(value));
    if (json_is_object(container))
        return json_is_string(value) && json_object_get(container, json_string_value(value));
    return is_in(value, container);
}

static bool is_inside_all(const json_t *value, const json_t *containers)
{
    for (size_t i = 0; i < json_array_size(containers); i++)
        if (!is_inside(value, json_array_get(containers, i)))
            return false;
    return true;
}

/* The remainder has the sign of the divisor, as Python's. */
static bool has_remainder(const json_t *value, const json_t *operand)
{
    double divisor = json_number_value(json_array_get(operand, 0));
    double wanted = json_number_value(json_array_get(operand, 1));
    if (!json_is_number(value))
        return false;
    double remainder = fmod(json_number_value(value), divisor);
    if (remainder != 0 && (remainder < 0) != (divisor < 0))
        remainder += divisor;
    return remainder == wanted;
}

static bool holds(const json_t *value, enum query_operator operation, const json_t *operand)
{
    int difference = order(value, operand);
    switch (operation) {
    case QUERY_EQUAL:
        return equal(value, operand);
    case QUERY_NOT_EQUAL:
        return !equal(value, operand);
    case QUERY_LESS:
        return difference == -1;
    case QUERY_LESS_EQUAL:
        return difference == -1 || difference == 0;
    case QUERY_GREATER:
        return difference == 1;
    case QUERY_GREATER_EQUAL:
        return difference == 1 || difference == 0;
    case QUERY_IN:
        return is_in(value, operand);
    case QUERY_NOT_IN:
        return !is_in(value, operand);
    case QUERY_ALL:
        return is_inside_all(value, operand);
    case QUERY_MODULO:
        return has_remainder(value, operand);
    case QUERY_EXISTS:
        return json_is_null(value) != query_truth(operand);
    default:
        return false;
    }
}

static int check_operand(const char *key, const char *name, const json_t *operand,
                         struct ipcl_error *error)
{
    const json_t *divisor = json_array_get(operand, 0);
    switch (query_operator_of(name)) {
    case QUERY_OPERATORS:
        return ipcl_error_set(error, "the query's operator '%.64s' for '%.64s' is not known", name,
                              key);
    case QUERY_IN:
    case QUERY_NOT_IN:
    case QUERY_ALL:
        return json_is_array(operand)
                   ? 0
                   : ipcl_error_set(error, "the query's %s for '%.64s' needs a list", name, key);
    case QUERY_MODULO:
        return json_array_size(operand) == 2 && json_is_number(divisor) &&
                       json_number_value(divisor) != 0 && json_is_number(json_array_get(operand, 1))
                   ? 0
                   : ipcl_error_set(error,
                                    "the query's $mod for '%.64s' needs a divisor and a remainder",
                                    key);
    default:
        return 0;
    }
}

static int check(const json_t *query, int depth, struct ipcl_error *error)
{
    const char *key, *name;
    json_t *test, *operand;
    size_t index;
    if (!json_is_object(query))
        return ipcl_error_set(error, "a query must be a mapping of keys to values or to operators");
    if (depth > DEPTH_MAX)
        return ipcl_error_set(error, "the query nests deeper than %d", DEPTH_MAX);
    json_object_foreach ((json_t *)query, key, test) {
        if (query_is_group(key)) {
            if (!json_array_size(test))
                return ipcl_error_set(error, "the query's %s needs a list of queries", key);
            json_array_foreach (test, index, operand)
                if (check(operand, depth + 1, error))
                    return -1;
        } else if (key[0] == '$') {
            return ipcl_error_set(
                error, "the query has an operator, '%.64s', where a key is expected", key);
        } else if (query_is_operators(test)) {
            json_object_foreach (test, name, operand)
                if (check_operand(key, name, operand, error))
                    return -1;
        }
    }
    return 0;
}

int query_check(const json_t *query, struct ipcl_error *error)
{
    return check(query, 0, error);
}

static bool group_matches(const char *key, const json_t *queries, const json_t *fields)
{
    bool all = !strcmp(key, "$and");
    for (size_t i = 0; i < json_array_size(queries); i++)
        if (query_matches(json_array_get(queries, i), fields) != all)
            return !all;
    return all;
}

static bool test_matches(const json_t *value, json_t *test)
{
    const char *name;
    json_t *operand;
    if (!query_is_operators(test))
        return equal(value, test);
    json_object_foreach (test, name, operand)
        if (!holds(value, query_operator_of(name), operand))
            return false;
    return true;
}

bool query_matches(const json_t *query, const json_t *fields)
{
    const char *key;
    json_t *test;
    json_object_foreach ((json_t *)query, key, test) {
        const json_t *value = json_object_get(fields, key);
        bool matches = query_is_group(key) ? group_matches(key, test, fields)
                                           : test_matches(value ? value : json_null(), test);
        if (!matches)
            return false;
    }
    return true;
}

bool query_mentions(const json_t *query, const char *key)
{
    const char *name;
    json_t *test, *part;
    size_t index;
    if (json_object_get(query, key))
        return true;
    json_object_foreach ((json_t *)query, name, test)
        if (query_is_group(name))
            json_array_foreach (test, index, part)
                if (query_mentions(part, key))
                    return true;
    return false;
}
