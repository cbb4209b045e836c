/* A profile's settings and the command line, for the controller's options. The first frame is the
 * profile's file, which settings_carry() reads as well; the others are words. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/profile.h"
#include "config/settings.h"
#include "controller/options.h"
#include "fuzz.h"

#define WORDS_MAX 18

static FILE *nowhere(void)
{
    static FILE *file;
    if (!file)
        file = fopen("/dev/null", "w");
    return file;
}

static void use(struct settings *settings, struct fuzz_bytes file)
{
    static const char *const none[] = {NULL};
    struct ipcl_error error;
    struct profile profile;
    settings_answer(settings, nowhere());
    if (settings_load_file(settings, fuzz_file(file), NULL, &error))
        return;
    profile_find("/nonexistent", settings_string(settings, "BaseParallelApplication", "profile"),
                 settings_string(settings, "BaseParallelApplication", "profile_dir"), &profile,
                 &error);
    if (settings_finish(settings, &error))
        return;
    free(settings_passed(settings));
    free(settings_to_json(settings, none, &error));
    settings_int(settings, "IPController", "regport");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ipcl_error error;
    char *argv[WORDS_MAX + 2] = {strdup("ipcontroller")}, *words[WORDS_MAX + 2];
    int argc = 1;
    struct fuzz_bytes input = {data, data + size}, file = {0};
    fuzz_cut(&input, FUZZ_FRAME, &file);
    struct settings *settings = settings_create(&options_program, &error);
    FUZZ_ASSERT(settings && !options_add(settings, &error) &&
                !profile_add_options(settings, &error) &&
                !profile_add_process_options(settings, &error));
    while (argc <= WORDS_MAX && (argv[argc] = fuzz_cut_text(&input, FUZZ_FRAME)))
        argc++;
    argv[argc] = NULL;
    int count = settings_parse(settings, argc, argv, words, &error);
    FUZZ_ASSERT(count <= argc);
    if (count >= 0)
        use(settings, file);
    if (fuzz_size(file)) {
        FILE *stream = fmemopen((void *)(uintptr_t)file.at, fuzz_size(file), "r");
        settings_carry(settings, stream, nowhere(), &error);
        fclose(stream);
    }
    settings_destroy(settings);
    while (argc)
        free(argv[--argc]);
    return 0;
}
