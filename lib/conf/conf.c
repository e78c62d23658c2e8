/* conf.c - reads a table of settings from a YAML file.
 *
 * A file is a mapping of sections; a section is a mapping of settings, or, for the table's repeated
 * section, a list of such mappings. A setting's value is a scalar, or a list of scalars for LIST
 * and URLS. Nothing else of YAML is accepted: no anchors, aliases, tags, second documents or deeper
 * nesting, since each of them is far more often a slip (a pattern that begins with `*` and is not
 * quoted) than meant.
 *
 * The first mistake ends the reading: "file:line: what is wrong; what would be right". Values are
 * never quoted in a message where they may be secrets (value.c).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "conf/conf.h"

#include <errno.h>
#include <stdarg.h>
#include <yaml.h>

#include "conf/value.h"

#define FILE_SIZE_MAX (1024 * 1024) /* the shipped file has 20 KB */
#define WORDS_MAX 1000              /* in one list */
#define SECTIONS_MAX 64

struct parse {
    const struct conf_table *table;
    const char *file; /* its name, for messages */
    char *why;
    size_t why_size;
    yaml_parser_t yaml;
    yaml_event_t event; /* the one at hand */
    bool has_event;
    struct {
        char *name; /* owned */
        size_t line;
    } sections[SECTIONS_MAX]; /* seen so far */
    size_t sections_count;
};

/* Where each row of one struct was set. */
struct seen {
    const struct conf_table *table;
    size_t *lines;      /* owned, per row: 0 when it was not set */
    size_t line;        /* where the struct begins */
    const char *prefix; /* "standbys." in messages, or "" */
};

/* ------------------------------------------------------------------------------------------------------
 * Messages. */

static bool fail(struct parse *parse, size_t line, const char *format, ...) PRINTF_LIKE(3, 4);
static bool fail(struct parse *parse, size_t line, const char *format, ...)
{
    va_list args;
    int used = line == 0 ? snprintf(parse->why, parse->why_size, "%s: ", parse->file)
                         : snprintf(parse->why, parse->why_size, "%s:%zu: ", parse->file, line);

    if (used < 0 || (size_t)used >= parse->why_size)
        return false;
    va_start(args, format);
    vsnprintf(parse->why + used, parse->why_size - (size_t)used, format, args);
    va_end(args);
    return false;
}

/* How many single-letter changes lead from A to B; both are short. */
static size_t distance(const char *a, const char *b)
{
    size_t row[65], size_b = strlen(b);

    if (strlen(a) > 64 || size_b > 64)
        return 65;
    for (size_t j = 0; j <= size_b; j++)
        row[j] = j;
    for (size_t i = 1; a[i - 1] != '\0'; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= size_b; j++) {
            size_t best = diagonal + (a[i - 1] != b[j - 1]);
            diagonal = row[j];
            if (row[j] + 1 < best)
                best = row[j] + 1;
            if (row[j - 1] + 1 < best)
                best = row[j - 1] + 1;
            row[j] = best;
        }
    }
    return row[size_b];
}

static const char *last_part(const char *name)
{
    const char *dot = strrchr(name, '.');

    return dot == NULL ? name : dot + 1;
}

/* The row of TABLE whose name is nearest to NAME; NULL when none is near. The same word in another
 * section is near. */
static const struct conf_row *nearest(const struct conf_table *table, const char *name)
{
    const struct conf_row *best = NULL;
    size_t best_distance = strlen(name) / 3 + 2;

    for (size_t i = 0; i < table->count; i++) {
        size_t far = distance(name, table->rows[i].name);
        if (strcmp(last_part(name), last_part(table->rows[i].name)) == 0 && far > 1)
            far = 1;
        if (far < best_distance) {
            best_distance = far;
            best = &table->rows[i];
        }
    }
    return best;
}

static bool fail_unknown(struct parse *parse, const struct seen *seen, const char *name,
                         size_t line)
{
    const struct conf_row *near = nearest(seen->table, name);

    if (near == NULL)
        return fail(parse, line, "there is no setting %s%s; docs/configuration.md has all of them",
                    seen->prefix, name);
    return fail(parse, line, "there is no setting %s%s; do you mean %s%s?", seen->prefix, name,
                seen->prefix, near->name);
}

