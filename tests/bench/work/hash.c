/* SPDX-License-Identifier: MIT */
/* Hash tables: open addressing by numbers, chains by strings; look up, put in, take out. */
#include "work.h"

enum { SLOTS = 1 << 15, BUCKETS = 4096, WORDS = 9000 };

struct word {
    struct word *next;      /* in the same bucket */
    uint32_t count;
    char text[12];
};

static uint64_t mix(uint64_t x)
{
    x ^= x >> 31;
    x *= 0x7fb5d329728ea185u;
    x ^= x >> 27;
    x *= 0x81dadef4bc2dd44du;
    return x ^ x >> 33;
}

static uint32_t numbers(uint64_t *slot, uint32_t *s, unsigned steps)
{
    uint32_t found = 0;

    for (unsigned i = 0; i < steps; i++) {
        uint64_t key = (next_random(s) & 0x7fff) + 1;
        size_t at = mix(key) % SLOTS;
        unsigned far = 0;
        while (slot[at] && slot[at] != key && far < 24) {
            at = (at + 1) % SLOTS;
            far++;
        }
        if (slot[at] == key)
            found++;
        slot[at] = key;
    }
    return found;
}

static uint32_t text_hash(const char *p)
{
    uint32_t h = 2166136261u;

    while (*p)
        h = (h ^ (unsigned char)*p++) * 16777619u;
    return h;
}

static struct word *look(struct word **bucket, struct word **spare, const char *text)
{
    struct word **at = &bucket[text_hash(text) % BUCKETS];

    for (struct word *w = *at; w; w = w->next)
        if (!strcmp(w->text, text))
            return w;
    struct word *w = (*spare)++;
    strcpy(w->text, text);
    w->count = 0;
    w->next = *at;
    return *at = w;
}

static void name(char *text, uint32_t number)
{
    do
        *text++ = (char)('a' + number % 26);
    while (number /= 26);
    *text = 0;
}

int main(int argc, char **argv)
{
    unsigned long n = amount(argc, argv, 40), sum = 0;
    static uint64_t slot[SLOTS];
    static struct word *bucket[BUCKETS], words[WORDS];
    uint32_t s = 4711;

    for (unsigned long r = 0; r < n; r++) {
        struct word *spare = words;
        memset(slot, 0, sizeof slot);
        memset(bucket, 0, sizeof bucket);
        sum += numbers(slot, &s, 120000);
        for (unsigned i = 0; i < 60000; i++) {
            char text[12];
            name(text, next_random(&s) % (WORDS - 1) * 31);
            sum += look(bucket, &spare, text)->count++;
        }
    }
    printf("hash: %lu %lu\n", n, sum);
    return 0;
}
