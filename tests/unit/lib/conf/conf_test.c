/* conf_test.c - the reader of settings: what it takes, and what it says when it does not.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "conf/settings.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[] = "tandem-conf-XXXXXX";
static char path[64];

static void write_file(const char *text, mode_t mode)
{
    unlink(path);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, mode);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    close(fd);
    assert_int_equal(chmod(path, mode), 0);
}

static struct settings *load(const char *text)
{
    struct settings *settings;
    char why[500] = "";

    write_file(text, 0644);
    if (settings_load(path, &settings, why, sizeof why) != STATUS_OK)
        fail_msg("%s\nof the text:\n%s", why, text);
    return settings;
}

/* TEXT is refused, and the reason holds WHERE (as ":3: ") and WHAT. */
static void refused(const char *text, const char *where, const char *what)
{
    struct settings *settings;
    char why[500] = "";

    write_file(text, 0644);
    enum status status = settings_load(path, &settings, why, sizeof why);
    if (status != STATUS_SETTINGS_WRONG || strstr(why, where) == NULL || strstr(why, what) == NULL)
        fail_msg("status %s, said: %s\nexpected: %s ... %s\nof the text:\n%s", status_name(status),
                 why, where, what, text);
    assert_null(settings);
}

static void every_type_is_read(void **state)
{
    (void)state;
    struct settings *s =
        load("system: {name: shop-1}\n"
             "log:\n  level: warn\n"
             "proxy:\n"
             "  listen: '[::1]:9300'\n"
             "  body_max: 90MB\n"
             "  idle_timeout: 1500ms\n"
             "  fields_max: 77\n"
             "  rewrite_nodes: false\n"
             "primary:\n"
             "  urls: [http://es1:9200/, https://es2:9243]\n"
             "journal: {when_full: block, keep_age: 2d}\n"
             "replicate:\n  exclude:\n    - \"*x\"\n    - .y\n"
             "unreplicated: {allow: [by_query, opaque]}\n"
             "standbys:\n  - name: z9\n    urls: [http://127.0.0.1:1]\n    refused: park\n");

    assert_string_equal(s->system_name, "shop-1");
    assert_int_equal(s->log_level, SETTINGS_LOG_WARN);
    assert_string_equal(s->proxy_listen.host, "::1");
    assert_int_equal(s->proxy_listen.port, 9300);
    assert_true(s->proxy_listen.loopback);
    assert_int_equal(s->proxy_body_max, 90 * 1024 * 1024);
    assert_int_equal(s->proxy_idle_timeout, 1500000);
    assert_int_equal(s->proxy_fields_max, 77);
    assert_false(s->proxy_rewrite_nodes);
    assert_int_equal(s->primary_urls.count, 2);
    assert_string_equal(s->primary_urls.items[0], "http://es1:9200");
    assert_string_equal(s->primary_urls.items[1], "https://es2:9243");
    assert_int_equal(s->journal_when_full, WHEN_FULL_BLOCK);
    assert_int_equal(s->journal_keep_age, UINT64_C(2) * 86400 * 1000000);
    assert_true(settings_excludes(s, SPAN("abcx")));
    assert_false(settings_excludes(s, SPAN(".yz")));
    assert_true(settings_allows(s, "opaque"));
    assert_false(settings_allows(s, "reindex"));
    assert_int_equal(s->standbys_count, 1);
    assert_string_equal(s->standbys[0].folder, "/var/lib/tandem/standby-z9");
    assert_int_equal(s->standbys[0].refused, REFUSED_PARK);
    assert_int_equal(s->standbys[0].bulk_bytes, 4 * 1024 * 1024);
    assert_ptr_equal(settings_standby(s, "z9"), &s->standbys[0]);
    assert_null(settings_standby(s, "b"));
    settings_free(s);
}

static void an_empty_file_gives_every_default_and_no_standby(void **state)
{
    (void)state;
    const char *texts[] = {"", "# nothing\n", "proxy:\n  # all commented out\n", "---\n"};

    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        struct settings *s = load(texts[i]);
        assert_string_equal(s->proxy_listen.text, "127.0.0.1:9200");
        assert_int_equal(s->journal_size_max, UINT64_C(16) << 30);
        assert_string_equal(s->proxy_publish, "");
        assert_int_equal(s->standbys_count, 0);
        assert_true(settings_excludes(s, SPAN(".security-7")));
        assert_false(settings_excludes(s, SPAN(".mine")));
        settings_free(s);
    }
}

