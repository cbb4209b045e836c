/* The task scheduler's metadata: targets, retries, timeout, after, follow; dependencies_met, status
 * (ipyparallel's task scheduler and load-balanced view); and of ours keep, again, begun
 * and cut. */
#include "controller/schedulers/task_metadata.h"

#include <stdlib.h>
#include <string.h>

#include "plugin/services.h"
#include "wire/message.h"

#define RETRIES_MAX 1000000
#define TIMEOUT_MAX 1e9 /* seconds: some thirty years, and milliseconds stay far from overflow */

enum { TARGETS, RETRIES, AGAIN, TIMEOUT, AFTER, FOLLOW, KEEP, MEMBERS };

static int pack(struct packed_value *packed, const struct ipcl_serial_operations *serial,
                json_t *value, struct ipcl_error *error)
{
    services_expect(error, "the serializer could not pack a value of a task's metadata");
    packed->bytes = value ? serial->pack(value, &packed->size, error) : NULL;
    json_decref(value);
    return packed->bytes ? 0 : -1;
}

int task_metadata_prepare(struct task_metadata_reader *reader,
                          const struct ipcl_serial_operations *serial, struct ipcl_error *error)
{
    reader->serial = serial;
    return pack(&reader->empty_list, serial, json_array(), error) ||
                   pack(&reader->empty_mapping, serial, json_object(), error) ||
                   pack(&reader->null, serial, json_null(), error) ||
                   pack(&reader->zero, serial, json_integer(0), error) ||
                   pack(&reader->real_zero, serial, json_real(0), error) ||
                   pack(&reader->no, serial, json_false(), error) ||
                   pack(&reader->yes, serial, json_true(), error)
               ? -1
               : 0;
}

void task_metadata_release(struct task_metadata_reader *reader)
{
    free(reader->empty_list.bytes);
    free(reader->empty_mapping.bytes);
    free(reader->null.bytes);
    free(reader->zero.bytes);
    free(reader->real_zero.bytes);
    free(reader->no.bytes);
    free(reader->yes.bytes);
}

static bool equals(const struct ipcl_member *member, const struct packed_value *value)
{
    return member->state == IPCL_MEMBER_OTHER && member->size == value->size &&
           !memcmp(member->data, value->bytes, value->size);
}

/* Nothing, or one of the values that mean the same. */
static bool is_empty(const struct task_metadata_reader *reader, const struct ipcl_member *member)
{
    return member->state == IPCL_MEMBER_ABSENT || equals(member, &reader->empty_list) ||
           equals(member, &reader->zero) || equals(member, &reader->real_zero) ||
           equals(member, &reader->null) || equals(member, &reader->empty_mapping);
}

static json_t *unpack(const struct task_metadata_reader *reader, const struct ipcl_member *member)
{
    if (member->state == IPCL_MEMBER_TEXT)
        return json_stringn(member->data, member->size);
    return reader->serial->unpack(member->data, member->size, NULL);
}

static int metadata_read_targets(const struct task_metadata_reader *reader,
                                 const struct ipcl_member *member, struct task_metadata *metadata)
{
    json_t *targets = unpack(reader, member);
    size_t index;
    json_t *target;
    bool valid = json_is_array(targets);
    json_array_foreach (targets, index, target)
        valid = valid && json_is_string(target);
    if (valid && json_array_size(targets))
        metadata->targets = json_incref(targets);
    json_decref(targets);
    return valid ? 0 : -1;
}

static int read_times(const struct task_metadata_reader *reader, const struct ipcl_member *member,
                      int *times)
{
    json_t *value = unpack(reader, member);
    json_int_t number = json_is_integer(value) ? json_integer_value(value) : -1;
    json_decref(value);
    if (number < 0)
        return -1;
    *times = number > RETRIES_MAX ? RETRIES_MAX : (int)number;
    return 0;
}

static int read_timeout(const struct task_metadata_reader *reader, const struct ipcl_member *member,
                        struct task_metadata *metadata)
{
    json_t *value = unpack(reader, member);
    double timeout = json_is_number(value) ? json_number_value(value) : -1;
    json_decref(value);
    if (!(timeout >= 0))
        return -1;
    metadata->timeout = timeout > TIMEOUT_MAX ? TIMEOUT_MAX : timeout;
    return 0;
}

/* Reads a truth value of a mapping, as Python takes it. Returns 0, or -1 if it is none. */
static int read_truth(const json_t *mapping, const char *name, bool *truth)
{
    const json_t *value = json_object_get(mapping, name);
    if (json_is_boolean(value))
        *truth = json_is_true(value);
    else if (json_is_integer(value))
        *truth = json_integer_value(value) != 0;
    else
        return value ? -1 : 0;
    return 0;
}

/* The msg_ids of a list, or one msg_id. Returns 0 or -1. */
static int read_ids(json_t *value, struct dependency *dependency)
{
    size_t count = json_is_string(value) ? 1 : json_array_size(value);
    const char **ids = malloc((count + 1) * sizeof(*ids));
    dependency->ids = ids;
    if (!ids || !(json_is_string(value) || json_is_array(value)))
        return -1;
    for (size_t i = 0; i < count; i++) {
        const json_t *id = json_is_string(value) ? value : json_array_get(value, i);
        ids[i] = json_string_value(id);
        if (!ids[i] || strlen(ids[i]) != json_string_length(id))
            return -1;
    }
    dependency->count = count;
    return 0;
}

