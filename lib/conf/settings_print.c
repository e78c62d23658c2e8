/* settings_print.c - the shipped configuration file and its documentation, printed from the table.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "conf/settings_table.h"

#include "conf/value.h"

#define COLUMNS 100
#define ITEMS_IN_A_LINE 4 /* a longer list gets a line per item */

/* A sentence over each section. */
static const struct {
    const char *section, *about;
} sections[] = {
    {"system", "The pair of clusters as a whole."},
    {"log", "One line per event, on standard error."},
    {"proxy",
     "The program in front of the primary: where it listens, and how much a client may ask for."},
    {"admin", "Who may use the admin addresses, of the proxy and of the replicators."},
    {"ctl", "How tandemctl speaks to them."},
    {"primary", "The cluster that applications mean when they talk to Tandem."},
    {"hold", "Letting all writes wait in the proxy for some seconds, while reads go on."},
    {"journal", "The numbered, durable sequence of what was written."},
    {"follower", "Following the primary's definitions: indices, mappings, templates, pipelines."},
    {"lives", "Telling the lives of an index apart that was deleted and made again."},
    {"by_query", "Writes that a query chooses: _update_by_query, _delete_by_query, _reindex."},
    {"doubt", "Writes whose answer never came."},
    {"seed", "The first copy of what an index held before Tandem saw it."},
    {"audit", "The proof that nothing was missed: every sequence number of the primary is accounted for."},
    {"replicate", "What is replicated."},
    {"unreplicated", "What changes data and cannot be replicated yet."},
};

static const char *section_about(const char *section, size_t size)
{
    for (size_t i = 0; i < COUNT_OF(sections); i++) {
        if (strlen(sections[i].section) == size && strncmp(sections[i].section, section, size) == 0)
            return sections[i].about;
    }
    CHECK(!"every section has a sentence");
    return NULL;
}

/* Prints TEXT as comment lines behind INDENT blanks. */
static void print_comment(FILE *out, int indent, const char *text)
{
    int column = 0;

    while (*text != '\0') {
        int size = (int)strcspn(text, " ");
        if (column > 0 && column + 1 + size > COLUMNS) {
            fputc('\n', out);
            column = 0;
        }
        if (column == 0)
            column = fprintf(out, "%*s# %.*s", indent, "", size, text);
        else
            column += fprintf(out, " %.*s", size, text);
        text += size;
        text += *text == ' ';
    }
    fputc('\n', out);
}

static void print_meaning(FILE *out, int indent, const struct conf_row *row)
{
    struct buffer text = {0};

    buffer_append_cstr(&text, row->meaning);
    if (row->choices != NULL) {
        buffer_append_cstr(&text, value_is_list(row) ? " Any of: " : " One of: ");
        for (const char *p = row->choices; *p != '\0'; p++) {
            if (*p == '|')
                buffer_append_cstr(&text, ", ");
            else
                buffer_append_char(&text, *p);
        }
        buffer_append_char(&text, '.');
    }
    if (row->change == CONF_RELOAD)
        buffer_append_cstr(&text, " (reload)");
    print_comment(out, indent, buffer_cstr(&text));
    buffer_fini(&text);
}

/* Prints `name: value`, a long list with a line per item. */
static void print_setting(FILE *out, int indent, const char *name, const struct conf_row *row,
                          const void *values)
{
    struct buffer text = {0};
    const struct conf_list *list = (const void *)((const char *)values + row->offset);

    if (value_is_list(row) && list->count > ITEMS_IN_A_LINE) {
        for (size_t i = 0; i < list->count; i++) {
            buffer_appendf(&text, "\n%*s  - ", indent, "");
            value_print_text(list->items[i], &text);
        }
    } else {
        buffer_append_char(&text, ' ');
        value_print(row, values, &text);
    }
    fprintf(out, "%*s%s:%s\n", indent, "", name, buffer_cstr(&text));
    buffer_fini(&text);
}

static const char opening[] =
    "# tandem.yml - every setting of tandem-proxy, tandem-replicator and tandemctl, at its "
    "default.\n"
    "#\n"
    "# What is left out has the value that stands here. An unknown name or a wrong value is "
    "refused with\n"
    "# its line. Durations: 200ms, 8s, 10m, 12h, 7d. Sizes: 512B, 64KB, 100MB, 16GB (KB = 1024 "
    "bytes).\n"
    "# Settings with (reload) take effect at SIGHUP, all others when the program starts.\n"
    "#\n"
    "# This file is printed by `tandemctl docs conf`.\n";

