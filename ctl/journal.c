/* journal.c - tandemctl journal: records printed readably, and a whole journal checked.
 *
 * A row names its index by a short number; which index that is say the definitions, so these are
 * read first. What must hold:
 *   - A record is one line, whatever bytes a client put into ids and sources.
 *   - Damage is named and stepped over: the rest is still shown, and the exit code tells.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "journal.h"

#include <inttypes.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/json.h"
#include "ctl.h"
#include "journal/journal.h"

#define SHORT_SIZE 200       /* bytes of a source, without --full */
#define LIVES_MAX (1u << 20) /* numbers above it are not resolved: they count from 1 */
#define RECORDS_AT_ONCE 256
#define BYTES_AT_ONCE (1u << 20)

struct life {
    char *name; /* owned; the index's name, NULL when not known */
    char *key;  /* owned; <uuid> or <uuid>/<history uuid> */
};

struct dump {
    const struct dump_options *options;
    struct life *lives; /* owned, by incarnation */
    size_t life_count;
    struct buffer line;
    bool damaged; /* something could not be read */
};

/* ------------------------------------------------------------------------------------------------
 * Which index an incarnation is. */

static struct life *life_of(struct dump *dump, uint32_t incarnation)
{
    static struct life unknown;

    return incarnation < dump->life_count ? &dump->lives[incarnation] : &unknown;
}

static void learn_life(struct dump *dump, const struct metadata *metadata)
{
    struct span name = json_member(metadata->body, SPAN("name"));
    struct buffer text = {0};
    size_t number = metadata->incarnation;

    if (!span_equal(metadata->type, SPAN("index")) || number == 0 || number >= LIVES_MAX)
        return;
    if (number >= dump->life_count) {
        size_t count = 2 * number + 16;
        dump->lives = bytes_realloc(dump->lives, count * sizeof *dump->lives);
        memset(dump->lives + dump->life_count, 0, (count - dump->life_count) * sizeof *dump->lives);
        dump->life_count = count;
    }
    struct life *life = &dump->lives[number];
    if (name.size >= 2 && name.data[0] == '"' && json_string_decode(name, &text)) {
        free(life->name);
        life->name = span_dup(buffer_span(&text));
    }
    free(life->key);
    life->key = span_dup(metadata->name);
    buffer_fini(&text);
}

static bool learn_each(void *arg, struct span key, struct span value)
{
    struct record record;
    size_t used;

    (void)key;
    if (record_decode(value, &record, &used) == STATUS_OK && record.header.kind == RECORD_METADATA)
        learn_life(arg, &record.metadata);
    return true;
}

static bool life_is(const struct life *life, const char *wanted)
{
    size_t size = strlen(wanted);

    if (life->name != NULL && strcmp(life->name, wanted) == 0)
        return true;
    /* The whole key, or the uuid in front of it. */
    return life->key != NULL && strncmp(life->key, wanted, size) == 0 &&
           (life->key[size] == '\0' || life->key[size] == '/');
}

static bool wanted(struct dump *dump, const struct record *record)
{
    const struct dump_options *options = dump->options;
    bool row = record->header.kind == RECORD_ROW;
    uint32_t incarnation = 0;

    if (options->id != NULL && (!row || !span_equal(record->row.id, span_cstr(options->id))))
        return false;
    if (options->index == NULL)
        return true;
    if (row)
        incarnation = record->row.incarnation;
    else if (record->header.kind == RECORD_ANSWERED)
        incarnation = record->answered.incarnation;
    else if (record->header.kind == RECORD_METADATA)
        incarnation = record->metadata.incarnation;
    return incarnation != 0 && life_is(life_of(dump, incarnation), options->index);
}

/* ------------------------------------------------------------------------------------------------
 * Lines of text. */

static bool is_plain(struct span text)
{
    for (size_t i = 0; i < text.size; i++) {
        unsigned char c = (unsigned char)text.data[i];
        if (c <= ' ' || c == '"' || c == 0x7f)
            return false;
    }
    return text.size > 0;
}

/* TEXT as it is, or quoted when that would be ambiguous or break the line. */
static void add_text(struct buffer *line, const char *name, struct span text)
{
    buffer_appendf(line, " %s=", name);
    if (is_plain(text))
        buffer_append_span(line, text);
    else
        buffer_append_json_string(line, text);
}

