/* chars.c - the table behind chars.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "http/chars.h"

/* clang-format off */
#define NO 0                                      /* control bytes and DEL: nowhere */
#define WS CHAR_VALUE                             /* SP, HTAB, and the bytes from 0x80 on */
#define VC (CHAR_VALUE | CHAR_TARGET)             /* visible, but no token */
#define TK (VC | CHAR_TOKEN)
#define NU (CHAR_VALUE | CHAR_TOKEN)              /* '#' begins a fragment, which no request has */
#define TI (TK | CHAR_UNRESERVED)                 /* '~' */
#define AL (TK | CHAR_UNRESERVED | CHAR_HOST)
#define HX (AL | CHAR_HEX)
#define DG (HX | CHAR_DIGIT)

const uint8_t http_chars[256] = {
    /* 00 */ NO, NO, NO, NO, NO, NO, NO, NO, NO, WS, NO, NO, NO, NO, NO, NO,
    /* 10 */ NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO,
    /* 20 */ WS, TK, VC, NU, TK, TK, TK, TK, VC, VC, TK, TK, VC, AL, AL, VC,
    /* 30 */ DG, DG, DG, DG, DG, DG, DG, DG, DG, DG, VC, VC, VC, VC, VC, VC,
    /* 40 */ VC, HX, HX, HX, HX, HX, HX, AL, AL, AL, AL, AL, AL, AL, AL, AL,
    /* 50 */ AL, AL, AL, AL, AL, AL, AL, AL, AL, AL, AL, VC, VC, VC, TK, AL,
    /* 60 */ TK, HX, HX, HX, HX, HX, HX, AL, AL, AL, AL, AL, AL, AL, AL, AL,
    /* 70 */ AL, AL, AL, AL, AL, AL, AL, AL, AL, AL, AL, VC, TK, VC, TI, NO,
    /* 80 */ WS, WS, WS, WS, WS, WS, WS, WS, WS, WS, WS, WS, WS, WS, WS, WS,
    /* 90 */ WS, WS, WS, WS, WS, WS, WS, WS, WS, WS, WS, WS, WS, WS, WS, WS,
    /* A0 */ WS, WS, WS, WS, WS, WS, WS, WS, WS, WS, WS, WS, WS, WS, WS, WS,
    /* B0 */ WS, WS, WS, WS, WS, WS, WS, WS, WS, WS, WS, WS, WS, WS, WS, WS,
    /* C0 */ WS, WS, WS, WS, WS, WS, WS, WS, WS, WS, WS, WS, WS, WS, WS, WS,
    /* D0 */ WS, WS, WS, WS, WS, WS, WS, WS, WS, WS, WS, WS, WS, WS, WS, WS,
    /* E0 */ WS, WS, WS, WS, WS, WS, WS, WS, WS, WS, WS, WS, WS, WS, WS, WS,
    /* F0 */ WS, WS, WS, WS, WS, WS, WS, WS, WS, WS, WS, WS, WS, WS, WS, WS,
};
/* clang-format on */