/* ------------------------------------------------------------------------------------------------------
 * Events. */

static size_t line_of(const yaml_event_t *event)
{
    return event->start_mark.line + 1;
}

/* Says in an operator's words what the YAML library found. */
static bool fail_yaml(struct parse *parse)
{
    const yaml_parser_t *yaml = &parse->yaml;
    const char *problem = yaml->problem == NULL ? "it cannot be read" : yaml->problem;

    if (yaml->error == YAML_READER_ERROR)
        return fail(parse, 0, "this is not YAML: %s (byte %zu)", problem, yaml->problem_offset);
    return fail(parse, yaml->problem_mark.line + 1, "this is not YAML: %s%s%s",
                yaml->context == NULL ? "" : yaml->context, yaml->context == NULL ? "" : ", ",
                problem);
}

/* Makes the next event the one at hand; refuses what we do not use of YAML. */
static bool next(struct parse *parse)
{
    yaml_event_t *event = &parse->event;

    if (parse->has_event)
        yaml_event_delete(event);
    parse->has_event = false;
    if (!yaml_parser_parse(&parse->yaml, event))
        return fail_yaml(parse);
    parse->has_event = true;
    if (event->type == YAML_ALIAS_EVENT)
        return fail(parse, line_of(event),
                    "YAML aliases are not used here; put text that begins with * "
                    "into quotes");
    bool scalar = event->type == YAML_SCALAR_EVENT;
    if ((scalar && event->data.scalar.anchor != NULL) ||
        (event->type == YAML_SEQUENCE_START_EVENT && event->data.sequence_start.anchor != NULL) ||
        (event->type == YAML_MAPPING_START_EVENT && event->data.mapping_start.anchor != NULL))
        return fail(parse, line_of(event),
                    "YAML anchors are not used here; put text that begins with & "
                    "into quotes");
    if ((scalar && event->data.scalar.tag != NULL) ||
        (event->type == YAML_SEQUENCE_START_EVENT && event->data.sequence_start.tag != NULL) ||
        (event->type == YAML_MAPPING_START_EVENT && event->data.mapping_start.tag != NULL))
        return fail(parse, line_of(event),
                    "YAML tags are not used here; put text that begins with ! "
                    "into quotes");
    if (scalar && strlen((const char *)event->data.scalar.value) != event->data.scalar.length)
        return fail(parse, line_of(event), "the text holds a zero byte");
    return true;
}

static const char *scalar(const struct parse *parse)
{
    return (const char *)parse->event.data.scalar.value;
}

/* ------------------------------------------------------------------------------------------------------
 * Rows. */

static const struct conf_row *row_find(const struct conf_table *table, const char *name)
{
    for (size_t i = 0; i < table->count; i++) {
        if (strcmp(table->rows[i].name, name) == 0)
            return &table->rows[i];
    }
    return NULL;
}

static void words_free(char **words, size_t count)
{
    for (size_t i = 0; i < count; i++)
        free(words[i]);
    free(words);
}

/* Collects the items of the list that has begun, to its end. */
static bool read_words(struct parse *parse, const char *name, char ***words, size_t *count)
{
    *words = bytes_zalloc(WORDS_MAX * sizeof(char *));
    for (*count = 0;;) {
        if (!next(parse))
            return false;
        if (parse->event.type == YAML_SEQUENCE_END_EVENT)
            return true;
        if (parse->event.type != YAML_SCALAR_EVENT)
            return fail(parse, line_of(&parse->event),
                        "%s is a list of plain texts, nothing deeper", name);
        if (*count == WORDS_MAX)
            return fail(parse, line_of(&parse->event), "%s has more than %d items", name,
                        WORDS_MAX);
        (*words)[(*count)++] = bytes_strdup(scalar(parse));
    }
}