/* The front of TEXT that is shown; never half of a UTF-8 character. */
static struct span shorten(const struct dump *dump, struct span text)
{
    size_t size = SHORT_SIZE;

    if (dump->options->full || text.size <= size)
        return text;
    while (size > 0 && ((unsigned char)text.data[size] & 0xc0) == 0x80)
        size--;
    return span_of(text.data, size);
}

/* JSON on one line: white space is all that control bytes can be in it. */
static void add_json(struct dump *dump, const char *name, struct span text)
{
    struct span shown = shorten(dump, text);

    buffer_appendf(&dump->line, " %s=", name);
    for (size_t i = 0; i < shown.size; i++)
        buffer_append_char(&dump->line, (unsigned char)shown.data[i] < ' ' ? ' ' : shown.data[i]);
    if (shown.size < text.size)
        buffer_appendf(&dump->line, "... (%zu bytes)", text.size);
}

static void add_incarnation(struct dump *dump, uint32_t incarnation)
{
    const struct life *life = life_of(dump, incarnation);

    buffer_appendf(&dump->line, " %s#%" PRIu32, life->name != NULL ? life->name : "", incarnation);
}

static const char *content_name(enum row_content content)
{
    static const char *const names[] = {"none", "json", "cbor", "smile", "yaml"};

    return (size_t)content < COUNT_OF(names) ? names[content] : "unknown";
}

static const char *op_name(enum row_op op)
{
    return op == ROW_DELETE ? "delete" : "index";
}

static void row_text(struct dump *dump, const struct row *row)
{
    struct buffer *line = &dump->line;

    buffer_appendf(line, " %s", op_name(row->op));
    add_incarnation(dump, row->incarnation);
    add_text(line, "id", row->id);
    if (row->routed)
        add_text(line, "routing", row->routing);
    buffer_appendf(line, " shard=%" PRIu32 " term=%" PRIu64 " seq_no=%" PRId64 " %s", row->shard,
                   row->term, row->seq_no, row_proof_name(row->proof));
    if (row->version != 0)
        buffer_appendf(line, " version=%" PRId64, row->version);
    if (row->type.data != NULL)
        add_text(line, "type", row->type);
    if (row->dynamic_templates.data != NULL)
        add_json(dump, "dynamic_templates", row->dynamic_templates);
    if (row->op == ROW_DELETE)
        return;
    if (row->content == CONTENT_JSON)
        add_json(dump, "source", row->source);
    else
        buffer_appendf(line, " source=(%zu bytes of %s)", row->source.size,
                       content_name(row->content));
}

static void metadata_text(struct dump *dump, const struct metadata *metadata)
{
    add_text(&dump->line, "type", metadata->type);
    add_text(&dump->line, "name", metadata->name);
    if (metadata->incarnation != 0)
        add_incarnation(dump, metadata->incarnation);
    buffer_appendf(&dump->line, " state_version=%" PRIu64 " high_term=%" PRIu64,
                   metadata->state_version, metadata->high_term);
    if (metadata->gone)
        buffer_append_cstr(&dump->line, " gone");
    else
        add_json(dump, "body", metadata->body);
}

static void hello_text(struct dump *dump, const struct hello *hello)
{
    add_text(&dump->line, "system", hello->system_id);
    add_text(&dump->line, "primary", hello->cluster);
    add_text(&dump->line, "cluster_uuid", hello->cluster_uuid);
    buffer_appendf(&dump->line, " high_term=%" PRIu64 " bases=", hello->high_term);
    for (size_t i = 0; i < hello->base_count; i++)
        buffer_appendf(&dump->line, "%s%" PRIu64 ":%" PRIu64, i == 0 ? "" : ",",
                       hello->bases[i].timeline, hello->bases[i].base);
}

static void swept_text(struct dump *dump, const struct swept *swept)
{
    buffer_appendf(&dump->line, " operations=%" PRIu64 " unnamed=%" PRIu64, swept->operations,
                   swept->unnamed);
    for (size_t i = 0; i < swept->count; i++) {
        struct seq_range range = swept_range(swept, i);
        add_incarnation(dump, range.incarnation);
        buffer_appendf(&dump->line, " shard=%" PRIu32 " after=%" PRId64 " up_to=%" PRId64,
                       range.shard, range.after, range.up_to);
    }
}