static void a_wrong_name_is_refused_with_its_line_and_the_nearest_name(void **state)
{
    (void)state;
    refused("proxy:\n  threads: 1\n  lisen: 127.0.0.1:1\n", ":3: ", "do you mean proxy.listen?");
    refused("proxy:\n  body_maximum: 1MB\n", ":2: ", "do you mean proxy.body_max?");
    refused("proxy:\n  keep_age: 1d\n", ":2: ", "do you mean journal.keep_age?");
    refused("proxy:\n  wholly_other_thing: 1\n",
            ":2: ", "there is no setting proxy.wholly_other_thing;");
    refused("prox:\n  threads: 1\n", ":1: ", "do you mean proxy?");
    refused("standby:\n  - name: b\n", ":1: ", "do you mean standbys?");
    refused("proxy.threads: 2\n", ":1: ", "'proxy:'");
    refused("standbys:\n- name: b\n  urls: [http://h:1]\n  lane: 3\n",
            ":4: ", "do you mean standbys.lanes?");
}

static void a_wrong_value_is_refused_with_its_line_and_what_would_be_right(void **state)
{
    (void)state;
    static const struct {
        const char *value, *what;
    } cases[] = {
        {"listen: 127.0.0.1", "host:port"},
        {"listen: 127.0.0.1:0", "host:port"},
        {"listen: 127.0.0.1:65536", "host:port"},
        {"listen: ':9200'", "host name"},
        {"listen: '[::g]:9200'", "IPv6"},
        {"listen: 'ho st:9200'", "host name"},
        {"idle_timeout: 10", "write digits and a unit"},
        {"idle_timeout: 1.5s", "write digits and a unit"},
        {"idle_timeout: -1s", "write digits and a unit"},
        {"idle_timeout: 10S", "write digits and a unit"},
        {"idle_timeout: 10ms", "at least 1s"},
        {"idle_timeout: 99999999999999999999s", "write digits and a unit"},
        {"idle_timeout: 18446744073709551615s", "write digits and a unit"},
        {"body_max: 100M", "write digits and a unit"},
        {"body_max: 3GB", "at most 2GB"},
        {"threads: two", "digits only"},
        {"threads: 0", "at least 1"},
        {"threads: ''", "digits only"},
        {"threads: [1]", "one value"},
        {"threads: {a: 1}", "one value"},
        {"rewrite_nodes: yes", "neither true nor false"},
        {"tls_key_file: key.pem", "absolute"},
        {"tls_key_file: /a/key.pem", "go together"},
        {"tls_key_file: \"/a\\nb\"", "control character"},
        {"tls_key_file: \"/a\\0b\"", "zero byte"},
        {"admin: 0.0.0.0:9280", "admin.tokens_file"},
        {"admin: 10.1.2.3:9280", "admin.tokens_file"},
        {"admin: 127.0.0.1:9200", "two ports"},
        {"threads: &x 2", "anchors"},
        {"threads: *x", "aliases"},
        {"threads: !!int 2", "tags"},
    };
    char text[200];

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        snprintf(text, sizeof text, "# first\nproxy:\n  %s\n", cases[i].value);
        refused(text, ":3: ", cases[i].what);
    }
    refused("primary:\n  urls: []\n", ":2: ", "at least 1");
    refused("primary:\n  urls: http://h:1\n", ":2: ", "a list");
    refused("primary:\n  urls: [h:9200]\n", ":2: ", "http://");
    refused("primary:\n  urls: ['http://h']\n", ":2: ", "with the port");
    refused("primary:\n  urls: ['http://h:9200/x']\n", ":2: ", "path");
    refused("journal:\n  when_full: stop\n", ":2: ", "none of: drop block");
    refused("unreplicated:\n  allow: [by_query, all]\n", ":2: ", "none of: by_query");
    refused("system:\n  name: Shop\n", ":2: ", "a-z");
    refused("replicate:\n  exclude: [*x]\n", ":2: ", "quotes");
    refused("journal:\n  size_max: 1GB\n  keep_size: 1GB\n", ":3: ", "three quarters");
}

static void a_password_in_a_url_is_refused_and_not_repeated(void **state)
{
    (void)state;
    struct settings *settings;
    char why[500];

    write_file("primary:\n  urls: ['http://elastic:s3cret@h:9200']\n", 0644);
    assert_int_equal(settings_load(path, &settings, why, sizeof why), STATUS_SETTINGS_WRONG);
    assert_non_null(strstr(why, "credentials_file"));
    assert_null(strstr(why, "s3cret"));
}

static void what_stands_twice_is_refused(void **state)
{
    (void)state;
    refused("proxy:\n  threads: 1\n  threads: 1\n", ":3: ", "first in line 2");
    refused("proxy:\n  threads: 1\nlog: {}\nproxy:\n  head_max: 9KB\n", ":4: ", "first in line 1");
    refused("log: {}\n---\nlog: {}\n", ":2: ", "only one YAML document");
    refused("standbys:\n- {name: b, urls: [http://h:1]}\n- {name: b, urls: [http://h:2]}\n",
            ":3: ", "called b");
    refused("standbys:\n- {name: b, urls: [http://h:1]}\n- {name: c, urls: [http://h:2]}\n", "",
            "admin");
    refused("standbys:\n- {name: b, urls: ['http://127.0.0.1:9211']}\n", "", "URL of the primary");
}