/* Reads the value of ROW; the event at hand is the last one of the key. */
static bool read_value(struct parse *parse, const struct seen *seen, const struct conf_row *row,
                       void *out)
{
    char why[400], **words = NULL;
    size_t count = 0, line;
    bool good = true;

    if (!next(parse))
        return false;
    line = line_of(&parse->event);
    if (value_is_list(row)) {
        if (parse->event.type != YAML_SEQUENCE_START_EVENT)
            return fail(parse, line, "%s%s is a list; write it as [a, b]", seen->prefix, row->name);
        good = read_words(parse, row->name, &words, &count);
    } else if (parse->event.type != YAML_SCALAR_EVENT) {
        return fail(parse, line, "%s%s is one value (%s), no list and no section", seen->prefix,
                    row->name, conf_type_name(row->type));
    } else {
        words = bytes_zalloc(sizeof(char *));
        words[count++] = bytes_strdup(scalar(parse));
    }
    if (good && !value_set(row, (const char *const *)words, count, out, why, sizeof why))
        good = fail(parse, line, "%s%s: %s", seen->prefix, row->name, why);
    words_free(words, count);
    return good;
}

/* Reads one `key: value` of a struct; the event at hand is the key. SECTION: what stands before the
 * dot, or NULL. */
static bool read_row(struct parse *parse, struct seen *seen, const char *section, void *out)
{
    char name[200];
    size_t line = line_of(&parse->event);

    if (parse->event.type != YAML_SCALAR_EVENT)
        return fail(parse, line, "a name of a setting must stand here");
    if (section == NULL)
        snprintf(name, sizeof name, "%s", scalar(parse));
    else
        snprintf(name, sizeof name, "%s.%s", section, scalar(parse));
    const struct conf_row *row = row_find(seen->table, name);
    if (row == NULL)
        return fail_unknown(parse, seen, name, line);
    size_t *first = &seen->lines[row - seen->table->rows];
    if (*first != 0)
        return fail(parse, line, "%s%s is set twice, first in line %zu", seen->prefix, name,
                    *first);
    *first = line;
    return read_value(parse, seen, row, out);
}

/* Gives initial values to what the file did not set, and checks what must hold between settings. */
static bool complete(struct parse *parse, const struct seen *seen, void *out)
{
    const struct conf_table *table = seen->table;
    const struct conf_row *name_row = row_find(table, "name");
    const char *about = NULL, *name = NULL;
    char why[400];

    for (size_t i = 0; i < table->count; i++) {
        if (seen->lines[i] == 0 && table->rows[i].initial == NULL)
            return fail(parse, seen->line, "%s%s is missing (%s)", seen->prefix,
                        table->rows[i].name, table->rows[i].meaning);
    }
    if (name_row != NULL)
        memcpy(&name, (const char *)out + name_row->offset, sizeof name);
    for (size_t i = 0; i < table->count; i++) {
        if (seen->lines[i] == 0)
            value_set_initial(&table->rows[i], name, out);
    }
    if (table->check == NULL || table->check(out, &about, why, sizeof why))
        return true;
    const struct conf_row *row = about == NULL ? NULL : row_find(table, about);
    size_t line = row == NULL ? 0 : seen->lines[row - table->rows];
    return fail(parse, line == 0 ? seen->line : line, "%s", why);
}

/* ------------------------------------------------------------------------------------------------------
 * Sections. */

static bool read_entry(struct parse *parse, void *entry)
{
    const struct conf_table *table = parse->table->repeated;
    char prefix[100];
    bool good = true;

    snprintf(prefix, sizeof prefix, "%s.", parse->table->repeated_name);
    struct seen seen = {table, bytes_zalloc(table->count * sizeof(size_t)), line_of(&parse->event),
                        prefix};
    if (parse->event.type != YAML_MAPPING_START_EVENT)
        good = fail(parse, seen.line, "%s is a list; begin each entry with '- name: ...'",
                    parse->table->repeated_name);
    while (good && (good = next(parse)) && parse->event.type != YAML_MAPPING_END_EVENT)
        good = read_row(parse, &seen, NULL, entry);
    good = good && complete(parse, &seen, entry);
    free(seen.lines);
    return good;
}

static void *entries_of(const struct conf_table *table, const void *values, size_t *count)
{
    void *entries = NULL;

    *count = 0;
    if (table->repeated == NULL)
        return NULL;
    memcpy(&entries, (const char *)values + table->repeated_offset, sizeof entries);
    memcpy(count, (const char *)values + table->repeated_count_offset, sizeof *count);
    return entries;
}

