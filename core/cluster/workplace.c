/* The environment and the folder of whoever asked the supervisor for something. */
#include "cluster/workplace.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/path.h"

int workplace_write(json_t *object, struct ipcl_error *error)
{
    char folder[PATH_BYTES];
    json_t *environment = json_array();
    if (!getcwd(folder, sizeof(folder))) {
        json_decref(environment);
        return ipcl_error_set(error, "the folder that ipcluster was started in has gone");
    }
    for (char **variable = environ; *variable; variable++)
        json_array_append_new(environment, json_string(*variable));
    json_object_set_new(object, "environment", environment);
    json_object_set_new(object, "work_dir", json_string(folder));
    return 0;
}

char **workplace_list(const json_t *list, struct ipcl_error *error)
{
    char **texts = calloc(json_array_size(list) + 1, sizeof(*texts));
    size_t i;
    json_t *text;
    bool whole = texts && json_is_array(list);
    json_array_foreach (list, i, text)
        whole = whole && json_is_string(text) && (texts[i] = strdup(json_string_value(text)));
    if (whole)
        return texts;
    workplace_free_list(texts);
    ipcl_error_set(error, "the request has no list of texts where there has to be one");
    return NULL;
}

void workplace_free_list(char **list)
{
    for (char **text = list; text && *text; text++)
        free(*text);
    free(list);
}

int workplace_read(struct workplace *place, const json_t *object, struct ipcl_error *error)
{
    const char *folder = json_string_value(json_object_get(object, "work_dir"));
    place->environment = workplace_list(json_object_get(object, "environment"), error);
    if (!place->environment)
        return -1;
    place->folder = folder && *folder == '/' ? strdup(folder) : NULL;
    return place->folder ? 0 : ipcl_error_set(error, "the request has no absolute work_dir");
}

void workplace_release(struct workplace *place)
{
    workplace_free_list(place->environment);
    free(place->folder);
    *place = (struct workplace){NULL};
}

void workplace_enter(const struct workplace *place, struct workplace_back *back)
{
    if (!place || !place->environment)
        return;
    back->environment = environ;
    back->folder = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
    environ = place->environment;
    if (chdir(place->folder) < 0)
        log_warn("the work folder %s cannot be entered: %s", place->folder, strerror(errno));
}

void workplace_leave(const struct workplace *place, const struct workplace_back *back)
{
    if (!place || !place->environment)
        return;
    environ = back->environment;
    if (back->folder < 0)
        return;
    if (fchdir(back->folder) < 0)
        log_warn("ipcluster cannot go back to its folder: %s", strerror(errno));
    close(back->folder);
}
