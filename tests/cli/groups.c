/* SPDX-License-Identifier: MIT */
/* Groups of machines with the guests of lab steal: whatever runs their instructions, and wherever the run stops, they are the same. */
#include <string.h>

#include "base/compiler.h"
#include "monitor/trapline.h"
#include "roms/embedded_guest.h"
#include "tests/test.h"

enum { MACHINES = 3, STEPS = 8, END = 4000000 };

/* The states of all machines at STEPS positions. */
struct states {
    uint8_t hash[STEPS][MACHINES][TRAPLINE_HASH_BYTES];
};

static struct trapline_machine *machine(unsigned i, enum trapline_engine engine)
{
    static const char *const append[MACHINES] = {"", "part 70000 300000", ""};
    struct trapline_config config = TRAPLINE_CONFIG_INIT;
    struct trapline_machine *m;
    config.memory = 4 << 20;
    config.kernel = (struct trapline_file){.path = "steal", .data = lab_steal64, .size = lab_steal64_size};
    config.append = append[i];
    config.engine = engine;
    config.jit_threshold = 1;
    config.virt.policy = TRAPLINE_POLICY_PV;
    EXPECT_EQ(0, trapline_create(&config, &m, NULL));
    return m;
}

/* cuts: between two positions, stop so many times. */
static void run(enum trapline_engine engine, unsigned cuts, bool drops_caches, struct states *out)
{
    struct trapline_group_config config = TRAPLINE_GROUP_CONFIG_INIT;
    struct trapline_machine *m[MACHINES];
    struct trapline_group *g;
    config.slice_ns = 50000;
    EXPECT_EQ(0, trapline_group_create(&config, &g, NULL));
    for (unsigned i = 0; i < MACHINES; i++) {
        m[i] = machine(i, engine);
        EXPECT_EQ((int)i, trapline_group_add(g, m[i], i + 1, NULL));
    }
    for (unsigned step = 1; step <= STEPS * cuts; step++) {
        EXPECT_EQ(MACHINES, trapline_group_run(g, (uint64_t)END * step / (STEPS * cuts)));
        for (unsigned i = 0; i < MACHINES; i++) {
            if (drops_caches)
                trapline_drop_caches(m[i]);
            if (step % cuts == 0)
                EXPECT_EQ(0, trapline_hash(m[i], out->hash[step / cuts - 1][i], NULL));
        }
    }
    for (unsigned i = 0; i < MACHINES; i++)
        EXPECT(trapline_stolen_ns(m[i], 0) > 0);
    trapline_group_destroy(g);
    for (unsigned i = 0; i < MACHINES; i++)
        trapline_destroy(m[i]);
}

TEST(groups, are_the_same_with_every_engine_and_wherever_they_stop)
{
    struct states first, other;
    if (lab_steal64_size == 0)
        skip();
    run(TRAPLINE_ENGINE_INTERP, 1, false, &first);
    run(TRAPLINE_ENGINE_AUTO, 1, false, &other);
    EXPECT(memcmp(&first, &other, sizeof(first)) == 0);
    run(TRAPLINE_ENGINE_AUTO, 37, true, &other);
    EXPECT(memcmp(&first, &other, sizeof(first)) == 0);
}

TEST_MAIN(RUN(groups, are_the_same_with_every_engine_and_wherever_they_stop))
