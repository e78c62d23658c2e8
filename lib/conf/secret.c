/* secret.c - secrets come from files that only their owner can read, and are wiped when they go.
 *
 * No secret, nor any part of one, stands in a message: a WHY names the file and the rule.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "conf/settings.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#define SECRET_SIZE_MAX 65536 /* the longest tokens have a few KB */

void secret_fini(struct buffer *secret)
{
    if (secret->data != NULL)
        explicit_bzero(secret->data, secret->capacity);
    buffer_fini(secret);
}

void secret_free(char *secret)
{
    if (secret == NULL)
        return;
    explicit_bzero(secret, strlen(secret));
    free(secret);
}

/* The rules for the open file itself, so that it cannot be exchanged between the check and the
 * reading. */
static bool file_is_private(int fd, const char *path, char *why, size_t why_size)
{
    struct stat st;

    if (fstat(fd, &st) != 0) {
        snprintf(why, why_size, "%s: cannot be examined: %s", path, strerror(errno));
    } else if (!S_ISREG(st.st_mode)) {
        snprintf(why, why_size, "%s: is no file", path);
    } else if ((st.st_mode & (S_IRWXG | S_IRWXO)) != 0) {
        snprintf(why, why_size,
                 "%s: others than its owner may use this file (mode %03o); run: chmod 600 %s", path,
                 (unsigned)(st.st_mode & 0777), path);
    } else if (st.st_size > SECRET_SIZE_MAX) {
        snprintf(why, why_size, "%s: larger than %d bytes; this cannot be a secret", path,
                 SECRET_SIZE_MAX);
    } else {
        return true;
    }
    return false;
}

enum status secret_read_file(const char *path, struct buffer *secret, char *why, size_t why_size)
{
    enum status status = STATUS_SETTINGS_WRONG;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    size_t before = secret->size;
    ssize_t got;

    if (fd < 0) {
        snprintf(why, why_size, "%s: cannot be opened: %s", path, strerror(errno));
        return status;
    }
    if (!file_is_private(fd, path, why, why_size))
        goto out;
    /* All room at once: a buffer that grows would leave copies of the secret behind. */
    char *to = buffer_reserve(secret, SECRET_SIZE_MAX + 1);
    while ((got = read(fd, to, before + SECRET_SIZE_MAX + 1 - secret->size)) > 0) {
        secret->size += (size_t)got;
        to += got;
    }
    if (got < 0) {
        snprintf(why, why_size, "%s: cannot be read: %s", path, strerror(errno));
        goto out;
    }
    while (secret->size > before && strchr("\r\n", secret->data[secret->size - 1]) != NULL)
        secret->size--;
    if (secret->size == before) {
        snprintf(why, why_size, "%s: is empty", path);
        goto out;
    }
    status = STATUS_OK;
out:
    if (status != STATUS_OK)
        secret_fini(secret);
    close(fd);
    return status;
}

static void base64(struct span in, struct buffer *out)
{
    static const char letters[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const unsigned char *p = (const unsigned char *)in.data;

    for (size_t i = 0; i < in.size; i += 3) {
        size_t left = in.size - i;
        unsigned bits = (unsigned)p[i] << 16 | (left > 1 ? (unsigned)p[i + 1] << 8 : 0) |
                        (left > 2 ? (unsigned)p[i + 2] : 0);
        buffer_append_char(out, letters[bits >> 18]);
        buffer_append_char(out, letters[bits >> 12 & 63]);
        buffer_append_char(out, left > 1 ? letters[bits >> 6 & 63] : '=');
        buffer_append_char(out, left > 2 ? letters[bits & 63] : '=');
    }
}

enum status secret_authorization(const char *path, char **authorization, char *why, size_t why_size)
{
    struct buffer secret = {0}, value = {0};
    enum status status = STATUS_OK;

    *authorization = NULL;
    if (path[0] == '\0')
        return STATUS_OK;
    status = secret_read_file(path, &secret, why, why_size);
    if (status != STATUS_OK)
        return status;
    struct span text = buffer_span(&secret);
    buffer_reserve(&value, text.size * 2 + 64); /* once, as above */
    for (size_t i = 0; i < text.size; i++) {
        if ((unsigned char)text.data[i] < 0x20 || text.data[i] == 0x7f)
            status = STATUS_SETTINGS_WRONG; /* a line end would begin another header */
    }
    if (status == STATUS_OK &&
        (span_starts(text, SPAN("ApiKey ")) || span_starts(text, SPAN("Bearer ")))) {
        buffer_append_span(&value, text);
    } else if (status == STATUS_OK && text.size > 1 && text.data[0] != ':' &&
               memchr(text.data, ':', text.size) != NULL) {
        buffer_append_cstr(&value, "Basic ");
        base64(text, &value);
    } else {
        status = STATUS_SETTINGS_WRONG;
        snprintf(why, why_size, "%s: must hold one line: user:password, ApiKey ... or Bearer ...",
                 path);
    }
    if (status == STATUS_OK)
        *authorization = span_dup(buffer_span(&value));
    secret_fini(&secret);
    secret_fini(&value);
    return status;
}
