/* SPDX-License-Identifier: MIT */
/*
 * Translated code does what its instructions do one by one. Random code of 64 or of 32 bits, in a
 * loop, runs twice from the same state: translated at once, and instruction by instruction, which
 * takes exact blocks, that are never translated. Several accesses share a base; addresses are in
 * one page, across two, in the code, on a device, not canonical, and around the end of 32 bits.
 * Flags are set and asked for, and seen by whoever looks where a fault or the end of the budget
 * stops.
 */
#include "cpu/jit/jit.h"
#include "tests/unit/cpu_harness.h"

#define DEVICE 0x200000u /* beyond the memory */
#define TRIALS (1500 / ONE_IN) /* ONE_IN: tests/CMakeLists.txt */
#define MOST 340 /* bytes of code, roughly */

struct code {
    bool is_64;         /* else 32 bits */
    uint8_t bytes[600]; /* instructions */
    size_t len;         /* of them */
    uint32_t seed;      /* state of the generator */
};

static uint32_t random_below(struct code *c, uint32_t n)
{
    c->seed ^= c->seed << 13;
    c->seed ^= c->seed >> 17;
    c->seed ^= c->seed << 5;
    return (c->seed >> 3) % n;
}

static void put(struct code *c, unsigned byte)
{
    c->bytes[c->len++] = (uint8_t)byte;
}

static unsigned one_of(struct code *c, const uint8_t *from, unsigned n)
{
    return from[random_below(c, n)];
}

/* Values, some of them in registers that the translator keeps in memory. */
static unsigned value_reg(struct code *c)
{
    static const uint8_t regs[] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, 8, 9, 12, 13};
    return one_of(c, regs, c->is_64 ? 8 : 4);
}

static unsigned address_reg(struct code *c)
{
    static const uint8_t regs[] = {REG_RSI, REG_RDI, REG_RBP, REG_RSP, 14};
    return one_of(c, regs, c->is_64 ? 5 : 4);
}

/* Prefixes and an opcode, of one byte or behind 0F. */
static void put_opcode(struct code *c, unsigned op, unsigned reg, unsigned index, unsigned base)
{
    unsigned size = random_below(c, 8);
    if (size == 0)
        put(c, 0x66);
    if (c->is_64 && random_below(c, 16) == 0)
        put(c, 0x67);
    if (c->is_64)
        put(c, 0x40 | (size > 3 ? 8 : 0) | (reg >> 3) << 2 | (index >> 3) << 1 | base >> 3);
    if (op >> 8)
        put(c, 0x0f);
    put(c, op & 0xff);
}

static void put_registers(struct code *c, unsigned op, unsigned reg)
{
    unsigned rm = value_reg(c);
    put_opcode(c, op, reg, 0, rm);
    put(c, 0xc0 | (reg & 7) << 3 | (rm & 7));
}

/* [base + disp8], or [base + RAX + disp8]. */
static void put_memory(struct code *c, unsigned op, unsigned reg)
{
    unsigned base = address_reg(c);
    bool has_index = random_below(c, 4) == 0, sib = has_index || (base & 7) == REG_RSP;
    put_opcode(c, op, reg, 0, base);
    put(c, 0x40 | (reg & 7) << 3 | (sib ? 4 : base & 7));
    if (sib)
        put(c, (has_index ? 0u : 4u << 3) | (base & 7));
    put(c, random_below(c, 4) ? random_below(c, 16) * 8 : random_below(c, 256));
}

static void put_either(struct code *c, unsigned op, unsigned reg)
{
    if (random_below(c, 2))
        put_registers(c, op, reg);
    else
        put_memory(c, op, reg);
}

/* The eight of opcodes 00-3F, with registers, memory, or an immediate byte. */
static void put_alu(struct code *c)
{
    unsigned digit = random_below(c, 8), wide = random_below(c, 4) != 0;
    if (random_below(c, 3) == 0) {
        put_either(c, wide ? 0x83 : 0x80, digit);
        put(c, random_below(c, 3) ? 1 : random_below(c, 256));
    } else {
        put_either(c, digit << 3 | wide | random_below(c, 2) << 1, value_reg(c));
    }
}

