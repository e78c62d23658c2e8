/* replay.c - runs a fuzzer's entry over files, and over all files of folders: corpora and crashes.
 *
 * Each input is in memory that ends where the input ends, so that ASan sees every byte read behind
 * it. The name is printed before the run: the last one printed is the one that failed.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t replay_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    struct stat info;

    printf("%s\n", path);
    fflush(stdout);
    CHECK(file != NULL && fstat(fileno(file), &info) == 0);
    size_t size = (size_t)info.st_size;
    uint8_t *data = malloc(size == 0 ? 1 : size);
    CHECK(data != NULL && fread(data, 1, size, file) == size);
    fclose(file);
    LLVMFuzzerTestOneInput(data, size);
    free(data);
    return 1;
}

/* How many files were run: PATH itself, or all below it. */
static size_t replay(const char *path)
{
    DIR *folder = opendir(path);
    size_t count = 0;

    if (folder == NULL)
        return replay_file(path);
    for (struct dirent *entry; (entry = readdir(folder)) != NULL;) {
        char inner[4096];
        if (entry->d_name[0] == '.')
            continue;
        int size = snprintf(inner, sizeof inner, "%s/%s", path, entry->d_name);
        CHECK(size > 0 && (size_t)size < sizeof inner);
        count += replay(inner);
    }
    closedir(folder);
    return count;
}

int main(int argc, char **argv)
{
    size_t count = 0;

    for (int i = 1; i < argc; i++)
        count += replay(argv[i]);
    printf("%zu inputs, none failed\n", count);
    return count == 0; /* an empty corpus proves nothing */
}
