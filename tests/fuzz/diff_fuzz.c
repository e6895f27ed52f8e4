/* SPDX-License-Identifier: MIT */
/* Two trace files, cut apart at the first zero byte. The same text twice is never a difference, and the answer has no control characters. */
#include <stdlib.h>
#include <string.h>

#include "frontends/diff.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int diff(const char *a, size_t a_size, const char *b, size_t b_size)
{
    static const char *const names[2] = {"A", "B"};
    const char *const texts[2] = {a, b};
    const size_t sizes[2] = {a_size, b_size};
    char *answer = NULL;
    size_t length = 0;
    struct err err = {{0}, {0}};
    FILE *out = open_memstream(&answer, &length);
    if (!out)
        return -1;
    int rc = diff_texts(names, texts, sizes, out, &err);
    if (fclose(out) != 0 || (rc < 0 && !err.text[0]))
        abort();
    for (size_t i = 0; i < length; i++)
        if ((unsigned char)answer[i] < ' ' && answer[i] != '\n')
            abort();
    free(answer);
    return rc;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *zero = memchr(data, 0, size);
    size_t first = zero ? (size_t)(zero - data) : size;
    const char *a = (const char *)data;
    if (diff(a, first, a, first) > 0)
        abort();
    if (zero)
        (void)diff(a, first, a + first + 1, size - first - 1);
    return 0;
}
