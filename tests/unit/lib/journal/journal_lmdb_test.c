/* journal_lmdb_test.c - the journal on a real disk: processes that die, second writers, no room,
 * damage.
 *
 * LMDB forbids to open an environment twice in one process, so a second opener is always a child.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "journal/journal.h"

#define MIB (1ull << 20)

struct fixture {
    char folder[256];
    bool mounted; /* a file system of its own is mounted on folder */
    struct buffer out;
};

static int setup(void **state)
{
    struct fixture *fx = bytes_zalloc(sizeof *fx);
    const char *parent = getenv("TMPDIR");

    snprintf(fx->folder, sizeof fx->folder, "%s/journal_lmdb_test.XXXXXX",
             parent != NULL ? parent : P_tmpdir);
    assert_non_null(mkdtemp(fx->folder));
    *state = fx;
    return 0;
}

static const char *path_of(struct fixture *fx, const char *name)
{
    static char path[300];

    snprintf(path, sizeof path, "%s/%s", fx->folder, name);
    return path;
}

static int teardown(void **state)
{
    struct fixture *fx = *state;

    unlink(path_of(fx, "data.mdb"));
    unlink(path_of(fx, "lock.mdb"));
    unlink(path_of(fx, "lock.tandem"));
    unlink(path_of(fx, "ballast"));
    if (fx->mounted)
        umount2(fx->folder, MNT_DETACH); /* a claim that failed may have left it open */
    rmdir(fx->folder);
    buffer_fini(&fx->out);
    free(fx);
    return 0;
}

static enum status open_with(struct fixture *fx, struct journal_options options,
                             struct journal **journal)
{
    char why[256] = "";
    enum status status;

    options.folder = fx->folder;
    status = journal_open_lmdb(&options, journal, why, sizeof why);
    if (status != STATUS_OK)
        print_message("%s: %s\n", status_name(status), why);
    return status;
}

static struct journal *open_writer(struct fixture *fx, uint64_t size_max)
{
    struct journal_options options = {.create = true, .size_max = size_max, .sync = true};
    struct journal *journal = NULL;

    assert_int_equal(open_with(fx, options, &journal), STATUS_OK);
    return journal;
}

/* Appends COUNT records of SIZE bytes each to TXN. */
static enum status append(struct journal_txn *txn, size_t count, size_t size)
{
    char *source = bytes_alloc(size + 1);
    struct record record = {.header = {.kind = RECORD_ROW, .timeline = 1}};
    enum status status = STATUS_OK;
    uint64_t seq;

    memset(source, 'x', size);
    for (size_t i = 0; i < count && status == STATUS_OK; i++) {
        record.row = (struct row){.op = ROW_INDEX,
                                  .proof = ROW_ANSWERED,
                                  .incarnation = 1,
                                  .term = 1,
                                  .id = SPAN("id"),
                                  .content = CONTENT_JSON,
                                  .source = span_of(source, size)};
        status = journal_append(txn, &record, &seq);
    }
    free(source);
    return status;
}

/* Appends COUNT records of SIZE bytes in a transaction of their own. */
static enum status write_records(struct journal *journal, size_t count, size_t size)
{
    struct journal_txn *txn = NULL;
    enum status status = journal_begin(journal, &txn);

    if (status != STATUS_OK)
        return status;
    (void)append(txn, count, size); /* a failure shows at the commit again */
    return journal_commit(txn);
}

static enum status put_value(struct journal *journal, struct span key, struct span value)
{
    struct journal_txn *txn = NULL;
    enum status status = journal_begin(journal, &txn);

    if (status != STATUS_OK)
        return status;
    status = journal_put(txn, JOURNAL_STATE, key, value);
    enum status committed = journal_commit(txn);
    assert_true(status == STATUS_OK || status == committed);
    return committed;
}

static struct journal_info info_of(struct journal *journal)
{
    struct journal_info info;

    journal_info(journal, &info);
    return info;
}

struct findings {
    unsigned count;
    char last[400];
};

