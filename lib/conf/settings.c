/* settings.c - the table of all settings, and what must hold between them.
 *
 * One row per setting: this table alone decides what the file may say. conf/tandem.yml and
 * docs/configuration.md are printed from it (settings_print.c); a unit test compares them.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "conf/settings.h"

#include <ctype.h>

#include "base/log.h"
#include "conf/hours.h"
#include "conf/settings_table.h"

#define AT(field) offsetof(struct settings, field)
#define OF(field) offsetof(struct standby_settings, field)
#define RESTART CONF_RESTART
#define RELOAD CONF_RELOAD
#define KB UINT64_C(1024)
#define MB (1024 * KB)
#define GB (1024 * MB)
#define SECOND UINT64_C(1000000)
#define DAY (86400 * SECOND)

_Static_assert(sizeof(enum settings_log_level) == sizeof(unsigned),
               "a CHOICE is stored as an unsigned");
_Static_assert((int)SETTINGS_LOG_DEBUG == (int)LOG_LEVEL_DEBUG &&
                   (int)SETTINGS_LOG_ERROR == (int)LOG_LEVEL_ERROR,
               "log.level is the logger's own level");
_Static_assert(sizeof(enum settings_refused) == sizeof(unsigned) &&
                   sizeof(enum settings_seed) == sizeof(unsigned),
               "a CHOICE is stored as an unsigned");

/* The word names indices, metrics and files: so it must be harmless in all of them. */
static bool check_name(const void *value, char *why, size_t why_size)
{
    const char *name = *(char *const *)value;

    for (const char *p = name; *p != '\0'; p++) {
        if (!islower((unsigned char)*p) && !isdigit((unsigned char)*p) && *p != '-' && *p != '_') {
            snprintf(why, why_size, "'%.80s' may hold only a-z, 0-9, - and _", name);
            return false;
        }
    }
    if (strlen(name) <= 64)
        return true;
    snprintf(why, why_size, "a name has at most 64 letters");
    return false;
}

static bool check_publish(const void *value, char *why, size_t why_size)
{
    const char *text = *(char *const *)value;
    struct conf_address address = {0};

    if (text[0] == '\0')
        return true;
    bool good = conf_address_parse(text, &address, why, why_size);
    conf_address_fini(&address);
    return good;
}

/* "pattern setting=value", so that a slip is seen at start and not when an index is made. */
static bool check_override(const void *value, char *why, size_t why_size)
{
    const struct conf_list *list = value;

    for (size_t i = 0; i < list->count; i++) {
        const char *space = strchr(list->items[i], ' ');
        const char *equals = space == NULL ? NULL : strchr(space, '=');
        if (space == NULL || space == list->items[i] || equals == NULL || equals == space + 1) {
            snprintf(
                why, why_size,
                "'%.100s' must be: pattern setting=value, as 'logs-* index.number_of_replicas=0'",
                list->items[i]);
            return false;
        }
    }
    return true;
}

static bool check_hours(const void *value, char *why, size_t why_size)
{
    const char *text = *(char *const *)value;

    if (hours_valid(text))
        return true;
    snprintf(why, why_size, "'%.80s' is no stretch of the day; write it as 22:00-06:00", text);
    return false;
}

