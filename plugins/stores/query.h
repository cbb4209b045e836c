/* ipyparallel's queries, as the stores share them: which of a record's fields match. */
#ifndef STORES_QUERY_H
#define STORES_QUERY_H

#include <ipcluster/store.h>

/* Whether a query can be answered at all. Returns 0, or -1 with `error` set. */
int query_check(const json_t *query, struct ipcl_error *error);
/* Whether these fields match a query that was checked. */
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
/* QUERY_OPERATORS where there is none of this name. */
enum query_operator query_operator_of(const char *name);
/* Whether a query's "$and" or "$or". */
bool query_is_group(const char *key);
/* What a test means: a value that is no mapping of operators stands for {"$eq": value}. */
bool query_is_operators(const json_t *test);
/* What Python takes for true. */
bool query_truth(const json_t *value);

#endif
