/* SPDX-License-Identifier: MIT */
/* The command line: the input is words, ended by zeros; and each word alone as a -cpu model. */
#include <stdlib.h>
#include <string.h>

#include "cpu/cpuid.h"
#include "frontends/options.h"

#define MAX_WORDS 24

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A model that was taken answers any leaf. */
static void try_model(const char *word)
{
    struct cpu_model m;
    struct err err;
    bool features[FEATURE_COUNT];
    static const struct cpu cpu;
    if (cpu_model_parse(word, &m, &err) < 0)
        return;
    cpu_model_gates(&m, features);
    for (uint32_t leaf = 0; leaf < 0x20; leaf++) {
        (void)cpuid_query(&m, &cpu, 0, leaf, leaf & 3);
        (void)cpuid_query(&m, &cpu, 0, 0x80000000 + leaf, 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1), *words[MAX_WORDS];
    struct options *o = malloc(sizeof(*o));
    struct err err;
    int n = 0;
    if (!text || !o)
        abort();
    memcpy(text, data, size);
    text[size] = 0;
    for (size_t at = 0; at < size && n < MAX_WORDS; at += strlen(text + at) + 1) {
        words[n++] = text + at;
        try_model(text + at);
    }
    options_init(o);
    if (options_parse(o, n, words, &err) < 0 && !err.text[0])
        abort(); /* a refusal without a reason */
    free(o);
    free(text);
    return 0;
}
