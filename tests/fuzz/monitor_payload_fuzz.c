/* SPDX-License-Identifier: MIT */
/* Compressed payloads of every format; the limit is small, so that bombs show. */
#include <stdlib.h>

#include "monitor/payload.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t *out;
    size_t n;
    if (payload_unpack(data, size, MiB, NULL, &out, &n, NULL) == 0) {
        if (n > MiB)
            abort();
        free(out);
    }
    return 0;
}
