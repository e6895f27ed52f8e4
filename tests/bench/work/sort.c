/* SPDX-License-Identifier: MIT */
/* Sorting: quicksort and heapsort of numbers, a merge sort of a list, the C library's sort of strings. */
#include "work.h"

enum { COUNT = 30000, STRINGS = 6000 };

struct link {
    struct link *next;      /* towards the end of the list */
    uint32_t key;
};

static void insertion(uint32_t *v, size_t n)
{
    for (size_t i = 1; i < n; i++) {
        uint32_t x = v[i];
        size_t j = i;
        for (; j > 0 && v[j - 1] > x; j--)
            v[j] = v[j - 1];
        v[j] = x;
    }
}

static void quick(uint32_t *v, size_t n)
{
    while (n > 16) {
        uint32_t pivot = v[n / 2];
        size_t lo = 0, hi = n - 1;
        for (;;) {
            while (v[lo] < pivot)
                lo++;
            while (v[hi] > pivot)
                hi--;
            if (lo >= hi)
                break;
            uint32_t t = v[lo];
            v[lo++] = v[hi];
            v[hi--] = t;
        }
        quick(v, hi + 1);
        v += hi + 1;
        n -= hi + 1;
    }
    insertion(v, n);
}

static void sift(uint32_t *v, size_t at, size_t n)
{
    uint32_t x = v[at];

    for (size_t child; (child = 2 * at + 1) < n; at = child) {
        if (child + 1 < n && v[child + 1] > v[child])
            child++;
        if (v[child] <= x)
            break;
        v[at] = v[child];
    }
    v[at] = x;
}

static void heap(uint32_t *v, size_t n)
{
    for (size_t i = n / 2; i-- > 0;)
        sift(v, i, n);
    while (n-- > 1) {
        uint32_t t = v[0];
        v[0] = v[n];
        v[n] = t;
        sift(v, 0, n);
    }
}

static struct link *merge(struct link *a, struct link *b)
{
    struct link *head = NULL, **end = &head;

    while (a && b) {
        struct link **least = a->key <= b->key ? &a : &b;
        *end = *least;
        end = &(*least)->next;
        *least = *end;
    }
    *end = a ? a : b;
    return head;
}

static struct link *merge_sort(struct link *list, size_t n)
{
    if (n < 2) {
        if (list)
            list->next = NULL;
        return list;
    }
    struct link *right = list;
    for (size_t i = 0; i < n / 2; i++)
        right = right->next;
    struct link *sorted = merge_sort(right, n - n / 2);
    return merge(merge_sort(list, n / 2), sorted);
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void strings(uint32_t *s, uint64_t *sum)
{
    static char text[STRINGS][16], *v[STRINGS];

    for (size_t i = 0; i < STRINGS; i++) {
        snprintf(text[i], sizeof text[i], "%x", next_random(s) & 0xfffff);
        v[i] = text[i];
    }
    qsort(v, STRINGS, sizeof *v, by_text);
    for (size_t i = 0; i < STRINGS; i += 97)
        *sum = *sum * 31 + (unsigned char)v[i][1];
}

int main(int argc, char **argv)
{
    unsigned long n = amount(argc, argv, 30);
    static uint32_t a[COUNT], b[COUNT];
    static struct link links[COUNT];
    uint32_t s = 777;
    uint64_t sum = 0;

    for (unsigned long r = 0; r < n; r++) {
        for (size_t i = 0; i < COUNT; i++) {
            a[i] = b[i] = links[i].key = next_random(&s);
            links[i].next = i + 1 < COUNT ? &links[i + 1] : NULL;
        }
        quick(a, COUNT);
        heap(b, COUNT);
        struct link *list = merge_sort(links, COUNT);
        for (size_t i = 0; i < COUNT; i++, list = list->next) {
            if (a[i] != b[i] || a[i] != list->key)
                return 1;
            sum = sum * 33 + a[i];
        }
        strings(&s, &sum);
    }
    printf("sort: %lu %016llx\n", n, (unsigned long long)sum);
    return 0;
}