static void tabs_and_other_shapes_are_refused(void **state)
{
    (void)state;
    refused("proxy:\n\tthreads: 1\n", ":2: ", "a tab");
    refused("proxy:\n  threads: \"1\n", ":", "not YAML");
    refused("primary:\n  urls: [a\n", ":3: ", "not YAML");
    refused("- a\n- b\n", ":1: ", "a section");
    refused("just text\n", ":1: ", "a section");
    refused("proxy: 3\n", ":1: ", "is a section");
    refused("[a, b]: 3\n", ":1: ", "a name");
    refused("proxy:\n  {a: b}: 3\n", ":2: ", "a name");
    refused("standbys:\n  name: b\n", ":2: ", "is a list");
    refused("standbys:\n  - b\n", ":2: ", "is a list");
    refused("proxy:\n  listen:\n    host: a\n", ":3: ", "one value");
    refused("\xff\xfe proxy", "", "not YAML");
}

static void a_missing_required_setting_is_named(void **state)
{
    (void)state;
    refused("standbys:\n  - urls: [http://h:1]\n", ":2: ", "standbys.name is missing");
    refused("log: {}\nstandbys:\n  - name: b\n", ":3: ", "standbys.urls is missing");
}

static void a_file_cut_anywhere_is_read_or_refused_but_never_crashes(void **state)
{
    (void)state;
    char *text = NULL, why[500];
    size_t size;
    FILE *out = open_memstream(&text, &size);
    settings_print_yaml(out);
    fclose(out);
    write_file("", 0644);

    for (size_t cut = 0; cut < size; cut += 1 + cut % 7) {
        char kept = text[cut];
        struct settings *settings;
        text[cut] = '\0';
        write_file(text, 0644);
        enum status status = settings_load(path, &settings, why, sizeof why);
        assert_true(status == STATUS_OK || strstr(why, path) != NULL);
        settings_free(settings);
        text[cut] = kept;
    }
    free(text);
}

static void a_reload_takes_what_may_change_and_names_what_may_not(void **state)
{
    (void)state;
    struct settings *old =
                        load("log: {level: info}\nproxy: {threads: 1, idle_timeout: 60s}\n"
                             "standbys:\n- {name: b, urls: [http://h:1], lag_max: 10s, lanes: 4}\n"
                             "- {name: c, urls: [http://h:2], admin: 127.0.0.1:2}\n"),
                    *fresh;
    struct buffer changed = {0}, refusals = {0};
    char why[500];

    write_file("log: {level: debug}\nproxy: {threads: 3, idle_timeout: 2m}\n"
               "standbys:\n- {name: d, urls: [http://h:4], admin: 127.0.0.1:3}\n"
               "- {name: b, urls: [http://h:1], lag_max: 20s, lanes: 5}\n",
               0644);
    assert_int_equal(settings_reload(old, path, &fresh, &changed, &refusals, why, sizeof why),
                     STATUS_OK);
    assert_string_equal(buffer_cstr(&changed), "log.level: info -> debug\n"
                                               "proxy.idle_timeout: 1m -> 2m\n"
                                               "standbys.b.lag_max: 10s -> 20s\n");
    assert_string_equal(buffer_cstr(&refusals), "proxy.threads: 1 -> 3\n"
                                                "standbys.b.lanes: 4 -> 5\n"
                                                "standbys: c is gone from the file\n"
                                                "standbys: d is new\n");
    assert_int_equal(fresh->log_level, SETTINGS_LOG_DEBUG);
    assert_int_equal(fresh->proxy_threads, 1);
    assert_int_equal(fresh->standbys_count, 2);
    assert_string_equal(fresh->standbys[0].name, "b");
    assert_int_equal(fresh->standbys[0].lag_max, 20000000);
    assert_int_equal(fresh->standbys[0].lanes, 4);
    assert_string_equal(fresh->standbys[1].name, "c");
    settings_free(fresh);
    buffer_fini(&changed);
    buffer_fini(&refusals);

    write_file("proxy: {thread: 3}\n", 0644);
    assert_int_equal(settings_reload(old, path, &fresh, &changed, &refusals, why, sizeof why),
                     STATUS_SETTINGS_WRONG);
    assert_null(fresh);
    settings_free(old);
}