void settings_print_yaml(FILE *out)
{
    struct settings *settings = settings_default();
    const struct conf_table *standby = &settings_standby_table;
    size_t section_size = 0;
    const char *section = "";

    fputs(opening, out);
    for (size_t i = 0; i < settings_table.count; i++) {
        const struct conf_row *row = &settings_table.rows[i];
        size_t dot = strcspn(row->name, ".");
        if (dot != section_size || strncmp(section, row->name, dot) != 0) {
            section = row->name;
            section_size = dot;
            fputc('\n', out);
            print_comment(out, 0, section_about(section, dot));
            fprintf(out, "%.*s:\n", (int)dot, section);
        }
        print_meaning(out, 2, row);
        print_setting(out, 2, row->name + dot + 1, row, settings);
    }
    fputs("\n# The clusters that are brought up to date, each by a tandem-replicator of its own.\n"
          "standbys:\n",
          out);
    for (size_t i = 0; i < standby->count; i++) {
        print_meaning(out, i == 0 ? 2 : 4, &standby->rows[i]);
        if (i == 0) /* begins the entry */
            fprintf(out, "  - name: %s\n", settings->standbys->name);
        else
            print_setting(out, 4, standby->rows[i].name, &standby->rows[i], settings->standbys);
    }
    settings_free(settings);
}

/* ------------------------------------------------------------------------------------------------------
 * docs/configuration.md. */

static const char docs_opening[] =
    "# Configuration\n"
    "\n"
    "Printed by `tandemctl docs configuration` from the table that the programs use "
    "(`lib/conf/settings.c`);\n"
    "not to be edited by hand.\n"
    "\n"
    "One YAML file serves `tandem-proxy`, `tandem-replicator` and `tandemctl`; `--config FILE` "
    "names it, by\n"
    "default `/etc/tandem/tandem.yml`. The shipped one, `conf/tandem.yml`, has every setting at "
    "its default.\n"
    "Unknown, doubled, missing or wrong settings are refused with file and line. `tandemctl "
    "check-config`\n"
    "reads the file and does nothing else.\n"
    "\n"
    "| type | as in |\n"
    "| --- | --- |\n"
    "| host:port | `127.0.0.1:9200`, `[::1]:9200` |\n"
    "| duration | `200ms`, `8s`, `10m`, `12h`, `7d` |\n"
    "| size | `512B`, `64KB`, `100MB`, `16GB` (KB = 1024 bytes) |\n"
    "| list of URLs | `[http://10.0.0.1:9200, https://10.0.0.2:9200]`: with the port, without user "
    "and path |\n"
    "\n"
    "**Change**: settings marked *reload* take effect at SIGHUP, the others when the program "
    "starts; a reload logs\n"
    "which of them differ and were not applied. A file with a mistake changes nothing.\n"
    "\n"
    "**Secrets** stand in files of their own, named by `credentials_file` and `tls_key_file`. A "
    "credentials file has\n"
    "one line: `user:password`, `ApiKey ...` or `Bearer ...`. It is refused when anybody but its "
    "owner may read\n"
    "or write it.\n";

/* A cell of a table: `|` would end it. */
static void print_cell(FILE *out, const char *text)
{
    fputs("| ", out);
    for (; *text != '\0'; text++) {
        if (*text == '|' || *text == '*')
            fputc('\\', out);
        fputc(*text, out);
    }
    fputc(' ', out);
}

static void print_docs_row(FILE *out, const struct conf_row *row, const void *values)
{
    struct buffer text = {0};

    fprintf(out, "| `%s` | %s ", row->name, conf_type_name(row->type));
    if (row->initial == NULL)
        fputs("| *required* ", out);
    else if (strstr(row->initial, "{name}") != NULL)
        fprintf(out, "| `%s` ", row->initial);
    else {
        value_print(row, values, &text);
        fprintf(out, "| `%s` ", buffer_cstr(&text));
    }
    fputs(row->change == CONF_RELOAD ? "| reload " : "| restart ", out);
    buffer_clear(&text);
    buffer_append_cstr(&text, row->meaning);
    if (row->choices != NULL) {
        buffer_append_cstr(&text, value_is_list(row) ? " Any of:" : " One of:");
        for (const char *p = row->choices; *p != '\0'; p += *p == '|') {
            int size = (int)strcspn(p, "|");
            buffer_appendf(&text, " `%.*s`", size, p);
            p += size;
        }
    }
    print_cell(out, buffer_cstr(&text));
    fputs("|\n", out);
    buffer_fini(&text);
}

static void print_docs_heading(FILE *out, const char *name, int size, const char *about)
{
    fprintf(out,
            "\n## %.*s\n\n%s\n\n| setting | type | default | change | meaning |\n"
            "| --- | --- | --- | --- | --- |\n",
            size, name, about);
}

void settings_print_docs(FILE *out)
{
    struct settings *settings = settings_default();
    size_t section_size = 0;
    const char *section = "";

    fputs(docs_opening, out);
    for (size_t i = 0; i < settings_table.count; i++) {
        const struct conf_row *row = &settings_table.rows[i];
        size_t dot = strcspn(row->name, ".");
        if (dot != section_size || strncmp(section, row->name, dot) != 0) {
            section = row->name;
            section_size = dot;
            print_docs_heading(out, section, (int)dot, section_about(section, dot));
        }
        print_docs_row(out, row, settings);
    }
    print_docs_heading(
        out, "standbys", 8,
        "A list: the clusters that are brought up to date, each by a `tandem-replicator` of "
        "its own.");
    for (size_t i = 0; i < settings_standby_table.count; i++)
        print_docs_row(out, &settings_standby_table.rows[i], settings->standbys);
    settings_free(settings);
}