/* clang-format off */
static const struct conf_row rows[] = {
    /* name, type, where, initially, change, meaning, choices, least, most, check */
    {"system.name", CONF_TEXT, AT(system_name), "tandem", RESTART,
     "The name of this pair of clusters. It is kept in the journal and on each standby, so that two systems are never mixed up.",
     NULL, 1, 0, check_name},
    {"log.level", CONF_CHOICE, AT(log_level), "info", RELOAD,
     "The least that is logged. debug says a line per state of each request: for a look, not for every day.",
     "debug|info|warn|error"},

    {"proxy.listen", CONF_ADDR, AT(proxy_listen), "127.0.0.1:9200", RESTART,
     "Where clients connect. Loopback until you decide otherwise: Tandem checks no credentials itself, it hands them to the primary."},
    {"proxy.admin", CONF_ADDR, AT(proxy_admin), "127.0.0.1:9280", RESTART,
     "Where tandemctl, Prometheus and load balancers connect. Another address than loopback is accepted only where callers are asked for their names (admin.tokens_file, admin.client_ca_file): who reaches it may pause, drop and adopt."},
    {"proxy.publish", CONF_TEXT, AT(proxy_publish), "", RESTART,
     "The host:port that sniffing clients are told to use in place of the nodes (see rewrite_nodes). Empty: what each of them called Tandem itself (its Host field).",
     NULL, 0, 0, check_publish},
    {"proxy.threads", CONF_COUNT, AT(proxy_threads), "1", RESTART,
     "Threads that move bytes, each with a loop and connections of its own. More than the machine has cores are never useful.",
     NULL, 1, 256},
    {"proxy.tls_certificate_file", CONF_PATH, AT(proxy_tls_certificate_file), "", RESTART,
     "The certificate, with its chain, that clients see (PEM). Empty: clients speak plain HTTP."},
    {"proxy.tls_key_file", CONF_PATH, AT(proxy_tls_key_file), "", RESTART,
     "The private key of that certificate (PEM). Only its owner may be able to read it."},
    {"proxy.connections_max", CONF_COUNT, AT(proxy_connections_max), "20000", RELOAD,
     "Connections of clients, all threads together. Above it a new one is answered 503 and closed. Each costs a file descriptor: see LimitNOFILE of the unit.",
     NULL, 1, 10000000},
    {"proxy.head_max", CONF_SIZE, AT(proxy_head_max), "64KB", RELOAD,
     "The longest request head; above it 431. Engines allow 8 or 16 KB by default, but tokens of some sites are larger.",
     NULL, 1 * KB, 1 * MB},
    {"proxy.target_max", CONF_SIZE, AT(proxy_target_max), "16KB", RELOAD,
     "The longest path with its query; above it 414. Engines allow 4 KB by default.",
     NULL, 256, 1 * MB},
    {"proxy.fields_max", CONF_COUNT, AT(proxy_fields_max), "200", RELOAD,
     "The most header fields of a request; above it 431.",
     NULL, 10, 10000},
    {"proxy.body_max", CONF_SIZE, AT(proxy_body_max), "100MB", RELOAD,
     "The longest request body, as sent and unpacked; above it 413. The engines' own limit (http.max_content_length) is the same.",
     NULL, 1 * KB, 2 * GB},
    {"proxy.bodies_max", CONF_SIZE, AT(proxy_bodies_max), "1GB", RELOAD,
     "Memory for the bodies of all writes in flight; above it a write is answered 503 with Retry-After. Writes are held whole until the primary answered.",
     NULL, 1 * MB, 0},
    {"proxy.head_timeout", CONF_DURATION, AT(proxy_head_timeout), "10s", RELOAD,
     "A request head must be complete this long after its first byte; else 408.",
     NULL, 1 * SECOND, 1 * DAY},
    {"proxy.idle_timeout", CONF_DURATION, AT(proxy_idle_timeout), "10m", RELOAD,
     "A connection without a request is closed after this long. Longer than clients and load balancers keep theirs, so that they close first and no request meets a closing connection.",
     NULL, 1 * SECOND, 365 * DAY},
    {"proxy.body_timeout", CONF_DURATION, AT(proxy_body_timeout), "30s", RELOAD,
     "A body from which no byte came for this long is given up: 408, and nothing was sent to the primary.",
     NULL, 1 * SECOND, 1 * DAY},
    {"proxy.body_rate_min", CONF_SIZE, AT(proxy_body_rate_min), "1KB", RELOAD,
     "A body must come with at least this much per second, averaged, after its first 10 s: against clients that send a byte now and then to keep our memory. 0B: no limit."},
    {"proxy.write_timeout", CONF_DURATION, AT(proxy_write_timeout), "30s", RELOAD,
     "A client that takes no byte of its answer for this long is cut off.",
     NULL, 1 * SECOND, 1 * DAY},
    {"proxy.hold_timeout", CONF_DURATION, AT(proxy_hold_timeout), "8s", RELOAD,
     "The longest that writes to an index wait while a change of its definition is carried out; then 503 not-applied. Below the time-out of the usual clients (10 s).",
     NULL, 100000, 1 * DAY},
    {"proxy.metadata_timeout", CONF_DURATION, AT(proxy_metadata_timeout), "30s", RELOAD,
     "The longest that the answer to a change of a definition waits until the change is in the journal; then 504 unknown.",
     NULL, 1 * SECOND, 1 * DAY},
    {"proxy.drain_timeout", CONF_DURATION, AT(proxy_drain_timeout), "30s", RELOAD,
     "At SIGTERM requests in flight may end for this long; then they are cut off.",
     NULL, 0, 1 * DAY},
    {"proxy.rewrite_nodes", CONF_BOOL, AT(proxy_rewrite_nodes), "true", RELOAD,
     "Answers of _nodes, _nodes/http and the like name Tandem in place of the nodes, so that clients that sniff do not go around it. Writes that go around it are not replicated."},

    {"admin.tokens_file", CONF_PATH, AT(admin_tokens_file), "", RESTART,
     "Who may use the admin addresses: one principal in a line, ROLE NAME TOKEN; # begins a comment. A viewer looks; an operator also pauses, holds, seeds, verifies, repairs; an admin also releases, drops and adopts. Only its owner may be able to read the file; it is read again at SIGHUP. Empty, and no admin.client_ca_file: whoever reaches the address may do all."},
    {"admin.tls_certificate_file", CONF_PATH, AT(admin_tls_certificate_file), "", RESTART,
     "The certificate, with its chain, of the admin addresses (PEM). Empty: plain HTTP, in which a token can be read on its way."},
    {"admin.tls_key_file", CONF_PATH, AT(admin_tls_key_file), "", RESTART,
     "The private key of that certificate (PEM). Only its owner may be able to read it."},
    {"admin.client_ca_file", CONF_PATH, AT(admin_client_ca_file), "", RESTART,
     "Client certificates that these authorities (PEM) have signed are principals too: the common name is the name, the organizational unit the role (viewer, operator, admin)."},
    {"admin.audit_file", CONF_PATH, AT(admin_audit_file), "", RESTART,
     "A file to which each call of an admin address is appended: a line of JSON with time, name, role, address, method, target and status. Empty: what changes something stands in the log only."},
    {"ctl.token_file", CONF_PATH, AT(ctl_token_file), "", RESTART,
     "The token that tandemctl sends; $TANDEM_TOKEN_FILE goes before it. Empty: the first one of an admin in admin.tokens_file, where tandemctl may read that."},
    {"ctl.ca_file", CONF_PATH, AT(ctl_ca_file), "", RESTART,
     "Certificates (PEM) that may have signed that of the admin addresses. Empty: admin.tls_certificate_file itself."},
    {"ctl.certificate_file", CONF_PATH, AT(ctl_certificate_file), "", RESTART,
     "The certificate that tandemctl shows (PEM), for admin.client_ca_file."},
    {"ctl.key_file", CONF_PATH, AT(ctl_key_file), "", RESTART,
     "Its private key (PEM)."},

    {"primary.name", CONF_TEXT, AT(primary_name), "a", RESTART,
     "The name of the primary in logs and commands.",
     NULL, 1, 0, check_name},
    {"primary.urls", CONF_URLS, AT(primary_urls), "http://127.0.0.1:9211", RESTART,
     "Nodes of the primary, with the port each. A request that was not sent at all goes to the next one when a node fails.",
     NULL, 1, 0},
    {"primary.credentials_file", CONF_PATH, AT(primary_credentials_file), "", RESTART,
     "Tandem's own account there, for probes and for following the cluster state; clients keep theirs. One line: user:password, ApiKey ... or Bearer .... Only its owner may be able to read the file."},
    {"primary.ca_file", CONF_PATH, AT(primary_ca_file), "", RESTART,
     "Certificates (PEM) that may have signed the nodes' certificates. Empty: those of the system."},
    {"primary.insecure_skip_verify", CONF_BOOL, AT(primary_insecure_skip_verify), "false", RESTART,
     "Accept any certificate. Then anybody between Tandem and the cluster can read and change everything; it is shown in the status and logged at each start."},
    {"primary.connections_max", CONF_COUNT, AT(primary_connections_max), "256", RELOAD,
     "Connections to each node, for each thread. Requests above it wait for one.",
     NULL, 1, 65536},
    {"primary.connect_timeout", CONF_DURATION, AT(primary_connect_timeout), "2s", RELOAD,
     "A node that has not accepted a connection by then (TLS included) counts as failed.",
     NULL, 10000, 600 * SECOND},
    {"primary.answer_timeout", CONF_DURATION, AT(primary_answer_timeout), "120s", RELOAD,
     "A request without an answer for this long is given up: 504, and a write is in doubt until Tandem has looked. Long, since engines wait up to a minute for a shard.",
     NULL, 100000, 1 * DAY},
    {"primary.idle_timeout", CONF_DURATION, AT(primary_idle_timeout), "60s", RELOAD,
     "A connection that nobody used for this long is closed. Below what firewalls between forget silently.",
     NULL, 1 * SECOND, 1 * DAY},
    {"primary.retry_interval", CONF_DURATION, AT(primary_retry_interval), "1s", RELOAD,
     "A node that failed gets no requests for this long, unless all have failed.",
     NULL, 10000, 600 * SECOND},

    {"hold.time_max", CONF_DURATION, AT(hold_time_max), "8s", RELOAD,
     "How long writes may be held (tandemctl hold, and a switch); then they go on as before. Below the time-out of the usual clients (10 s). Reads are never held.",
     NULL, HOLD_TIME_LEAST_US, HOLD_TIME_MOST_US},
    {"hold.requests_max", CONF_COUNT, AT(hold_requests_max), "10000", RELOAD,
     "With more writes than this a hold ends at once, and they go on.",
     NULL, 1, 10000000},
    {"hold.bytes_max", CONF_SIZE, AT(hold_bytes_max), "256MB", RELOAD,
     "With more bytes of bodies than this a hold ends at once, and they go on. Held bodies count for proxy.bodies_max too.",
     NULL, 1 * KB, 0},

    {"journal.folder", CONF_PATH, AT(journal_folder), "/var/lib/tandem/journal", RESTART,
     "Where the journal is kept: on a disk of this machine that honours fsync, outside the primary's zone. What is acknowledged and not yet on a standby is here and nowhere else.",
     NULL, 1, 0},
    {"journal.size_max", CONF_SIZE, AT(journal_size_max), "16GB", RESTART,
     "The most room the journal takes. When it is full writes are answered 503 not-applied and reads go on.",
     NULL, 64 * MB, 0},
    {"journal.keep_size", CONF_SIZE, AT(journal_keep_size), "4GB", RELOAD,
     "Records that every standby has are kept up to this size, to rewind a standby that was restored from a snapshot."},
    {"journal.keep_age", CONF_DURATION, AT(journal_keep_age), "7d", RELOAD,
     "Records that every standby has are kept up to this age. What reaches its limit first, age or size, is trimmed."},
    {"journal.when_full", CONF_CHOICE, AT(journal_when_full), "drop", RELOAD,
     "What happens when a standby that is away keeps the journal from being trimmed and it is full: drop gives up that standby (it must be seeded again), after alarms at 70 and 85 %; block refuses writes until it is back.",
     "drop|block"},

    {"follower.interval", CONF_DURATION, AT(follower_interval), "200ms", RELOAD,
     "How often the version of the primary's cluster state is asked for (150 bytes).",
     NULL, 10000, 60 * SECOND},
    {"follower.request_timeout", CONF_DURATION, AT(follower_request_timeout), "30s", RELOAD,
     "A state read without an answer for this long is begun again.",
     NULL, 100000, 1 * DAY},

    {"lives.confirm", CONF_CHOICE, AT(lives_confirm), "auto", RELOAD,
     "When an acknowledgement waits for a state read that shows which life of the index was hit: auto where it is not certain (a new name, a change in the last minute), always for every write. always closes one hole: an index that is deleted and made again past the proxy in the half second in which the primary is lost.",
     "auto|always"},
    {"by_query.timeout", CONF_DURATION, AT(by_query_timeout), "1h", RELOAD,
     "How long the primary may take to answer _update_by_query, _delete_by_query, _reindex and _restore. Later the client is told that the "
     "outcome is unknown, and Tandem waits for the end of the task. For longer ones use wait_for_completion=false."},
    {"by_query.ids_max", CONF_COUNT, AT(by_query_ids_max), "200000", RELOAD,
     "Where a write by query may delete documents, the ids that its query finds are noted first, up to so many. With more the "
     "outcome is unknown to the client, and each standby compares the index."},
    {"doubt.watch_max", CONF_COUNT, AT(doubt_watch_max), "100000", RELOAD,
     "Ids of writes in doubt that are probed again later. Above it new ones are given up, and their indices are noted as diverged.",
     NULL, 100, 100000000},

    {"seed.mode", CONF_CHOICE, AT(seed_mode), "auto", RELOAD,
     "When a replicator copies what an index held before Tandem saw it: auto as soon as such an index is there, manual when tandemctl seed says so.",
     "auto|manual"},
    {"seed.pages", CONF_COUNT, AT(seed_pages), "4", RELOAD,
     "Pages of documents that the primary is asked for at a time; those that are read and not yet on the standby do not count. It is lowered by itself while the primary says 429 or is slow.",
     NULL, 1, 64},
    {"seed.rate_max", CONF_COUNT, AT(seed_rate_max), "0", RELOAD,
     "The most documents per second that a seed reads. 0: no limit."},
    {"seed.bytes_max", CONF_SIZE, AT(seed_bytes_max), "0B", RELOAD,
     "The most bytes per second that a seed reads. 0: no limit."},
    {"seed.latency_max", CONF_DURATION, AT(seed_latency_max), "2s", RELOAD,
     "A page that takes the primary longer than this makes the seed read smaller pages, and fewer at a time.",
     NULL, 1000, 600 * SECOND},
    {"seed.compress", CONF_BOOL, AT(seed_compress), "false", RELOAD,
     "Ask the primary to compress the pages. For a slow or paid way to it; it costs the primary and the replicator processor time."},
    {"seed.hours", CONF_TEXT, AT(seed_hours), "", RELOAD,
     "The hours in which a seed may read from the primary, as 22:00-06:00, in this machine's time zone. Empty: always. It goes on where it was.",
     NULL, 0, 0, check_hours},

    {"audit.interval", CONF_DURATION, AT(audit_interval), "30s", RELOAD,
     "How often a replicator asks the primary how far its shards reach, and looks whether the journal accounts for every operation. What is missing is read from the primary. 0s: no audit."},
    {"audit.verify_interval", CONF_DURATION, AT(audit_verify_interval), "10m", RELOAD,
     "When operations are found that left no document (deleted past Tandem, perhaps) the index is compared as a whole; the same index not more often than this."},
    {"audit.repair", CONF_BOOL, AT(audit_repair), "true", RELOAD,
     "Such a comparison also makes the standby equal, unless the primary looks as if it had lost data. false: it only says what differs."},

    {"replicate.exclude", CONF_LIST, AT(replicate_exclude),
     ".security* .tasks .kibana_task_manager* .async-search* .watches .triggered_watches .ml-* .transform-* "
     ".monitoring-* .ds-ilm-history-* .slm-history* .fleet* .opendistro* .opensearch* .plugins-* .scripts .tandem*", RESTART,
     "Indices that are not replicated; * stands for anything. The initial ones belong to the engines themselves: each cluster writes its own. Other indices that begin with a dot are replicated."},
    {"replicate.client_versions", CONF_LIST, AT(replicate_client_versions), "", RESTART,
     "Indices whose clients set the versions of documents (version_type external or external_gte: Kafka Connect's sink, for one); * stands for anything. Their documents have the same _version on a standby, so that such clients can go on there after a switch. All other indices are written there with versions of Tandem's, which are far above. It holds for indices that Tandem sees for the first time: one that is replicated already stays as it is."},
    {"unreplicated.allow", CONF_LIST, AT(unreplicated_allow), "", RELOAD,
     "Calls that change data in a way that is not replicated yet and are refused unless their kind stands here. One that is allowed marks its indices as diverged. by_query: _rollup, _downsample and the like, which fill an index within the cluster; reindex: _migration/reindex; restore: mounts, and indices that another cluster fills; unknown: paths that Tandem does not know; opaque: document writes whose answers name no documents.",
     "by_query|reindex|restore|unknown|opaque"},
};