static void say_finding(void *arg, const char *text)
{
    struct findings *findings = arg;

    print_message("finding: %s\n", text);
    findings->count++;
    snprintf(findings->last, sizeof findings->last, "%s", text);
}

static void assert_sound(struct journal *journal)
{
    struct findings findings = {0};

    assert_int_equal(journal_check(journal, say_finding, &findings), STATUS_OK);
    assert_int_equal(findings.count, 0);
}

/* ------------------------------------------------------------------------------------------------------
 * Children. They must not use cmocka: their exit code tells. */

struct child {
    pid_t pid;
    int from, to; /* pipes: what it says, what it is told */
};

static struct child child_start(void (*work)(struct fixture *fx, int in, int out),
                                struct fixture *fx)
{
    struct child child;
    int from[2], to[2];

    assert_int_equal(pipe2(from, O_CLOEXEC), 0);
    assert_int_equal(pipe2(to, O_CLOEXEC), 0);
    fflush(NULL);
    child.pid = fork();
    assert_true(child.pid >= 0);
    if (child.pid == 0) {
        close(from[0]);
        close(to[1]);
        work(fx, to[0], from[1]);
        _exit(0);
    }
    close(from[1]);
    close(to[0]);
    child.from = from[0];
    child.to = to[1];
    return child;
}

static uint64_t child_says(struct child *child)
{
    uint64_t number = 0;

    assert_int_equal(read(child->from, &number, sizeof number), sizeof number);
    return number;
}

static void child_tell(struct child *child, uint64_t number)
{
    assert_int_equal(write(child->to, &number, sizeof number), sizeof number);
}

/* Ends the child with SIGNAL, or (0) waits for its own end, which must be orderly. */
static void child_end(struct child *child, int sent)
{
    int result = 0;

    if (sent != 0)
        kill(child->pid, sent);
    assert_int_equal(waitpid(child->pid, &result, 0), child->pid);
    if (sent == 0)
        assert_true(WIFEXITED(result) && WEXITSTATUS(result) == 0);
    close(child->from);
    close(child->to);
}

static void say(int out, uint64_t number)
{
    if (write(out, &number, sizeof number) != sizeof number)
        _exit(9);
}

/* Waits for the parent; ends when it is gone. */
static uint64_t hear(int in)
{
    uint64_t number = 0;

    if (read(in, &number, sizeof number) != sizeof number)
        _exit(8);
    return number;
}

static struct journal *child_open(struct fixture *fx, bool read_only)
{
    struct journal_options options = {.folder = fx->folder,
                                      .create = !read_only,
                                      .read_only = read_only,
                                      .size_max = 64 * MIB,
                                      .sync = true};
    struct journal *journal;
    char why[256];

    if (journal_open_lmdb(&options, &journal, why, sizeof why) != STATUS_OK)
        _exit(7);
    return journal;
}

/* ------------------------------------------------------------------------------------------------------
 * Death. */

static void dies_before_the_commit(struct fixture *fx, int in, int out)
{
    struct journal *journal = child_open(fx, false);
    struct journal_txn *txn;

    if (journal_begin(journal, &txn) != STATUS_OK || append(txn, 10, 1000) != STATUS_OK ||
        journal_put(txn, JOURNAL_STATE, SPAN("k"), SPAN("v")) != STATUS_OK)
        _exit(1);
    say(out, 1);
    hear(in);
}

static void dies_after_the_commit(struct fixture *fx, int in, int out)
{
    struct journal *journal = child_open(fx, false);
    struct journal_txn *txn;

    if (journal_begin(journal, &txn) != STATUS_OK || append(txn, 10, 1000) != STATUS_OK ||
        journal_put(txn, JOURNAL_STATE, SPAN("k"), SPAN("v")) != STATUS_OK ||
        journal_commit(txn) != STATUS_OK)
        _exit(1);
    say(out, 1);
    hear(in);
}

