/* Reads what a batch system's commands print: ids of jobs, and their states. */
#include "cluster/batch/batch_query.h"

#include <ctype.h>
#include <regex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#define GROUPS_MAX 10

/* Replaces Python's \d, which POSIX does not have; the C library has \s and \w. Malloc'ed; NULL if
 * memory is short. */
static char *translate(const char *expression)
{
    char *posix = malloc(5 * strlen(expression) + 1), *to = posix;
    for (const char *at = expression; posix && *at; at++) {
        if (at[0] == '\\' && at[1] == 'd') {
            to = stpcpy(to, "[0-9]");
            at++;
        } else {
            *to++ = *at;
            if (*at == '\\' && at[1])
                *to++ = *++at;
        }
    }
    if (posix)
        *to = '\0';
    return posix;
}

/* Returns 0, for regfree(); or -1 with `error` set. */
static int compile(const char *expression, regex_t *compiled, struct ipcl_error *error)
{
    char reason[120], *posix = translate(expression);
    if (!posix)
        return ipcl_error_set(error, "no memory for a regular expression");
    int code = regcomp(compiled, posix, REG_EXTENDED | REG_NEWLINE);
    free(posix);
    if (code == 0)
        return 0;
    regerror(code, compiled, reason, sizeof(reason));
    return ipcl_error_set(error, "'%s' is not a regular expression: %s", expression, reason);
}

int batch_check_expression(const char *expression, struct ipcl_error *error)
{
    regex_t compiled;
    if (compile(expression, &compiled, error) < 0)
        return -1;
    regfree(&compiled);
    return 0;
}

/* Copies the part of the text that the expression finds to `found`. Sets *end, if not NULL, to the
 * end of the match. Returns whether it matches. */
static bool search(const regex_t *compiled, unsigned group, const char *text, char *found,
                   size_t size, const char **end)
{
    regmatch_t matches[GROUPS_MAX];
    if (regexec(compiled, text, GROUPS_MAX, matches, 0) != 0)
        return false;
    if (group == 0 && compiled->re_nsub > 0 && matches[1].rm_so >= 0)
        group = 1;
    if (group >= GROUPS_MAX || matches[group].rm_so < 0)
        return false;
    snprintf(found, size, "%.*s", (int)(matches[group].rm_eo - matches[group].rm_so),
             text + matches[group].rm_so);
    if (end)
        *end = text + matches[0].rm_eo;
    return true;
}

/* The same with an expression that may be NULL, which matches nothing. */
static bool look(const char *expression, const char *text, char *found, size_t size)
{
    regex_t compiled;
    if (!expression || compile(expression, &compiled, NULL) < 0)
        return false;
    bool matches = search(&compiled, 0, text, found, size, NULL);
    regfree(&compiled);
    return matches;
}

bool batch_matches(const char *expression, const char *text)
{
    char found[BATCH_TEXT_BYTES];
    return look(expression, text, found, sizeof(found));
}

void batch_one_line(const char *text, char *line, size_t size)
{
    size_t used = 0;
    for (text += strspn(text, " \t\r\n"); *text && used + 1 < size; text++) {
        bool space = isspace((unsigned char)*text);
        if (space && !text[strspn(text, " \t\r\n")])
            break;
        if (!space || (used && line[used - 1] != ' '))
            line[used++] = (char)(space ? ' ' : *text);
    }
    line[used] = '\0';
}

int batch_read_id(const char *expression, unsigned group, const char *text, char id[BATCH_ID_BYTES],
                  struct ipcl_error *error)
{
    char line[BATCH_TEXT_BYTES];
    regex_t compiled;
    if (compile(expression, &compiled, error) < 0)
        return -1;
    bool found = search(&compiled, group, text, id, BATCH_ID_BYTES, NULL) && *id;
    regfree(&compiled);
    if (found)
        return 0;
    batch_one_line(text, line, sizeof(line));
    return ipcl_error_set(error,
                          "there is no job id in the output '%s' (by the regular expression '%s')",
                          line, expression);
}

/* Whether `found` is one of the words that stand in a text. */
static bool is_among(const char *words, const char *found)
{
    for (size_t length; *words; words += length + (words[length] == ' ')) {
        length = strcspn(words, " ");
        bool begins = length && words[length - 1] == '*';
        if (begins ? strncmp(words, found, length - 1) == 0
                   : strncmp(words, found, length) == 0 && !found[length])
            return true;
    }
    return false;
}