static const struct conf_row standby_rows[] = {
    {"name", CONF_TEXT, OF(name), NULL, RESTART,
     "The name of the standby in logs and commands, and in the journal: a standby that is renamed is a new one.",
     NULL, 1, 0, check_name},
    {"urls", CONF_URLS, OF(urls), NULL, RESTART,
     "Nodes of the standby, with the port each.",
     NULL, 1, 0},
    {"admin", CONF_ADDR, OF(admin), "127.0.0.1:9281", RESTART,
     "Where tandemctl, Prometheus and load balancers reach this standby's replicator. As proxy.admin; another port for each standby."},
    {"credentials_file", CONF_PATH, OF(credentials_file), "", RESTART,
     "The account that writes to the standby. One line: user:password, ApiKey ... or Bearer .... Only its owner may be able to read the file."},
    {"ca_file", CONF_PATH, OF(ca_file), "", RESTART,
     "Certificates (PEM) that may have signed the nodes' certificates. Empty: those of the system."},
    {"insecure_skip_verify", CONF_BOOL, OF(insecure_skip_verify), "false", RESTART,
     "Accept any certificate, as primary.insecure_skip_verify."},
    {"folder", CONF_PATH, OF(folder), "/var/lib/tandem/standby-{name}", RESTART,
     "The replicator's own files: checkpoint, remembered deletes, rows that wait or are parked.",
     NULL, 1, 0},
    {"size_max", CONF_SIZE, OF(size_max), "16GB", RESTART,
     "The most room these files take. When they are full the replicator stops reading until rows that wait have gone.",
     NULL, 64 * MB, 0},
    {"refused", CONF_CHOICE, OF(refused), "stop", RELOAD,
     "What happens to a row that the standby refuses for good: stop halts its index until a person has decided (tandemctl parked); park keeps the row aside and goes on with the others. Nothing is skipped silently.",
     "stop|park"},
    {"lanes", CONF_COUNT, OF(lanes), "8", RESTART,
     "Rows are spread over this many lanes by document; within a lane the order is kept. More lanes than bulks in flight, so that none idles.",
     NULL, 1, 1024},
    {"bulk_bytes", CONF_SIZE, OF(bulk_bytes), "4MB", RELOAD,
     "The largest bulk. Engines like 5 to 15 MB; a bulk above 10 % of a node's heap is refused as a whole.",
     NULL, 16 * KB, 64 * MB},
    {"bulk_records", CONF_COUNT, OF(bulk_records), "5000", RELOAD,
     "The most rows in a bulk.",
     NULL, 1, 100000},
    {"bulks_in_flight", CONF_COUNT, OF(bulks_in_flight), "4", RELOAD,
     "Bulks sent at a time, at most one per lane. It is lowered by itself while the standby says 429.",
     NULL, 1, 256},
    {"window_bytes", CONF_SIZE, OF(window_bytes), "64MB", RELOAD,
     "Memory for rows that were read from the journal and are not on the standby yet. At least two bulks. Seeds hold half of it at most.",
     NULL, 1 * MB, 16 * GB},
    {"request_timeout", CONF_DURATION, OF(request_timeout), "60s", RESTART,
     "A bulk without an answer for this long is sent again. The standby's index.gc_deletes is three times this.",
     NULL, 1 * SECOND, 3600 * SECOND},
    {"backoff_min", CONF_DURATION, OF(backoff_min), "200ms", RELOAD,
     "The pause before the first retry; each further one doubles it, with chance in it.",
     NULL, 1000, 600 * SECOND},
    {"backoff_max", CONF_DURATION, OF(backoff_max), "30s", RELOAD,
     "The longest pause. Retries never end.",
     NULL, 1000, 3600 * SECOND},
    {"lag_max_records", CONF_COUNT, OF(lag_max_records), "10000", RELOAD,
     "A standby further behind than this is not in sync: alarm, and no candidate for a switch."},
    {"lag_max", CONF_DURATION, OF(lag_max), "60s", RELOAD,
     "The same in time."},
    {"settings_override", CONF_LIST, OF(settings_override), "", RESTART,
     "Index settings that differ on this standby, as 'logs-* index.number_of_replicas=0'. The site's own settings (replicas, allocation, tiers, blocks, refresh interval) are never copied.",
     NULL, 0, 0, check_override},
};
/* clang-format on */

