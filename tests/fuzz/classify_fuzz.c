/* SPDX-License-Identifier: MIT */
/* What the classifier parses: lists of expectations, IDs of witnesses, its options. The first byte
 * says which. */
#include <stdlib.h>
#include <string.h>

#include "frontends/classify.h"
#include "monitor/classify/witness.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void try_list(const char *text, size_t size)
{
    static struct expectation list[16];
    struct err err = {{0}, {0}};
    unsigned count;
    if (expect_parse(text, size, list, ARRAY_SIZE(list), &count, &err) < 0 && !err.text[0])
        abort();
    if (count > ARRAY_SIZE(list))
        abort();
}

/* What was taken is written as it was read, but for the order of variants. */
static void try_witness(const char *text)
{
    struct witness w, again;
    struct err err = {{0}, {0}};
    char id[TRAPLINE_WITNESS_SIZE];
    if (witness_parse(text, &w, &err) < 0) {
        if (!err.text[0])
            abort();
        return;
    }
    witness_format(&w, id, sizeof(id));
    if (witness_parse(id, &again, &err) < 0 || again.row != w.row || again.state != w.state ||
        again.element != w.element || again.cr4_set != w.cr4_set)
        abort();
}

static void try_options(char *text, size_t size)
{
    char *words[16];
    struct classify_options o;
    struct err err = {{0}, {0}};
    int n = 0;
    for (size_t at = 0; at < size && n < (int)ARRAY_SIZE(words); at += strlen(text + at) + 1)
        words[n++] = text + at;
    if (classify_parse(&o, n, words, &err) < 0 && !err.text[0])
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    char *text = malloc(size);
    if (!text)
        abort();
    memcpy(text, data + 1, size - 1);
    text[size - 1] = 0;
    if (data[0] % 3 == 0)
        try_list(text, size - 1);
    else if (data[0] % 3 == 1)
        try_witness(text);
    else
        try_options(text, size - 1);
    free(text);
    return 0;
}
