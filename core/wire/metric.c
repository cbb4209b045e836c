/* Reading the metrics of a table. */
#include "wire/metric.h"

#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"

double metric_process_seconds(void)
{
    struct timespec used;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
    return (double)used.tv_sec + (double)used.tv_nsec / 1e9;
}

double metric_resident_bytes(void)
{
    unsigned long pages = 0;
    FILE *file = fopen("/proc/self/statm", "re");
    if (file && fscanf(file, "%*u %lu", &pages) != 1)
        pages = 0;
    if (file)
        fclose(file);
    return (double)pages * (double)sysconf(_SC_PAGESIZE);
}

void metric_label(struct metric_labels *labels, const char *name, const char *value)
{
    size_t length = strlen(labels->text);
    snprintf(labels->text + length, sizeof(labels->text) - length, "%s%s=\"%s\"", length ? "," : "",
             name, value);
}

static void tell(const struct metric_visitor *visitor, const struct metric_row *row,
                 const char *suffix, const struct metric_labels *labels, double value)
{
    char series[2 * METRIC_LABELS_BYTES];
    const char *open = *labels->text ? "{" : "", *close = *labels->text ? "}" : "";
    snprintf(series, sizeof(series), "%s%s%s%s%s", row->metric.name, suffix, open, labels->text,
             close);
    visitor->value(visitor->self, series, value);
}

static void visit_histogram(const struct metric_visitor *visitor, const struct metric_row *row,
                            const struct histogram *histogram, const struct metric_labels *labels)
{
    unsigned long long count = 0;
    for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
        unsigned long long bound = histogram_bound_us(i);
        struct metric_labels with = *labels;
        char text[32] = "+Inf";
        if (bound)
            snprintf(text, sizeof(text), "%.6f", (double)bound / 1e6);
        metric_label(&with, "le", text);
        count += counter_get(&histogram->buckets[i]);
        tell(visitor, row, "_bucket", &with, (double)count);
    }
    tell(visitor, row, "_count", labels, (double)count);
    tell(visitor, row, "_sum", labels, (double)counter_get(&histogram->sum_us) / 1e6);
}

/* The values of a row that one thing of its group has. */
static void visit_values(const struct metric_visitor *visitor, const struct metric_row *row,
                         const char *thing, const struct metric_labels *labels)
{
    const char *suffix = row->metric.kind == METRIC_COUNTER ? "_total" : "";
    const struct counter *counters = (const struct counter *)(const void *)(thing + row->at);
    if (row->metric.kind == METRIC_HISTOGRAM) {
        visit_histogram(visitor, row, (const struct histogram *)(const void *)counters, labels);
        return;
    }
    for (size_t i = 0; i < row->count; i++) {
        struct metric_labels with = *labels;
        double value = row->read ? row->read() : (double)counter_get(&counters[i]) * row->scale;
        if (row->own && (!row->names[i] || (row->group->sparse && value == 0)))
            continue;
        if (row->own)
            metric_label(&with, row->own, row->names[i]);
        tell(visitor, row, suffix, &with, value);
    }
}

static void visit_row(const struct metric_visitor *visitor, const struct metric_row *row)
{
    const struct metric_group *group = row->group;
    for (size_t i = 0; i < group->count; i++) {
        struct metric_labels labels = {""};
        if (!group->label || group->label(i, &labels))
            visit_values(visitor, row, (const char *)group->first + i * group->size, &labels);
    }
}

static void tell_metric(const struct metric_visitor *visitor, const struct metric_row *row)
{
    struct metric metric = row->metric;
    char labels[64];
    snprintf(labels, sizeof(labels), "%s%s%s", row->group->labels,
             row->own && *row->group->labels ? ", " : "", row->own ? row->own : "");
    metric.labels = labels;
    visitor->metric(visitor->self, &metric);
}

void metric_visit(const struct metric_table *table, const struct metric_visitor *visitor)
{
    for (size_t i = 0; i < table->count; i++) {
        if (visitor->metric)
            tell_metric(visitor, &table->rows[i]);
        if (visitor->value)
            visit_row(visitor, &table->rows[i]);
    }
}

const char *metric_unit(const struct metric *metric)
{
    const char *last = strrchr(metric->name, '_') + 1;
    return !strcmp(last, "seconds") || !strcmp(last, "bytes") ? last : "";
}

const char *metric_kind_name(enum metric_kind kind)
{
    static const char *const names[] = {
        [METRIC_COUNTER] = "counter", [METRIC_GAUGE] = "gauge", [METRIC_HISTOGRAM] = "histogram"};
    return names[kind];
}

/* The items of a manual page. */
struct page {
    void (*item)(FILE *stream, const char *name, const char *text);
    FILE *stream;
};

static void write_item(void *self, const struct metric *metric)
{
    const struct page *page = self;
    char text[512];
    snprintf(text, sizeof(text), "A %s%s%s. %s", metric_kind_name(metric->kind),
             *metric->labels ? ", by " : "", metric->labels, metric->help);
    page->item(page->stream, metric->name, text);
}

void metric_list(const struct metric_table *table,
                 void (*item)(FILE *stream, const char *name, const char *text), FILE *stream)
{
    struct page page = {item, stream};
    const struct metric_visitor visitor = {write_item, NULL, &page};
    metric_visit(table, &visitor);
}

static void add_metric(void *self, const struct metric *metric)
{
    json_object_set_new(json_object_get(self, "metrics"), metric->name,
                        json_pack("{s:s s:s s:s}", "kind", metric_kind_name(metric->kind), "unit",
                                  metric_unit(metric), "help", metric->help));
}

static void add_value(void *self, const char *series, double value)
{
    bool whole = value < 1e15 && value == (double)(json_int_t)value;
    json_t *number = whole ? json_integer((json_int_t)value) : json_real(value);
    json_object_set_new(json_object_get(self, "values"), series, number);
}

void metric_answer(const struct metric_table *table, json_t *answer)
{
    const struct metric_visitor visitor = {add_metric, add_value, answer};
    json_object_set_new(answer, "time", json_real(clock_wall()));
    json_object_set_new(answer, "metrics", json_object());
    json_object_set_new(answer, "values", json_object());
    metric_visit(table, &visitor);
}