static void a_writer_killed_before_the_commit_leaves_nothing(void **state)
{
    struct fixture *fx = *state;
    struct child child = child_start(dies_before_the_commit, fx);

    child_says(&child);
    child_end(&child, SIGKILL);
    struct journal *journal = open_writer(fx, 64 * MIB);
    assert_int_equal(info_of(journal).last_seq, 0);
    assert_int_equal(info_of(journal).boot, 2);
    assert_int_equal(journal_get(journal, JOURNAL_STATE, SPAN("k"), &fx->out), STATUS_NOT_FOUND);
    assert_int_equal(write_records(journal, 1, 10), STATUS_OK);
    assert_sound(journal);
    journal_close(journal);
}

static void a_writer_killed_after_the_commit_leaves_all(void **state)
{
    struct fixture *fx = *state;
    struct child child = child_start(dies_after_the_commit, fx);

    child_says(&child);
    child_end(&child, SIGKILL);
    struct journal *journal = open_writer(fx, 64 * MIB);
    assert_int_equal(info_of(journal).last_seq, 10);
    assert_int_equal(journal_get(journal, JOURNAL_STATE, SPAN("k"), &fx->out), STATUS_OK);
    assert_sound(journal);
    journal_close(journal);
}

static void commits_for_ever(struct fixture *fx, int in, int out)
{
    struct journal *journal = child_open(fx, false);

    (void)in;
    for (;;) {
        if (write_records(journal, 7, 3000) != STATUS_OK)
            _exit(1);
        say(out, info_of(journal).last_seq);
    }
}

static void what_was_acknowledged_survives_a_kill_at_any_moment(void **state)
{
    struct fixture *fx = *state;
    uint64_t acknowledged = 0;

    for (int round = 1; round <= 20; round++) {
        struct child child = child_start(commits_for_ever, fx);
        for (int i = 0; i < round; i++)
            acknowledged = child_says(&child);
        child_end(&child, SIGKILL);
        struct journal *journal = open_writer(fx, 64 * MIB);
        assert_true(info_of(journal).last_seq >= acknowledged);
        assert_int_equal(info_of(journal).last_seq % 7, 0); /* whole transactions */
        assert_sound(journal);
        journal_close(journal);
    }
}

/* ------------------------------------------------------------------------------------------------------
 * Several openers. */

static void tries_to_write(struct fixture *fx, int in, int out)
{
    struct journal_options options = {.folder = fx->folder, .size_max = 64 * MIB};
    struct journal *journal;
    char why[256] = "", holder[64];

    (void)in;
    snprintf(holder, sizeof holder, "process %ld ", (long)getppid());
    say(out, journal_open_lmdb(&options, &journal, why, sizeof why));
    say(out, strstr(why, holder) != NULL);
}

static void writes_and_waits(struct fixture *fx, int in, int out)
{
    struct journal *journal = child_open(fx, false);

    say(out, info_of(journal).boot);
    hear(in);
}

static void a_second_process_is_refused_and_told_who_has_it(void **state)
{
    struct fixture *fx = *state;
    struct journal *journal = open_writer(fx, 64 * MIB);
    struct child child = child_start(tries_to_write, fx);

    assert_int_equal(child_says(&child), STATUS_JOURNAL_IN_USE);
    assert_int_equal(child_says(&child), true);
    child_end(&child, 0);
    assert_int_equal(write_records(journal, 1, 10), STATUS_OK);
    journal_close(journal);
}

static void a_killed_writer_holds_no_lock(void **state)
{
    struct fixture *fx = *state;
    struct child child = child_start(writes_and_waits, fx);

    assert_int_equal(child_says(&child), 1);
    child_end(&child, SIGKILL);
    struct journal *journal = open_writer(fx, 64 * MIB);
    assert_int_equal(info_of(journal).boot, 2);
    journal_close(journal);
}

static void reads_what_it_is_told(struct fixture *fx, int in, int out)
{
    struct journal *journal = NULL;
    struct buffer bytes = {0};
    size_t count;

    for (uint64_t from; (from = hear(in)) != 0;) {
        if (journal == NULL)
            journal = child_open(fx, true);
        if (journal_read(journal, from, 256, MIB, &bytes, &count) != STATUS_OK)
            _exit(1);
        say(out, count);
        say(out, info_of(journal).last_seq);
        say(out, info_of(journal).size_max);
    }
    buffer_fini(&bytes);
    journal_close(journal);
}

