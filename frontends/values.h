/* SPDX-License-Identifier: MIT */
/*
 * The arguments of options: numbers, sizes, dates and comma-separated lists. Called by
 * the files option_*.c and the tests; owns nothing.
 */
#pragma once

#include "base/compiler.h"
#include "base/err.h"

/* A number, decimal or hexadecimal with 0x, that fills the whole text. */
bool parse_number(const char *text, uint64_t *value);

/* SIZE[B|K|M|G|T], in units of `unit` bytes without a suffix. False: no size, or beyond 64 bits. */
bool parse_size(const char *text, uint64_t unit, uint64_t *bytes);

/* YYYY-MM-DD, YYYY-MM-DDTHH:MM:SS or seconds since 1970, UTC. False: not a date. */
bool parse_date(const char *text, uint64_t *seconds);

/* One piece of a comma-separated list. */
struct piece {
    char key[64];    /* before `=`, or the whole piece */
    char value[256]; /* after `=` */
    bool has_value;  /* there was a `=` */
};

/* Take the next piece off *text; false at the end. One that is too long is cut: it is no word of
 * ours. */
bool next_piece(const char **text, struct piece *p);

bool piece_is(const struct piece *p, const char *key, const char *value);

/* An option cannot be given this: fills err, returns -EINVAL. The caller puts the option's name before the message. */
int bad_value(struct err *err, const char *value, const char *hint);
