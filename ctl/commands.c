/* commands.c - what tandemctl asks the daemons to do: adopt, pause, resume, release, seed,
 * parked.
 *
 * A command that the daemon answers with 202 is carried out after the answer: we watch the status
 * until it is so, and end with CTL_TIMED_OUT when it takes longer than --timeout; the daemon goes
 * on in any case.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "ctl.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "http/message.h"

#define POLL_NS 500000000
#define TIMEOUT_S 60
#define RELEASE_TIMEOUT_S 3600

/* The options of all commands here, and the words between them. */
struct request {
    bool yes, all, force, again;
    const char *standby; /* by --standby, or the command's word */
    const char *index;   /* a pattern; NULL: none was given */
    uint64_t seq;        /* 0: none was given */
    uint64_t timeout_s;  /* 0: none was given */
    int words;           /* how many there are */
    char **word;
};

static bool parse(struct ctl *ctl, struct request *request)
{
    static const struct option options[] = {{"yes", no_argument, NULL, 'y'},
                                            {"all", no_argument, NULL, 'a'},
                                            {"standby", required_argument, NULL, 's'},
                                            {"seq", required_argument, NULL, 'n'},
                                            {"timeout", required_argument, NULL, 't'},
                                            {"force", no_argument, NULL, 'f'},
                                            {"again", no_argument, NULL, 'g'},
                                            {"index", required_argument, NULL, 'i'},
                                            {NULL, 0, NULL, 0}};
    int option;

    memset(request, 0, sizeof *request);
    optind = 0; /* begin anew, and let options and words mix */
    while ((option = getopt_long(ctl->argc, ctl->argv, "", options, NULL)) != -1) {
        uint64_t *number = option == 'n' ? &request->seq : &request->timeout_s;
        if (option == 'y')
            request->yes = true;
        else if (option == 'a')
            request->all = true;
        else if (option == 'f')
            request->force = true;
        else if (option == 'g')
            request->again = true;
        else if (option == 'i')
            request->index = optarg;
        else if (option == 's')
            request->standby = optarg;
        else if (option == '?')
            return false;
        else if (!span_to_u64(span_cstr(optarg), number) || *number == 0) {
            ctl_usage("%s needs a number above 0, not %s", option == 'n' ? "--seq" : "--timeout",
                      optarg);
            return false;
        }
    }
    request->words = ctl->argc - optind;
    request->word = ctl->argv + optind;
    return true;
}

/* A person at a terminal types the system's name; a script means what it says. */
static bool confirmed(const struct ctl *ctl, const struct request *request, const char *what)
{
    char line[200] = "";

    if (request->yes || !isatty(STDIN_FILENO))
        return true;
    printf("%s\nType the name of the system (%s) to go on: ", what, ctl->settings->system_name);
    fflush(stdout);
    if (fgets(line, sizeof line, stdin) != NULL)
        line[strcspn(line, "\n")] = '\0';
    if (strcmp(line, ctl->settings->system_name) == 0)
        return true;
    ctl_say("nothing was changed");
    return false;
}

const struct standby_settings *ctl_standby(const struct ctl *ctl, const char *name)
{
    const struct settings *settings = ctl->settings;

    if (name == NULL && settings->standbys_count == 1)
        return &settings->standbys[0];
    const struct standby_settings *standby = name == NULL ? NULL : settings_standby(settings, name);
    if (standby != NULL)
        return standby;
    struct buffer names = {0};
    for (size_t i = 0; i < settings->standbys_count; i++)
        buffer_appendf(&names, " %s", settings->standbys[i].name);
    if (name == NULL)
        ctl_say("which standby? name one of:%s",
                names.size == 0 ? " (none is configured)" : buffer_cstr(&names));
    else
        ctl_say("there is no standby %s; %s has:%s", name, ctl->config,
                names.size == 0 ? " none" : buffer_cstr(&names));
    buffer_fini(&names);
    return NULL;
}

/* Shows what the daemon said about a command that it took. */
static void show_text(const struct answer *answer, const char *otherwise)
{
    puts(json_text(answer->json, "text", otherwise));
}

/* ------------------------------------------------------------------------------------------------
 * pause, resume, release. */

struct order {
    const char *verb;  /* and the last part of its path */
    const char *done;  /* the state in which it is done; NULL: any other than `paused` */
    const char *under; /* the state in which it is under way */
    uint64_t timeout_s;
    const char *warning; /* NULL: nobody is asked */
};

static bool order_is_done(const struct order *order, const json_t *standby)
{
    const char *state = json_text(standby, "state", "");

    if (order->done != NULL)
        return strcmp(state, order->done) == 0;
    return state[0] != '\0' && strcmp(state, "paused") != 0;
}

