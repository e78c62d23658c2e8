/* nodes.c - the nodes of the primary as they are configured: names resolved, TLS loaded.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <netdb.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf/settings.h"
#include "proxy/upstream.h"

/* Splits scheme://host:port; the settings have checked its form. */
static bool split_url(const char *url, bool *tls, char **host, char **port, const char **authority)
{
    const char *rest = strstr(url, "://");
    if (rest == NULL)
        return false;
    *tls = strncmp(url, "https:", 6) == 0;
    rest += 3;
    *authority = rest;
    const char *colon = strrchr(rest, ':');
    const char *bracket = strrchr(rest, ']');
    if (colon == NULL || (bracket != NULL && colon < bracket) || colon == rest)
        return false;
    *port = bytes_strdup(colon + 1);
    (*port)[strcspn(*port, "/")] = 0;
    *host = rest[0] == '[' && bracket != NULL
                ? span_dup(span_of(rest + 1, (size_t)(bracket - rest) - 1))
                : span_dup(span_of(rest, (size_t)(colon - rest)));
    return true;
}

static bool node_config_init(struct node_config *node, const char *url, char *why, size_t why_size)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found = NULL;
    const char *authority = "";
    char *port = NULL;

    struct buffer who = {0};
    buffer_appendf(&who, "primary node %s", url);
    node->who = bytes_strdup(buffer_cstr(&who));
    buffer_fini(&who);
    if (!split_url(url, &node->tls, &node->host, &port, &authority)) {
        snprintf(why, why_size, "primary.urls: %s is not scheme://host:port", url);
        return false;
    }
    int error = getaddrinfo(node->host, port, &hints, &found);
    free(port);
    if (error != 0) {
        snprintf(why, why_size, "primary.urls: %s: %s", url, gai_strerror(error));
        return false;
    }
    for (struct addrinfo *at = found; at != NULL && node->address_count < NODE_ADDRESSES_MAX;
         at = at->ai_next) {
        struct node_address *address = &node->addresses[node->address_count++];
        memcpy(&address->address, at->ai_addr, at->ai_addrlen);
        address->size = at->ai_addrlen;
    }
    freeaddrinfo(found);
    buffer_appendf(&node->host_field, "Host: %.*s\r\n\r\n", (int)strcspn(authority, "/"),
                   authority);
    return true;
}

bool nodes_init(struct nodes *nodes, const struct settings *settings, char *why, size_t why_size)
{
    bool tls = false;

    *nodes = (struct nodes){0};
    if (settings->primary_urls.count > NODES_MAX) {
        snprintf(why, why_size, "primary.urls: at most %d nodes", NODES_MAX);
        return false;
    }
    nodes->items = bytes_zalloc(settings->primary_urls.count * sizeof nodes->items[0]);
    nodes->count = settings->primary_urls.count;
    for (size_t i = 0; i < nodes->count; i++) {
        if (!node_config_init(&nodes->items[i], settings->primary_urls.items[i], why, why_size))
            return false;
        tls |= nodes->items[i].tls;
    }
    if (!tls)
        return true;
    nodes->context = transport_client_context(
        settings->primary_ca_file, settings->primary_insecure_skip_verify, why, why_size);
    return nodes->context != NULL;
}

void nodes_fini(struct nodes *nodes)
{
    for (size_t i = 0; i < nodes->count; i++) {
        free(nodes->items[i].who);
        free(nodes->items[i].host);
        buffer_fini(&nodes->items[i].host_field);
    }
    free(nodes->items);
    SSL_CTX_free(nodes->context);
    *nodes = (struct nodes){0};
}