static void another_process_reads_what_is_committed(void **state)
{
    struct fixture *fx = *state;
    /* First the child: it would inherit the lock, and keep it. */
    struct child child = child_start(reads_what_it_is_told, fx);
    struct journal *journal = open_writer(fx, 4 * MIB);

    for (uint64_t round = 1; round <= 20; round++) {
        assert_int_equal(write_records(journal, 3, 100), STATUS_OK);
        child_tell(&child, 3 * round - 2);
        assert_int_equal(child_says(&child), 3);
        assert_int_equal(child_says(&child), 3 * round);
        assert_int_equal(child_says(&child), 4 * MIB);
    }
    /* A larger quota reaches the reader when more than the old one is in use. */
    journal_close(journal);
    journal = open_writer(fx, 64 * MIB);
    assert_int_equal(write_records(journal, 100, 100000), STATUS_OK);
    child_tell(&child, 100);
    assert_in_range(child_says(&child), 1, 12);
    assert_int_equal(child_says(&child), 160);
    assert_int_equal(child_says(&child), 64 * MIB);
    child_tell(&child, 0);
    child_end(&child, 0);
    assert_sound(journal);
    journal_close(journal);
}

static bool stays_inside(void *arg, struct span key, struct span value)
{
    int *pipes = arg;

    (void)key;
    (void)value;
    say(pipes[1], 1);
    hear(pipes[0]);
    return false;
}

static void dies_while_reading(struct fixture *fx, int in, int out)
{
    int pipes[2] = {in, out};

    if (journal_scan(child_open(fx, true), JOURNAL_STATE, SPAN_NONE, stays_inside, pipes) !=
        STATUS_OK)
        _exit(1);
}

static void a_reader_that_died_is_cleared_away(void **state)
{
    struct fixture *fx = *state;
    struct journal *journal = open_writer(fx, 64 * MIB);

    assert_int_equal(put_value(journal, SPAN("k"), SPAN("v")), STATUS_OK);
    struct child child = child_start(dies_while_reading, fx);
    child_says(&child);
    assert_int_equal(journal_reader_check(journal), 0); /* it lives */
    child_end(&child, SIGKILL);
    assert_int_equal(journal_reader_check(journal), 1);
    assert_int_equal(journal_reader_check(journal), 0);
    journal_close(journal);
}

static void a_missing_journal_is_missing(void **state)
{
    struct fixture *fx = *state;
    struct journal_options writer = {.size_max = 64 * MIB}, reader = {.read_only = true};
    struct journal *journal;

    assert_int_equal(open_with(fx, writer, &journal), STATUS_JOURNAL_MISSING);
    assert_int_equal(open_with(fx, reader, &journal), STATUS_JOURNAL_MISSING);
    assert_int_equal(access(path_of(fx, "data.mdb"), F_OK), -1);
    assert_int_equal(access(path_of(fx, "lock.tandem"), F_OK), -1);
    rmdir(fx->folder);
    assert_int_equal(open_with(fx, writer, &journal), STATUS_JOURNAL_MISSING);
    journal_close(open_writer(fx, 64 * MIB)); /* makes the folder */
    assert_int_equal(open_with(fx, reader, &journal), STATUS_OK);
    journal_close(journal);
    assert_int_equal(truncate(path_of(fx, "data.mdb"), 0), 0);
    assert_int_equal(open_with(fx, writer, &journal), STATUS_JOURNAL_MISSING);
}

static void a_file_that_is_no_journal_is_broken(void **state)
{
    struct fixture *fx = *state;
    struct journal_options options = {.create = true, .size_max = 64 * MIB};
    struct journal *journal;
    FILE *file = fopen(path_of(fx, "data.mdb"), "w");

    for (int i = 0; i < 10000; i++)
        fputs("no journal", file);
    fclose(file);
    assert_int_equal(open_with(fx, options, &journal), STATUS_JOURNAL_BROKEN);
}

/* ------------------------------------------------------------------------------------------------------
 * No room. */

