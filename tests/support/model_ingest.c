/* model_ingest.c - the model cluster's pipelines: set, remove, drop, fail.
 *
 * A processor may say `if`: "ctx.FIELD == LITERAL", "ctx.FIELD != null" or "ctx.FIELD == null";
 * nothing else.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdlib.h>

#include "base/json.h"
#include "model_impl.h"

/* The value at a dotted PATH; NULL when there is none. */
static json_t *at_path(json_t *document, const char *path)
{
    json_t *at = document;
    while (at != NULL) {
        const char *dot = strchr(path, '.');
        if (dot == NULL)
            return json_object_get(at, path);
        at = json_object_getn(at, path, (size_t)(dot - path));
        path = dot + 1;
    }
    return NULL;
}

/* VALUE is taken over. */
static void set_path(json_t *document, const char *path, json_t *value)
{
    json_t *at = document;
    const char *dot;
    while ((dot = strchr(path, '.')) != NULL) {
        json_t *next = json_object_getn(at, path, (size_t)(dot - path));
        if (!json_is_object(next)) {
            next = json_object();
            json_object_setn_new(at, path, (size_t)(dot - path), next);
        }
        at = next;
        path = dot + 1;
    }
    json_object_set_new(at, path, value);
}

static bool remove_path(json_t *document, const char *path)
{
    const char *last = strrchr(path, '.');
    if (last == NULL)
        return json_object_del(document, path) == 0;
    char *parent = span_dup(span_of(path, (size_t)(last - path)));
    bool done = json_object_del(at_path(document, parent), last + 1) == 0;
    free(parent);
    return done;
}

static bool condition_holds(json_t *document, const char *text)
{
    char field[128], operator[3], literal[256];
    if (text == NULL)
        return true;
    if (sscanf(text, "ctx.%127[A-Za-z0-9_.] %2[=!] %255[^\n]", field, operator, literal) != 3)
        return false;
    const json_t *value = at_path(document, field);
    bool equal;
    if (strcmp(literal, "null") == 0) {
        equal = value == NULL || json_is_null(value);
    } else {
        for (char *c = literal; *c != '\0'; c++)
            if (*c == '\'')
                *c = '"';
        json_t *wanted = json_loads(literal, JSON_DECODE_ANY, NULL);
        equal = wanted != NULL && value != NULL && json_equal(wanted, value) == 1;
        json_decref(wanted);
    }
    return operator[0] == '!' ? !equal : equal;
}

static void set_metadata(struct write *write, const char *field, const char *value)
{
    struct buffer *into = strcmp(field, "_index") == 0     ? &write->made_index
                          : strcmp(field, "_routing") == 0 ? &write->made_routing
                                                           : &write->made_id;
    buffer_clear(into);
    buffer_append_cstr(into, value);
    if (into == &write->made_id)
        write->id = buffer_span(into);
    else if (into == &write->made_routing)
        write->routing = buffer_span(into);
}

static void run_set(struct write *write, json_t *document, json_t *options)
{
    const char *field = json_text(options, "field");
    json_t *value = json_object_get(options, "value");
    if (json_is_false(json_object_get(options, "override")) && at_path(document, field) != NULL)
        return;
    bool metadata =
        strcmp(field, "_index") == 0 || strcmp(field, "_id") == 0 || strcmp(field, "_routing") == 0;
    if (metadata && json_is_string(value))
        set_metadata(write, field, json_string_value(value));
    else
        set_path(document, field, json_deep_copy(value));
}

/* False: the write ended here. */
static bool run_processor(struct write *write, json_t *document, const char *kind, json_t *options)
{
    const char *field = json_text(options, "field");
    if (!condition_holds(document, json_text(options, "if")))
        return true;
    if (strcmp(kind, "drop") == 0) {
        write->dropped = true;
        return false;
    }
    if (strcmp(kind, "fail") == 0) {
        const char *message = json_text(options, "message");
        fail(&write->failure, 500, "fail_processor_exception", "%s",
             message == NULL ? "" : message);
        return false;
    }
    if (strcmp(kind, "set") == 0)
        run_set(write, document, options);
    else if (!remove_path(document, field) &&
             !json_is_true(json_object_get(options, "ignore_missing"))) {
        fail(&write->failure, 400, "illegal_argument_exception", "field [%s] doesn't exist", field);
        return false;
    }
    return true;
}

static bool run_processors(struct write *write, json_t *document, const json_t *pipeline)
{
    json_t *processor, *options;
    const char *kind;
    size_t i;
    json_array_foreach(json_object_get(pipeline, "processors"), i, processor)
    {
        json_object_foreach(processor, kind, options)
        {
            if (!run_processor(write, document, kind, options))
                return false;
        }
    }
    return true;
}

static void set_dropped(struct write *write)
{
    write->result = "noop";
    write->status = 200;
    write->new_version = -3;
    write->no_numbers = true;
    if (write->no_id)
        write->id = SPAN("auto-generated");
}

bool ingest_run(struct model_cluster *cluster, struct write *write, struct span name,
                struct span *source)
{
    if (name.size == 0 || span_equal(name, SPAN("_none")))
        return true;
    const json_t *pipeline = json_object_getn(cluster->pipelines, name.data, name.size);
    if (pipeline == NULL) {
        fail(&write->failure, 400, "illegal_argument_exception",
             "pipeline with id [%.*s] does not exist", (int)name.size, name.data);
        return false;
    }
    json_t *document = json_loadb(source->data, source->size, 0, NULL);
    if (!json_is_object(document)) {
        json_decref(document);
        fail(&write->failure, 400, "parse_exception", "Failed to parse content to map");
        return false;
    }
    bool ok = run_processors(write, document, pipeline);
    if (write->dropped)
        set_dropped(write);
    char *text = json_dumps(document, JSON_COMPACT | JSON_REAL_PRECISION(15));
    buffer_clear(&write->made_source);
    buffer_append_cstr(&write->made_source, text);
    *source = buffer_span(&write->made_source);
    free(text);
    json_decref(document);
    return ok;
}

bool ingest_check(const json_t *pipeline, struct failure *failure)
{
    static const char *const kinds[] = {"set", "remove", "drop", "fail"};
    json_t *processor, *options;
    const char *kind;
    size_t i;
    if (!json_is_array(json_object_get(pipeline, "processors"))) {
        fail(failure, 400, "parse_exception", "[processors] required property is missing");
        return false;
    }
    json_array_foreach(json_object_get(pipeline, "processors"), i, processor)
    {
        json_object_foreach(processor, kind, options)
        {
            bool known = false, field = json_text(options, "field") != NULL;
            for (size_t k = 0; k < COUNT_OF(kinds); k++)
                known = known || strcmp(kind, kinds[k]) == 0;
            if (!known)
                fail(failure, 400, "parse_exception", "No processor type exists with name [%s]",
                     kind);
            else if (!field && (kind[0] == 's' || kind[0] == 'r'))
                fail(failure, 400, "parse_exception", "[field] required property is missing");
            if (failure->status != 0)
                return false;
        }
    }
    return true;
}