static void addresses_and_urls_are_taken_apart(void **state)
{
    (void)state;
    struct conf_address address;
    char why[200];
    bool tls;

    assert_true(conf_url_parse("https://[::1]:9243", &tls, &address, why, sizeof why));
    assert_true(tls);
    assert_string_equal(address.host, "::1");
    assert_string_equal(address.text, "[::1]:9243");
    assert_int_equal(address.port, 9243);
    conf_address_fini(&address);
    assert_true(conf_address_parse("localhost:1", &address, why, sizeof why));
    assert_true(address.loopback);
    conf_address_fini(&address);
    assert_true(conf_address_parse("127.4.5.6:1", &address, why, sizeof why));
    assert_true(address.loopback);
    conf_address_fini(&address);
    assert_true(conf_address_parse("example.org:1", &address, why, sizeof why));
    assert_false(address.loopback);
    conf_address_fini(&address);
}

/* ------------------------------------------------------------------------------------------------------
 * Secrets. */

static void credentials_become_an_authorization(void **state)
{
    (void)state;
    static const struct {
        const char *content, *value;
    } cases[] = {
        {"elastic:changeme\n", "Basic ZWxhc3RpYzpjaGFuZ2VtZQ=="},
        {"a:b", "Basic YTpi"},
        {"a:bc\r\n", "Basic YTpiYw=="},
        {"ab:\xc3\xa4", "Basic YWI6w6Q="},
        {"ApiKey VnVhQ2ZHY0JDZGJrU\n", "ApiKey VnVhQ2ZHY0JDZGJrU"},
        {"Bearer abc.def", "Bearer abc.def"},
        {"no colon", NULL},
        {":password", NULL},
        {"", NULL},
        {"\n", NULL},
        {"a:b\nX-Other: 1\n", NULL},
    };
    char *value, why[500];

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        write_file(cases[i].content, 0600);
        enum status status = secret_authorization(path, &value, why, sizeof why);
        assert_int_equal(status, cases[i].value == NULL ? STATUS_SETTINGS_WRONG : STATUS_OK);
        if (cases[i].value == NULL)
            assert_null(value);
        else
            assert_string_equal(value, cases[i].value);
        secret_free(value);
    }
    assert_int_equal(secret_authorization("", &value, why, sizeof why), STATUS_OK);
    assert_null(value);
}

static void a_secret_that_others_may_use_is_refused(void **state)
{
    (void)state;
    static const mode_t good[] = {0600, 0400, 0700},
                        bad[] = {0640, 0604, 0620, 0602, 0610, 0644, 0660};
    struct buffer secret = {0};
    char why[500];

    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        write_file("top:secret", bad[i]);
        assert_int_equal(secret_read_file(path, &secret, why, sizeof why), STATUS_SETTINGS_WRONG);
        assert_non_null(strstr(why, "chmod 600"));
        assert_int_equal(secret.size, 0);
    }
    for (size_t i = 0; i < COUNT_OF(good); i++) {
        write_file("top:secret\n", good[i]);
        assert_int_equal(secret_read_file(path, &secret, why, sizeof why), STATUS_OK);
        assert_true(span_equal(buffer_span(&secret), SPAN("top:secret")));
        secret_fini(&secret);
    }
    assert_int_equal(secret_read_file(folder, &secret, why, sizeof why), STATUS_SETTINGS_WRONG);
    unlink(path);
    assert_int_equal(secret_read_file(path, &secret, why, sizeof why), STATUS_SETTINGS_WRONG);
}

static int make_folder(void **state)
{
    (void)state;
    if (mkdtemp(folder) == NULL)
        return -1;
    snprintf(path, sizeof path, "%s/t.yml", folder);
    return 0;
}

static int remove_folder(void **state)
{
    (void)state;
    unlink(path);
    return rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_type_is_read),
        cmocka_unit_test(an_empty_file_gives_every_default_and_no_standby),
        cmocka_unit_test(a_wrong_name_is_refused_with_its_line_and_the_nearest_name),
        cmocka_unit_test(a_wrong_value_is_refused_with_its_line_and_what_would_be_right),
        cmocka_unit_test(a_password_in_a_url_is_refused_and_not_repeated),
        cmocka_unit_test(what_stands_twice_is_refused),
        cmocka_unit_test(tabs_and_other_shapes_are_refused),
        cmocka_unit_test(a_missing_required_setting_is_named),
        cmocka_unit_test(a_file_cut_anywhere_is_read_or_refused_but_never_crashes),
        cmocka_unit_test(a_reload_takes_what_may_change_and_names_what_may_not),
        cmocka_unit_test(addresses_and_urls_are_taken_apart),
        cmocka_unit_test(credentials_become_an_authorization),
        cmocka_unit_test(a_secret_that_others_may_use_is_refused),
    };

    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