/* Moves, extensions, TEST, SETcc, CMOVcc, IMUL, XCHG, BT and its kin, CMPXCHG8B and 16B, BSF, BSR. */
static void put_other(struct code *c)
{
    static const uint16_t opcodes[] = {0x88,  0x89,  0x8a,  0x8b,  0x8b,  0x8b, 0x89,
                                       0x84,  0x85,  0x87,  0x8b,  0x89,  0x63, 0x1b6,
                                       0x1be, 0x1b7, 0x1af, 0x1a3, 0x1bc, 0x1bd,
                                       0x1ab, 0x1b3, 0x1bb, 0x1c7};
    unsigned op = opcodes[random_below(c, ARRAY_SIZE(opcodes))];
    if (op == 0x63 && !c->is_64) /* ARPL there */
        op = 0x1bf;
    if (random_below(c, 5) == 0)
        op = (random_below(c, 2) ? 0x140u : 0x190u) | random_below(c, 16);
    if (op == 0x1c7)
        put_memory(c, op, 1);
    else
        put_either(c, op, value_reg(c));
}

/* Shifts and rotates by a constant and by CL; INC, DEC, NOT, NEG. */
static void put_one(struct code *c)
{
    static const uint8_t digits[] = {0, 1, 4, 5, 7};
    switch (random_below(c, 4)) {
    case 0:
        put_either(c, random_below(c, 2) ? 0xc1 : 0xc0, one_of(c, digits, sizeof(digits)));
        put(c, random_below(c, 40));
        break;
    case 1:
        put_either(c, random_below(c, 2) ? 0xd3 : 0xd1, one_of(c, digits, sizeof(digits)));
        break;
    case 2:
        put_either(c, 0xff, random_below(c, 2));
        break;
    default:
        put_either(c, 0xf7, 2 + random_below(c, 2));
        break;
    }
}

/* Addresses change, by what is known and by what is not; pushes, pops and calls. */
static void put_address(struct code *c)
{
    unsigned base = address_reg(c), value = value_reg(c);
    switch (random_below(c, 5)) {
    case 4: /* CALL what comes next */
        put(c, 0xe8);
        le32_store(c->bytes + c->len, 0);
        c->len += 4;
        break;
    case 0: /* ADD base, imm8 */
        if (c->is_64)
            put(c, 0x48 | base >> 3);
        put(c, 0x83);
        put(c, 0xc0 | (base & 7));
        put(c, random_below(c, 2) ? 8 : 0xf8);
        break;
    case 1: /* LEA base, [base + disp8] */
        if (c->is_64)
            put(c, 0x48 | (base >> 3) * 5);
        put(c, 0x8d);
        put(c, 0x40 | (base & 7) << 3 | (base & 7));
        if ((base & 7) == REG_RSP)
            put(c, 0x24);
        put(c, random_below(c, 2) ? 16 : 0xf0);
        break;
    default:
        if (c->is_64)
            put(c, 0x40 | value >> 3);
        put(c, (random_below(c, 2) ? 0x50u : 0x58u) | (value & 7));
        break;
    }
}