static bool check_standby(const void *values, const char **about, char *why, size_t why_size)
{
    const struct standby_settings *standby = values;

    *about = "backoff_max";
    if (standby->backoff_max < standby->backoff_min) {
        snprintf(why, why_size, "standbys.backoff_max is below backoff_min; make it larger");
        return false;
    }
    *about = "window_bytes";
    if (standby->window_bytes < 2 * standby->bulk_bytes) {
        snprintf(
            why, why_size,
            "standbys.window_bytes has no room for two bulks; make it at least twice bulk_bytes");
        return false;
    }
    return true;
}

/* Two standbys, or a standby and the proxy, that would take each other's place. */
static bool check_standbys(const struct settings *settings, char *why, size_t why_size)
{
    for (size_t i = 0; i < settings->standbys_count; i++) {
        const struct standby_settings *a = &settings->standbys[i];
        const char *clash = NULL;
        if (strcmp(a->admin.text, settings->proxy_admin.text) == 0)
            clash = "the admin address of the proxy";
        if (strcmp(a->name, settings->primary_name) == 0)
            clash = "the name of the primary";
        if (strcmp(a->folder, settings->journal_folder) == 0)
            clash = "the folder of the journal";
        for (size_t u = 0; u < a->urls.count; u++) {
            for (size_t p = 0; p < settings->primary_urls.count; p++) {
                if (strcmp(a->urls.items[u], settings->primary_urls.items[p]) == 0)
                    clash = "a URL of the primary";
            }
        }
        for (size_t j = 0; j < i; j++) {
            if (strcmp(a->admin.text, settings->standbys[j].admin.text) == 0)
                clash = "the admin address of another standby; give each a port of its own";
            if (strcmp(a->folder, settings->standbys[j].folder) == 0)
                clash = "the folder of another standby";
        }
        if (clash == NULL)
            continue;
        snprintf(why, why_size, "the standby %s has %s", a->name, clash);
        return false;
    }
    return true;
}