/* Writes COUNT records of SIZE bytes at a time until there is no room, also not for who tries
 * again; returns how many records there are then. */
static uint64_t fill(struct journal *journal, size_t count, size_t size)
{
    enum status status;

    do {
        status = write_records(journal, count, size);
        if (status == STATUS_JOURNAL_FULL)
            status = write_records(journal, count, size);
    } while (status == STATUS_OK);
    assert_int_equal(status, STATUS_JOURNAL_FULL);
    print_message("full: %s (last_seq=%llu)\n", journal_why(journal),
                  (unsigned long long)info_of(journal).last_seq);
    return info_of(journal).last_seq;
}

static void trim_to(struct journal *journal, uint64_t keep_from)
{
    uint64_t trimmed;

    do
        assert_int_equal(journal_trim(journal, keep_from, 1000, &trimmed), STATUS_OK);
    while (trimmed > 0);
}

/* What must still work when appends are refused: small puts and deletes, reading, trimming; then
 * appends again. */
static void assert_full_and_alive(struct fixture *fx, struct journal *journal, size_t count,
                                  size_t size)
{
    uint64_t last = info_of(journal).last_seq;

    for (int i = 0; i < 100; i++) {
        assert_int_equal(put_value(journal, SPAN("k"), SPAN("v")), STATUS_OK);
        assert_int_equal(write_records(journal, count, size), STATUS_JOURNAL_FULL);
        struct journal_txn *txn;
        assert_int_equal(journal_begin(journal, &txn), STATUS_OK);
        assert_int_equal(journal_delete(txn, JOURNAL_STATE, SPAN("k")), STATUS_OK);
        assert_int_equal(journal_commit(txn), STATUS_OK);
    }
    assert_int_equal(info_of(journal).last_seq, last);
    assert_int_equal(journal_get(journal, JOURNAL_STATE, SPAN("k"), &fx->out), STATUS_NOT_FOUND);
    assert_sound(journal);
    trim_to(journal, last / 2);
    enum status status = write_records(journal, count, size);
    if (status != STATUS_OK)
        fail_msg("after the trim: %s", journal_why(journal));
    assert_int_equal(info_of(journal).last_seq, last + count);
    assert_sound(journal);
}

static void a_full_map_refuses_appends_and_recovers_after_a_trim(void **state)
{
    static const struct {
        size_t count, size;
    } loads[] = {{1, 100}, {64, 1000}, {1, 50000}, {1000, 100}, {3, 400000}};
    struct fixture *fx = *state;

    for (size_t i = 0; i < COUNT_OF(loads); i++) {
        print_message("load: %zu records of %zu bytes a commit\n", loads[i].count, loads[i].size);
        struct journal_options options = {.create = true,
                                          .size_max = 8 * MIB}; /* no sync: faster */
        struct journal *journal = NULL;
        assert_int_equal(open_with(fx, options, &journal), STATUS_OK);
        fill(journal, loads[i].count, loads[i].size);
        assert_true(info_of(journal).used_bytes > 6 * MIB);
        assert_full_and_alive(fx, journal, loads[i].count, loads[i].size);
        for (int round = 0; round < 10; round++) {
            uint64_t last = fill(journal, loads[i].count, loads[i].size);
            assert_true(info_of(journal).used_bytes > 6 * MIB);
            trim_to(journal, last - last / 50);
        }
        assert_sound(journal);
        journal_close(journal);
        unlink(path_of(fx, "data.mdb"));
        unlink(path_of(fx, "lock.mdb"));
    }
}