/* Reads a dependency: a list of msg_ids, or a mapping with such a list as "dependencies", and with
 * truth values (ipyparallel's Dependency). Returns NULL or what is wrong. */
static const char *read_dependency(const struct task_metadata_reader *reader,
                                   const struct ipcl_member *member, struct dependency *dependency,
                                   json_t **kept)
{
    json_t *value = *kept = unpack(reader, member);
    *dependency = (struct dependency){.all = true, .success = true};
    if (json_is_object(value)) {
        if (read_truth(value, "all", &dependency->all) ||
            read_truth(value, "success", &dependency->success) ||
            read_truth(value, "failure", &dependency->failure))
            return "a dependency is malformed: all, success and failure are true or false";
        if (!dependency->success && !dependency->failure)
            return "a dependency is malformed: it is met by success, failure or both";
        value = json_object_get(value, "dependencies");
        if (!value)
            return NULL;
    }
    return read_ids(value, dependency)
               ? "a dependency is malformed: it has a list of at most a million msg_ids"
               : NULL;
}

int task_metadata_read(const struct task_metadata_reader *reader, zmq_msg_t *part,
                       struct task_metadata *metadata, const char **ename, const char **evalue)
{
    struct ipcl_member members[MEMBERS] = {
        [TARGETS] = {.name = "targets"}, [RETRIES] = {.name = "retries"},
        [AGAIN] = {.name = "again"},     [TIMEOUT] = {.name = "timeout"},
        [AFTER] = {.name = "after"},     [FOLLOW] = {.name = "follow"},
        [KEEP] = {.name = "keep"},
    };
    *metadata = (struct task_metadata){0};
    *ename = "ValueError";
    *evalue = NULL;
    if (reader->serial->find(zmq_msg_data(part), zmq_msg_size(part), members, MEMBERS))
        *evalue = "the task's metadata is not a mapping";
    else if (!is_empty(reader, &members[RETRIES]) &&
             read_times(reader, &members[RETRIES], &metadata->retries))
        *evalue = "the task's metadata is wrong: retries is a number of times, 0 or more";
    else if (!is_empty(reader, &members[AGAIN]) &&
             read_times(reader, &members[AGAIN], &metadata->again))
        *evalue = "the task's metadata is wrong: again is a number of times, 0 or more";
    else if (!is_empty(reader, &members[TIMEOUT]) &&
             read_timeout(reader, &members[TIMEOUT], metadata))
        *evalue = "the task's metadata is wrong: timeout is a number of seconds, 0 or more";
    else if (!is_empty(reader, &members[TARGETS]) &&
             metadata_read_targets(reader, &members[TARGETS], metadata))
        *evalue = "the task's metadata is wrong: targets is a list of engine uuids";
    if (*evalue)
        return -1;
    metadata->dropped = equals(&members[KEEP], &reader->no);
    *ename = "InvalidDependency";
    if (!is_empty(reader, &members[AFTER]))
        *evalue = read_dependency(reader, &members[AFTER], &metadata->after, &metadata->kept[0]);
    if (!*evalue && !is_empty(reader, &members[FOLLOW]))
        *evalue = read_dependency(reader, &members[FOLLOW], &metadata->follow, &metadata->kept[1]);
    return *evalue ? -1 : 0;
}

void task_metadata_clear(struct task_metadata *metadata)
{
    json_decref(metadata->targets);
    free((void *)metadata->after.ids);
    free((void *)metadata->follow.ids);
    json_decref(metadata->kept[0]);
    json_decref(metadata->kept[1]);
    *metadata = (struct task_metadata){0};
}

bool task_metadata_is_plain(const struct task_metadata *metadata)
{
    return !metadata->targets && !metadata->after.count && !metadata->follow.count &&
           !metadata->retries && !(metadata->timeout > 0);
}

enum task_end task_metadata_of_reply(const struct task_metadata_reader *reader, zmq_msg_t *part,
                                     struct task_reply *reply)
{
    struct ipcl_member members[] = {
        {.name = "dependencies_met"}, {.name = "status"},     {.name = "begun"},
        {.name = "repeats"},          {.name = "takes_more"}, {.name = "cut"}};
    *reply = (struct task_reply){.repeats = 0};
    if (reader->serial->find(zmq_msg_data(part), zmq_msg_size(part), members,
                             sizeof(members) / sizeof(*members)))
        return END_SUCCESS;
    reply->last = equals(&members[4], &reader->no);
    if (members[3].state == IPCL_MEMBER_OTHER) {
        json_t *counter = reader->serial->unpack(members[3].data, members[3].size, NULL);
        reply->repeats = (uint64_t)json_integer_value(counter);
        json_decref(counter);
    }
    if (equals(&members[2], &reader->no))
        return equals(&members[4], &reader->yes) ? END_RETURNED : END_UNBEGUN;
    if (equals(&members[5], &reader->yes))
        return END_CUT;
    if (equals(&members[0], &reader->no))
        return END_UNMET;
    if (members[1].state != IPCL_MEMBER_TEXT || member_is(&members[1], "ok"))
        return END_SUCCESS;
    return member_is(&members[1], "aborted") ? END_ABORTED : END_FAILURE;
}