static const struct ipcl_batch_state *find_state(const struct ipcl_batch_system *system,
                                                 const char *word)
{
    const struct ipcl_batch_state *state = system->states;
    while (state->words && !is_among(state->words, word))
        state++;
    return state->words ? state : NULL;
}

/* Does not change `number` if the text has none. */
static bool find_number(const char *expression, const char *text, int *number)
{
    char found[32];
    if (!look(expression, text, found, sizeof(found)))
        return false;
    *number = atoi(found);
    return true;
}

/* How a job ended: its exit status, or 1 if it has none and did not end well. Only the history says
 * more than the job's state. */
static void read_end(const struct ipcl_batch_system *system, const struct ipcl_batch_query *query,
                     const struct ipcl_batch_state *state, const char *text,
                     struct batch_record *record)
{
    char reason[BATCH_TEXT_BYTES / 2] = "", line[sizeof(reason)];
    int status = 0, signum = 0;
    find_number(query->exit_status, text, &status);
    if (!find_number(query->exit_signal, text, &signum) && query->raw_status) {
        signum = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
        status = WEXITSTATUS(status);
    }
    record->status = signum ? 128 + signum : status ? status : state->said ? 1 : 0;
    if (state->said && query == &system->history)
        look(query->reason, text, reason, sizeof(reason));
    batch_one_line(reason, line, sizeof(line));
    if (state->said)
        snprintf(record->text, sizeof(record->text), "%s%s%s", state->said, *line ? " " : "", line);
    else if (signum)
        snprintf(record->text, sizeof(record->text), "was ended by signal %d (%s)", signum,
                 strsignal(signum));
    else if (status)
        snprintf(record->text, sizeof(record->text), "ended with exit status %d", status);
}

/* What a pending or running job waits for. */
static void read_wait(const struct ipcl_batch_query *query, const struct ipcl_batch_state *state,
                      const char *text, struct batch_record *record)
{
    char reason[BATCH_TEXT_BYTES / 2] = "", starts[64] = "";
    if (state->phase == IPCL_BATCH_PENDING) {
        look(query->reason, text, reason, sizeof(reason));
        look(query->starts, text, starts, sizeof(starts));
    }
    snprintf(record->text, sizeof(record->text), "%s%s%s%s%s%s", state->said ? state->said : "",
             state->said && *reason ? ": " : "", reason,
             *starts && (state->said || *reason) ? ", " : "", *starts ? "starts about " : "",
             starts);
}

/* A job in a state that the table does not have exists, and does not run. */
static void read_record(const struct ipcl_batch_system *system,
                        const struct ipcl_batch_query *query, const char *text,
                        struct batch_record *record)
{
    look(query->state, text, record->state, sizeof(record->state));
    const struct ipcl_batch_state *state = find_state(system, record->state);
    struct ipcl_batch_state unknown = {record->state, IPCL_BATCH_PENDING, record->state};
    record->known = state != NULL;
    if (!state)
        state = &unknown;
    record->phase = state->phase;
    record->cut_short = state->phase == IPCL_BATCH_CUT_SHORT;
    if (record->cut_short)
        record->phase = IPCL_BATCH_ENDED;
    if (record->phase == IPCL_BATCH_ENDED)
        read_end(system, query, state, text, record);
    else
        read_wait(query, state, text, record);
}

int batch_read(const struct ipcl_batch_system *system, const struct ipcl_batch_query *query,
               const char *text, bool (*each)(void *context, const struct batch_record *record),
               void *context, struct ipcl_error *error)
{
    regex_t compiled;
    char id[BATCH_ID_BYTES], next_id[BATCH_ID_BYTES];
    const char *behind, *next_behind;
    if (compile(query->record, &compiled, error) < 0)
        return -1;
    bool more = search(&compiled, 0, text, id, sizeof(id), &behind);
    while (more) {
        struct batch_record record = {.phase = IPCL_BATCH_PENDING};
        /* The record begins with its match, and ends before the next one's line. */
        const char *rest = behind + strcspn(behind, "\n");
        more = search(&compiled, 0, rest, next_id, sizeof(next_id), &next_behind);
        const char *end = more ? next_behind : rest + strlen(rest);
        while (more && end > rest && end[-1] != '\n')
            end--;
        char *part = strndup(text, (size_t)(end - text));
        snprintf(record.id, sizeof(record.id), "%s", id);
        if (part)
            read_record(system, query, part, &record);
        free(part);
        if (part && each(context, &record))
            break;
        text = end;
        behind = next_behind;
        strcpy(id, next_id);
    }
    regfree(&compiled);
    return 0;
}