static void a_journal_in_steady_use_never_runs_full(void **state)
{
    struct fixture *fx = *state;
    struct journal_options options = {.create = true, .size_max = 32 * MIB};
    struct journal *journal;
    uint64_t random = 1, trimmed, keep = 0;
    char key[8];

    assert_int_equal(open_with(fx, options, &journal), STATUS_OK);
    /* A quarter of the map is kept, frames of all sizes, and intents come and go meanwhile. */
    for (int i = 0; i < 3000; i++) {
        random = random * 6364136223846793005ull + 1442695040888963407ull;
        struct journal_txn *txn;
        assert_int_equal(journal_begin(journal, &txn), STATUS_OK);
        assert_int_equal(append(txn, 1 + (random >> 60), (random >> 33) % 20000), STATUS_OK);
        put_u64be(key, random >> 48);
        assert_int_equal(journal_put(txn, JOURNAL_INTENTS, span_of(key, 8), SPAN("an intent")),
                         STATUS_OK);
        put_u64be(key, (random >> 20) & 0xffff);
        assert_int_equal(journal_delete(txn, JOURNAL_INTENTS, span_of(key, 8)), STATUS_OK);
        assert_int_equal(journal_commit(txn), STATUS_OK);
        struct journal_info info = info_of(journal);
        if (info.used_bytes > info.size_max / 4) {
            keep = info.first_seq + 200;
            assert_int_equal(journal_trim(journal, keep, 1000, &trimmed), STATUS_OK);
        }
        assert_true(info.used_bytes < info.size_max / 2);
    }
    assert_true(keep > 10000);
    journal_close(journal);
}

static void a_full_disk_refuses_appends_and_recovers(void **state)
{
    struct fixture *fx = *state;
    char ballast[] = "........";

    if (mount("tmpfs", fx->folder, "tmpfs", 0, "size=4m") != 0) {
        print_message("skipped: no tiny file system may be mounted here (%s)\n", strerror(errno));
        skip();
    }
    fx->mounted = true;
    struct journal *journal = open_writer(fx, 64 * MIB);
    fill(journal, 10, 1000);
    assert_full_and_alive(fx, journal, 10, 1000);
    fill(journal, 10, 1000);
    journal_close(journal);
    journal = open_writer(fx, 64 * MIB); /* a full disk does not keep it from starting */
    assert_int_equal(info_of(journal).boot, 2);
    trim_to(journal, info_of(journal).last_seq + 1);
    journal_close(journal);

    /* The disk is full because of somebody else, who then goes away. */
    unlink(path_of(fx, "data.mdb"));
    journal = open_writer(fx, 64 * MIB);
    assert_int_equal(write_records(journal, 1, 10), STATUS_OK);
    int fd = open(path_of(fx, "ballast"), O_CREAT | O_WRONLY, 0600);
    while (write(fd, ballast, sizeof ballast) > 0)
        ;
    close(fd);
    uint64_t last = fill(journal, 1, 10000);
    assert_int_equal(put_value(journal, SPAN("k"), SPAN("v")), STATUS_OK);
    assert_false(journal_disk_has_room(journal, 100 * 10000));
    unlink(path_of(fx, "ballast"));
    assert_true(journal_disk_has_room(journal, 100 * 10000));
    assert_int_equal(write_records(journal, 100, 10000), STATUS_OK);
    assert_int_equal(info_of(journal).last_seq, last + 100);
    assert_sound(journal);
    journal_close(journal);
}

/* Puts FLAGS-opened PATH in the place of data.mdb's descriptor; returns a copy of that. */
static int replace_data_file(struct fixture *fx, const char *path, int flags, int *data_fd)
{
    char link[300], name[64];

    for (int fd = 3; fd < 200; fd++) {
        snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
        ssize_t size = readlink(name, link, sizeof link - 1);
        link[size > 0 ? size : 0] = '\0';
        if (strcmp(link, path_of(fx, "data.mdb")) != 0)
            continue;
        int copy = dup(fd), other = open(path, flags);
        assert_true(copy >= 0 && other >= 0);
        assert_int_equal(dup2(other, fd), fd);
        close(other);
        *data_fd = fd;
        return copy; /* the lowest is the one LMDB writes data with; the other one is for its meta
                        pages */
    }
    fail_msg("data.mdb is not among the open files");
    return -1;
}

