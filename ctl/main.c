/* main.c - tandemctl, the operator's command.
 *
 * It reads the configuration the daemons use, and asks them at their admin addresses; it changes no
 * file of theirs but the marker of `adopt` (commands.c). The exit codes are in ctl.h and in the
 * help.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "ctl.h"

#include <curl/curl.h>
#include <getopt.h>
#include <stdarg.h>
#include <sys/stat.h>

#include "es/operation.h"
#ifdef TANDEM_CTL_JOURNAL
#include "journal.h"
#endif

#ifndef TANDEM_CONFIG_FILE
#define TANDEM_CONFIG_FILE "/etc/tandem/tandem.yml"
#endif

static const char help[] =
    "usage: tandemctl [--config FILE] COMMAND\n"
    "\n"
    "  status [--json] [-w SEC]        clusters, proxy, journal, standbys, what is wrong and what "
    "to do\n"
    "  pause NAME                      stop writing to the standby NAME\n"
    "  resume NAME                     go on\n"
    "  release NAME                    drain the journal, then make NAME an ordinary cluster "
    "again\n"
    "  seed [--index PATTERN]          copy what indices held before Tandem saw them; --again: "
    "once "
    "more\n"
    "  wait NAME                       until NAME has all that the journal holds now, and nothing "
    "is "
    "filling\n"
    "  audit [--json]                  is every operation of the primary accounted for?\n"
    "  verify [--index PATTERN]        compare a standby with the primary, document by document, "
    "and "
    "definitions\n"
    "  repair [--index PATTERN]        the same, and say what would be written; --apply writes it\n"
    "                                  --json: what was found, for scripts; verify --sample 5%: "
    "only "
    "a part, at random\n"
    "  parked list [--standby NAME]    rows that a standby refused\n"
    "  parked retry --seq N | --all    send them again          [--standby NAME]\n"
    "  parked drop --seq N | --all     give them up for good    [--standby NAME]\n"
    "  check [NAME] [--json]           could NAME take the primary's place now? All that is in the way\n"
    "  history [--json] [--all]        what was decided, by whom, and what came of it\n"
    "  hold [--max TIME]               let all writes wait in the proxy, reads go on; until --end, or "
    "its time is over\n"
    "  adopt                           go on without the journal that was lost; every index is "
    "filling then\n"
    "  journal dump [--from SEQ] [--index I] [--id X]\n"
    "  journal check                   verify every record\n"
    "  migrate-check [--json]          what a standby of another version or product takes as it "
    "is, "
    "what is\n"
    "                                  translated, what is not possible\n"
    "  check-config                    read the configuration, and say what is wrong with it\n"
    "  docs compatibility | configuration | conf\n"
    "\n"
    "pause, resume and release wait until it is so; --timeout SEC bounds it (60, for release "
    "3600).\n"
    "adopt, release and drop ask first when a person is there; --yes answers.\n"
    "release --force leaves out rows that cannot go in; what is left out is said.\n"
    "\n"
    "exit: 0 done, 1 unreachable, 2 refused or wrong usage (nothing was changed), 3 timed out (it "
    "goes on),\n"
    "      4 incomplete\n"
    "The configuration is " TANDEM_CONFIG_FILE ", or $TANDEM_CONFIG, or what --config names.\n";

void ctl_say(const char *format, ...)
{
    va_list args;

    fputs("tandemctl: ", stderr);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
}

enum ctl_exit ctl_usage(const char *format, ...)
{
    va_list args;

    fputs("tandemctl: ", stderr);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputs("; tandemctl --help shows the commands\n", stderr);
    return CTL_REFUSED;
}

/* ------------------------------------------------------------------------------------------------
 * The commands that need no daemon. */

static enum ctl_exit ctl_docs(struct ctl *ctl)
{
    const char *page = ctl->argc == 2 ? ctl->argv[1] : "";

    if (strcmp(page, "compatibility") == 0)
        operation_print_compatibility(stdout);
    else if (strcmp(page, "configuration") == 0)
        settings_print_docs(stdout);
    else if (strcmp(page, "conf") == 0)
        settings_print_yaml(stdout);
    else
        return ctl_usage("docs needs one of: compatibility configuration conf");
    return CTL_DONE;
}

/* A file that a setting names must be there for us, and a secret one for nobody else. */
static bool check_file(const char *setting, const char *path, bool secret)
{
    struct buffer content = {0};
    char why[500];

    if (path[0] == '\0')
        return true;
    if (secret) {
        enum status status = secret_read_file(path, &content, why, sizeof why);
        secret_fini(&content);
        if (status == STATUS_OK)
            return true;
        ctl_say("%s: %s", setting, why);
        return false;
    }
    FILE *file = fopen(path, "re");
    if (file == NULL)
        ctl_say("%s: %s cannot be opened", setting, path);
    else
        fclose(file);
    return file != NULL;
}

static bool check_credentials(const char *setting, const char *path)
{
    char *authorization, why[500];
    enum status status = secret_authorization(path, &authorization, why, sizeof why);

    if (status != STATUS_OK)
        ctl_say("%s: %s", setting, why);
    secret_free(authorization);
    return status == STATUS_OK;
}

static enum ctl_exit ctl_check_config(struct ctl *ctl)
{
    const struct settings *settings = ctl->settings;
    bool good = true;

