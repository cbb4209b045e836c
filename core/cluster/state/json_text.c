/* Texts that need not be UTF-8, as JSON. */
#include "cluster/state/json_text.h"

#include <stdlib.h>
#include <string.h>

#include "base/hex.h"

json_t *json_text(const char *text)
{
    json_t *value = json_string(text);
    char *shown = value ? NULL : strdup(text);
    if (!shown)
        return value;
    for (char *at = shown; *at; at++)
        if (*at & 0x80)
            *at = '?';
    value = json_string(shown);
    free(shown);
    return value;
}

json_t *json_bytes(const char *bytes)
{
    json_t *value = json_string(bytes);
    size_t size = strlen(bytes);
    char *digits = value ? NULL : malloc(2 * size + 1);
    if (!digits)
        return value;
    hex_write((const unsigned char *)bytes, size, digits);
    value = json_pack("{s:s#}", "hex", digits, (int)(2 * size));
    free(digits);
    return value;
}

char *json_bytes_value(const json_t *value)
{
    const char *text = json_string_value(value),
               *digits = json_string_value(json_object_get(value, "hex"));
    size_t size = digits ? strlen(digits) / 2 : 0;
    char *bytes = digits ? calloc(size + 1, 1) : NULL;
    if (text)
        return strdup(text);
    if (bytes && hex_read(digits, (unsigned char *)bytes, size) == 0)
        return bytes;
    free(bytes);
    return NULL;
}
