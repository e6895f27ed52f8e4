/* SPDX-License-Identifier: MIT */
/*
 * Blocks that mix 256-bit, 128-bit and legacy vector instructions, transfers and what C does:
 * translated, against the same code instruction by instruction. Whole YMM registers, memory, flags
 * and general registers are compared.
 */
#include "cpu/jit/jit.h"
#include "tests/unit/cpu_harness.h"

#define TRIALS (1500 / ONE_IN) /* ONE_IN: tests/CMakeLists.txt */
#define DEVICE 0x200000u /* beyond RAM */

struct code {
    uint32_t seed;
    unsigned len;
    uint8_t bytes[512];
};

static unsigned random_below(struct code *c, unsigned n)
{
    c->seed = c->seed * 1664525 + 1013904223;
    return (unsigned)(((uint64_t)(c->seed >> 8) * n) >> 24);
}

static void put(struct code *c, unsigned byte)
{
    c->bytes[c->len++] = (uint8_t)byte;
}

/* Vector registers: few, so that they meet again, and those that have no host register. */
static unsigned vector_reg(struct code *c)
{
    static const uint8_t regs[] = {0, 1, 2, 3, 9, 13, 14, 15};
    return regs[random_below(c, ARRAY_SIZE(regs))];
}

/* ModRM: a register, or [RSI + disp8], [RSI + disp8] near the end of a page, or RSP's. */
static void put_rm(struct code *c, unsigned reg, unsigned rm, bool is_mem)
{
    if (!is_mem) {
        put(c, 0xc0 | (reg & 7) << 3 | (rm & 7));
        return;
    }
    if (random_below(c, 3) == 0) {
        put(c, 0x44 | (reg & 7) << 3); /* [RSP + disp8] */
        put(c, 0x24);
        put(c, random_below(c, 3) * 32);
        return;
    }
    put(c, 0x46 | (reg & 7) << 3);
    put(c, random_below(c, 4) ? random_below(c, 3) * 32 : random_below(c, 128));
}

enum { NO_MEM = 1, NO_VVVV = 2, IMM = 4, TO_GPR = 8, ONLY_MEM = 16, ONLY_256 = 32, MASK = 64 };

struct row {
    uint8_t map, pp, opcode, how;
};

static const struct row vex_rows[] = {
    {1, 1, 0x74, 0},           {1, 1, 0xef, 0},           {1, 1, 0xeb, 0},
    {1, 1, 0xfc, 0},           {1, 1, 0xda, 0},           {1, 1, 0x60, 0},
    {1, 2, 0x6f, NO_VVVV},     {1, 2, 0x7f, NO_VVVV},     {1, 2, 0x6f, NO_VVVV},
    {1, 1, 0xd7, NO_MEM | NO_VVVV | TO_GPR},              {2, 1, 0x78, NO_VVVV},
    {2, 1, 0x00, 0},           {2, 1, 0x17, NO_VVVV},     {3, 1, 0x0f, IMM},
    {3, 1, 0x39, NO_VVVV | IMM | ONLY_256},               {3, 1, 0x38, IMM | ONLY_256},
    {3, 1, 0x4c, MASK},        {1, 0, 0x58, 0},           {2, 1, 0xb8, 0},
    {2, 1, 0x30, NO_VVVV},     {1, 1, 0xf1, 0},           {2, 1, 0x5a, NO_VVVV | ONLY_256 | ONLY_MEM},
    {1, 1, 0x6e, NO_VVVV | TO_GPR},
};

static void put_vex(struct code *c)
{
    const struct row *r = &vex_rows[random_below(c, ARRAY_SIZE(vex_rows))];
    bool is_256 = (r->how & ONLY_256) || (random_below(c, 4) != 0 && r->opcode != 0x6e);
    bool is_mem = (r->how & ONLY_MEM) || (!(r->how & (NO_MEM | TO_GPR)) && random_below(c, 3) == 0);
    bool has_gpr_reg = r->opcode == 0xd7, has_gpr_rm = r->opcode == 0x6e;
    unsigned reg = has_gpr_reg ? 2 : vector_reg(c), rm = has_gpr_rm ? 0 : vector_reg(c);
    unsigned vvvv = r->how & NO_VVVV ? 0 : vector_reg(c);
    put(c, 0xc4);
    put(c, (reg < 8 ? 0x80u : 0) | 0x40u | (is_mem || rm < 8 ? 0x20u : 0) | r->map);
    put(c, (~vvvv & 15) << 3 | (is_256 ? 4u : 0) | r->pp);
    put(c, r->opcode);
    put_rm(c, reg, rm, is_mem);
    if (r->how & IMM)
        put(c, random_below(c, 256));
    if (r->how & MASK)
        put(c, vector_reg(c) << 4);
}

static void put_legacy(struct code *c)
{
    static const uint8_t ops[] = {0xef, 0x74, 0xfc, 0xda, 0x6f};
    unsigned reg = vector_reg(c), rm = vector_reg(c), op = ops[random_below(c, ARRAY_SIZE(ops))];
    bool is_mem = random_below(c, 3) == 0 && (op == 0x6f || random_below(c, 8) == 0); /* aligned? */
    put(c, op == 0x6f && is_mem ? 0xf3 : 0x66);
    put(c, 0x40 | (reg >= 8 ? 4u : 0) | (!is_mem && rm >= 8 ? 1u : 0));
    put(c, 0x0f);
    put(c, op);
    put_rm(c, reg, rm, is_mem);
}

