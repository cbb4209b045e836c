/* Plugins: sound ones are loaded. Others are refused in one line that names the file and the
 * reason, and nothing else is affected. The plugins are real ones, built from plugins/variant.c,
 * and copied to a temporary search path. */
#include <criterion/criterion.h>
#include <elf.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/installation.h"
#include "plugin/registry.h"
#include "unit.h"

#define FILE_BYTES_MAX (16 << 20)
#define NOBODY         65534

static char top[PATH_BYTES];
static char folder[PATH_BYTES]; /* top/serial */

static void make_search_path(void)
{
    struct ipcl_error error;
    unit_make_folder(top);
    cr_assert_eq(path_format(folder, &error, "%s/serial", top), 0);
    cr_assert_eq(mkdir(folder, 0755), 0);
    setenv("IPCLUSTER_PLUGIN_PATH", top, 1);
}

static void remove_search_path(void)
{
    unit_remove_folder(top);
}

TestSuite(registry, .init = make_search_path, .fini = remove_search_path);

/* The bytes of a plugin that was built for this test. */
static char *read_built(const char *name, size_t *size)
{
    char path[PATH_BYTES];
    struct ipcl_error error;
    cr_assert_eq(path_format(path, &error, "%s/tests/unit/plugins/.libs/%s.so",
                             installation_build_tree(), name),
                 0);
    char *bytes = path_read_file(path, FILE_BYTES_MAX, size, &error);
    cr_assert(bytes != NULL, "%s", error.text);
    return bytes;
}

/* Writes folder/NAME.so, and its path to `path`. */
static void write_plugin(const char *name, const char *bytes, size_t size, char path[PATH_BYTES])
{
    struct ipcl_error error;
    cr_assert_eq(path_format(path, &error, "%s/%s.so", folder, name), 0);
    unlink(path); /* it may be loaded */
    FILE *file = fopen(path, "w");
    cr_assert(file && fwrite(bytes, 1, size, file) == size);
    cr_assert_eq(fclose(file) | chmod(path, 0644), 0);
}

/* Copies a built plugin into the search path. */
static void install(const char *name, char path[PATH_BYTES])
{
    size_t size;
    char *bytes = read_built(name, &size);
    write_plugin(name, bytes, size, path);
    free(bytes);
}

static struct registry *open_registry(void)
{
    struct ipcl_error error;
    struct registry *registry = registry_create(NULL, &error);
    cr_assert(registry != NULL, "%s", error.text);
    return registry;
}

/* NAME, with a sound plugin beside it, is refused in one line with its path and `reason`; the
 * build's own plugin is still loaded. */
static void expect_refusal(const char *name, const char *reason)
{
    char path[PATH_BYTES], sound[PATH_BYTES];
    struct ipcl_error error = {""};
    install("sound", sound);
    cr_assert_eq(path_format(path, &error, "%s/%s.so", folder, name), 0);
    struct registry *registry = open_registry();
    cr_assert_null(registry_load(registry, "serial", name, &error));
    cr_expect(strstr(error.text, path) != NULL, "the file is not named: %s", error.text);
    cr_expect(strstr(error.text, reason) != NULL, "expected '%s': %s", reason, error.text);
    cr_expect(strchr(error.text, '\n') == NULL, "more than one line: %s", error.text);
    cr_expect(registry_load(registry, "serial", "json", &error) != NULL, "%s", error.text);
    registry_destroy(registry);
}

/* A sound plugin is loaded, whatever was refused before. */
static void expect_sound_to_load(void)
{
    char path[PATH_BYTES];
    struct ipcl_error error;
    install("sound", path);
    struct registry *registry = open_registry();
    const struct ipcl_plugin *plugin = registry_load(registry, "serial", "sound", &error);
    cr_assert(plugin != NULL, "%s", error.text);
    cr_expect_str_eq(plugin->name, "sound");
    registry_destroy(registry);
}

Test(registry, a_sound_plugin_is_loaded)
{
    expect_sound_to_load();
}

static void refuse_built(const char *name, const char *reason)
{
    char path[PATH_BYTES];
    install(name, path);
    expect_refusal(name, reason);
    expect_sound_to_load();
}