/* Whoever reaches an admin address that asks for no name may pause, drop and adopt. */
static bool check_admin_address(const struct settings *settings, const char **about, char *why,
                                size_t why_size)
{
    const struct conf_address *open = settings->proxy_admin.loopback ? NULL : &settings->proxy_admin;

    *about = "proxy.admin";
    for (size_t i = 0; i < settings->standbys_count && open == NULL; i++) {
        *about = "standbys";
        if (!settings->standbys[i].admin.loopback)
            open = &settings->standbys[i].admin;
    }
    if (open == NULL || settings->admin_tokens_file[0] != '\0' ||
        settings->admin_client_ca_file[0] != '\0')
        return true;
    snprintf(why, why_size,
             "the admin address %.80s can be reached from other machines: set admin.tokens_file "
             "or admin.client_ca_file, or use 127.0.0.1 and an SSH tunnel from afar",
             open->text);
    return false;
}

static bool go_together(const char *one, const char *other)
{
    return (one[0] == '\0') == (other[0] == '\0');
}

static bool check_admin(const struct settings *settings, const char **about, char *why,
                        size_t why_size)
{
    *about = "admin.tls_key_file";
    if (!go_together(settings->admin_tls_key_file, settings->admin_tls_certificate_file)) {
        snprintf(why, why_size,
                 "admin.tls_certificate_file and admin.tls_key_file go together; set both");
        return false;
    }
    *about = "ctl.key_file";
    if (!go_together(settings->ctl_key_file, settings->ctl_certificate_file)) {
        snprintf(why, why_size, "ctl.certificate_file and ctl.key_file go together; set both");
        return false;
    }
    *about = "admin.client_ca_file";
    if (settings->admin_client_ca_file[0] != '\0' &&
        settings->admin_tls_certificate_file[0] == '\0') {
        snprintf(why, why_size,
                 "admin.client_ca_file needs TLS: set admin.tls_certificate_file too");
        return false;
    }
    return check_admin_address(settings, about, why, why_size);
}