static void record_text(struct dump *dump, const struct record *record)
{
    const struct record_header *header = &record->header;
    struct buffer *line = &dump->line;
    time_t seconds = (time_t)(header->time_us / 1000000);
    struct tm utc = {0};
    char when[40] = "";

    gmtime_r(&seconds, &utc);
    strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%S", &utc);
    buffer_appendf(line, "%" PRIu64 " %s.%06uZ %s", header->seq, when,
                   (unsigned)(header->time_us % 1000000), record_kind_name(header->kind));
    if (header->kind == RECORD_ROW) {
        row_text(dump, &record->row);
    } else if (header->kind == RECORD_ANSWERED) {
        add_incarnation(dump, record->answered.incarnation);
        buffer_appendf(line, " shard=%" PRIu32 " term=%" PRIu64 " seq_no=%" PRId64,
                       record->answered.shard, record->answered.term, record->answered.seq_no);
    } else if (header->kind == RECORD_METADATA) {
        metadata_text(dump, &record->metadata);
    } else if (header->kind == RECORD_MARK) {
        buffer_appendf(line, " number=%" PRIu64 " high_term=%" PRIu64, record->mark.number,
                       record->mark.high_term);
    } else if (header->kind == RECORD_HELLO) {
        hello_text(dump, &record->hello);
        buffer_appendf(line, " boot=%" PRIu64 " timeline=%" PRIu64, header->boot, header->timeline);
    } else if (header->kind == RECORD_SWEPT) {
        swept_text(dump, &record->swept);
    }
}

/* ------------------------------------------------------------------------------------------------
 * Lines of JSON. */

static void json_text_member(struct buffer *line, const char *name, struct span text)
{
    buffer_appendf(line, ",\"%s\":", name);
    buffer_append_json_string(line, text);
}

static void json_number_member(struct buffer *line, const char *name, int64_t number)
{
    buffer_appendf(line, ",\"%s\":%" PRId64, name, number);
}

/* A JSON value as it is, on one line; what is shortened becomes a text, beside the whole size. */
static void json_value_member(struct dump *dump, const char *name, struct span text)
{
    struct span shown = shorten(dump, text);

    if (shown.size < text.size || !json_valid(text)) {
        buffer_appendf(&dump->line, ",\"%s_size\":%zu", name, text.size);
        buffer_appendf(&dump->line, ",\"%s_head\":", name);
        buffer_append_json_string(&dump->line, shown);
        return;
    }
    buffer_appendf(&dump->line, ",\"%s\":", name);
    for (size_t i = 0; i < text.size; i++)
        buffer_append_char(&dump->line, (unsigned char)text.data[i] < ' ' ? ' ' : text.data[i]);
}

static void json_incarnation(struct dump *dump, uint32_t incarnation)
{
    const struct life *life = life_of(dump, incarnation);

    json_number_member(&dump->line, "incarnation", incarnation);
    if (life->name != NULL)
        json_text_member(&dump->line, "index", span_cstr(life->name));
    if (life->key != NULL)
        json_text_member(&dump->line, "life", span_cstr(life->key));
}

static void row_json(struct dump *dump, const struct row *row)
{
    struct buffer *line = &dump->line;

    json_text_member(line, "op", span_cstr(op_name(row->op)));
    json_incarnation(dump, row->incarnation);
    json_text_member(line, "id", row->id);
    if (row->routed)
        json_text_member(line, "routing", row->routing);
    json_number_member(line, "shard", row->shard);
    json_number_member(line, "term", (int64_t)row->term);
    json_number_member(line, "seq_no", row->seq_no);
    json_text_member(line, "proof", span_cstr(row_proof_name(row->proof)));
    if (row->copy_failed)
        json_text_member(line, "copy_failed", SPAN("true"));
    if (row->version != 0)
        json_number_member(line, "version", row->version);
    if (row->type.data != NULL)
        json_text_member(line, "type", row->type);
    if (row->dynamic_templates.data != NULL)
        json_value_member(dump, "dynamic_templates", row->dynamic_templates);
    if (row->op == ROW_DELETE)
        return;
    json_text_member(line, "content", span_cstr(content_name(row->content)));
    if (row->content == CONTENT_JSON)
        json_value_member(dump, "source", row->source);
    else
        json_number_member(line, "source_size", (int64_t)row->source.size);
}