/* An index that the code itself makes small, and reads of a table by it and another register. */
static void put_table(struct code *c)
{
    unsigned index = value_reg(c), base = address_reg(c), from = value_reg(c);
    unsigned rex = c->is_64 ? 0x40 | index >> 3 : 0;
    bool is_high = c->is_64 && random_below(c, 4) == 0;
    switch (random_below(c, 4)) {
    case 0: /* AND index, imm8 */
        put(c, c->is_64 ? rex : 0x90u);
        put(c, 0x83);
        put(c, 0xe0 | (index & 7));
        put(c, random_below(c, 256));
        break;
    case 1: /* AND index, imm32 */
        put(c, c->is_64 ? rex : 0x90u);
        put(c, 0x81);
        put(c, 0xe0 | (index & 7));
        le32_store(c->bytes + c->len, random_below(c, 0x600));
        c->len += 4;
        break;
    case 2: /* SHR index, 20 or more */
        put(c, c->is_64 ? rex : 0x90u);
        put(c, 0xc1);
        put(c, 0xe8 | (index & 7));
        put(c, 20 + random_below(c, 12));
        break;
    default: /* MOVZX index, byte; of AH to BH at times */
        put(c, c->is_64 && !is_high ? 0x40u | index >> 3 << 2 | from >> 3 : 0x90u);
        put(c, 0x0f);
        put(c, 0xb6);
        put(c, 0xc0 | (index & 7) << 3 | (is_high ? 4 | (from & 3) : from & 7));
        break;
    }
    if (random_below(c, 4) == 0)
        put_one(c); /* it may change */
    for (unsigned n = 1 + random_below(c, 6); n > 0; n--) {
        unsigned reg = value_reg(c), plain = random_below(c, 4) == 0, scale = random_below(c, 4);
        unsigned op = random_below(c, 8) == 0 ? 0x89u : random_below(c, 2) ? 0x33u : 0x8bu;
        if (c->is_64)
            put(c, 0x40 | (reg >> 3) << 2 | (plain ? 0 : index >> 3 << 1) | base >> 3);
        put(c, op);
        put(c, 0x44 | (reg & 7) << 3);
        put(c, scale << 6 | (plain ? 4u : index & 7) << 3 | (base & 7));
        put(c, random_below(c, 128));
    }
}

/* The index changes, by what is known: INC, DEC, ADD, LEA. Or something else does. */
static void put_index_change(struct code *c, unsigned index)
{
    unsigned kind = random_below(c, 10), wide = random_below(c, 8) ? 8 : 0;
    if (kind > 4) {
        if (kind == 5)
            put_address(c);
        else if (kind == 6)
            put_one(c);
        return;
    }
    if (c->is_64)
        put(c, 0x40 | wide | (index >> 3) * (kind == 4 ? 5 : 1));
    if (kind == 4) {
        put(c, 0x8d);
        put(c, 0x44 | (index & 7) << 3);
        put(c, (index & 7) == 4 ? 0x24 : 0x20 | (index & 7));
    } else {
        put(c, kind < 2 ? 0xff : 0x83);
        put(c, 0xc0 | (kind & 1) << 3 | (index & 7));
    }
    if (kind > 1)
        put(c, random_below(c, 2) ? 1 : 0xfe);
}

/* Accesses with the same index, by several displacements, with and without a base. */
static void put_same_index(struct code *c)
{
    unsigned base = address_reg(c), scale = random_below(c, 4), index = value_reg(c);
    bool has_base = random_below(c, 4) != 0;
    if (!has_base)
        index = random_below(c, 2) ? REG_RSI : REG_RBP;
    for (unsigned n = 2 + random_below(c, 5); n > 0; n--) {
        unsigned reg = value_reg(c), size = random_below(c, 2) ? 8 : 0;
        if (c->is_64)
            put(c, 0x40 | size | (reg >> 3) << 2 | index >> 3 << 1 | (has_base ? base >> 3 : 0));
        put(c, random_below(c, 3) == 0 ? 0x89u : random_below(c, 2) ? 0x01u : 0x03u);
        put(c, (has_base ? 0x44 : 0x04) | (reg & 7) << 3);
        put(c, (has_base ? scale : 0) << 6 | (index & 7) << 3 | (has_base ? base & 7 : 5));
        if (has_base) {
            put(c, random_below(c, 48));
        } else {
            le32_store(c->bytes + c->len, random_below(c, 48));
            c->len += 4;
        }
        put_index_change(c, index);
    }
}

