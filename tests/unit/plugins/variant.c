/* A plugin that does nothing, with one thing wrong, which the build chooses
 * (tests/unit/local.mk). */
#include <ipcluster/serial.h>

#ifndef VARIANT_MAJOR
#define VARIANT_MAJOR IPCL_ABI_MAJOR
#endif
#ifndef VARIANT_MINOR
#define VARIANT_MINOR IPCL_ABI_MINOR
#endif
#ifndef VARIANT_SIZE
#define VARIANT_SIZE sizeof(struct ipcl_plugin)
#endif
#ifndef VARIANT_KIND
#define VARIANT_KIND "serial"
#endif
#ifndef VARIANT_SUMMARY
#define VARIANT_SUMMARY "does nothing"
#endif
#ifdef VARIANT_HIDDEN
#define VARIANT_EXPORT
#else
#define VARIANT_EXPORT IPCL_EXPORT
#endif

#ifdef VARIANT_LIBRARY
/* Uses the library, so that the linker does not leave it out. */
extern json_t *(*const variant_library)(void);
IPCL_EXPORT json_t *(*const variant_library)(void) = json_object;
#endif

#ifdef VARIANT_ABSENT
void absent_function(void);
#endif

static char *pack(const json_t *value, size_t *size, struct ipcl_error *error)
{
    (void)value;
    (void)size;
#ifdef VARIANT_ABSENT
    absent_function();
#endif
    ipcl_error_set(error, "it does nothing");
    return NULL;
}

static json_t *unpack(const char *data, size_t size, struct ipcl_error *error)
{
    (void)data;
    (void)size;
    ipcl_error_set(error, "it does nothing");
    return NULL;
}

static int find(const char *data, size_t size, struct ipcl_member *members, size_t count)
{
    (void)data;
    (void)size;
    (void)members;
    (void)count;
    return -1;
}

static const struct ipcl_serial_operations operations = {
    .traits_name = VARIANT_NAME,
    .unpack_name = VARIANT_NAME,
    .pack = pack,
    .unpack = unpack,
    .find = find,
};

extern const struct ipcl_plugin ipcl_plugin;
VARIANT_EXPORT const struct ipcl_plugin ipcl_plugin = {
    .abi_major = VARIANT_MAJOR,
    .abi_minor = VARIANT_MINOR,
    .size = VARIANT_SIZE,
    .kind = VARIANT_KIND,
    .name = VARIANT_NAME,
    .version = "1.0",
    .summary = VARIANT_SUMMARY,
    .license = "BSD-2-Clause",
    .author = "the ipcluster developers",
    .operations = &operations,
};
