/* How a process calls the batch job that it is in, from variables of its environment. */
#include "base/job_name.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/batch_jobs.h"

#define SYSTEMS (sizeof(batch_jobs) / sizeof(*batch_jobs))

/* A piece of a name: some text, or what stands between the braces of a variable. */
struct piece {
    const char *start;
    size_t size;
    bool is_variable;
};

/* Returns where the next piece begins, or NULL where this one is no variable and no text. */
static const char *read_piece(const char *at, const char *end, struct piece *piece)
{
    piece->is_variable = *at == '{';
    at += piece->is_variable;
    const char *next = at;
    while (next < end && *next != '{' && *next != '}')
        next++;
    piece->start = at;
    piece->size = (size_t)(next - at);
    if (!piece->is_variable)
        return next < end && *next == '}' ? NULL : next;
    bool named = piece->size && *at != '!' && *at != '?';
    return named && next < end && *next == '}' ? next + 1 : NULL;
}

/* The value of a variable; "" if a '?' stands behind its name. NULL if it has no value, or the one
 * that stands behind a '!'. */
static const char *value_of(const struct piece *piece)
{
    char name[JOB_NAME_BYTES];
    if (piece->size >= sizeof(name))
        return NULL;
    memcpy(name, piece->start, piece->size);
    name[piece->size] = '\0';
    char *other = strpbrk(name, "!?"), sign = other ? *other : '\0';
    if (other)
        *other++ = '\0';
    const char *value = getenv(name);
    if (!value || !*value || (sign == '!' && !strcmp(value, other)))
        return NULL;
    return sign == '?' ? "" : value;
}

/* Writes the name from `at` to `end`. Returns false where a variable has no value, or it has no
 * room. */
static bool fill_in(const char *at, const char *end, char *text, size_t size)
{
    struct piece piece;
    while (at < end) {
        at = read_piece(at, end, &piece);
        const char *value = !at ? NULL : piece.is_variable ? value_of(&piece) : piece.start;
        size_t length = value && piece.is_variable ? strlen(value) : piece.size;
        if (!value || length >= size)
            return false;
        memcpy(text, value, length);
        text += length;
        size -= length;
    }
    *text = '\0';
    return true;
}

static bool is_a_line(const char *text)
{
    while (*text && !iscntrl((unsigned char)*text))
        text++;
    return !*text;
}

/* Writes the first of the names of which all variables have values, behind the first `before` bytes
 * of `called`. */
static bool fill_in_first(const char *called, size_t before, const char *names,
                          char name[JOB_NAME_BYTES])
{
    if (before >= JOB_NAME_BYTES)
        return false;
    memcpy(name, called, before);
    for (const char *end; *names; names = *end ? end + 1 : end) {
        end = strchrnul(names, '|');
        if (fill_in(names, end, name + before, JOB_NAME_BYTES - before))
            return is_a_line(name);
    }
    return false;
}

static bool is_sound_name(const char *at, const char *end)
{
    struct piece piece;
    bool has_variable = false;
    while (at && at < end) {
        at = read_piece(at, end, &piece);
        has_variable = has_variable || piece.is_variable;
    }
    return at && has_variable;
}

bool job_name_is_sound(const char *variables)
{
    const char *end = strchrnul(variables, '|');
    return is_sound_name(variables, end) && (!*end || job_name_is_sound(end + 1));
}

bool job_name_is_known(const char *system, const char *variables)
{
    for (size_t i = 0; i < SYSTEMS; i++)
        if (!strcmp(batch_jobs[i].system, system) && !strcmp(batch_jobs[i].variables, variables))
            return true;
    return false;
}

int job_name_check(const char *called, struct ipcl_error *error)
{
    char known[128] = "";
    size_t length = 0;
    const char *variables = strchr(called, '{');
    if (!*called || (variables && job_name_is_sound(variables)))
        return 0;
    for (size_t i = 0; i < SYSTEMS; i++) {
        if (!strcmp(called, batch_jobs[i].system))
            return 0;
        if (length < sizeof(known))
            length += (size_t)snprintf(known + length, sizeof(known) - length, "%s%s",
                                       i ? ", " : "", batch_jobs[i].system);
    }
    return ipcl_error_set(error,
                          "IPEngine.batch_job is one of %s, or text with variables such as "
                          "'Some job {SOME_JOB_ID}', not '%.100s'",
                          known, called);
}

bool job_name_find(const char *called, char name[JOB_NAME_BYTES])
{
    const char *variables = strchr(called, '{');
    if (variables)
        return fill_in_first(called, (size_t)(variables - called), variables, name);
    for (size_t i = 0; i < SYSTEMS; i++) {
        char text[JOB_NAME_BYTES];
        int before = snprintf(text, sizeof(text), "%s job ", batch_jobs[i].system);
        if ((!*called || !strcmp(called, batch_jobs[i].system)) &&
            fill_in_first(text, (size_t)before, batch_jobs[i].variables, name))
            return true;
    }
    return false;
}
