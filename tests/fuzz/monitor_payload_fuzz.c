/* SPDX-License-Identifier: MIT */
/* Compressed payloads of every format; the limit is small, so that bombs show. */
#include <stdlib.h>

#include "monitor/payload.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct unpacked out;
    if (payload_unpack(data, size, MiB, NULL, &out, NULL) == 0) {
        if (out.size > MiB)
            abort();
        payload_free(&out, NULL);
    }
    return 0;
}
