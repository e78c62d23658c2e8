/* ask.c - one request to an admin address.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "ctl.h"

#include <curl/curl.h>

#define ANSWER_MAX (64 * 1024 * 1024) /* a list of parked rows may be long */
#define CONNECT_TIMEOUT_MS 2000L
#define TIMEOUT_MS 10000L

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
    buffer_appendf(&url, "http://%s%s", address->text, target);
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