static void metadata_json(struct dump *dump, const struct metadata *metadata)
{
    json_text_member(&dump->line, "type", metadata->type);
    json_text_member(&dump->line, "name", metadata->name);
    if (metadata->incarnation != 0)
        json_incarnation(dump, metadata->incarnation);
    json_number_member(&dump->line, "state_version", (int64_t)metadata->state_version);
    json_number_member(&dump->line, "high_term", (int64_t)metadata->high_term);
    buffer_appendf(&dump->line, ",\"gone\":%s", metadata->gone ? "true" : "false");
    if (!metadata->gone)
        json_value_member(dump, "body", metadata->body);
}

static void hello_json(struct dump *dump, const struct hello *hello)
{
    struct buffer *line = &dump->line;

    json_text_member(line, "system", hello->system_id);
    json_text_member(line, "primary", hello->cluster);
    json_text_member(line, "cluster_uuid", hello->cluster_uuid);
    json_number_member(line, "high_term", (int64_t)hello->high_term);
    buffer_append_cstr(line, ",\"bases\":[");
    for (size_t i = 0; i < hello->base_count; i++)
        buffer_appendf(line, "%s{\"timeline\":%" PRIu64 ",\"base\":%" PRIu64 "}", i == 0 ? "" : ",",
                       hello->bases[i].timeline, hello->bases[i].base);
    buffer_append_char(line, ']');
}

static void swept_json(struct dump *dump, const struct swept *swept)
{
    struct buffer *line = &dump->line;

    json_number_member(line, "operations", (int64_t)swept->operations);
    json_number_member(line, "unnamed", (int64_t)swept->unnamed);
    buffer_append_cstr(line, ",\"ranges\":[");
    for (size_t i = 0; i < swept->count; i++) {
        struct seq_range range = swept_range(swept, i);
        buffer_appendf(line,
                       "%s{\"incarnation\":%" PRIu32 ",\"shard\":%" PRIu32 ",\"after\":%" PRId64
                       ",\"up_to\":%" PRId64 "}",
                       i == 0 ? "" : ",", range.incarnation, range.shard, range.after, range.up_to);
    }
    buffer_append_char(line, ']');
}

static void record_json(struct dump *dump, const struct record *record)
{
    const struct record_header *header = &record->header;
    struct buffer *line = &dump->line;

    buffer_appendf(line,
                   "{\"seq\":%" PRIu64 ",\"time_us\":%" PRIu64 ",\"boot\":%" PRIu64
                   ",\"timeline\":%" PRIu64 ",\"kind\":\"%s\"",
                   header->seq, header->time_us, header->boot, header->timeline,
                   record_kind_name(header->kind));
    if (header->kind == RECORD_ROW) {
        row_json(dump, &record->row);
    } else if (header->kind == RECORD_ANSWERED) {
        json_incarnation(dump, record->answered.incarnation);
        json_number_member(line, "shard", record->answered.shard);
        json_number_member(line, "term", (int64_t)record->answered.term);
        json_number_member(line, "seq_no", record->answered.seq_no);
    } else if (header->kind == RECORD_METADATA) {
        metadata_json(dump, &record->metadata);
    } else if (header->kind == RECORD_MARK) {
        json_number_member(line, "number", (int64_t)record->mark.number);
        json_number_member(line, "high_term", (int64_t)record->mark.high_term);
    } else if (header->kind == RECORD_HELLO) {
        hello_json(dump, &record->hello);
    } else if (header->kind == RECORD_SWEPT) {
        swept_json(dump, &record->swept);
    }
    buffer_append_char(line, '}');
}

/* ------------------------------------------------------------------------------------------------
 * The commands. */

static struct journal *open_reader(const char *folder)
{
    struct journal_options options = {.folder = folder, .read_only = true};
    struct journal *journal = NULL;
    char why[256] = "";
    enum status status = journal_open_lmdb(&options, &journal, why, sizeof why);

    if (status != STATUS_OK)
        ctl_say("%s: %s", status_text(status), why);
    return journal;
}

static void say_damage(struct dump *dump, uint64_t seq, enum status status)
{
    fflush(stdout);
    ctl_say("record %" PRIu64 ": %s", seq, status_text(status));
    dump->damaged = true;
}

/* Prints the COUNT records in BYTES, which begin with SEQ; returns false behind the last one
 * wanted. */