    good &= check_credentials("primary.credentials_file", settings->primary_credentials_file);
    good &= check_file("primary.ca_file", settings->primary_ca_file, false);
    good &= check_file("proxy.tls_certificate_file", settings->proxy_tls_certificate_file, false);
    good &= check_file("proxy.tls_key_file", settings->proxy_tls_key_file, true);
    good &= check_file("admin.tokens_file", settings->admin_tokens_file, true);
    good &= check_file("admin.tls_certificate_file", settings->admin_tls_certificate_file, false);
    good &= check_file("admin.tls_key_file", settings->admin_tls_key_file, true);
    good &= check_file("admin.client_ca_file", settings->admin_client_ca_file, false);
    for (size_t i = 0; i < settings->standbys_count; i++) {
        good &=
            check_credentials("standbys.credentials_file", settings->standbys[i].credentials_file);
        good &= check_file("standbys.ca_file", settings->standbys[i].ca_file, false);
    }
    if (!good)
        return CTL_REFUSED;
    printf("%s: all settings are valid; system %s, primary %s, %zu standby%s\n", ctl->config,
           settings->system_name, settings->primary_name, settings->standbys_count,
           settings->standbys_count == 1 ? "" : "s");
    return CTL_DONE;
}

static enum ctl_exit ctl_journal(struct ctl *ctl)
{
#ifdef TANDEM_CTL_JOURNAL
    static const struct option options[] = {{"from", required_argument, NULL, 'f'},
                                            {"index", required_argument, NULL, 'i'},
                                            {"id", required_argument, NULL, 'd'},
                                            {"folder", required_argument, NULL, 'F'},
                                            {NULL, 0, NULL, 0}};
    const char *verb = ctl->argc > 1 ? ctl->argv[1] : "";
    const char *folder = ctl->settings->journal_folder;
    struct dump_options dump = {0};
    uint64_t from = 0;
    int option;

    optind = 1;
    while ((option = getopt_long(ctl->argc - 1, ctl->argv + 1, "+", options, NULL)) != -1) {
        if (option == 'f' && !span_to_u64(span_cstr(optarg), &from))
            return ctl_usage("--from needs a sequence number");
        else if (option == 'f')
            dump.from = from;
        else if (option == 'i')
            dump.index = optarg;
        else if (option == 'd')
            dump.id = optarg;
        else if (option == 'F')
            folder = optarg;
        else
            return CTL_REFUSED;
    }
    if (optind + 1 != ctl->argc)
        return ctl_usage("journal %s takes no further words", verb);
    if (strcmp(verb, "dump") == 0)
        return (enum ctl_exit)ctl_journal_dump(folder, &dump);
    if (strcmp(verb, "check") == 0)
        return (enum ctl_exit)ctl_journal_check(folder);
    return ctl_usage("journal needs one of: dump check");
#else
    (void)ctl;
    ctl_say("journal dump and check are not built into this tandemctl");
    return CTL_REFUSED;
#endif
}

/* --------------------------------------------------------------------------------------------- */

static const struct {
    const char *name;
    enum ctl_exit (*run)(struct ctl *ctl);
    bool needs_settings;
} commands[] = {
    {"status", ctl_status, true},
    {"hold", ctl_hold, true},
    {"adopt", ctl_adopt, true},
    {"pause", ctl_pause, true},
    {"resume", ctl_resume, true},
    {"release", ctl_release, true},
    {"seed", ctl_seed, true},
    {"wait", ctl_wait, true},
    {"audit", ctl_audit, true},
    {"verify", ctl_verify, true},
    {"repair", ctl_repair, true},
    {"parked", ctl_parked, true},
    {"journal", ctl_journal, true},
    {"docs", ctl_docs, false},
    {"migrate-check", ctl_migrate_check, true},
    {"history", ctl_history, true},
    {"check", ctl_check, true},
    {"check-config", ctl_check_config, true},
};

static enum ctl_exit run(struct ctl *ctl)
{
    char why[1000];

    for (size_t i = 0; i < COUNT_OF(commands); i++) {
        if (strcmp(ctl->argv[0], commands[i].name) != 0)
            continue;
        if (commands[i].needs_settings &&
            settings_load(ctl->config, &ctl->settings, why, sizeof why) != STATUS_OK) {
            ctl_say("%s", why);
            return CTL_REFUSED;
        }
        bool ready = ctl->settings == NULL || ask_begin(ctl->settings);
        enum ctl_exit result = ready ? commands[i].run(ctl) : CTL_REFUSED;
        ask_end();
        settings_free(ctl->settings);
        return result;
    }
    return ctl_usage("there is no command %s", ctl->argv[0]);
}

int main(int argc, char **argv)
{
    static const struct option options[] = {{"config", required_argument, NULL, 'c'},
                                            {"help", no_argument, NULL, 'h'},
                                            {"version", no_argument, NULL, 'V'},
                                            {NULL, 0, NULL, 0}};
    const char *config = getenv("TANDEM_CONFIG");
    struct ctl ctl = {.config = config == NULL || config[0] == '\0' ? TANDEM_CONFIG_FILE : config};
    int option;

    while ((option = getopt_long(argc, argv, "+c:h", options, NULL)) != -1) {
        if (option == 'c') {
            ctl.config = optarg;
        } else if (option == 'h') {
            fputs(help, stdout);
            return CTL_DONE;
        } else if (option == 'V') {
            puts("tandemctl " TANDEM_VERSION);
            return CTL_DONE;
        } else {
            return CTL_REFUSED;
        }
    }
    if (optind == argc) {
        fputs(help, stderr);
        return CTL_REFUSED;
    }
    ctl.argc = argc - optind;
    ctl.argv = argv + optind;
    optind = 1;
    CHECK(curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK);
    enum ctl_exit result = run(&ctl);
    curl_global_cleanup();
    if (fflush(stdout) != 0 && result == CTL_DONE)
        result = CTL_INCOMPLETE; /* what was shown did not arrive */
    return (int)result;
}