static void entries_set(const struct conf_table *table, void *values, void *entries, size_t count)
{
    memcpy((char *)values + table->repeated_offset, &entries, sizeof entries);
    memcpy((char *)values + table->repeated_count_offset, &count, sizeof count);
}

static const char *entry_name(const struct conf_table *table, const void *entry)
{
    const struct conf_row *row = row_find(table, "name");
    const char *name;

    CHECK(row != NULL);
    memcpy(&name, (const char *)entry + row->offset, sizeof name);
    return name;
}

/* Reads the list of entries; they belong to OUT at once, so that conf_fini frees them whatever
 * happens. */
static bool read_repeated(struct parse *parse, void *out)
{
    const struct conf_table *table = parse->table->repeated;
    char *entries = NULL;
    size_t count = 0;

    if (!next(parse))
        return false;
    if (parse->event.type != YAML_SEQUENCE_START_EVENT)
        return fail(parse, line_of(&parse->event),
                    "%s is a list; begin each entry with '- name: ...'",
                    parse->table->repeated_name);
    for (;;) {
        if (!next(parse))
            return false;
        if (parse->event.type == YAML_SEQUENCE_END_EVENT)
            return true;
        size_t line = line_of(&parse->event);
        entries = bytes_realloc(entries, (count + 1) * table->size);
        memset(entries + count * table->size, 0, table->size);
        entries_set(parse->table, out, entries, ++count);
        if (!read_entry(parse, entries + (count - 1) * table->size))
            return false;
        const char *name = entry_name(table, entries + (count - 1) * table->size);
        for (size_t i = 0; i + 1 < count; i++) {
            if (strcmp(entry_name(table, entries + i * table->size), name) == 0)
                return fail(parse, line, "two of %s are called %s", parse->table->repeated_name,
                            name);
        }
    }
}

/* Remembers that SECTION begins here; false when it did before. */
static bool section_once(struct parse *parse, const char *section, size_t line)
{
    for (size_t i = 0; i < parse->sections_count; i++) {
        if (strcmp(parse->sections[i].name, section) == 0)
            return fail(parse, line, "the section %s stands here twice, first in line %zu", section,
                        parse->sections[i].line);
    }
    if (parse->sections_count == SECTIONS_MAX)
        return fail(parse, line, "too many sections");
    parse->sections[parse->sections_count].name = bytes_strdup(section);
    parse->sections[parse->sections_count++].line = line;
    return true;
}

/* False when no row belongs to SECTION; the message names the nearest one that exists. */
static bool section_known(struct parse *parse, const char *section, size_t line)
{
    const char *best = NULL;
    size_t best_distance = strlen(section) / 3 + 2, size = strlen(section);

    if (strchr(section, '.') != NULL && row_find(parse->table, section) != NULL)
        return fail(parse, line,
                    "%s is written in two lines: the section '%.*s:', and in it, indented, '%s:'",
                    section, (int)strcspn(section, "."), section, last_part(section));
    for (size_t i = 0; i < parse->table->count; i++) {
        char other[64];
        const char *row = parse->table->rows[i].name;
        size_t dot = strcspn(row, ".");
        if (dot == size && strncmp(row, section, size) == 0)
            return true;
        snprintf(other, sizeof other, "%.*s", (int)dot, row);
        if (distance(section, other) < best_distance) {
            best_distance = distance(section, other);
            best = row;
        }
    }
    const char *repeated = parse->table->repeated_name;
    if (repeated != NULL && distance(section, repeated) < best_distance)
        best = repeated;
    if (best == NULL)
        return fail(parse, line, "there is no section %s; docs/configuration.md has all of them",
                    section);
    return fail(parse, line, "there is no section %s; do you mean %.*s?", section,
                (int)strcspn(best, "."), best);
}

