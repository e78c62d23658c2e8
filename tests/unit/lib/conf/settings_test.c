/* settings_test.c - the shipped file and its documentation are what the table prints.
 *
 * After a change of the table: tandemctl docs conf > conf/tandem.yml, tandemctl docs configuration
 * > docs/configuration.md.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "conf/settings.h"

#ifndef TANDEM_SOURCE_DIR
#define TANDEM_SOURCE_DIR "."
#endif

/* The file of this source tree called NAME; the caller frees it. */
static char *tree_file(const char *name)
{
    char path[4096], *text = bytes_zalloc(1 << 20);

    snprintf(path, sizeof path, "%s/%s", TANDEM_SOURCE_DIR, name);
    FILE *file = fopen(path, "re");
    if (file == NULL)
        fail_msg("%s cannot be opened", path);
    assert_true(fread(text, 1, (1 << 20) - 1, file) > 0);
    fclose(file);
    return text;
}

static void equals(const char *name, void (*print)(FILE *), const char *command)
{
    char *printed = NULL, *kept = tree_file(name);
    size_t size, same = 0, line = 1;
    FILE *out = open_memstream(&printed, &size);

    print(out);
    fclose(out);
    while (printed[same] != '\0' && printed[same] == kept[same])
        line += printed[same++] == '\n';
    if (printed[same] != kept[same])
        fail_msg("%s:%zu differs from the table; repeat with: tandemctl docs %s > %s", name, line,
                 command, name);
    free(printed);
    free(kept);
}

static void the_shipped_file_is_what_the_table_prints(void **state)
{
    (void)state;
    equals("conf/tandem.yml", settings_print_yaml, "conf");
}

static void the_documentation_is_what_the_table_prints(void **state)
{
    (void)state;
    equals("docs/configuration.md", settings_print_docs, "configuration");
}

static void the_shipped_file_changes_nothing(void **state)
{
    (void)state;
    struct settings *defaults = settings_default(), *fresh;
    struct buffer changed = {0}, refused = {0};
    char why[500];

    if (settings_reload(defaults, TANDEM_SOURCE_DIR "/conf/tandem.yml", &fresh, &changed, &refused,
                        why, sizeof why) != STATUS_OK)
        fail_msg("%s", why);
    assert_int_equal(changed.size, 0);
    assert_int_equal(refused.size, 0);
    settings_free(fresh);
    settings_free(defaults);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_shipped_file_is_what_the_table_prints),
        cmocka_unit_test(the_documentation_is_what_the_table_prints),
        cmocka_unit_test(the_shipped_file_changes_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