Test(registry, another_abi_major_is_refused)
{
    refuse_built("other_major", "plugin ABI 2.4 and this program has 1.4");
}

Test(registry, a_newer_abi_minor_is_refused)
{
    refuse_built("newer_minor", "plugin ABI 1.5 and this program has 1.4");
}

Test(registry, another_kind_is_refused)
{
    refuse_built("other_kind", "kind 'store' in a folder for kind 'serial'");
}

Test(registry, another_name_is_refused)
{
    refuse_built("other_name", "calls itself 'somebody'");
}

Test(registry, no_descriptor_is_refused)
{
    refuse_built("no_descriptor", "no descriptor");
}

Test(registry, a_truncated_descriptor_is_refused)
{
    refuse_built("truncated", "16 bytes");
}

Test(registry, an_incomplete_descriptor_is_refused)
{
    refuse_built("incomplete", "its descriptor lacks summary");
}

/* Libtool would write the path of a library of ours into the plugin. So it is built with a library
 * that exists, whose name is then overwritten with one that does not exist. */
Test(registry, a_missing_library_is_named)
{
    static const char present[] = "libjansson.so", missing[] = "libabsent0.so";
    char path[PATH_BYTES];
    size_t size;
    char *bytes = read_built("needs_library", &size),
         *at = memmem(bytes, size, present, strlen(present));
    cr_assert(at != NULL);
    memcpy(at, missing, strlen(missing));
    write_plugin("needs_library", bytes, size, path);
    free(bytes);
    expect_refusal("needs_library", "libabsent0.so");
    expect_sound_to_load();
}

Test(registry, a_function_that_is_nowhere_is_named_before_it_is_called)
{
    refuse_built("needs_function", "undefined symbol: absent_function");
}

Test(registry, what_is_no_library_is_refused)
{
    char path[PATH_BYTES];
    write_plugin("text", "#!/bin/sh\n", 10, path);
    expect_refusal("text", "not a shared object");
    write_plugin("empty", "", 0, path);
    expect_refusal("empty", "not a shared object");
    expect_sound_to_load();
}

/* No program waits for the other end of a pipe, or reads a device. */
Test(registry, what_is_no_file_is_refused)
{
    char path[PATH_BYTES];
    struct ipcl_error error;
    cr_assert_eq(path_format(path, &error, "%s/pipe.so", folder), 0);
    cr_assert_eq(mkfifo(path, 0644), 0);
    expect_refusal("pipe", "not a regular file");
    cr_assert_eq(path_format(path, &error, "%s/folder.so", folder), 0);
    cr_assert_eq(mkdir(path, 0755), 0);
    expect_refusal("folder", "not a regular file");
    expect_sound_to_load();
}

/* Writes the sound plugin with another value in its header, and expects to be told so. */
static void refuse_header(size_t place, char value, const char *reason)
{
    char path[PATH_BYTES];
    size_t size;
    char *bytes = read_built("sound", &size);
    bytes[place] = value;
    write_plugin("changed", bytes, size, path);
    free(bytes);
    expect_refusal("changed", reason);
}

Test(registry, what_was_built_for_another_machine_is_refused_by_its_name)
{
    size_t machine = offsetof(Elf64_Ehdr, e_machine);
    refuse_header(machine, (char)EM_AARCH64, "built for 64-bit aarch64, but this program for");
    refuse_header(machine, (char)EM_S390, "built for 64-bit s390x, but this program for");
    refuse_header(EI_CLASS, ELFCLASS32, "built for 32-bit ");
    refuse_header(EI_DATA, ELFDATA2MSB, "built for 64-bit machine ");
    expect_sound_to_load();
}

Test(registry, an_object_file_and_a_program_are_refused)
{
    refuse_header(offsetof(Elf64_Ehdr, e_type), ET_REL, "an object file");
    refuse_header(offsetof(Elf64_Ehdr, e_type), ET_EXEC, "a program");
}

/* The dynamic linker would map what is not there, and end the process when it reads it. */
Test(registry, a_library_that_is_cut_off_anywhere_is_refused)
{
    char path[PATH_BYTES];
    size_t size;
    char *bytes = read_built("sound", &size);
    for (size_t length = 4; length < size; length += 200) {
        write_plugin("cut", bytes, length, path);
        expect_refusal("cut", "cut off ");
    }
    write_plugin("cut", bytes, size - 1, path);
    expect_refusal("cut", "cut off ");
    free(bytes);
    expect_sound_to_load();
}

