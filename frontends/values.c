/* SPDX-License-Identifier: MIT */
#include "frontends/values.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* ---- numbers, sizes, dates ---- */

/* A leading zero alone does not make it octal. */
static int base_of(const char *text)
{
    return text[0] == '0' && (text[1] == 'x' || text[1] == 'X') ? 16 : 10;
}

bool parse_number(const char *text, uint64_t *value)
{
    char *end;
    if (text[0] < '0' || text[0] > '9')
        return false;
    errno = 0;
    unsigned long long v = strtoull(text, &end, base_of(text));
    if (errno || *end)
        return false;
    *value = v;
    return true;
}

static bool unit_of(const char *suffix, uint64_t *unit)
{
    static const char letters[] = "BKMGT";
    if (*suffix == '\0')
        return true;
    char upper = suffix[0] >= 'a' ? (char)(suffix[0] - 'a' + 'A') : suffix[0];
    const char *letter = strchr(letters, upper);
    if (!letter || suffix[1] != '\0')
        return false;
    *unit = UINT64_C(1) << 10 * (letter - letters);
    return true;
}

bool parse_size(const char *text, uint64_t unit, uint64_t *bytes)
{
    char *end;
    if (text[0] < '0' || text[0] > '9')
        return false;
    errno = 0;
    unsigned long long v = strtoull(text, &end, base_of(text));
    if (errno || !unit_of(end, &unit) || v > UINT64_MAX / unit)
        return false;
    *bytes = v * unit;
    return true;
}

/* Exactly n digits at *p, then `after` (0: nothing is asked); moves *p past both. */
static bool digits(const char **p, unsigned n, char after, unsigned *value)
{
    *value = 0;
    for (unsigned i = 0; i < n; i++, (*p)++) {
        if (**p < '0' || **p > '9')
            return false;
        *value = *value * 10 + (unsigned)(**p - '0');
    }
    if (after && **p != after)
        return false;
    *p += after != 0;
    return true;
}

static bool is_leap(unsigned year)
{
    return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

static unsigned days_in(unsigned year, unsigned month)
{
    static const unsigned char days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    return days[month - 1] + (month == 2 && is_leap(year) ? 1u : 0u);
}

/* Days from 1970-01-01 (Gregorian). */
static uint64_t days_since_1970(unsigned year, unsigned month, unsigned day)
{
    uint64_t days = day - 1;
    for (unsigned y = 1970; y < year; y++)
        days += is_leap(y) ? 366 : 365;
    for (unsigned m = 1; m < month; m++)
        days += days_in(year, m);
    return days;
}

bool parse_date(const char *text, uint64_t *seconds)
{
    unsigned year, month, day, hour = 0, minute = 0, second = 0;
    if (parse_number(text, seconds))
        return true;
    if (!digits(&text, 4, '-', &year) || !digits(&text, 2, '-', &month) ||
        !digits(&text, 2, 0, &day))
        return false;
    if (*text == 'T') {
        text++;
        if (!digits(&text, 2, ':', &hour) || !digits(&text, 2, ':', &minute) ||
            !digits(&text, 2, 0, &second))
            return false;
    }
    if (*text || year < 1970 || month < 1 || month > 12 || day < 1 || day > days_in(year, month) ||
        hour > 23 || minute > 59 || second > 59)
        return false;
    *seconds = days_since_1970(year, month, day) * 86400 + hour * 3600u + minute * 60u + second;
    return true;
}

/* ---- lists: NAME,key=value,key=value ---- */

static size_t at_most(size_t n, size_t limit)
{
    return n < limit ? n : limit;
}

bool next_piece(const char **text, struct piece *p)
{
    if (**text == '\0')
        return false;
    size_t length = strcspn(*text, ","), key = strcspn(*text, "=,");
    p->has_value = key < length;
    size_t value = p->has_value ? at_most(length - key - 1, sizeof(p->value) - 1) : 0;
    *p = (struct piece){.has_value = p->has_value};
    memcpy(p->key, *text, at_most(key, sizeof(p->key) - 1));
    if (value)
        memcpy(p->value, *text + key + 1, value);
    *text += length + ((*text)[length] == ',');
    return true;
}

bool piece_is(const struct piece *p, const char *key, const char *value)
{
    return p->has_value && strcmp(p->key, key) == 0 && strcmp(p->value, value) == 0;
}

int bad_value(struct err *err, const char *value, const char *hint)
{
    err_set(err, EINVAL, "cannot use '%s'", value);
    err_hint(err, "%s", hint);
    return -EINVAL;
}
