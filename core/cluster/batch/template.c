/* Templates of job scripts: a field in braces is read by recursive descent, where it stands. */
#include "cluster/batch/template.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEPTH_MAX   64 /* nested parentheses and signs */
#define WIDTH_MAX   99
#define SHOWN_BYTES 40 /* of a field, in an error */

#define DIGITS  "0123456789"
#define LETTERS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

struct filling {
    const char *text;
    const char *at;
    const char *field; /* the brace that opened what is being read */
    struct template_value *values;
    size_t count;
    unsigned depth;
    FILE *output;
    struct ipcl_error *error;
};

static bool continues_character(char byte)
{
    return ((unsigned char)byte & 0xc0) == 0x80;
}

/* How many bytes of the field are shown: up to its end, or the line's. */
static int shown(const struct filling *filling)
{
    size_t length = strcspn(filling->field, "}\n\r");
    if (filling->field[length] == '}')
        length++;
    if (length > SHOWN_BYTES)
        for (length = SHOWN_BYTES; continues_character(filling->field[length]);)
            length--;
    return (int)length;
}

/* Sets the error, with the place and the field. Returns -1. */
__attribute__((format(printf, 2, 3))) static int fail(struct filling *filling, const char *format,
                                                      ...)
{
    char reason[IPCL_ERROR_BYTES];
    size_t line = 1, column = 1;
    va_list args;
    va_start(args, format);
    vsnprintf(reason, sizeof(reason), format, args);
    va_end(args);
    for (const char *p = filling->text; p < filling->at; p++) {
        column = *p == '\n' ? 1 : column + !continues_character(*p);
        line += *p == '\n';
    }
    return ipcl_error_set(filling->error, "line %zu, column %zu: %.*s%s%s", line, column,
                          shown(filling), filling->field, *filling->field == '{' ? ": " : "",
                          reason);
}

static int fail_overflow(struct filling *filling)
{
    return fail(filling, "the number is too large for 64 bits");
}

static int fail_unexpected(struct filling *filling, const char *wanted)
{
    if (!*filling->at || *filling->at == '\n')
        return fail(filling, "the { is not closed; write {{ for a { in the script");
    const char *end = filling->at + 1;
    while (continues_character(*end))
        end++;
    return fail(filling,
                "%s was expected instead of %.*s; write {{ and }} for braces in the script", wanted,
                (int)(end - filling->at), filling->at);
}

static void skip_spaces(struct filling *filling)
{
    filling->at += strspn(filling->at, " \t");
}

/* Bytes of the name that stands here, or 0. Names may have letters of any language. */
static size_t name_length(const char *at)
{
    size_t length = 0;
    if (strchr(DIGITS, *at))
        return 0;
    while (at[length] &&
           ((unsigned char)at[length] >= 0x80 || strchr(LETTERS DIGITS "_", at[length])))
        length++;
    return length;
}

static int fail_unknown(struct filling *filling, size_t length)
{
    char known[IPCL_ERROR_BYTES / 2] = "";
    for (size_t i = 0, size = 0; i < filling->count && size < sizeof(known); i++)
        size += (size_t)snprintf(known + size, sizeof(known) - size, "%s%s", i ? ", " : "",
                                 filling->values[i].name);
    return fail(filling,
                "%.*s is not known; known names: %s; write {{ and }} for braces in the "
                "script, such as the shell's",
                (int)length, filling->at, *known ? known : "none");
}

/* Takes the name that stands here, of `length` bytes. NULL with the error set. */
static struct template_value *take_value(struct filling *filling, size_t length)
{
    for (size_t i = 0; i < filling->count; i++) {
        struct template_value *value = &filling->values[i];
        if (strncmp(value->name, filling->at, length) || value->name[length])
            continue;
        value->used = true;
        filling->at += length;
        return value;
    }
    fail_unknown(filling, length);
    return NULL;
}