/* At most so many bytes, roughly. */
static void make_code(struct code *c, size_t most)
{
    c->len = 0;
    while (c->len < most) {
        unsigned kind = random_below(c, 16);
        if (kind < 5)
            put_alu(c);
        else if (kind < 10)
            put_other(c);
        else if (kind < 12)
            put_one(c);
        else if (kind < 13)
            put_address(c);
        else if (kind < 14)
            put_table(c);
        else if (kind < 15) { /* Jcc over INC EBX */
            put(c, 0x70 | random_below(c, 16));
            put(c, 2);
            put(c, 0xff);
            put(c, 0xc3);
        } else if (random_below(c, 3)) {
            put_same_index(c);
        }
    }
    if (most < MOST) { /* CMP EBX, imm8: flags that a loop may carry */
        put(c, 0x83);
        put(c, 0xfb);
        put(c, random_below(c, 4));
    }
    put(c, 0xe9); /* JMP to the start */
    le32_store(c->bytes + c->len, (uint32_t) - (int32_t)(c->len + 4));
    c->len += 4;
}

/* An address that is ordinary mostly. */
static uint64_t some_address(struct code *c)
{
    switch (random_below(c, 40)) {
    case 0:
        return DATA + 0xf80 + random_below(c, 128);
    case 1:
        return DATA + 0x1f80 + random_below(c, 16) * 8;
    case 2:
        return DEVICE;
    case 3:
        return c->is_64 && random_below(c, 2) ? UINT64_C(0x7fffffffff80) + random_below(c, 128)
                                              : 0xffffff80u + random_below(c, 128);
    case 4:
        return CODE + random_below(c, 64);
    case 5:
        return HARNESS_RAM - random_below(c, 128);
    default:
        return DATA + 0x1800 + random_below(c, 64) * 8;
    }
}

struct outcome {
    struct cpu arch;          /* all of it */
    enum cpu_exit why;        /* the last exit */
    struct fault fault;       /* if it is one */
    uint64_t reads, writes;   /* of the device */
    uint8_t ram[HARNESS_RAM]; /* all memory */
};

/* All memory as in ram, written where it is not. */
static void set_memory(struct harness *h, const uint8_t *ram)
{
    for (size_t at = 0; at < HARNESS_RAM; at += PAGE_SIZE)
        if (memcmp(h->ram + at, ram + at, PAGE_SIZE) != 0)
            EXPECT(physmem_write(h->pm, at, ram + at, PAGE_SIZE));
}

/* The state before: from the seed alone. */
static void prepare(struct harness *h, const struct cpu *fresh, struct code *c)
{
    static uint8_t ram[HARNESS_RAM];
    h->vcpu->arch = *fresh;
    for (size_t i = 0; i < DATA; i++)
        ram[i] = i & 1 ? 0x0b : 0x0f; /* UD2, for whoever strays */
    memcpy(ram + CODE, c->bytes, c->len);
    for (size_t i = DATA; i < STACK; i++)
        ram[i] = (uint8_t)(random_below(c, 3) ? 0 : random_below(c, 256));
    set_memory(h, ram);
    for (unsigned r = 0; r < 16; r++)
        h->vcpu->arch.gpr[r] = random_below(c, 2) ? random_below(c, 4) : 0u - random_below(c, 4);
    for (unsigned r = 8; r < 16 && !c->is_64; r++)
        h->vcpu->arch.gpr[r] = fresh->gpr[r];
    h->vcpu->arch.gpr[REG_RAX] = random_below(c, 16) * 8;
    static const uint8_t bases[] = {REG_RSI, REG_RDI, REG_RBP, REG_RSP, 14};
    for (size_t i = 0; i < (c->is_64 ? 5 : 4); i++)
        h->vcpu->arch.gpr[bases[i]] = some_address(c);
    h->vcpu->arch.rip = CODE;
    h->bus_reads = h->bus_writes = 0;
    h->bus_breaks = random_below(c, 2);
    cpu_update_mmu(h->vcpu);
}

