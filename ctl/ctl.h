/* ctl.h - what the parts of tandemctl share: exit codes, the configuration, and asking an admin
 * address.
 *
 * Results go to standard output, what went wrong to standard error, and the exit code says which it
 * was.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TANDEM_CTL_CTL_H
#define TANDEM_CTL_CTL_H

#include <curl/curl.h>
#include <jansson.h>

#include "conf/settings.h"

enum ctl_exit {
    CTL_DONE = 0,
    CTL_UNREACHABLE = 1, /* nobody answered at the admin address */
    CTL_REFUSED =
        2, /* a wrong command line or configuration, or the program said no: nothing was changed */
    CTL_TIMED_OUT = 3,  /* it was begun and goes on, we no longer wait */
    CTL_INCOMPLETE = 4, /* only a part was done or could be shown */
};

/* The command line behind the command, and what all commands may use. */
struct ctl {
    const char *config;        /* path of the configuration */
    struct settings *settings; /* owned; NULL for the commands that need none */
    int argc;                  /* argv[0] is the command */
    char **argv;
};

/* Prints to standard error, with the program's name in front. */
void ctl_say(const char *format, ...) PRINTF_LIKE(1, 2);
/* Says what is wrong with the command line and gives CTL_REFUSED. */
enum ctl_exit ctl_usage(const char *format, ...) PRINTF_LIKE(1, 2);

/* ------------------------------------------------------------------------------------------------
 * ask.c */

struct answer {
    enum ctl_exit exit; /* DONE: a 2xx came; REFUSED: another status; UNREACHABLE: none came */
    bool nobody_there;  /* UNREACHABLE, and certain that no program listens */
    int http_status;
    json_t *json;   /* owned; NULL when there is none, or it is not JSON */
    char why[1000]; /* when it is not DONE: the error the program gave, or what became of the
                       connection */
};

/* What curl collects of an answer, with CURLOPT_WRITEDATA. */
struct ask_body {
    struct buffer bytes; /* the caller's */
    size_t max;          /* an answer that is longer is a failure */
};
/* A handle that is bounded in time, uses no proxy, and whose answer goes into a struct ask_body.
 * ERROR (CURL_ERROR_SIZE bytes) must live as long as it. The caller's. */
CURL *ask_easy(char *error, long connect_timeout_ms, long timeout_ms);
/* How the admin addresses are spoken to, and as whom. False: it was said what is wrong. */
MUST_USE bool ask_begin(const struct settings *settings);
void ask_end(void);
/* Asks METHOD TARGET at ADDRESS, as ask_begin() has said. Bounded in time and size. */
void ask(const struct conf_address *address, const char *method, const char *target,
         struct answer *answer);
void answer_fini(struct answer *answer);
/* The text of member NAME of OBJECT, or OTHERWISE. */
const char *json_text(const json_t *object, const char *name, const char *otherwise);

/* Its integer; 0 when there is none. */
json_int_t json_number(const json_t *object, const char *name);

/* The standby called NAME; without a name (NULL) the only one. NULL: it was said why not. */
const struct standby_settings *ctl_standby(const struct ctl *ctl, const char *name);

/* ------------------------------------------------------------------------------------------------
 * Commands: each takes its options from ctl->argv. */

enum ctl_exit ctl_status(struct ctl *ctl);
enum ctl_exit ctl_adopt(struct ctl *ctl);
enum ctl_exit ctl_pause(struct ctl *ctl);
enum ctl_exit ctl_resume(struct ctl *ctl);
enum ctl_exit ctl_release(struct ctl *ctl);
enum ctl_exit ctl_seed(struct ctl *ctl);
enum ctl_exit ctl_audit(struct ctl *ctl);
enum ctl_exit ctl_verify(struct ctl *ctl);
enum ctl_exit ctl_repair(struct ctl *ctl);
enum ctl_exit ctl_parked(struct ctl *ctl);
enum ctl_exit ctl_wait(struct ctl *ctl);
enum ctl_exit ctl_migrate_check(struct ctl *ctl);
enum ctl_exit ctl_history(struct ctl *ctl);
enum ctl_exit ctl_check(struct ctl *ctl);
enum ctl_exit ctl_hold(struct ctl *ctl);

#endif