static void a_write_that_finds_no_space_is_undone_and_the_journal_goes_on(void **state)
{
    struct fixture *fx = *state;
    struct journal *journal = open_writer(fx, 64 * MIB);
    int data_fd;

    assert_int_equal(write_records(journal, 1, 10), STATUS_OK);
    int copy = replace_data_file(fx, "/dev/full", O_RDWR, &data_fd);
    assert_int_equal(write_records(journal, 1, 10), STATUS_JOURNAL_FULL);
    assert_int_equal(write_records(journal, 1, 10), STATUS_JOURNAL_FULL);
    assert_int_equal(dup2(copy, data_fd), data_fd);
    assert_int_equal(write_records(journal, 1, 10), STATUS_OK);
    assert_int_equal(info_of(journal).last_seq, 2);
    assert_sound(journal);
    close(copy);
    journal_close(journal);
}

static void after_an_error_of_the_disk_nothing_is_written_any_more(void **state)
{
    struct fixture *fx = *state;
    struct journal *journal = open_writer(fx, 64 * MIB);
    struct journal_txn *txn;
    uint64_t trimmed;
    int data_fd;

    assert_int_equal(write_records(journal, 1, 10), STATUS_OK);
    int copy = replace_data_file(fx, "/dev/null", O_RDONLY, &data_fd);
    assert_int_equal(write_records(journal, 1, 10), STATUS_JOURNAL_IO);
    print_message("why: %s\n", journal_why(journal));
    assert_true(strlen(journal_why(journal)) > 0);
    assert_int_equal(dup2(copy, data_fd), data_fd);
    assert_int_equal(journal_begin(journal, &txn), STATUS_JOURNAL_IO);
    assert_int_equal(journal_trim(journal, 2, 10, &trimmed), STATUS_JOURNAL_IO);
    close(copy);
    journal_close(journal);
    journal = open_writer(fx, 64 * MIB);
    assert_int_equal(info_of(journal).last_seq, 1);
    assert_sound(journal);
    journal_close(journal);
}

/* ------------------------------------------------------------------------------------------------------
 * Size and damage. */

static void a_record_of_100_mb_comes_back(void **state)
{
    struct fixture *fx = *state;
    struct journal_options options = {.create = true, .size_max = 512 * MIB};
    struct journal *journal;
    struct record record;
    size_t count, used, size = 100u << 20;
    uint64_t trimmed;

    assert_int_equal(open_with(fx, options, &journal), STATUS_OK);
    assert_int_equal(write_records(journal, 2, 10), STATUS_OK);
    assert_int_equal(write_records(journal, 1, size), STATUS_OK);
    assert_int_equal(write_records(journal, 2, 10), STATUS_OK);
    assert_int_equal(journal_read(journal, 3, 10, MIB, &fx->out, &count), STATUS_OK);
    assert_int_equal(count, 1);
    assert_int_equal(record_decode(buffer_span(&fx->out), &record, &used), STATUS_OK);
    assert_int_equal(record.row.source.size, size);
    assert_int_equal(journal_read(journal, 1, 10, 1000, &fx->out, &count), STATUS_OK);
    assert_int_equal(count, 2); /* stops before it */
    assert_sound(journal);
    assert_true(info_of(journal).used_bytes > size);
    assert_int_equal(journal_trim(journal, 4, 10, &trimmed), STATUS_OK);
    assert_int_equal(trimmed, 3);
    journal_close(journal);
    assert_int_equal(open_with(fx, options, &journal), STATUS_OK);
    assert_true(info_of(journal).used_bytes < MIB);
    assert_sound(journal);
    journal_close(journal);
}

/* Flips one bit of data.mdb in the first place that says TEXT. */
static void damage(struct fixture *fx, const char *text)
{
    struct stat found;
    int fd = open(path_of(fx, "data.mdb"), O_RDWR);

    assert_int_equal(fstat(fd, &found), 0);
    char *bytes = bytes_alloc((size_t)found.st_size);
    assert_int_equal(pread(fd, bytes, (size_t)found.st_size, 0), found.st_size);
    char *at = memmem(bytes, (size_t)found.st_size, text, strlen(text));
    assert_non_null(at);
    *at ^= 1;
    assert_int_equal(pwrite(fd, at, 1, at - bytes), 1);
    close(fd);
    free(bytes);
}