/* Reads digits. Returns where they end, or NULL if the number is too large. */
static const char *read_digits(const char *at, int64_t *number)
{
    for (*number = 0; *at && strchr(DIGITS, *at); at++)
        if (__builtin_mul_overflow(*number, 10, number) ||
            __builtin_add_overflow(*number, *at - '0', number))
            return NULL;
    return at;
}

/* A name in an expression. */
static int take_number(struct filling *filling, size_t length, int64_t *number)
{
    const char *start = filling->at;
    const struct template_value *value = take_value(filling, length);
    if (!value)
        return -1;
    bool negative = *value->text == '-';
    const char *digits = value->text + negative, *end = read_digits(digits, number);
    if (negative)
        *number = -*number;
    if (end && end > digits && !*end)
        return 0;
    filling->at = start;
    return fail(filling, "%.*s is \"%.*s\", which is not a whole number of 64 bits", (int)length,
                start, SHOWN_BYTES, value->text);
}

static int read_sum(struct filling *filling, int64_t *number);

static int read_operand(struct filling *filling, int64_t *number)
{
    skip_spaces(filling);
    const char *at = filling->at;
    size_t length = name_length(at);
    if (length)
        return take_number(filling, length, number);
    if (*at && strchr(DIGITS, *at)) {
        if (!(at = read_digits(at, number)))
            return fail_overflow(filling);
        filling->at = at;
        return 0;
    }
    if (!*at || !strchr("+-(", *at))
        return fail_unexpected(filling, "a name, a whole number or (");
    if (filling->depth == DEPTH_MAX)
        return fail(filling, "parentheses and signs are nested more than %d deep", DEPTH_MAX);
    filling->at++;
    filling->depth++;
    int status = *at == '(' ? read_sum(filling, number) : read_operand(filling, number);
    filling->depth--;
    if (status)
        return -1;
    if (*at == '-')
        return __builtin_sub_overflow((int64_t)0, *number, number) ? fail_overflow(filling) : 0;
    if (*at == '+')
        return 0;
    if (*filling->at != ')')
        return fail_unexpected(filling, "an operator or )");
    filling->at++;
    return 0;
}

/* Quotient and remainder are as in Python, which rounds down. */
static int divide(struct filling *filling, bool remains, int64_t divisor, int64_t *number)
{
    if (divisor == 0)
        return fail(filling, "it divides by zero");
    if (divisor == -1) {
        if (!remains && __builtin_sub_overflow((int64_t)0, *number, number))
            return fail_overflow(filling);
        *number = remains ? 0 : *number;
        return 0;
    }
    int64_t quotient = *number / divisor, remainder = *number % divisor;
    bool rounds = remainder && (remainder < 0) != (divisor < 0);
    *number = remains ? remainder + (rounds ? divisor : 0) : quotient - rounds;
    return 0;
}

static int read_product(struct filling *filling, int64_t *number)
{
    int64_t factor;
    if (read_operand(filling, number))
        return -1;
    for (;;) {
        skip_spaces(filling);
        char operation = *filling->at;
        if (!operation || !strchr("*/%", operation))
            return 0;
        if (operation == '/' && filling->at[1] != '/')
            return fail(filling, "/ does not give a whole number: use //");
        const char *start = filling->at;
        filling->at += operation == '/' ? 2 : 1;
        if (read_operand(filling, &factor))
            return -1;
        const char *end = filling->at;
        filling->at = start; /* what fails now is the operator */
        if (operation == '*' ? __builtin_mul_overflow(*number, factor, number)
                             : divide(filling, operation == '%', factor, number))
            return operation == '*' ? fail_overflow(filling) : -1;
        filling->at = end;
    }
}

/* An expression, and the spaces after it. */
static int read_sum(struct filling *filling, int64_t *number)
{
    int64_t summand;
    if (read_product(filling, number))
        return -1;
    while (*filling->at == '+' || *filling->at == '-') {
        bool adds = *filling->at++ == '+';
        if (read_product(filling, &summand))
            return -1;
        if (adds ? __builtin_add_overflow(*number, summand, number)
                 : __builtin_sub_overflow(*number, summand, number))
            return fail_overflow(filling);
    }
    return 0;
}

