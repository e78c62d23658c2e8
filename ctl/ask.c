/* ask.c - one request to an admin address.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "ctl.h"

#include <curl/curl.h>
#include <strings.h>

#define ANSWER_MAX (64 * 1024 * 1024) /* a list of parked rows may be long */
#define CONNECT_TIMEOUT_MS 2000L
#define TIMEOUT_MS 10000L

/* As the settings say; the same for all that one command asks. */
static struct {
    const struct settings *settings; /* borrowed */
    struct buffer authorization; /* "Authorization: Bearer ...", wiped at the end; empty: none */
    struct curl_slist *headers;
} voice;

/* The first token of an admin in TEXT, or else the first one at all: TEXT has lines of ROLE NAME
 * TOKEN. */
static struct span choose_token(struct span text)
{
    struct span chosen = SPAN_NONE;

    while (text.size != 0) {
        const char *end = memchr(text.data, '\n', text.size);
        size_t size = end == NULL ? text.size : (size_t)(end - text.data);
        struct buffer line = {0};
        char role[16];
        int token_at = 0, token_end = 0;
        buffer_append(&line, text.data, size);
        bool whole =
            sscanf(buffer_cstr(&line), " %15s %*s %n%*s%n", role, &token_at, &token_end) == 1 &&
            token_end > token_at && role[0] != '#';
        secret_fini(&line);
        struct span token = span_of(text.data + token_at, (size_t)(token_end - token_at));
        bool admin = whole && strcasecmp(role, "admin") == 0; /* as access.c reads it */
        if (admin || (whole && chosen.size == 0))
            chosen = token;
        if (admin)
            break;
        text = end == NULL ? SPAN_NONE : span_of(end + 1, text.size - size - 1);
    }
    return chosen;
}

static bool is_there(const char *path)
{
    return path != NULL && path[0] != '\0';
}

bool ask_begin(const struct settings *settings)
{
    const char *named = getenv("TANDEM_TOKEN_FILE");
    const char *path = is_there(named) ? named : settings->ctl_token_file;
    bool principals = !is_there(path);
    struct buffer secret = {0};
    char why[500];

    voice.settings = settings;
    if (principals)
        path = settings->admin_tokens_file;
    if (!is_there(path))
        return true;
    if (secret_read_file(path, &secret, why, sizeof why) != STATUS_OK) {
        /* Not ours to read, perhaps: then a certificate has to do, or the answer says who we must
         * be. */
        if (!principals)
            ctl_say("%s", why);
        return principals;
    }
    struct span token = principals ? choose_token(buffer_span(&secret)) : buffer_span(&secret);
    buffer_reserve(&voice.authorization, token.size + 64); /* once: it leaves no copies */
    buffer_append_cstr(&voice.authorization, "Authorization: Bearer ");
    buffer_append_span(&voice.authorization, token);
    secret_fini(&secret);
    voice.headers = curl_slist_append(NULL, buffer_cstr(&voice.authorization));
    return true;
}

void ask_end(void)
{
    curl_slist_free_all(voice.headers);
    voice.headers = NULL;
    secret_fini(&voice.authorization);
}

static void speak(CURL *easy)
{
    const struct settings *s = voice.settings;
    const char *ca = s->ctl_ca_file[0] != '\0' ? s->ctl_ca_file : s->admin_tls_certificate_file;

    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, voice.headers);
    if (s->admin_tls_certificate_file[0] == '\0')
        return;
    curl_easy_setopt(easy, CURLOPT_CAINFO, ca);
    if (s->ctl_certificate_file[0] == '\0')
        return;
    curl_easy_setopt(easy, CURLOPT_SSLCERT, s->ctl_certificate_file);
    curl_easy_setopt(easy, CURLOPT_SSLKEY, s->ctl_key_file);
}

static size_t on_bytes(char *bytes, size_t one, size_t size, void *arg)
{
    struct ask_body *body = arg;

    (void)one;
    if (size > body->max - body->bytes.size)
        return 0;
    buffer_append(&body->bytes, bytes, size);
    return size;
}

CURL *ask_easy(char *error, long connect_timeout_ms, long timeout_ms)
{
    CURL *easy = curl_easy_init();

    CHECK(easy != NULL);
    curl_easy_setopt(easy, CURLOPT_PROXY, "");
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, connect_timeout_ms);
    curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, timeout_ms);
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, error);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_bytes);
    return easy;
}

json_int_t json_number(const json_t *object, const char *name)
{
    return json_integer_value(json_object_get(object, name));
}

const char *json_text(const json_t *object, const char *name, const char *otherwise)
{
    const char *text = json_string_value(json_object_get(object, name));

    return text == NULL ? otherwise : text;
}

static void take_answer(struct answer *answer, const struct buffer *body)
{
    answer->json = json_loadb(body->data, body->size, JSON_DECODE_ANY, NULL);
    if (answer->http_status >= 200 && answer->http_status < 300) {
        answer->exit = CTL_DONE;
        return;
    }
    const char *text = json_text(json_object_get(answer->json, "error"), "text", NULL);
    answer->exit = CTL_REFUSED;
    if (text != NULL)
        snprintf(answer->why, sizeof answer->why, "%s", text);
    else
        snprintf(answer->why, sizeof answer->why, "it answered %d", answer->http_status);
}

void ask(const struct conf_address *address, const char *method, const char *target,
         struct answer *answer)
{
    char error[CURL_ERROR_SIZE] = "";
    struct buffer url = {0};
    struct ask_body body = {.max = ANSWER_MAX};
    CURL *easy = ask_easy(error, CONNECT_TIMEOUT_MS, TIMEOUT_MS);
    long status = 0;

    memset(answer, 0, sizeof *answer);
    buffer_appendf(&url, "%s://%s%s",
                   voice.settings->admin_tls_certificate_file[0] == '\0' ? "http" : "https",
                   address->text, target);
    speak(easy);
    curl_easy_setopt(easy, CURLOPT_URL, buffer_cstr(&url));
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, &body);
    if (strcmp(method, "POST") == 0)
        curl_easy_setopt(easy, CURLOPT_POSTFIELDS, "");
    CURLcode code = curl_easy_perform(easy);
    curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
    answer->http_status = (int)status;
    if (code == CURLE_OK) {
        take_answer(answer, &body.bytes);
    } else {
        answer->exit = CTL_UNREACHABLE;
        answer->nobody_there = code == CURLE_COULDNT_CONNECT;
        snprintf(answer->why, sizeof answer->why, "nobody answers at %s: %s", address->text,
                 error[0] != '\0' ? error : curl_easy_strerror(code));
    }
    curl_easy_cleanup(easy);
    buffer_fini(&url);
    buffer_fini(&body.bytes);
}

void answer_fini(struct answer *answer)
{
    json_decref(answer->json);
    answer->json = NULL;
}