static bool dump_batch(struct dump *dump, uint64_t seq, struct span bytes, size_t count)
{
    struct record record;
    size_t used;

    for (size_t i = 0; i < count; i++, seq++) {
        size_t size = record_peek(bytes, NULL);
        enum status status = record_decode(span_of(bytes.data, size), &record, &used);
        if (dump->options->to != 0 && seq > dump->options->to)
            return false;
        bytes = span_of(bytes.data + size, bytes.size - size);
        if (status != STATUS_OK) {
            say_damage(dump, seq, status);
            continue;
        }
        if (record.header.kind == RECORD_METADATA)
            learn_life(dump, &record.metadata);
        if (!wanted(dump, &record))
            continue;
        buffer_clear(&dump->line);
        if (dump->options->json)
            record_json(dump, &record);
        else
            record_text(dump, &record);
        buffer_append_char(&dump->line, '\n');
        fwrite(dump->line.data, 1, dump->line.size, stdout);
    }
    return true;
}

static void dump_records(struct dump *dump, struct journal *journal)
{
    struct buffer bytes = {0};
    struct journal_info info;
    bool more = true, lost = false;
    size_t count;

    journal_info(journal, &info);
    uint64_t seq = dump->options->from > info.first_seq ? dump->options->from : info.first_seq;
    while (more && seq <= info.last_seq) {
        enum status status =
            journal_read(journal, seq, RECORDS_AT_ONCE, BYTES_AT_ONCE, &bytes, &count);
        if (status == STATUS_OK && count > 0) {
            more = dump_batch(dump, seq, buffer_span(&bytes), count);
            seq += count;
            lost = false;
            continue;
        }
        struct journal_info now;
        journal_info(journal, &now);
        if (now.first_seq > seq) { /* trimmed meanwhile */
            seq = now.first_seq;
            continue;
        }
        if (!lost) /* once for all that follow it */
            say_damage(dump, seq, status);
        lost = true;
        seq++;
    }
    buffer_fini(&bytes);
}

int ctl_journal_dump(const char *folder, const struct dump_options *options)
{
    struct dump dump = {.options = options};
    struct journal *journal = open_reader(folder);

    if (journal == NULL)
        return CTL_REFUSED;
    if (journal_scan(journal, JOURNAL_DEFINITIONS, SPAN_NONE, learn_each, &dump) != STATUS_OK) {
        ctl_say("the definitions cannot be read: indices are shown by number");
        dump.damaged = true;
    }
    dump_records(&dump, journal);
    for (size_t i = 0; i < dump.life_count; i++) {
        free(dump.lives[i].name);
        free(dump.lives[i].key);
    }
    free(dump.lives);
    buffer_fini(&dump.line);
    journal_close(journal);
    return dump.damaged ? CTL_INCOMPLETE : CTL_DONE;
}

static void say_finding(void *arg, const char *text)
{
    uint64_t *findings = arg;

    *findings += 1;
    printf("%s\n", text);
    fflush(stdout); /* what was found is told, even if LMDB then falls over its own pages */
}

static int check_here(const char *folder)
{
    struct journal *journal = open_reader(folder);
    struct journal_info info;
    uint64_t findings = 0;
    char id[33];

    if (journal == NULL)
        return CTL_REFUSED;
    journal_info(journal, &info);
    enum status status = journal_check(journal, say_finding, &findings);
    journal_id_text(&info.id, id);
    printf("journal %s: records %" PRIu64 " to %" PRIu64 ", boot %" PRIu64 ", %" PRIu64
           " of %" PRIu64 " bytes used: ",
           id, info.first_seq, info.last_seq, info.boot, info.used_bytes, info.size_max);
    if (status == STATUS_OK)
        printf("all sound\n");
    else
        printf("%" PRIu64 " finding%s\n", findings, findings == 1 ? "" : "s");
    journal_close(journal);
    return status == STATUS_OK ? CTL_DONE : CTL_INCOMPLETE;
}

/* In a child: LMDB trusts its own pages, and ends the process when they are damaged. */
int ctl_journal_check(const char *folder)
{
    int result = 0;

    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        int code = check_here(folder);
        fflush(NULL);
        _exit(code);
    }
    if (child < 0 || waitpid(child, &result, 0) != child) {
        ctl_say("cannot start the check");
        return CTL_REFUSED;
    }
    if (WIFSIGNALED(result)) {
        ctl_say("LMDB's own pages in %s/data.mdb are damaged (the check ended with signal %d)",
                folder, WTERMSIG(result));
        return CTL_INCOMPLETE;
    }
    return WEXITSTATUS(result);
}
