/* check.h - a bug in our own code stops the program where it shows, in release builds too.
 *
 * CHECK() is for what only our own mistake can break; what comes from outside (a client, a cluster, a
 * disk) is answered with a status (status.h), never with CHECK().
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TANDEM_BASE_CHECK_H
#define TANDEM_BASE_CHECK_H

#include <stdio.h>
#include <stdlib.h>

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (__builtin_expect(!(condition), 0)) {                                                   \
            fprintf(stderr, "bug     %s:%d %s: CHECK(%s) failed\n", __FILE__, __LINE__, __func__,  \
                    #condition);                                                                   \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

#define MUST_USE __attribute__((warn_unused_result))
#define PRINTF_LIKE(format_at, args_at) __attribute__((format(printf, format_at, args_at)))
#define BIT(n) (1u << (n))
#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

#endif