/* What follows the colon of {n:03d}. */
static int read_width(struct filling *filling, int *width, bool *zeros)
{
    int64_t number;
    *zeros = *filling->at == '0';
    const char *end = read_digits(filling->at, &number);
    if (!end || number > WIDTH_MAX)
        return fail(filling, "a width is at most %d", WIDTH_MAX);
    filling->at = end + (*end == 'd');
    *width = (int)number;
    return *filling->at == '}'
               ? 0
               : fail_unexpected(filling, "a width, as in {n:3}, {n:03} or {n:03d},");
}

/* Writes the value of the field that begins here, and moves past it. */
static int fill_field(struct filling *filling)
{
    int64_t number;
    int width = 0;
    bool zeros = false;
    filling->at++;
    skip_spaces(filling);
    if (*filling->at == '}')
        return fail(filling, "it has no name; write {{ and }} for braces in the script");
    size_t length = name_length(filling->at);
    const char *behind = filling->at + length;
    behind += strspn(behind, " \t");
    if (length && *behind == '}') {
        const struct template_value *value = take_value(filling, length);
        if (!value)
            return -1;
        fputs(value->text, filling->output);
        filling->at = behind + 1;
        return 0;
    }
    if (read_sum(filling, &number))
        return -1;
    if (*filling->at == ':') {
        filling->at++;
        if (read_width(filling, &width, &zeros))
            return -1;
    }
    if (*filling->at != '}')
        return fail_unexpected(filling, "an operator (+ - * // %) or }");
    filling->at++;
    fprintf(filling->output, zeros ? "%0*" PRId64 : "%*" PRId64, width, number);
    return 0;
}

static int fill(struct filling *filling)
{
    while (*filling->at) {
        size_t plain = strcspn(filling->at, "{}");
        fwrite(filling->at, 1, plain, filling->output);
        filling->at += plain;
        filling->field = filling->at;
        if (!*filling->at)
            break;
        if (filling->at[0] == filling->at[1]) {
            fputc(*filling->at, filling->output);
            filling->at += 2;
        } else if (*filling->at == '}') {
            filling->field = "";
            return fail(filling, "this } closes nothing; write }} for a } in the script");
        } else if (fill_field(filling)) {
            return -1;
        }
    }
    return 0;
}

char *template_fill(const char *text, struct template_value *values, size_t count,
                    struct ipcl_error *error)
{
    char *filled = NULL;
    size_t size;
    struct filling filling = {.text = text,
                              .at = text,
                              .field = "",
                              .values = values,
                              .count = count,
                              .output = open_memstream(&filled, &size),
                              .error = error};
    int status = filling.output ? fill(&filling) : -1;
    bool full = !filling.output || ferror(filling.output);
    if ((filling.output && fclose(filling.output)) || full)
        status = ipcl_error_set(error, "no memory for a job's script");
    if (!status)
        return filled;
    free(filled);
    return NULL;
}

static void quote(const char *word, FILE *output)
{
    if (*word && !word[strspn(word, LETTERS DIGITS "@%+=:,./_-")]) {
        fputs(word, output);
        return;
    }
    fputc('\'', output);
    for (; *word; word++)
        fputs(*word == '\'' ? "'\\''" : (const char[]){*word, '\0'}, output);
    fputc('\'', output);
}

char *template_quote(const char *const *words)
{
    char *text = NULL;
    size_t size;
    FILE *output = open_memstream(&text, &size);
    if (!output)
        return NULL;
    for (size_t i = 0; words[i]; i++) {
        if (i)
            fputc(' ', output);
        quote(words[i], output);
    }
    bool failed = ferror(output);
    if (!fclose(output) && !failed)
        return text;
    free(text);
    return NULL;
}