/* Reads `section:` and what is in it; the event at hand is its name. */
static bool read_section(struct parse *parse, struct seen *seen, void *out)
{
    size_t line = line_of(&parse->event);

    if (parse->event.type != YAML_SCALAR_EVENT)
        return fail(parse, line, "a name of a section must stand here");
    const char *name = scalar(parse);
    if (!section_once(parse, name, line))
        return false;
    const char *section = parse->sections[parse->sections_count - 1].name; /* outlives the event */
    if (parse->table->repeated != NULL && strcmp(section, parse->table->repeated_name) == 0)
        return read_repeated(parse, out);
    if (!section_known(parse, section, line) || !next(parse))
        return false;
    if (parse->event.type == YAML_SCALAR_EVENT && scalar(parse)[0] == '\0' &&
        parse->event.data.scalar.style == YAML_PLAIN_SCALAR_STYLE)
        return true; /* all of its settings are commented out */
    if (parse->event.type != YAML_MAPPING_START_EVENT)
        return fail(parse, line_of(&parse->event),
                    "%s is a section: its settings follow, indented, each in "
                    "a line",
                    section);
    while (next(parse)) {
        if (parse->event.type == YAML_MAPPING_END_EVENT)
            return true;
        if (!read_row(parse, seen, section, out))
            return false;
    }
    return false;
}

/* ------------------------------------------------------------------------------------------------------
 * The whole file. */

static bool read_document(struct parse *parse, struct seen *seen, void *out)
{
    if (!next(parse) || !next(parse)) /* the stream begins; a document does, or the stream ends */
        return false;
    if (parse->event.type == YAML_DOCUMENT_START_EVENT) {
        if (!next(parse))
            return false;
        bool empty = parse->event.type == YAML_SCALAR_EVENT && scalar(parse)[0] == '\0';
        if (!empty && parse->event.type != YAML_MAPPING_START_EVENT)
            return fail(parse, line_of(&parse->event), "a section must stand here, as 'proxy:'");
        while (!empty) {
            if (!next(parse))
                return false;
            if (parse->event.type == YAML_MAPPING_END_EVENT)
                break;
            if (!read_section(parse, seen, out))
                return false;
        }
        if (!next(parse) || !next(parse)) /* the document ends; the stream does */
            return false;
        if (parse->event.type != YAML_STREAM_END_EVENT)
            return fail(parse, line_of(&parse->event),
                        "only one YAML document is read, a second begins here");
    }
    return complete(parse, seen, out);
}

/* Tabs look like spaces and mean something else to YAML: where one stands is said plainly. */
static bool no_tabs(struct parse *parse, struct span text)
{
    size_t line = 1;

    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] == '\t')
            return fail(parse, line, "a tab stands here; use spaces");
        line += text.data[i] == '\n';
    }
    return true;
}

