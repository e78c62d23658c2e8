/* failpoint_test.c - a point does what its specification says, as often as it says.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/failpoint.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"

static int disarm(void **state)
{
    (void)state;
    return failpoint_set("") ? 0 : -1;
}

/* Which of the first SIZE hits are errors, as '1' and '0'. */
static const char *errors_of(const char *name, size_t size)
{
    static char text[256];
    for (size_t i = 0; i < size; i++)
        text[i] = failpoint_hit(name) ? '1' : '0';
    text[size] = '\0';
    return text;
}

static void an_unarmed_point_does_nothing_but_count(void **state)
{
    (void)state;
    assert_int_equal(failpoint_hits("quiet"), 0);
    assert_string_equal(errors_of("quiet", 5), "00000");
    assert_int_equal(failpoint_hits("quiet"), 5);
    assert_int_equal(failpoint_hits("never"), 0);
}

static void modifiers_choose_the_hits(void **state)
{
    (void)state;
    static const struct {
        const char *spec, *errors;
    } cases[] = {
        {"p=error", "11111111"},
        {"p=error:once", "10000000"},
        {"p=error:after(3)", "00011111"},
        {"p=error:after(3):once", "00010000"},
        {"p=error:once:after(3)", "00010000"},
        {"p=error:every(3)", "00100100"},
        {"p=error:after(1):every(2)", "00101010"},
        {"p=error:prob(0,1)", "00000000"},
        {"p=error:prob(1,1)", "11111111"},
        {"p=off", "00000000"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        assert_true(failpoint_set(cases[i].spec));
        if (strcmp(errors_of("p", 8), cases[i].errors) != 0)
            fail_msg("%s", cases[i].spec);
    }
}

static void chance_repeats_with_its_seed(void **state)
{
    (void)state;
    char first[201];
    int errors = 0;
    assert_true(failpoint_set("p=error:prob(0.25,42)"));
    strcpy(first, errors_of("p", 200));
    assert_true(failpoint_set("p=error:prob(0.25,42)"));
    assert_string_equal(errors_of("p", 200), first);
    assert_true(failpoint_set("p=error:prob(0.25,43)"));
    assert_string_not_equal(errors_of("p", 200), first);
    for (int i = 0; i < 200; i++)
        errors += first[i] == '1';
    assert_in_range(errors, 30, 70);
}

static void points_are_set_side_by_side(void **state)
{
    (void)state;
    assert_true(failpoint_set("a=error;b=error:once;"));
    assert_true(failpoint_set("c=error"));
    assert_true(failpoint_set("a=off"));
    assert_string_equal(errors_of("a", 2), "00");
    assert_string_equal(errors_of("b", 2), "10");
    assert_string_equal(errors_of("c", 2), "11");
    assert_true(failpoint_set(""));
    assert_string_equal(errors_of("c", 2), "00");
}

static void a_wrong_specification_changes_nothing(void **state)
{
    (void)state;
    static const char *const wrong[] = {
        "p",
        "=error",
        "p=",
        "p=explode",
        "p=error(1)",
        "p=delay",
        "p=delay()",
        "p=delay(x)",
        "p=delay(1",
        "p=error:sometimes",
        "p=error:once(1)",
        "p=error:after",
        "p=error:after(-1)",
        "p=error:every(0)",
        "p=error:prob(2,1)",
        "p=error:prob(0.5)",
        "p=error:prob(,1)",
        "q=off;p=off;r",
        "p:once=error",
        "p=kill()x",
    };
    assert_true(failpoint_set("p=error"));
    for (size_t i = 0; i < COUNT_OF(wrong); i++) {
        if (failpoint_set(wrong[i]))
            fail_msg("accepted: %s", wrong[i]);
        assert_true(failpoint_hit("p"));
    }
}

static void a_delay_takes_its_time(void **state)
{
    (void)state;
    uint64_t before = clock_now_us();
    assert_true(failpoint_set("p=delay(5)"));
    assert_false(failpoint_hit("p"));
    assert_true(clock_now_us() - before >= 5000);
}

/* Runs a hit of "p" in a child that is armed with SPEC; returns its wait status. */
static int child_status(const char *spec, int wait_options)
{
    int status = -1;
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        failpoint_set(spec);
        failpoint_hit("p");
        _exit(7);
    }
    assert_true(child > 0);
    assert_true(waitpid(child, &status, wait_options) == child);
    if (WIFSTOPPED(status)) {
        int end;
        kill(child, SIGCONT);
        assert_true(waitpid(child, &end, 0) == child);
        assert_true(WIFEXITED(end) && WEXITSTATUS(end) == 7);
    }
    return status;
}

static void kill_and_stop_hit_the_whole_process(void **state)
{
    (void)state;
    int killed = child_status("p=kill", 0);
    assert_true(WIFSIGNALED(killed) && WTERMSIG(killed) == SIGKILL);
    int passed = child_status("p=kill:after(1)", 0);
    assert_true(WIFEXITED(passed) && WEXITSTATUS(passed) == 7);
    int stopped = child_status("p=stop", WUNTRACED);
    assert_true(WIFSTOPPED(stopped) && WSTOPSIG(stopped) == SIGSTOP);
}

static void the_list_has_every_point(void **state)
{
    (void)state;
    struct buffer out = {0};
    failpoint_hit("listed");
    failpoint_hit("listed");
    assert_true(failpoint_set("only-set=off"));
    failpoint_list(&out);
    assert_non_null(strstr(buffer_cstr(&out), "listed 2\n"));
    assert_non_null(strstr(buffer_cstr(&out), "only-set 0\n"));
    buffer_fini(&out);
}

static void the_macro_follows_the_build(void **state)
{
    (void)state;
    assert_true(failpoint_set("macro=error"));
#ifdef TANDEM_FAILPOINTS
    assert_true(FAILPOINT("macro"));
    assert_int_equal(failpoint_hits("macro"), 1);
#else
    assert_false(FAILPOINT("macro"));
    assert_int_equal(failpoint_hits("macro"), 0);
#endif
}

static void the_environment_arms_points(void **state)
{
    (void)state;
    assert_true(failpoint_hit("from-environment"));
    assert_false(failpoint_hit("from-environment"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        /* first: the environment is read at the first hit, and disarm() ends it */
        cmocka_unit_test(the_environment_arms_points),
        cmocka_unit_test_setup(an_unarmed_point_does_nothing_but_count, disarm),
        cmocka_unit_test_setup(modifiers_choose_the_hits, disarm),
        cmocka_unit_test_setup(chance_repeats_with_its_seed, disarm),
        cmocka_unit_test_setup(points_are_set_side_by_side, disarm),
        cmocka_unit_test_setup(a_wrong_specification_changes_nothing, disarm),
        cmocka_unit_test_setup(a_delay_takes_its_time, disarm),
        cmocka_unit_test_setup(kill_and_stop_hit_the_whole_process, disarm),
        cmocka_unit_test_setup(the_list_has_every_point, disarm),
        cmocka_unit_test_setup(the_macro_follows_the_build, disarm),
    };
    setenv("TANDEM_FAILPOINTS", "from-environment=error:once", 1);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
