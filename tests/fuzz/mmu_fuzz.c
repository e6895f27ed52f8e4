/* SPDX-License-Identifier: MIT */
/*
 * Fuzz target: bytes become accesses, table edits, context switches and page marks on the model of
 * tests/unit/mmu_model.h, whose two sides must agree. The first byte picks the size of the arrays.
 */
#include "tests/unit/mmu_model.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const unsigned entries[4] = {16, 64, 1024, 4096};
    struct model m;
    if (!size)
        return 0;
    model_open(&m, (struct source){.p = data + 1, .left = size - 1}, entries[data[0] & 3],
               1 + (data[0] >> 2 & 7));
    while (m.src.left)
        model_step(&m);
    model_close(&m);
    return 0;
}
