/* ipcluster plugins new: a folder in which a plugin is written, tested and packaged, made from the
 * templates that are installed. */
#include "cluster/plugins/plugin_new.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "base/installation.h"
#include "base/path.h"
#include "config/nearest.h"

#define FILE_BYTES_MAX (1 << 20)
#define NAME_MAX_BYTES 32
#define TEXT_BYTES     200

static const struct kind {
    const char *name;
    const char *kind;      /* as a descriptor has it */
    const char *place;     /* the folder of the search path's folders */
    const char *use;       /* how users ask for one, before its name */
    const char *libraries; /* as pkg-config knows them */
} kinds[] = {
    {"batch", "launcher", "launchers", "ipcluster start --elauncher=", ""},
    {"launcher", "launcher", "launchers", "ipcluster start --elauncher=", ""},
    {"mpi", "mpi", "mpi", "ipcluster start --elauncher=mpi --MPILauncher.mpi=", ""},
    {"serial", "serial", "serial", "ipcontroller --Session.packer=", "jansson"},
    {"kernel", "kernel", "kernels", "ipengine --IPEngine.kernel=", "jansson"},
    {"store", "store", "stores", "ipcontroller --IPController.db_class=", "jansson"},
};
#define KIND_COUNT (sizeof(kinds) / sizeof(*kinds))

/* What stands in a template for what: @NAME@. */
struct template_word {
    const char *name;
    char text[TEXT_BYTES];
};

/* What is made. */
struct making {
    struct template_word words[16];
    size_t word_count;
    const char *name;
};

static void add_word(struct making *making, const char *name, const char *text)
{
    struct template_word *word = &making->words[making->word_count++];
    word->name = name;
    snprintf(word->text, sizeof(word->text), "%s", text);
}

/* The day, as each file has it. */
static void add_dates(struct making *making)
{
    char year[TEXT_BYTES], day[TEXT_BYTES], mail[TEXT_BYTES], spec[TEXT_BYTES];
    time_t now = time(NULL);
    struct tm date;
    gmtime_r(&now, &date);
    strftime(year, sizeof(year), "%Y", &date);
    strftime(day, sizeof(day), "%Y-%m-%d", &date);
    strftime(mail, sizeof(mail), "%a, %d %b %Y %H:%M:%S +0000", &date);
    strftime(spec, sizeof(spec), "%a %b %d %Y", &date);
    add_word(making, "YEAR", year);
    add_word(making, "DATE", day);
    add_word(making, "MAILDATE", mail);
    add_word(making, "SPECDATE", spec);
}

/* As Debian's tools know the author. */
static const char *from_environment(const char *name, const char *otherwise)
{
    const char *text = getenv(name);
    return text && *text && !strpbrk(text, "\"\\\n") ? text : otherwise;
}

static void add_words(struct making *making, const struct kind *kind)
{
    char text[TEXT_BYTES];
    add_word(making, "NAME", making->name);
    snprintf(text, sizeof(text), "%s", making->name);
    text[0] = (char)toupper((unsigned char)text[0]);
    add_word(making, "CLASS", text);
    for (char *at = text; *at; at++)
        *at = (char)toupper((unsigned char)*at);
    add_word(making, "UPPER", text);
    add_word(making, "KIND", kind->kind);
    add_word(making, "PLACE", kind->place);
    add_word(making, "LIBRARIES", kind->libraries);
    snprintf(text, sizeof(text), "%s%s", kind->use, making->name);
    add_word(making, "USE", text);
    add_word(making, "AUTHOR", from_environment("DEBFULLNAME", "Your Name"));
    add_word(making, "EMAIL", from_environment("DEBEMAIL", "you@example.org"));
    add_dates(making);
}

/* The word that stands here between two @, or NULL. */
static const struct template_word *find_word(const struct making *making, const char *at)
{
    for (size_t i = 0; i < making->word_count; i++) {
        size_t length = strlen(making->words[i].name);
        if (strncmp(at + 1, making->words[i].name, length) == 0 && at[length + 1] == '@')
            return &making->words[i];
    }
    return NULL;
}

/* A template with its words filled in: malloc'ed; NULL if memory is short. */
static char *fill(const struct making *making, const char *text, size_t *size)
{
    char *filled = NULL;
    FILE *stream = open_memstream(&filled, size);
    if (!stream)
        return NULL;
    for (; *text; text++) {
        const struct template_word *word = *text == '@' ? find_word(making, text) : NULL;
        if (word) {
            fputs(word->text, stream);
            text += strlen(word->name) + 1;
        } else {
            fputc(*text, stream);
        }
    }
    fclose(stream);
    return filled;
}