/* `ticks` of it, at most `at_once` together. */
static void run(struct harness *h, int64_t ticks, int64_t at_once, struct outcome *o)
{
    o->why = harness_run_in_parts(h, ticks, at_once);
    o->arch = h->vcpu->arch;
    o->fault = o->why == CPU_EXIT_FAULT ? h->vcpu->run.fault : (struct fault){0};
    o->reads = h->bus_reads;
    o->writes = h->bus_writes;
    memcpy(o->ram, h->ram, sizeof(o->ram));
}

/* Fetches from a device are reads too, by whoever has left his code. */
static void expect_same(const struct outcome *a, const struct outcome *b, uint32_t seed)
{
    bool same = a->arch.rip == b->arch.rip && a->arch.rflags == b->arch.rflags &&
                a->arch.ticks == b->arch.ticks && a->arch.retired == b->arch.retired &&
                (a->reads == b->reads || a->arch.rip - CODE >= sizeof(((struct code *)0)->bytes)) &&
                a->writes == b->writes && a->fault.vector == b->fault.vector &&
                !memcmp(a->arch.gpr, b->arch.gpr, sizeof(a->arch.gpr)) &&
                !memcmp(a->ram, b->ram, sizeof(a->ram));
    if (!same) {
        printf("seed %u: RIP %llx and %llx, flags %llx and %llx, ticks %llu and %llu\n", seed,
               (unsigned long long)a->arch.rip, (unsigned long long)b->arch.rip,
               (unsigned long long)a->arch.rflags, (unsigned long long)b->arch.rflags,
               (unsigned long long)a->arch.ticks, (unsigned long long)b->arch.ticks);
        for (unsigned r = 0; r < 16; r++)
            if (a->arch.gpr[r] != b->arch.gpr[r])
                printf("  register %u: %llx and %llx\n", r, (unsigned long long)a->arch.gpr[r],
                       (unsigned long long)b->arch.gpr[r]);
    }
    EXPECT(same);
}

/* regions: ticks between looks for one; 0: never. */
struct trials {
    enum decode_mode mode;
    bool lends_always;
    bool plain_host;
    bool is_short; /* a loop that is there twice over in its region */
    uint32_t regions;
};

static void compare_trials(struct trials t)
{
    static struct outcome freely, exactly;
    if (!jit_is_available())
        return;
    struct harness *h = harness_create(t.mode);
    struct jit *jit = jit_create(&(struct jit_config){.threshold = 1,
                                                      .cache = 1 * MiB,
                                                      .regions = t.regions,
                                                      .has_ring = t.regions > 0,
                                                      .lends_always = t.lends_always,
                                                      .plain_host = t.plain_host});
    assert_non_null(jit);
    harness_set_jit(h, jit);
    struct cpu fresh = h->vcpu->arch;
    unsigned faults = 0, reads = 0, whole = 0;
    for (uint32_t trial = 1; trial <= TRIALS; trial++) {
        struct code c = {.is_64 = t.mode == DECODE_64, .seed = trial * 2654435761u};
        make_code(&c, t.is_short ? 8 + random_below(&c, 70) : MOST);
        struct code again = c;
        int64_t ticks = 1 + random_below(&c, 400);
        again.seed = c.seed;
        prepare(h, &fresh, &c);
        run(h, ticks, ticks, &freely);
        prepare(h, &fresh, &again);
        run(h, ticks, 1, &exactly);
        expect_same(&exactly, &freely, trial);
        faults += freely.why == CPU_EXIT_FAULT;
        whole += freely.why == CPU_EXIT_BUDGET;
        reads += freely.reads > 0;
    }
    /* or it is not a test of them; with paging off, 32-bit code strays into UD2 or the device at
     * worst */
    const unsigned least = 50 / ONE_IN;
    EXPECT((faults > least || t.mode != DECODE_64) && reads > least && whole > 2 * least);
    EXPECT(jit_stats(jit).lowered > (t.is_short ? 3 : 10) * TRIALS);
    EXPECT(!t.is_short || jit_stats(jit).loops > 5 / ONE_IN);
    EXPECT(t.regions == 0 || jit_stats(jit).regions > TRIALS / 20);
    harness_set_jit(h, NULL);
    jit_destroy(jit);
    harness_destroy(h);
}