/* A copy that was interrupted leaves such a file, if its room was allocated first. */
Test(registry, a_library_that_ends_in_zeros_is_refused)
{
    char path[PATH_BYTES];
    size_t size;
    char *bytes = read_built("sound", &size), *part = calloc(1, size);
    for (size_t length = 64; length < size - 64; length += 200) {
        memcpy(part, bytes, length);
        write_plugin("zeros", part, size, path);
        expect_refusal("zeros", "cut off ");
    }
    free(bytes);
    free(part);
    expect_sound_to_load();
}

Test(registry, a_file_that_others_can_write_is_refused)
{
    char path[PATH_BYTES];
    install("open", path);
    cr_assert_eq(chmod(path, 0666), 0);
    expect_refusal("open", "writ");
    expect_sound_to_load();
}

Test(registry, a_folder_that_others_can_write_is_refused)
{
    char path[PATH_BYTES];
    install("open", path);
    cr_assert_eq(chmod(folder, 0777), 0);
    expect_refusal("open", folder);
    cr_assert_eq(chmod(folder, 0755), 0);
    expect_sound_to_load();
}

Test(registry, a_search_path_that_others_can_write_is_refused)
{
    char path[PATH_BYTES];
    install("open", path);
    cr_assert_eq(chmod(top, 0777), 0);
    expect_refusal("open", "writ");
}

Test(registry, a_file_of_another_user_is_refused)
{
    char path[PATH_BYTES];
    if (geteuid())
        cr_skip_test("only root can give a file away");
    install("open", path);
    cr_assert_eq(chown(path, NOBODY, NOBODY), 0);
    expect_refusal("open", "own");
    expect_sound_to_load();
}

Test(registry, a_folder_of_another_user_is_refused)
{
    char path[PATH_BYTES];
    if (geteuid())
        cr_skip_test("only root can give a folder away");
    install("open", path);
    cr_assert_eq(chown(folder, NOBODY, NOBODY), 0);
    expect_refusal("open", "own");
}

Test(registry, a_missing_plugin_says_where_it_was_looked_for)
{
    struct ipcl_error error;
    struct registry *registry = open_registry();
    cr_assert_null(registry_load(registry, "serial", "nowhere", &error));
    cr_expect(strstr(error.text, "nowhere.so") && strstr(error.text, folder), "%s", error.text);
    registry_destroy(registry);
}

Test(registry, a_name_never_leaves_the_search_path)
{
    static const char *const names[] = {"", ".", "..", "../serial/sound", "/tmp/sound", ".hidden"};
    struct ipcl_error error;
    struct registry *registry = open_registry();
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        cr_expect(registry_load(registry, "serial", names[i], &error) == NULL, "%s", names[i]);
    cr_expect(registry_load(registry, "nonsense", "json", &error) == NULL);
    registry_destroy(registry);
}

/* A plugin of the user's that is refused does not hide the installed one of its name. */
Test(registry, a_refused_plugin_gives_way_to_the_next_folder)
{
    char path[PATH_BYTES];
    struct ipcl_error error;
    write_plugin("json", "nothing", 7, path);
    struct registry *registry = open_registry();
    const struct ipcl_plugin *plugin = registry_load(registry, "serial", "json", &error);
    cr_assert(plugin != NULL, "%s", error.text);
    registry_destroy(registry);
}

/* What registry_scan() found of the plugins that this test installed. */
struct findings {
    unsigned sound, refused, shadowed, own;
};

static void note(void *context, const struct registry_entry *entry)
{
    struct findings *findings = context;
    bool ours = !strncmp(entry->path, folder, strlen(folder));
    cr_expect_str_eq(entry->kind, "serial");
    findings->sound += ours && entry->plugin;
    findings->refused += ours && !entry->plugin && strstr(entry->refusal.text, entry->path);
    findings->own += !ours && entry->plugin;
    findings->shadowed += entry->shadowed;
}