/* It neither is done nor goes on. */
static bool order_is_broken_off(const struct order *order, const json_t *standby)
{
    const char *state = json_text(standby, "state", "");

    return order->under != NULL && state[0] != '\0' && strcmp(state, order->under) != 0 &&
           strcmp(state, "starting") != 0;
}

static void show_progress(const json_t *status, const json_t *standby)
{
    static char said[600];
    const json_t *lag = json_object_get(standby, "lag_records");
    const json_t *problem = json_array_get(json_object_get(status, "problems"), 0);
    const char *text = json_text(problem, "text", "");

    if (*text != '\0' && strncmp(said, text, sizeof said - 1) != 0) { /* each is said once */
        snprintf(said, sizeof said, "%s", text);
        fprintf(stderr, "%s%s\n", isatty(STDERR_FILENO) ? "\r\033[K" : "", text);
    }
    if (!isatty(STDERR_FILENO))
        return;
    fprintf(stderr, "\r\033[K%s", json_text(standby, "state", "?"));
    if (json_is_integer(lag))
        fprintf(stderr, ", %" JSON_INTEGER_FORMAT " records behind", json_integer_value(lag));
}

/* How it ended; of a release also what was in doubt, and what the operator has to look at. */
static void show_done(const struct standby_settings *standby, const struct order *order,
                      const json_t *shown)
{
    const json_t *in_doubt = json_object_get(shown, "in_doubt"), *entry;
    size_t at;

    printf("standby %s: %s\n", standby->name, json_text(shown, "state", order->verb));
    if (json_array_size(in_doubt) != 0)
        printf("In doubt, and never acknowledged: these may be on the old primary, and are not "
               "promised "
               "here:\n");
    json_array_foreach(in_doubt, at, entry)
    {
        printf("    %s/%s\n", json_text(entry, "index", "?"), json_text(entry, "id", "?"));
    }
    if (json_array_size(json_object_get(shown, "left")) != 0)
        printf("To look at:\n");
    json_array_foreach(json_object_get(shown, "left"), at, entry)
    {
        printf("    %s\n", json_string_value(entry));
    }
}

/* Watches the status until ORDER is carried out. */
static enum ctl_exit watch(const struct order *order, const struct standby_settings *standby,
                           uint64_t timeout_s)
{
    const struct timespec pause = {0, POLL_NS};
    enum ctl_exit result = CTL_TIMED_OUT;
    struct answer answer;
    time_t end = time(NULL) + (time_t)timeout_s;

    for (;;) {
        ask(&standby->admin, "GET", "/_tandem/status", &answer);
        const json_t *shown = json_object_get(answer.json, "standby");
        if (answer.exit != CTL_DONE)
            result = CTL_INCOMPLETE; /* it was begun, and now nobody answers */
        else if (order_is_done(order, shown))
            result = CTL_DONE;
        else if (order_is_broken_off(order, shown))
            result = CTL_INCOMPLETE;
        else
            show_progress(answer.json, shown);
        if (result != CTL_TIMED_OUT || time(NULL) >= end)
            break;
        answer_fini(&answer);
        nanosleep(&pause, NULL);
    }
    if (isatty(STDERR_FILENO))
        fputs("\r\033[K", stderr);
    if (result == CTL_DONE)
        show_done(standby, order, json_object_get(answer.json, "standby"));
    else if (answer.exit == CTL_DONE && result == CTL_INCOMPLETE)
        ctl_say("standby %s: %s was begun, but it is %s now; see tandemctl status", standby->name,
                order->verb, json_text(json_object_get(answer.json, "standby"), "state", "?"));
    else if (result == CTL_TIMED_OUT)
        ctl_say("standby %s: %s was begun and goes on; it is not done after %" PRIu64 " s",
                standby->name, order->verb, timeout_s);
    else
        ctl_say("standby %s: %s was begun, but %s", standby->name, order->verb, answer.why);
    answer_fini(&answer);
    return result;
}

static enum ctl_exit give_order(struct ctl *ctl, const struct order *order)
{
    const struct standby_settings *standby;
    struct request request;
    struct answer answer;
    char target[64];

