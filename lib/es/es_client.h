/* es_client.h - bounded requests to one cluster, on the event loop.
 *
 * For the control paths: following state, probes, the replicator's bulks; not for what clients send
 * (the proxy moves that itself). libcurl's multi interface does the work on the loop of its owner;
 * nothing blocks, no threads, everything here is called from that loop's thread.
 *
 *   - Each call ends exactly once: on_done, es_client_cancel or es_client_free. on_done never runs
 * inside es_client_call.
 *   - It ends within its time-out, whatever the cluster does, and holds no more than answer_max
 * bytes of an answer.
 *   - Nodes take turns. One that failed gets no calls for a while, unless all have failed. A call
 * goes to another node only when not one byte of it was sent.
 *   - A call may still be *executed* twice: libcurl sends it again when a kept connection turns out
 * to have been closed before any byte of an answer. Calls must bear that, or say `once`, which
 * costs a connection each.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TANDEM_ES_ES_CLIENT_H
#define TANDEM_ES_ES_CLIENT_H

#include <curl/curl.h>

#include "base/bytes.h"
#include "base/status.h"

struct es_client;
struct loop;

struct es_client_options {
    const char *const *urls; /* scheme://host:port, at least one; everything here is copied */
    size_t urls_count;
    const char *authorization;   /* value of the Authorization header, or NULL */
    const char *ca_file;         /* NULL or "": the system's */
    bool insecure;               /* accept any certificate */
    uint64_t connect_timeout_us; /* TLS included */
    uint64_t retry_interval_us;  /* how long a node that failed is left alone; 0: one second */
    size_t connections_max;      /* to all nodes together; calls above it wait */
};

struct es_call {
    /* Set by the caller, between es_call_init and es_client_call; unchanged until the call ends. */
    char method[8];
    struct buffer target;     /* path and query, percent-encoded, from the slash on */
    struct buffer body;       /* empty: none */
    const char *content_type; /* of the body; NULL: application/json */
    uint64_t timeout_us;      /* from es_client_call to on_done, waiting included */
    size_t answer_max;        /* bytes, unpacked */
    bool once;  /* never sent twice, as libcurl does by itself when a connection that was
                   used before ends without an answer; costs a new connection */
    bool plain; /* its answer is not to come compressed */
    void (*on_done)(struct es_call *call);
    void *arg;

    /* Results, from on_done until the next es_client_call or es_call_fini. */
    enum status status; /* OK: an HTTP answer came, whole. CLUSTER_AWAY: none did. TOO_LARGE: it was
                           larger than answer_max, the call was executed */
    int http_status;    /* 0 without an answer */
    struct buffer answer;            /* the body, unpacked */
    uint64_t retry_after_us;         /* as the answer's Retry-After asks; 0: it does not */
    bool sent;                       /* false: certain that no byte of the request was sent */
    char why[CURL_ERROR_SIZE + 256]; /* which node and what happened, when status is not OK */

    /* es_client.c's own. */
    struct es_client *client; /* NULL when it is not under way */
    CURL *easy;
    struct curl_slist *headers;
    struct es_call *next, **link;
    uint64_t deadline_us;
    size_t node, tries;
    bool head_whole, framed; /* of the answer */
    char error[CURL_ERROR_SIZE];
};

/* AUTHORIZATION in OPTIONS is copied and wiped at es_client_free. */
struct es_client *es_client_new(struct loop *loop, const struct es_client_options *options);
/* Calls under way are dropped without on_done. Not inside on_done. */
void es_client_free(struct es_client *client);

/* A call with nothing set: GET, no body, 30 s, 100 MB. */
void es_call_init(struct es_call *call);
/* Cancels it when it is under way. */
void es_call_fini(struct es_call *call);
/* Sets method and target by format; the body and the results are emptied, ready for es_client_call.
 */
void es_call_set(struct es_call *call, const char *method, const char *target_format, ...)
    PRINTF_LIKE(3, 4);

/* Starts CALL, which stays the caller's and must stay where it is until it ends. */
void es_client_call(struct es_client *client, struct es_call *call);
/* Ends CALL without on_done, if it is under way. What was sent was sent. */
void es_client_cancel(struct es_call *call);

/* How many calls are under way or wait. */
size_t es_client_calls(const struct es_client *client);
size_t es_client_nodes(const struct es_client *client);
/* Of node AT: its URL (borrowed), and whether its last call reached it. */
const char *es_client_node(const struct es_client *client, size_t at, bool *healthy);

#endif
