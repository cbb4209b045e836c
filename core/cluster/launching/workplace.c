/* The environment and the folder of a program that asked the supervisor for something. */
#include "cluster/launching/workplace.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/path.h"
#include "cluster/state/json_text.h"

json_t *workplace_write_list(char **list)
{
    json_t *texts = json_array();
    for (char **text = list; texts && *text; text++)
        if (json_array_append_new(texts, json_bytes(*text)) < 0) {
            json_decref(texts);
            texts = NULL;
        }
    return texts;
}

int workplace_write(json_t *object, struct ipcl_error *error)
{
    char folder[PATH_BYTES];
    if (!getcwd(folder, sizeof(folder)))
        return ipcl_error_set(error, "the folder in which ipcluster was started does not exist "
                                     "any more");
    if (json_object_set_new(object, "environment", workplace_write_list(environ)) < 0 ||
        json_object_set_new(object, "work_dir", json_bytes(folder)) < 0)
        return ipcl_error_set(error, "no memory for the environment");
    return 0;
}

char **workplace_read_list(const json_t *list, struct ipcl_error *error)
{
    char **texts = calloc(json_array_size(list) + 1, sizeof(*texts));
    size_t i;
    json_t *text;
    bool whole = texts && json_is_array(list);
    json_array_foreach (list, i, text)
        whole = whole && (texts[i] = json_bytes_value(text));
    if (whole)
        return texts;
    workplace_free_list(texts);
    ipcl_error_set(error, "the request lacks a list of strings");
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
    place->environment = workplace_read_list(json_object_get(object, "environment"), error);
    if (!place->environment)
        return -1;
    place->folder = json_bytes_value(json_object_get(object, "work_dir"));
    return place->folder && *place->folder == '/'
               ? 0
               : ipcl_error_set(error, "the request has no absolute work_dir");
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
    if (back->folder < 0 || chdir(place->folder) < 0)
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