static void put_bytes(struct code *c, const char *bytes, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        put(c, (uint8_t)bytes[i]);
}

static void make_code(struct code *c)
{
    c->len = 0;
    while (c->len < 400) {
        switch (random_below(c, 24)) {
        case 0:
            put_bytes(c, "\xc5\xf8\x77", 3); /* VZEROUPPER */
            break;
        case 1:
            put_bytes(c, "\xc5\xfc\x77", 3); /* VZEROALL */
            break;
        case 2:
            put_bytes(c, "\x83\xc0\x07", 3); /* ADD EAX, 7 */
            break;
        case 3: /* Jcc over it */
            put(c, 0x70 | random_below(c, 16));
            put_bytes(c, "\x03\x83\xc0\x07", 4);
            break;
        case 4:
            put_bytes(c, "\x9f", 1); /* LAHF */
            break;
        case 5:
            put_bytes(c, "\xf3\xa4", random_below(c, 8) ? 0 : 2); /* REP MOVSB */
            break;
        case 6:
        case 7:
        case 8:
        case 9:
            put_legacy(c);
            break;
        default:
            put_vex(c);
        }
    }
    put(c, 0xe9); /* JMP to the start */
    le32_store(c->bytes + c->len, (uint32_t) - (int32_t)(c->len + 4));
    c->len += 4;
}

static void prepare(struct harness *h, const struct cpu *fresh, struct code *c)
{
    static uint8_t ram[HARNESS_RAM];
    struct cpu *cpu = &h->vcpu->arch;
    *cpu = *fresh;
    memcpy(ram + CODE, c->bytes, c->len);
    for (unsigned i = DATA; i < STACK + PAGE_SIZE; i++)
        ram[i] = (uint8_t)random_below(c, 256);
    EXPECT(physmem_write(h->pm, CODE, ram + CODE, PAGE_SIZE));
    EXPECT(physmem_write(h->pm, DATA, ram + DATA, STACK + PAGE_SIZE - DATA));
    for (unsigned r = 0; r < 4; r++)
        cpu->gpr[r] = random_below(c, 64);
    cpu->gpr[REG_RDI] = STACK + 256;
    uint8_t *ymm = (uint8_t *)cpu->ymm;
    for (size_t i = 0; i < sizeof(cpu->ymm); i++)
        ymm[i] = (uint8_t)random_below(c, 256);
    unsigned where = random_below(c, 8);
    cpu->gpr[REG_RSI] = where == 0   ? DEVICE
                        : where == 1 ? DATA + PAGE_SIZE - random_below(c, 64)
                                     : DATA + random_below(c, 8) * 32;
    cpu->gpr[REG_RSP] = STACK - (random_below(c, 8) ? 0 : 48);
    cpu->rip = CODE;
    h->bus_reads = h->bus_writes = 0;
    cpu_update_mmu(h->vcpu);
}

struct outcome {
    struct cpu arch;
    enum cpu_exit why;
    uint64_t writes;
    uint8_t ram[HARNESS_RAM];
};

static void run(struct harness *h, int64_t ticks, int64_t at_once, struct outcome *o)
{
    o->why = harness_run_in_parts(h, ticks, at_once);
    o->arch = h->vcpu->arch;
    o->writes = h->bus_writes;
    memcpy(o->ram, h->ram, sizeof(o->ram));
}

TEST(jit, mixes_vectors_as_one_by_one)
{
    static struct outcome freely, exactly;
    if (!jit_is_available())
        return;
    struct harness *h = harness_create(DECODE_64);
    struct jit *jit = jit_create(&(struct jit_config){.threshold = 1, .cache = 1 * MiB});
    assert_non_null(jit);
    harness_set_jit(h, jit);
    h->vcpu->arch.cr4 |= CR4_OSXSAVE;
    h->vcpu->arch.xcr0 = 7;
    h->vcpu->arch.mxcsr = 0x1f80;
    struct cpu fresh = h->vcpu->arch;
    unsigned whole = 0;
    for (uint32_t trial = 1; trial <= TRIALS; trial++) {
        struct code c = {.seed = trial * 2654435761u};
        make_code(&c);
        struct code again = c;
        int64_t ticks = 1 + random_below(&c, 300);
        again.seed = c.seed;
        prepare(h, &fresh, &c);
        run(h, ticks, ticks, &freely);
        prepare(h, &fresh, &again);
        run(h, ticks, 1, &exactly);
        EXPECT_EQ(exactly.arch.rip, freely.arch.rip);
        EXPECT_EQ(exactly.arch.ticks, freely.arch.ticks);
        EXPECT_EQ(exactly.arch.rflags, freely.arch.rflags);
        EXPECT_EQ(exactly.writes, freely.writes);
        EXPECT(memcmp(exactly.arch.gpr, freely.arch.gpr, sizeof(freely.arch.gpr)) == 0);
        EXPECT(memcmp(exactly.arch.ymm, freely.arch.ymm, sizeof(freely.arch.ymm)) == 0);
        EXPECT(memcmp(exactly.ram, freely.ram, sizeof(freely.ram)) == 0);
        whole += freely.why == CPU_EXIT_BUDGET;
    }
    EXPECT(whole > TRIALS / 4);
    EXPECT(jit_stats(jit).lowered > 10 * TRIALS);
    harness_set_jit(h, NULL);
    jit_destroy(jit);
    harness_destroy(h);
}

TEST_MAIN(RUN(jit, mixes_vectors_as_one_by_one))