static void write_text(struct journal *journal, const char *text, size_t repeat)
{
    struct record record = {.header = {.kind = RECORD_METADATA, .timeline = 1}};
    struct buffer body = {0}, key = {0}, whole = {0};
    struct journal_txn *txn;
    uint64_t seq;

    for (size_t i = 0; i < repeat; i++)
        buffer_append_cstr(&body, text);
    record.metadata = (struct metadata){
        .type = SPAN("template"), .name = span_cstr(text), .body = buffer_span(&body)};
    assert_int_equal(journal_begin(journal, &txn), STATUS_OK);
    assert_int_equal(append(txn, 3, 5000), STATUS_OK);
    assert_int_equal(journal_append(txn, &record, &seq), STATUS_OK);
    assert_int_equal(append(txn, 3, 5000), STATUS_OK);
    record_encode(&whole, &record);
    buffer_appendf(&key, "template/%s", text);
    assert_int_equal(journal_put(txn, JOURNAL_DEFINITIONS, buffer_span(&key), buffer_span(&whole)),
                     STATUS_OK);
    assert_int_equal(journal_commit(txn), STATUS_OK);
    buffer_fini(&body);
    buffer_fini(&key);
    buffer_fini(&whole);
}

static void the_check_finds_damage_in_the_file(void **state)
{
    struct fixture *fx = *state;

    for (size_t repeat = 1; repeat <= 100000; repeat *= 100000) {
        struct findings findings = {0};
        struct journal *journal = open_writer(fx, 64 * MIB);
        write_text(journal, "the needle", repeat);
        assert_sound(journal);
        journal_close(journal);
        damage(fx, "the needle");
        journal = open_writer(fx, 64 * MIB);
        assert_int_equal(journal_check(journal, say_finding, &findings), STATUS_JOURNAL_BROKEN);
        assert_int_equal(findings.count, 1);
        journal_close(journal);
        unlink(path_of(fx, "data.mdb"));
    }
}

static void damaged_lengths_cost_one_frame_and_are_named(void **state)
{
    struct fixture *fx = *state;
    struct findings findings = {0};
    struct journal *journal = open_writer(fx, 64 * MIB);
    size_t count;

    assert_int_equal(write_records(journal, 5, 5000), STATUS_OK);
    write_text(journal, "the needle", 1); /* records 6 to 12, the needle in 9 */
    assert_int_equal(write_records(journal, 5, 5000), STATUS_OK);
    journal_close(journal);
    damage(fx, "TDMR"); /* the first record's magic */
    journal = open_writer(fx, 64 * MIB);
    assert_int_equal(journal_check(journal, say_finding, &findings), STATUS_JOURNAL_BROKEN);
    assert_int_equal(findings.count, 1);
    assert_int_equal(journal_read(journal, 1, 10, MIB, &fx->out, &count), STATUS_RECORD_TORN);
    journal_close(journal);
}

#define CLAIM(claim) cmocka_unit_test_setup_teardown(claim, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CLAIM(a_writer_killed_before_the_commit_leaves_nothing),
        CLAIM(a_writer_killed_after_the_commit_leaves_all),
        CLAIM(what_was_acknowledged_survives_a_kill_at_any_moment),
        CLAIM(a_second_process_is_refused_and_told_who_has_it),
        CLAIM(a_killed_writer_holds_no_lock),
        CLAIM(another_process_reads_what_is_committed),
        CLAIM(a_reader_that_died_is_cleared_away),
        CLAIM(a_missing_journal_is_missing),
        CLAIM(a_file_that_is_no_journal_is_broken),
        CLAIM(a_full_map_refuses_appends_and_recovers_after_a_trim),
        CLAIM(a_journal_in_steady_use_never_runs_full),
        CLAIM(a_full_disk_refuses_appends_and_recovers),
        CLAIM(a_write_that_finds_no_space_is_undone_and_the_journal_goes_on),
        CLAIM(after_an_error_of_the_disk_nothing_is_written_any_more),
        CLAIM(a_record_of_100_mb_comes_back),
        CLAIM(the_check_finds_damage_in_the_file),
        CLAIM(damaged_lengths_cost_one_frame_and_are_named),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