    if (!parse(ctl, &request))
        return CTL_REFUSED;
    if (request.words > 1)
        return ctl_usage("%s needs the name of one standby", order->verb);
    if ((standby = ctl_standby(ctl, request.words == 0 ? NULL : request.word[0])) == NULL)
        return CTL_REFUSED;
    if (order->warning != NULL && !confirmed(ctl, &request, order->warning))
        return CTL_REFUSED;
    snprintf(target, sizeof target, "/_tandem/%s%s", order->verb,
             request.force ? "?force=true" : "");
    ask(&standby->admin, "POST", target, &answer);
    enum ctl_exit result = answer.exit;
    if (result == CTL_DONE && answer.http_status == 202)
        result =
            watch(order, standby, request.timeout_s == 0 ? order->timeout_s : request.timeout_s);
    else if (result == CTL_DONE)
        result = watch(order, standby, 1); /* it is so already */
    else
        ctl_say("%s %s: %s", order->verb, standby->name, answer.why);
    answer_fini(&answer);
    return result;
}

enum ctl_exit ctl_pause(struct ctl *ctl)
{
    return give_order(ctl, &(struct order){"pause", "paused", "pausing", TIMEOUT_S, NULL});
}

enum ctl_exit ctl_resume(struct ctl *ctl)
{
    return give_order(ctl, &(struct order){"resume", NULL, NULL, TIMEOUT_S, NULL});
}

enum ctl_exit ctl_release(struct ctl *ctl)
{
    return give_order(
        ctl,
        &(struct order){"release", "released", "releasing", RELEASE_TIMEOUT_S,
                        "The standby takes what is in the journal, then replication to it ends "
                        "and it is an ordinary cluster. To make it a standby again it must be "
                        "seeded."});
}

/* ------------------------------------------------------------------------------------------------
 * seed. */

static enum ctl_exit ask_for_seed(const struct standby_settings *standby,
                                  const struct request *request)
{
    struct buffer target = {0};
    struct answer answer;

    buffer_append_cstr(&target, "/_tandem/seed?again=");
    buffer_append_cstr(&target, request->again ? "true" : "false");
    if (request->index != NULL) {
        buffer_append_cstr(&target, "&index=");
        http_percent_encode(span_cstr(request->index), &target);
    }
    ask(&standby->admin, "POST", buffer_cstr(&target), &answer);
    if (answer.exit == CTL_DONE)
        printf("standby %s: %" JSON_INTEGER_FORMAT
               " to be seeded; tandemctl status shows how far it is\n",
               standby->name, json_number(answer.json, "asked"));
    else
        ctl_say("standby %s: %s", standby->name, answer.why);
    enum ctl_exit result = answer.exit;
    answer_fini(&answer);
    buffer_fini(&target);
    return result;
}

enum ctl_exit ctl_seed(struct ctl *ctl)
{
    const struct standby_settings *standby;
    struct request request;

    if (!parse(ctl, &request))
        return CTL_REFUSED;
    if (request.words != 0)
        return ctl_usage("seed takes --index PATTERN, not %s", request.word[0]);
    if ((standby = ctl_standby(ctl, request.standby)) == NULL)
        return CTL_REFUSED;
    if (request.again && request.index == NULL)
        return ctl_usage("seed --again needs --index PATTERN: it copies what is there already");
    return ask_for_seed(standby, &request);
}

/* ------------------------------------------------------------------------------------------------
 * parked. */

static enum ctl_exit list_parked(const struct standby_settings *standby)
{
    struct answer answer;
    size_t at;
    const json_t *row;

    ask(&standby->admin, "GET", "/_tandem/parked", &answer);
    if (answer.exit != CTL_DONE)
        ctl_say("standby %s: %s", standby->name, answer.why);
    const json_t *parked = json_object_get(answer.json, "parked");
    if (answer.exit == CTL_DONE && json_array_size(parked) == 0)
        printf("standby %s: nothing is parked\n", standby->name);
    json_array_foreach(parked, at, row)
    {
        printf("standby %s seq %" JSON_INTEGER_FORMAT ": %s %s/%s", standby->name,
               json_number(row, "seq"), json_text(row, "operation", "row"),
               json_text(row, "index", "?"), json_text(row, "id", "?"));
        if (json_is_string(json_object_get(row, "routing")))
            printf(" routing %s", json_text(row, "routing", ""));
        printf("\n    %s\n", json_text(row, "error", "no reason is known"));
    }
    answer_fini(&answer);
    return answer.exit;
}

static enum ctl_exit list_all_parked(struct ctl *ctl, const struct request *request)
{
    const struct settings *settings = ctl->settings;
    const struct standby_settings *one = NULL;
    size_t failed = 0;

    if (request->standby != NULL && (one = ctl_standby(ctl, request->standby)) == NULL)
        return CTL_REFUSED;
    if (one != NULL)
        return list_parked(one);
    for (size_t i = 0; i < settings->standbys_count; i++)
        failed += list_parked(&settings->standbys[i]) != CTL_DONE;
    if (failed == 0)
        return CTL_DONE;
    return failed == settings->standbys_count ? CTL_UNREACHABLE : CTL_INCOMPLETE;
}