static bool check_settings(const void *values, const char **about, char *why, size_t why_size)
{
    const struct settings *settings = values;

    *about = settings->proxy_tls_key_file[0] == '\0' ? "proxy.tls_certificate_file"
                                                     : "proxy.tls_key_file";
    if ((settings->proxy_tls_key_file[0] == '\0') !=
        (settings->proxy_tls_certificate_file[0] == '\0')) {
        snprintf(why, why_size,
                 "proxy.tls_certificate_file and proxy.tls_key_file go together; set both");
        return false;
    }
    *about = "proxy.admin";
    if (strcmp(settings->proxy_admin.text, settings->proxy_listen.text) == 0) {
        snprintf(why, why_size, "proxy.admin and proxy.listen are the same; give them two ports");
        return false;
    }
    *about = "journal.keep_size";
    if (settings->journal_keep_size > settings->journal_size_max / 4 * 3) {
        snprintf(why, why_size,
                 "journal.keep_size leaves no room for what standbys still need; "
                 "make it at most three quarters of journal.size_max");
        return false;
    }
    *about = "proxy.bodies_max";
    if (settings->proxy_bodies_max < settings->proxy_body_max) {
        snprintf(why, why_size,
                 "proxy.bodies_max is below proxy.body_max: such a body could never pass");
        return false;
    }
    *about = "proxy.target_max";
    if (settings->proxy_target_max > settings->proxy_head_max) {
        snprintf(why, why_size, "proxy.target_max is above proxy.head_max, of which it is a part");
        return false;
    }
    if (!check_admin(settings, about, why, why_size))
        return false;
    *about = "standbys";
    return check_standbys(settings, why, why_size);
}