enum status conf_read_text(const struct conf_table *table, const char *name, struct span text,
                           void *out, char *why, size_t why_size)
{
    struct parse parse = {.table = table, .file = name, .why = why, .why_size = why_size};
    struct seen seen = {table, bytes_zalloc(table->count * sizeof(size_t)), 0, ""};
    bool good = yaml_parser_initialize(&parse.yaml) != 0;

    CHECK(good);
    yaml_parser_set_encoding(&parse.yaml, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(
        &parse.yaml, (const unsigned char *)(text.size == 0 ? "" : text.data), text.size);
    good = no_tabs(&parse, text) && read_document(&parse, &seen, out);
    if (parse.has_event)
        yaml_event_delete(&parse.event);
    yaml_parser_delete(&parse.yaml);
    for (size_t i = 0; i < parse.sections_count; i++)
        free(parse.sections[i].name);
    free(seen.lines);
    return good ? STATUS_OK : STATUS_SETTINGS_WRONG;
}

enum status conf_read(const struct conf_table *table, const char *path, void *out, char *why,
                      size_t why_size)
{
    enum status status = STATUS_SETTINGS_WRONG;
    struct buffer text = {0};
    FILE *file = fopen(path, "re");

    if (file == NULL) {
        snprintf(why, why_size, "%s: cannot be opened: %s", path, strerror(errno));
        return STATUS_SETTINGS_WRONG;
    }
    while (text.size <= FILE_SIZE_MAX) {
        size_t got = fread(buffer_reserve(&text, 65536), 1, 65536, file);
        text.size += got;
        if (got == 0)
            break;
    }
    if (ferror(file))
        snprintf(why, why_size, "%s: cannot be read: %s", path, strerror(errno));
    else if (text.size > FILE_SIZE_MAX)
        snprintf(why, why_size, "%s: larger than %d bytes; this cannot be the settings", path,
                 FILE_SIZE_MAX);
    else
        status = conf_read_text(table, path, buffer_span(&text), out, why, why_size);
    fclose(file);
    buffer_fini(&text);
    return status;
}

void conf_fini(const struct conf_table *table, void *out)
{
    size_t count;
    char *entries = entries_of(table, out, &count);

    for (size_t i = 0; i < table->count; i++)
        value_fini(&table->rows[i], out);
    for (size_t i = 0; i < count; i++)
        conf_fini(table->repeated, entries + i * table->repeated->size);
    free(entries);
    if (table->repeated != NULL)
        entries_set(table, out, NULL, 0);
}

/* ------------------------------------------------------------------------------------------------------
 * Reload. */

static void say_difference(struct buffer *out, const char *prefix, const struct conf_row *row,
                           const void *old, const void *fresh)
{
    buffer_append_cstr(out, prefix);
    buffer_append_cstr(out, row->name);
    buffer_append_cstr(out, ": ");
    value_print(row, old, out);
    buffer_append_cstr(out, " -> ");
    value_print(row, fresh, out);
    buffer_append_char(out, '\n');
}

static void keep_rows(const struct conf_table *table, const char *prefix, const void *old,
                      void *fresh, struct buffer *changed, struct buffer *refused)
{
    for (size_t i = 0; i < table->count; i++) {
        const struct conf_row *row = &table->rows[i];
        if (value_equal(row, old, fresh))
            continue;
        say_difference(row->change == CONF_RELOAD ? changed : refused, prefix, row, old, fresh);
        if (row->change == CONF_RESTART)
            value_copy(row, old, fresh);
    }
}

static char *entry_find(const struct conf_table *table, char *entries, size_t count,
                        const char *name)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(entry_name(table, entries + i * table->size), name) == 0)
            return entries + i * table->size;
    }
    return NULL;
}

/* The entries of FRESH become those of OLD, in OLD's order, with the changes that may be made while
 * running. */
static void keep_entries(const struct conf_table *table, const void *old, void *fresh,
                         struct buffer *changed, struct buffer *refused)
{
    const struct conf_table *repeated = table->repeated;
    size_t old_count, fresh_count;
    char *olds = entries_of(table, old, &old_count),
         *freshes = entries_of(table, fresh, &fresh_count);
    char *kept = old_count == 0 ? NULL : bytes_zalloc(old_count * repeated->size);
    char prefix[200];

    for (size_t i = 0; i < old_count; i++) {
        char *was = olds + i * repeated->size, *is = kept + i * repeated->size;
        const char *name = entry_name(repeated, was);
        char *now = entry_find(repeated, freshes, fresh_count, name);
        snprintf(prefix, sizeof prefix, "%s.%s.", table->repeated_name, name);
        for (size_t r = 0; r < repeated->count; r++)
            value_copy(&repeated->rows[r], now == NULL ? was : now, is);
        if (now == NULL)
            buffer_appendf(refused, "%s: %s is gone from the file\n", table->repeated_name, name);
        else
            keep_rows(repeated, prefix, was, is, changed, refused);
    }
    for (size_t i = 0; i < fresh_count; i++) {
        const char *name = entry_name(repeated, freshes + i * repeated->size);
        if (entry_find(repeated, olds, old_count, name) == NULL)
            buffer_appendf(refused, "%s: %s is new\n", table->repeated_name, name);
        conf_fini(repeated, freshes + i * repeated->size);
    }
    free(freshes);
    entries_set(table, fresh, kept, old_count);
}

void conf_keep_restart(const struct conf_table *table, const void *old, void *fresh,
                       struct buffer *changed, struct buffer *refused)
{
    keep_rows(table, "", old, fresh, changed, refused);
    if (table->repeated != NULL)
        keep_entries(table, old, fresh, changed, refused);
}
