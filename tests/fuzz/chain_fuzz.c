/* SPDX-License-Identifier: MIT */
/* The hash file: any file that is found there is gone on with, behind its last whole line. */
#include <stdlib.h>
#include <unistd.h>

#include "frontends/chain.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char path[] = "/tmp/trapline-fuzz-chain-XXXXXX";
    static int fd = -1;
    struct chain c;
    struct err err;
    if (fd < 0 && (fd = mkstemp(path)) < 0)
        abort();
    if (size < 2 || ftruncate(fd, 0) < 0 ||
        pwrite(fd, data + 2, size - 2, 0) != (ssize_t)(size - 2))
        return 0;
    if (chain_open(&c, data[0], path, (uint64_t)data[1] * 1000, true, &err) == 0) {
        if (c.out && ftell(c.out) > (long)(size - 2))
            abort();
        (void)chain_close(&c, &err);
    }
    return 0;
}