const struct conf_table settings_standby_table = {
    .rows = standby_rows,
    .count = COUNT_OF(standby_rows),
    .size = sizeof(struct standby_settings),
    .check = check_standby,
};

const struct conf_table settings_table = {
    .rows = rows,
    .count = COUNT_OF(rows),
    .size = sizeof(struct settings),
    .repeated = &settings_standby_table,
    .repeated_name = "standbys",
    .repeated_offset = AT(standbys),
    .repeated_count_offset = AT(standbys_count),
    .check = check_settings,
};

enum status settings_load(const char *path, struct settings **settings, char *why, size_t why_size)
{
    *settings = bytes_zalloc(sizeof **settings);
    enum status status = conf_read(&settings_table, path, *settings, why, why_size);

    if (status != STATUS_OK) {
        settings_free(*settings);
        *settings = NULL;
    }
    return status;
}

struct settings *settings_default(void)
{
    struct settings *settings = bytes_zalloc(sizeof *settings);
    char why[400];
    enum status status = conf_read_text(&settings_table, "default", SPAN(SETTINGS_DEFAULT_STANDBYS),
                                        settings, why, sizeof why);

    CHECK(status == STATUS_OK);
    return settings;
}

void settings_free(struct settings *settings)
{
    if (settings == NULL)
        return;
    conf_fini(&settings_table, settings);
    free(settings);
}

