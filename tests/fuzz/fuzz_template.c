/* Templates of job scripts. The first frame is the template; each further one is a value, of the
 * names a, b and so on. */
#include <stdlib.h>
#include <string.h>

#include "cluster/batch/template.h"
#include "fuzz.h"

#define VALUES_MAX 6

static bool is_plain(const char *text)
{
    return !text[strcspn(text, "{}")];
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const names[] = {"a", "b", "c", "d", "e", "n"};
    struct fuzz_bytes input = {data, data + size};
    struct template_value values[VALUES_MAX] = {0};
    const char *words[VALUES_MAX + 1] = {NULL};
    struct ipcl_error error = {""};
    size_t count = 0;
    char *template = fuzz_cut_text(&input, FUZZ_FRAME), *text;
    if (!template)
        return 0;
    while (count < VALUES_MAX && (text = fuzz_cut_text(&input, FUZZ_FRAME))) {
        values[count] = (struct template_value){names[count], text, false};
        words[count++] = text;
    }
    char *filled = template_fill(template, values, count, &error);
    FUZZ_ASSERT(filled || !strncmp(error.text, "line ", 5));
    FUZZ_ASSERT(!is_plain(template) || (filled && !strcmp(filled, template)));
    free(filled);
    free(template_quote(words));
    while (count)
        free((char *)(uintptr_t)values[--count].text);
    free(template);
    return 0;
}
