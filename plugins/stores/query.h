/* ipyparallel's queries, for all stores: whether a record's fields match. */
#ifndef STORES_QUERY_H
#define STORES_QUERY_H

#include <ipcluster/store.h>

/* Whether a query can be answered at all. Returns 0, or -1 with `error` set. */
int query_check(const json_t *query, struct ipcl_error *error);
/* Whether these fields match a query that query_check() accepts. */
bool query_matches(const json_t *query, const json_t *fields);
/* Whether a query asks for this key. */
bool query_mentions(const json_t *query, const char *key);

enum query_operator {
    QUERY_EQUAL,
    QUERY_NOT_EQUAL,
    QUERY_LESS,
    QUERY_LESS_EQUAL,
    QUERY_GREATER,
    QUERY_GREATER_EQUAL,
    QUERY_IN,
    QUERY_NOT_IN,
    QUERY_ALL,
    QUERY_MODULO,
    QUERY_EXISTS,
    QUERY_OPERATORS
};
/* QUERY_OPERATORS if there is none with this name. */
enum query_operator query_operator_of(const char *name);
/* Whether a key of a query is "$and" or "$or". */
bool query_is_group(const char *key);
/* Whether a test is a mapping of operators. Any other value stands for {"$eq": value}. */
bool query_is_operators(const json_t *test);
/* Whether Python takes the value for true. */
bool query_truth(const json_t *value);

#endif