enum status settings_reload(const struct settings *old, const char *path, struct settings **fresh,
                            struct buffer *changed, struct buffer *need_restart, char *why,
                            size_t why_size)
{
    enum status status = settings_load(path, fresh, why, why_size);
    const char *about;

    if (status != STATUS_OK)
        return status;
    conf_keep_restart(&settings_table, old, *fresh, changed, need_restart);
    /* The file was sound; what became of it and what must stay may still contradict each other. */
    if (check_settings(*fresh, &about, why, why_size))
        return STATUS_OK;
    settings_free(*fresh);
    *fresh = NULL;
    return STATUS_SETTINGS_WRONG;
}

bool settings_allows(const struct settings *settings, const char *word)
{
    for (size_t i = 0; i < settings->unreplicated_allow.count; i++) {
        if (strcmp(settings->unreplicated_allow.items[i], word) == 0)
            return true;
    }
    return false;
}

bool settings_keeps_client_versions(const struct settings *settings, struct span name)
{
    for (size_t i = 0; i < settings->replicate_client_versions.count; i++)
        if (span_matches(name, span_cstr(settings->replicate_client_versions.items[i])))
            return true;
    return false;
}

bool settings_excludes(const struct settings *settings, struct span name)
{
    for (size_t i = 0; i < settings->replicate_exclude.count; i++) {
        const char *pattern = settings->replicate_exclude.items[i];
        if (*pattern != '*' && name.size > 0 && *pattern != name.data[0])
            continue; /* asked for every write: nearly all patterns begin with a dot, few names do
                       */
        if (span_matches(name, span_cstr(pattern)))
            return true;
    }
    return false;
}

const struct standby_settings *settings_standby(const struct settings *settings, const char *name)
{
    for (size_t i = 0; i < settings->standbys_count; i++) {
        if (strcmp(settings->standbys[i].name, name) == 0)
            return &settings->standbys[i];
    }
    return NULL;
}