enum ctl_exit ctl_parked(struct ctl *ctl)
{
    const struct standby_settings *standby;
    struct request request;
    struct answer answer;
    char target[100], which[40] = "?all=true";

    if (!parse(ctl, &request))
        return CTL_REFUSED;
    const char *verb = request.words == 1 ? request.word[0] : "";
    if (strcmp(verb, "list") == 0)
        return list_all_parked(ctl, &request);
    if (strcmp(verb, "retry") != 0 && strcmp(verb, "drop") != 0)
        return ctl_usage("parked needs one of: list retry drop");
    if (request.all == (request.seq != 0))
        return ctl_usage("parked %s needs either --seq N or --all", verb);
    if ((standby = ctl_standby(ctl, request.standby)) == NULL)
        return CTL_REFUSED;
    if (strcmp(verb, "drop") == 0 &&
        !confirmed(
            ctl, &request,
            "What is dropped is never written to this standby; the documents differ from the "
            "primary's until they are written again."))
        return CTL_REFUSED;
    if (!request.all)
        snprintf(which, sizeof which, "?seq=%" PRIu64, request.seq);
    snprintf(target, sizeof target, "/_tandem/parked/%s%s", verb, which);
    ask(&standby->admin, "POST", target, &answer);
    if (answer.exit == CTL_DONE)
        show_text(&answer, strcmp(verb, "drop") == 0 ? "dropped" : "they are sent again");
    else
        ctl_say("parked %s on %s: %s", verb, standby->name, answer.why);
    answer_fini(&answer);
    return answer.exit;
}

/* ------------------------------------------------------------------------------------------------
 * adopt. */

/* When root does it, what is made belongs to whoever owns the folder above: the daemon must be able
 * to use it. */
static void give_to_owner_of(const char *above, int fd)
{
    struct stat st;

    if (geteuid() == 0 && stat(above, &st) == 0 && fchown(fd, st.st_uid, st.st_gid) != 0)
        ctl_say("the owner of the marker cannot be set: %s", strerror(errno));
}

static bool make_folder(const char *folder)
{
    char *above = bytes_strdup(folder), *slash;
    int fd = -1;

    if (mkdir(folder, 0700) == 0) {
        slash = strrchr(above, '/');
        slash[slash == above] = '\0';
        fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd >= 0)
            give_to_owner_of(above, fd);
    } else if (errno == EEXIST) {
        fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    }
    if (fd < 0)
        ctl_say("the folder %s cannot be used: %s; make it, for the user that runs the proxy",
                folder, strerror(errno));
    else
        close(fd);
    free(above);
    return fd >= 0;
}

/* The proxy does not run: it finds the marker at its next start, and removes it. */
static enum ctl_exit leave_marker(const char *folder)
{
    struct buffer path = {0};
    enum ctl_exit result = CTL_REFUSED;

    if (!make_folder(folder))
        return CTL_REFUSED;
    buffer_appendf(&path, "%s/adopt", folder);
    int fd = open(buffer_cstr(&path), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd >= 0 && write(fd, "adopt\n", 6) == 6 && fsync(fd) == 0) {
        give_to_owner_of(folder, fd);
        printf("The proxy does not run. It finds %s at its next start and begins a new journal; "
               "every index is\n"
               "filling then. Start it now.\n",
               buffer_cstr(&path));
        result = CTL_DONE;
    } else {
        ctl_say("%s cannot be written: %s", buffer_cstr(&path), strerror(errno));
    }
    if (fd >= 0)
        close(fd);
    buffer_fini(&path);
    return result;
}

enum ctl_exit ctl_adopt(struct ctl *ctl)
{
    struct request request;
    struct answer answer;

    if (!parse(ctl, &request))
        return CTL_REFUSED;
    if (request.words != 0)
        return ctl_usage("adopt takes no further words");
    if (!confirmed(ctl, &request,
                   "What was in the lost journal and not yet on a standby is given up, and every "
                   "index must be "
                   "seeded to the standbys again."))
        return CTL_REFUSED;
    ask(&ctl->settings->proxy_admin, "POST", "/_tandem/adopt", &answer);
    enum ctl_exit result = answer.exit;
    if (result == CTL_DONE)
        show_text(&answer, "adopted");
    else if (answer.nobody_there)
        result = leave_marker(ctl->settings->journal_folder);
    else
        ctl_say("adopt: %s", answer.why);
    answer_fini(&answer);
    return result;
}