/* Copies a file. What is run says so in its first line. */
static int copy_file(const struct making *making, const char *from, const char *to,
                     struct ipcl_error *error)
{
    size_t size;
    char *text = path_read_file(from, FILE_BYTES_MAX, &size, error);
    if (!text)
        return -1;
    char *filled = fill(making, text, &size);
    int status = filled ? path_write_file(to, filled, size,
                                          strncmp(filled, "#!", 2) == 0 ? 0755 : 0644, error)
                        : ipcl_error_set(error, "no memory for %s", to);
    free(text);
    free(filled);
    return status;
}

static int copy_folder(const struct making *making, const char *from, const char *to,
                       struct ipcl_error *error);

/* Copies what a folder has of a name, in which NAME stands for the plugin's. */
static int copy_entry(const struct making *making, const char *from_folder, const char *to_folder,
                      const char *name, struct ipcl_error *error)
{
    char from[PATH_BYTES], to[PATH_BYTES];
    struct stat info;
    const char *mark = strstr(name, "NAME");
    size_t before = mark ? (size_t)(mark - name) : strlen(name);
    if (path_format(from, error, "%s/%s", from_folder, name) < 0 ||
        path_format(to, error, "%s/%.*s%s%s", to_folder, (int)before, name,
                    mark ? making->name : "", mark ? mark + strlen("NAME") : "") < 0)
        return -1;
    if (stat(from, &info) < 0)
        return ipcl_error_set(error, "%s cannot be read: %s", from, strerror(errno));
    return S_ISDIR(info.st_mode) ? copy_folder(making, from, to, error)
                                 : copy_file(making, from, to, error);
}

static int copy_folder(const struct making *making, const char *from, const char *to,
                       struct ipcl_error *error)
{
    struct dirent **entries;
    int status = 0, count = scandir(from, &entries, NULL, alphasort);
    if (count < 0)
        return ipcl_error_set(error, "the templates in %s cannot be read: %s", from,
                              strerror(errno));
    if (mkdir(to, 0755) < 0 && errno != EEXIST)
        status = ipcl_error_set(error, "%s cannot be made: %s", to, strerror(errno));
    for (int i = 0; i < count; i++) {
        if (status == 0 && *entries[i]->d_name != '.')
            status = copy_entry(making, from, to, entries[i]->d_name, error);
        free(entries[i]);
    }
    free(entries);
    return status;
}

static int remove_one(const char *path, const struct stat *info, int kind, struct FTW *place)
{
    (void)info, (void)kind, (void)place;
    return remove(path);
}

void plugin_remove_folder(const char *path)
{
    nftw(path, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static const struct kind *find_kind(const char *name, struct ipcl_error *error)
{
    struct nearest nearest;
    nearest_begin(&nearest, name);
    for (size_t i = 0; i < KIND_COUNT; i++) {
        if (strcmp(kinds[i].name, name) == 0)
            return &kinds[i];
        nearest_offer(&nearest, kinds[i].name);
    }
    ipcl_error_set(error,
                   "'%s' is not a kind of plugin; the nearest is %s (the kinds are batch, "
                   "launcher, mpi, serial, kernel, store)",
                   name, nearest.best);
    return NULL;
}

/* It is part of names of files, packages and, with a capital, classes. */
static int check_name(const char *name, struct ipcl_error *error)
{
    size_t length = strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789");
    if (length == 0 || name[length] || isdigit((unsigned char)*name) || length > NAME_MAX_BYTES)
        return ipcl_error_set(error,
                              "'%s' cannot be a plugin's name: use up to %d small letters and "
                              "digits, and begin with a letter",
                              name, NAME_MAX_BYTES);
    return 0;
}

int plugin_new(const char *kind_name, const char *name, const char *folder,
               struct ipcl_error *error)
{
    char common[PATH_BYTES], own[PATH_BYTES];
    char installed[PATH_BYTES];
    const char *tree = installation_build_tree(), *top = tree ? tree : installed;
    struct making making = {.name = name};
    const struct kind *kind = find_kind(kind_name, error);
    if (!kind || check_name(name, error) < 0 ||
        installation_place(TEMPLATE_DIR, installed, error) < 0 ||
        path_format(common, error, "%s/plugins/templates/common", top) < 0 ||
        path_format(own, error, "%s/plugins/templates/%s", top, kind->name) < 0)
        return -1;
    if (mkdir(folder, 0755) < 0)
        return errno == EEXIST
                   ? ipcl_error_set(error, "%s exists already: name another folder with --folder",
                                    folder)
                   : ipcl_error_set(error, "%s cannot be made: %s", folder, strerror(errno));
    add_words(&making, kind);
    if (copy_folder(&making, common, folder, error) == 0 &&
        copy_folder(&making, own, folder, error) == 0)
        return 0;
    plugin_remove_folder(folder);
    return -1;
}
