/* SPDX-License-Identifier: MIT */
/* The virtual TLB against a walk without any cache, under random edits, two vCPUs, DMA, marks and
 * dirty logs. */
#include "tests/test.h"

#include "tests/unit/mmu_model.h"

static void run(uint64_t seed, unsigned entries, unsigned spaces, unsigned steps)
{
    struct model m;
    model_open(&m, (struct source){.seed = seed * 0x9e3779b97f4a7c15 + 1}, entries, spaces);
    for (unsigned i = 0; i < steps; i++) {
        model_step(&m);
        if (i % 256 == 0)
            check_memory(&m);
    }
    model_close(&m);
}

TEST(coherence, sixteen_entries_equal_no_cache)
{
    for (uint64_t seed = 1; seed <= 120; seed++)
        run(seed, 16, 3, 6000);
}

TEST(coherence, four_thousand_entries_equal_no_cache)
{
    for (uint64_t seed = 1; seed <= 120; seed++)
        run(seed, 4096, 5, 6000);
}

TEST(coherence, the_largest_arrays_and_a_single_space_equal_no_cache)
{
    for (uint64_t seed = 100; seed <= 104; seed++) {
        run(seed, 65536, 2, 2000);
        run(seed, 64, 1, 4000);
    }
}

TEST_MAIN(RUN(coherence, sixteen_entries_equal_no_cache)
              RUN(coherence, four_thousand_entries_equal_no_cache)
                  RUN(coherence, the_largest_arrays_and_a_single_space_equal_no_cache))
