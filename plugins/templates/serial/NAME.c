/* The serializer "@NAME@": how parts of messages become bytes. This one writes a mapping as a
 * length, a colon and the text for each name and, as JSON, each value, so that find() reads no
 * JSON; what is no mapping is JSON behind a "=". */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <ipcluster/serial.h>

static char *pack(const json_t *value, size_t *size, struct ipcl_error *error)
{
    const char *name;
    json_t *member;
    char *bytes = NULL, *text;
    FILE *stream = open_memstream(&bytes, size);
    int wrong = !stream;
    if (stream && !json_is_object(value)) {
        fputc('=', stream);
        wrong = json_dumpf(value, stream, JSON_COMPACT | JSON_ENCODE_ANY);
    }
    json_object_foreach ((json_t *)value, name, member) {
        text = wrong ? NULL : json_dumps(member, JSON_COMPACT | JSON_ENCODE_ANY);
        wrong = !text;
        if (text)
            fprintf(stream, "%zu:%s%zu:%s", strlen(name), name, strlen(text), text);
        free(text);
    }
    if (stream && fclose(stream) == 0 && !wrong)
        return bytes;
    free(bytes);
    ipcl_error_set(error, "a part of a message cannot be packed");
    return NULL;
}

/* One text with its length before it. Returns where it ends; NULL where there is none. */
static const char *read_text(const char *at, const char *end, const char **text, size_t *size)
{
    const char *begin = at;
    for (*size = 0; at < end && isdigit((unsigned char)*at) && at - begin < 10; at++)
        *size = *size * 10 + (size_t)(*at - '0');
    if (at == begin || at == end || *at != ':' || *size > (size_t)(end - at - 1))
        return NULL;
    *text = at + 1;
    return at + 1 + *size;
}

static json_t *unpack_mapping(const char *data, const char *end)
{
    json_t *mapping = json_object();
    while (mapping && data && data < end) {
        const char *name, *text;
        size_t name_size, size;
        json_t *value = NULL;
        char *key = NULL;
        data = read_text(data, end, &name, &name_size);
        data = data ? read_text(data, end, &text, &size) : NULL;
        if (data && (key = strndup(name, name_size)))
            value = json_loadb(text, size, JSON_DECODE_ANY, NULL);
        if (!value || json_object_set_new(mapping, key, value) < 0)
            data = NULL;
        free(key);
    }
    if (data)
        return mapping;
    json_decref(mapping);
    return NULL;
}

static json_t *unpack(const char *data, size_t size, struct ipcl_error *error)
{
    json_t *value = size && *data == '=' ? json_loadb(data + 1, size - 1, JSON_DECODE_ANY, NULL)
                                         : unpack_mapping(data, data + size);
    if (!value)
        ipcl_error_set(error, "a part of a message is damaged");
    return value;
}

/* Text without escapes is found as it is; all else as JSON. */
static void fill(struct ipcl_member *member, const char *text, size_t size)
{
    int plain = size > 1 && *text == '"' && !memchr(text, '\\', size);
    member->state = plain ? IPCL_MEMBER_TEXT : IPCL_MEMBER_OTHER;
    member->data = plain ? text + 1 : text;
    member->size = plain ? size - 2 : size;
}

static int find(const char *data, size_t size, struct ipcl_member *members, size_t count)
{
    const char *end = data + size, *name, *text;
    size_t name_size, text_size;
    for (size_t i = 0; i < count; i++)
        members[i].state = IPCL_MEMBER_ABSENT;
    while (data < end) {
        data = read_text(data, end, &name, &name_size);
        data = data ? read_text(data, end, &text, &text_size) : NULL;
        if (!data)
            return -1;
        for (size_t i = 0; i < count; i++)
            if (strlen(members[i].name) == name_size && !memcmp(members[i].name, name, name_size))
                fill(&members[i], text, text_size);
    }
    return 0;
}

static const struct ipcl_serial_operations operations = {
    .traits_name = "@NAME@", .unpack_name = "@NAME@", .pack = pack, .unpack = unpack, .find = find};

extern const struct ipcl_plugin ipcl_plugin;
IPCL_EXPORT const struct ipcl_plugin ipcl_plugin = {
    IPCL_PLUGIN_HEAD,
    .kind = "serial",
    .name = "@NAME@",
    .version = "0.1",
    .summary = "texts with their lengths before them",
    .license = "BSD-2-Clause",
    .author = "@AUTHOR@",
    .operations = &operations,
};
