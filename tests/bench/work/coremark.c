/* SPDX-License-Identifier: MIT */
/*
 * What CoreMark measures, in a program of our own: a linked list that is searched, turned
 * and sorted; products of small matrices; a state machine that reads numbers; and a CRC
 * over all results.
 */
#include "work.h"

enum { ITEMS = 96, SIDE = 24, TEXT = 512 };

struct item {
    struct item *next;
    int16_t key, value;
};

struct work {
    struct item items[ITEMS];
    int16_t a[SIDE][SIDE], b[SIDE][SIDE];
    int32_t c[SIDE][SIDE];
    char text[TEXT];
};

static uint16_t crc(uint16_t sum, uint32_t value, int bits)
{
    for (int i = 0; i < bits; i++, value >>= 1)
        sum = (sum ^ value) & 1 ? (uint16_t)(sum >> 1 ^ 0xa001) : (uint16_t)(sum >> 1);
    return sum;
}

/* ---- lists ---- */

static struct item *find(struct item *l, int16_t key)
{
    while (l && l->key != key)
        l = l->next;
    return l;
}

static struct item *reverse(struct item *l)
{
    struct item *out = NULL;

    while (l) {
        struct item *next = l->next;
        l->next = out;
        out = l;
        l = next;
    }
    return out;
}

static int by_key(const struct item *a, const struct item *b)
{
    return a->key - b->key;
}

static int by_value(const struct item *a, const struct item *b)
{
    return a->value - b->value;
}

static struct item *sort(struct item *l, int (*order)(const struct item *, const struct item *))
{
    for (size_t run = 1;; run *= 2) {
        struct item *out = NULL, **end = &out;
        unsigned merges = 0;
        while (l) {
            struct item *a = l, *b = l;
            size_t na = 0, nb = run;
            for (; na < run && b; na++)
                b = b->next;
            while (na || (nb && b)) {
                struct item **from = !na || (nb && b && order(a, b) > 0) ? &b : &a;
                *(from == &a ? &na : &nb) -= 1;
                *end = *from;
                end = &(*from)->next;
                *from = *end;
            }
            l = b;
            merges++;
        }
        *end = NULL;
        l = out;
        if (merges < 2)
            return l;
    }
}

static uint16_t lists(struct work *w, uint16_t sum, int seed)
{
    for (int i = 0; i < ITEMS; i++)
        w->items[i] = (struct item){ i + 1 < ITEMS ? &w->items[i + 1] : NULL, (int16_t)((i * 37 + seed) % 101),
                                     (int16_t)((i * 1237 ^ seed * 31) & 0x7ff) };
    struct item *l = w->items;
    for (int16_t k = 0; k < 24; k++) {
        struct item *at = find(l, (int16_t)(k * 5));
        sum = crc(sum, at ? (uint16_t)at->value : 0xffff, 16);
        l = reverse(l);
    }
    l = sort(l, by_value);
    sum = crc(sum, (uint16_t)l->key, 16);
    l = sort(l, by_key);
    for (struct item *i = l; i; i = i->next)
        sum = crc(sum, (uint16_t)i->value, 8);
    return sum;
}

/* ---- matrices ---- */

static uint16_t matrices(struct work *w, uint16_t sum, int seed)
{
    for (int i = 0; i < SIDE; i++)
        for (int k = 0; k < SIDE; k++) {
            w->a[i][k] = (int16_t)(seed + i * k);
            w->b[i][k] = (int16_t)(i - k * seed);
        }
    for (int i = 0; i < SIDE; i++)
        for (int k = 0; k < SIDE; k++) {
            int32_t x = 0;
            for (int j = 0; j < SIDE; j++)
                x += w->a[i][j] * w->b[j][k];
            w->c[i][k] = x;
        }
    for (int i = 0; i < SIDE; i++)
        for (int k = 0; k < SIDE; k++) {
            int32_t x = w->c[k][i];
            w->a[i][k] = (int16_t)((x >> 2 & 15) * (x >> 5 & 127));
            sum = (uint16_t)(sum + w->a[i][k]);
        }
    return crc(sum, (uint32_t)w->c[3][5], 32);
}

/* ---- a state machine ---- */

enum state { START, SIGN, WHOLE, POINT, FRACTION, EXPONENT, BAD, STATES };

static enum state step(enum state s, char c)
{
    int is_digit = c >= '0' && c <= '9';

    switch (s) {
    case START: return is_digit ? WHOLE : c == '+' || c == '-' ? SIGN : c == '.' ? POINT : BAD;
    case SIGN: return is_digit ? WHOLE : c == '.' ? POINT : BAD;
    case WHOLE: return is_digit ? WHOLE : c == '.' ? POINT : c == 'e' ? EXPONENT : BAD;
    case POINT: return is_digit ? FRACTION : BAD;
    case FRACTION: return is_digit ? FRACTION : c == 'e' ? EXPONENT : BAD;
    case EXPONENT: return is_digit || c == '-' ? EXPONENT : BAD;
    default: return BAD;
    }
}

static uint16_t machine(struct work *w, uint16_t sum, uint32_t seed)
{
    static const char letters[] = "0123456789012345,,,+-..ee,01x";
    unsigned visits[STATES] = { 0 };
    enum state s = START;

    for (int i = 0; i < TEXT; i++)
        w->text[i] = letters[next_random(&seed) % (sizeof letters - 1)];
    for (int i = 0; i < TEXT; i++) {
        s = w->text[i] == ',' ? START : step(s, w->text[i]);
        visits[s]++;
    }
    for (int i = 0; i < STATES; i++)
        sum = crc(sum, visits[i], 16);
    return sum;
}

int main(int argc, char **argv)
{
    unsigned long n = amount(argc, argv, 9000);
    static struct work w;
    uint16_t sum = 0;

    for (unsigned long r = 0; r < n; r++) {
        sum = lists(&w, sum, (int)(r % 89));
        sum = matrices(&w, sum, (int)(r % 61));
        sum = machine(&w, sum, (uint32_t)r + 1);
    }
    printf("coremark: %lu %04x\n", n, sum);
    return 0;
}