Test(registry, a_scan_lists_what_is_there_and_what_was_refused)
{
    char path[PATH_BYTES];
    struct ipcl_error error;
    struct findings findings = {0};
    install("sound", path);
    install("other_major", path);
    install("no_descriptor", path);
    size_t size;
    char *bytes = read_built("../../../../plugins/serial/.libs/json", &size);
    write_plugin("json", bytes, size, path);
    free(bytes);
    struct registry *registry = open_registry();
    cr_assert_eq(registry_scan(registry, "serial", note, &findings, &error), 0, "%s", error.text);
    cr_expect_eq(findings.sound, 2);
    cr_expect_eq(findings.refused, 2);
    cr_expect_eq(findings.own, 2, "the build's json and msgpack");
    cr_expect_eq(findings.shadowed, 1, "the build's json behind the test's");
    cr_expect_eq(registry_scan(registry, "nonsense", note, &findings, &error), -1);
    registry_destroy(registry);
}

static void count_folder(void *context, const char *path)
{
    size_t *count = context;
    if (!*count)
        cr_expect_str_eq(path, top);
    ++*count;
}

/* Makes top/again, a link to the search path, and in the search path folder/linked.so, one to its
 * sound plugin. */
static void make_links(char again[PATH_BYTES])
{
    char path[PATH_BYTES], link[PATH_BYTES];
    struct ipcl_error error;
    install("sound", path);
    cr_assert_eq(path_format(again, &error, "%s/again", top), 0);
    cr_assert_eq(path_format(link, &error, "%s/linked.so", folder), 0);
    cr_assert_eq(symlink(top, again), 0);
    cr_assert_eq(symlink(path, link), 0);
}

Test(registry, a_folder_counts_once_however_it_is_reached)
{
    char again[PATH_BYTES], places[4 * PATH_BYTES];
    struct ipcl_error error;
    size_t once = 0, often = 0;
    struct findings findings = {0};
    make_links(again);
    struct registry *registry = registry_create(NULL, &error);
    registry_search_path(registry, count_folder, &once);
    registry_destroy(registry);
    snprintf(places, sizeof(places), "%s:%s:%s/serial/..", top, again, top);
    setenv("IPCLUSTER_PLUGIN_PATH", places, 1);
    registry = registry_create("/nonexistent/profile", &error);
    registry_search_path(registry, count_folder, &often);
    cr_expect_eq(often, once + 1, "the profile's, and no other");
    cr_assert_eq(registry_scan(registry, "serial", note, &findings, &error), 0, "%s", error.text);
    cr_expect_eq(findings.sound, 1);
    cr_expect_eq(findings.refused, 1, "a file under another name is looked at by itself");
    cr_expect_eq(findings.shadowed, 0);
    registry_destroy(registry);
}

Test(registry, a_file_counts_once_however_its_folder_is_reached)
{
    char again[PATH_BYTES], other[PATH_BYTES], kind[PATH_BYTES], places[3 * PATH_BYTES];
    struct ipcl_error error;
    struct findings findings = {0};
    make_links(again);
    cr_assert_eq(path_format(other, &error, "%s/other", top), 0);
    cr_assert_eq(path_format(kind, &error, "%s/serial", other), 0);
    cr_assert_eq(mkdir(other, 0755), 0);
    cr_assert_eq(symlink(folder, kind), 0);
    snprintf(places, sizeof(places), "%s:%s", top, other);
    setenv("IPCLUSTER_PLUGIN_PATH", places, 1);
    struct registry *registry = open_registry();
    cr_assert_eq(registry_scan(registry, "serial", note, &findings, &error), 0, "%s", error.text);
    cr_expect_eq(findings.sound, 1);
    cr_expect_eq(findings.refused, 1);
    cr_expect_eq(findings.shadowed, 0);
    cr_expect_eq(findings.own, 2, "the build's json and msgpack");
    registry_destroy(registry);
}

Test(registry, the_environment_comes_first_on_the_search_path)
{
    struct ipcl_error error;
    size_t count = 0;
    struct registry *registry = registry_create("/nonexistent/profile", &error);
    cr_assert(registry != NULL, "%s", error.text);
    registry_search_path(registry, count_folder, &count);
    cr_expect_geq(count, 3);
    registry_destroy(registry);
}