TEST(jit, does_64_bit_code_as_one_by_one)
{
    compare_trials((struct trials){.mode = DECODE_64});
}

TEST(jit, does_it_with_other_registers)
{
    compare_trials((struct trials){.mode = DECODE_64, .lends_always = true});
}

TEST(jit, does_it_on_an_old_host)
{
    compare_trials((struct trials){.mode = DECODE_64, .plain_host = true});
}

TEST(jit, does_32_bit_code_as_one_by_one)
{
    compare_trials((struct trials){.mode = DECODE_32});
}

TEST(jit, does_it_in_regions)
{
    compare_trials((struct trials){.mode = DECODE_64, .regions = 1});
    compare_trials((struct trials){.mode = DECODE_32, .regions = 1});
    compare_trials((struct trials){.mode = DECODE_64, .regions = 1, .lends_always = true});
}

TEST(jit, does_loops_in_regions)
{
    compare_trials((struct trials){.mode = DECODE_64, .regions = 2, .is_short = true});
    compare_trials((struct trials){.mode = DECODE_32, .regions = 2, .is_short = true});
    compare_trials(
        (struct trials){.mode = DECODE_64, .regions = 2, .is_short = true, .lends_always = true});
}

/* What is proved of a base that has borrowed a register is not what is proved of it behind the
 * loan. */
TEST(jit, calls_through_a_base_that_borrowed)
{
    static const uint8_t code[] = {
        0x49, 0x8b, 0x0e,                                     /* MOV RCX, [R14] */
        0x49, 0x03, 0x4e, 0x08,                               /* ADD RCX, [R14 + 8] */
        0x4c, 0x01, 0xf1, 0x4c, 0x01, 0xf1, 0x4c, 0x01, 0xf1, /* ADD RCX, R14, three times */
        0x4c, 0x01, 0xf1, 0x4c, 0x01, 0xf1, 0x4c, 0x01, 0xf1, /* and again */
        0x41, 0xff, 0x56, 0x10,                               /* CALL [R14 + 16] */
    };
    if (!jit_is_available())
        return;
    struct harness *h = harness_create(DECODE_64);
    struct jit *jit = jit_create(&(struct jit_config){.threshold = 1, .cache = 1 * MiB});
    assert_non_null(jit);
    harness_set_jit(h, jit);
    uint64_t data[3] = {1, 2, CODE + 0x80};
    for (unsigned i = 0; i < 3; i++)
        le64_store((uint8_t *)data + 8 * i, data[i]);
    EXPECT(physmem_write(h->pm, DATA, data, sizeof(data)));
    for (unsigned turn = 0; turn < 3; turn++) {
        harness_code(h, code, sizeof(code));
        h->vcpu->arch.gpr[14] = DATA;
        EXPECT_EQ(harness_run(h, 9), CPU_EXIT_BUDGET);
        EXPECT_EQ(h->vcpu->arch.rip, CODE + 0x80);
        EXPECT_EQ(h->vcpu->arch.gpr[REG_RCX], 3 + 6 * DATA);
    }
    EXPECT(jit_stats(jit).translated > 0);
    harness_set_jit(h, NULL);
    jit_destroy(jit);
    harness_destroy(h);
}

TEST_MAIN(RUN(jit, calls_through_a_base_that_borrowed) RUN(jit, does_64_bit_code_as_one_by_one)
              RUN(jit, does_it_with_other_registers) RUN(jit, does_it_in_regions)
                  RUN(jit, does_loops_in_regions) RUN(jit, does_it_on_an_old_host)
                      RUN(jit, does_32_bit_code_as_one_by_one))
