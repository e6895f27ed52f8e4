/* SPDX-License-Identifier: MIT */
/*
 * Fused records do what their instructions do one by one. Random code of what is fused runs twice
 * from the same state: freely, and instruction by instruction, which takes exact blocks, where
 * nothing is fused. Addresses are in one page, across two, on a device, and not canonical.
 */
#include "tests/unit/cpu_harness.h"

#define DEVICE 0x200000u /* beyond the memory */
#define TRIALS 3000
#define DATA_BYTES 0x3000u

struct code {
    uint8_t bytes[200]; /* instructions */
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

static void put_imm(struct code *c, unsigned size)
{
    for (unsigned i = 0; i < size; i++)
        put(c, random_below(c, 3) ? 0 : random_below(c, 256));
}

/* RAX RCX RDX RBX: values; RSI, RDI, RBP: addresses. */
static unsigned value_reg(struct code *c)
{
    return random_below(c, 4);
}

static unsigned address_reg(struct code *c)
{
    return 5 + random_below(c, 3);
}

/* ModRM of value register `reg` and a memory operand with a displacement of 8 bits, some with an
 * index. */
static void put_memory(struct code *c, unsigned reg)
{
    bool has_index = random_below(c, 2);
    put(c, 0x40 | reg << 3 | (has_index ? 4 : address_reg(c)));
    if (has_index) /* RAX, or none */
        put(c, (random_below(c, 2) ? 0u : 4u << 3) | address_reg(c));
    put(c, random_below(c, 16));
}

/* ADD AND SUB CMP (digits 0 4 5 7), TEST, INC, DEC: to set flags. */
static void put_compare(struct code *c, bool is_64)
{
    static const uint8_t digits[] = {0, 4, 5, 7, 7, 7};
    unsigned digit = digits[random_below(c, sizeof(digits))];
    unsigned wide = random_below(c, 3) != 0;
    if (is_64 && wide && random_below(c, 2))
        put(c, 0x48);
    switch (random_below(c, 7)) {
    case 0:
        put(c, digit << 3 | wide);
        put(c, 0xc0 | value_reg(c) << 3 | value_reg(c));
        break;
    case 1:
        put(c, digit << 3 | wide | random_below(c, 2) << 1);
        put_memory(c, value_reg(c));
        break;
    case 2:
        put(c, wide ? 0x83 : 0x80);
        put(c, 0xc0 | digit << 3 | value_reg(c));
        put_imm(c, 1);
        break;
    case 3:
        put(c, wide ? 0x83 : 0x80);
        put_memory(c, digit);
        put_imm(c, 1);
        break;
    case 4:
        put(c, 0x84 | wide);
        put(c, 0xc0 | value_reg(c) << 3 | value_reg(c));
        break;
    case 5:
        put(c, 0xf6);
        put_memory(c, 0);
        put_imm(c, 1);
        break;
    default:
        put(c, 0xfe | wide);
        put(c, 0xc0 | random_below(c, 2) << 3 | value_reg(c));
        break;
    }
}

/* Jcc over INC EBX. */
static void put_jump(struct code *c)
{
    put(c, 0x70 | random_below(c, 16));
    put(c, 2);
    put(c, 0xff);
    put(c, 0xc3);
}

/* Pushes of values, or pops into them; sometimes of rSP. */
static void put_stack(struct code *c)
{
    unsigned opcode = random_below(c, 2) ? 0x50 : 0x58;
    for (unsigned n = random_below(c, 9); n > 0; n--)
        put(c, opcode | (random_below(c, 12) ? value_reg(c) : 4));
}

/* What else there is, between them. */
static void put_other(struct code *c)
{
    static const uint8_t opcodes[] = {0x89, 0x8b, 0x01, 0x31, 0x88, 0x8a};
    put(c, opcodes[random_below(c, sizeof(opcodes))]);
    if (random_below(c, 2))
        put_memory(c, value_reg(c));
    else
        put(c, 0xc0 | value_reg(c) << 3 | value_reg(c));
}

static void make_code(struct code *c, bool is_64)
{
    c->len = 0;
    while (c->len < sizeof(c->bytes) - 40) {
        unsigned kind = random_below(c, 8);
        if (kind == 0)
            put_stack(c);
        else if (kind < 3)
            put_other(c);
        else
            put_compare(c, is_64);
        if (kind > 2)
            put_jump(c);
    }
    put(c, 0x5b); /* POP rBX; RET, to anywhere */
    put(c, 0xc3);
}

/* An address that is ordinary mostly. */
static uint64_t some_address(struct code *c, bool is_64)
{
    switch (random_below(c, 24)) {
    case 0:
        return DATA + 0xff0 + random_below(c, 16);
    case 1:
        return DEVICE;
    case 2:
        return is_64 ? UINT64_C(0x7ffffffffff8) + random_below(c, 16) : 0xfffffff8;
    case 3:
        return CODE + random_below(c, 64);
    default:
        return DATA + 0x800 + random_below(c, 64) * 8;
    }
}

struct outcome {
    struct cpu arch;          /* all of it */
    enum cpu_exit why;        /* the last exit */
    struct fault fault;       /* if it is one */
    uint64_t reads, writes;   /* of the device */
    uint8_t data[DATA_BYTES]; /* memory from DATA on */
    uint8_t code[256];        /* memory from CODE on */
};

/* The state before: from the seed alone. */
static void prepare(struct harness *h, const struct cpu *fresh, struct code *c, bool is_64)
{
    static uint8_t ram[DATA + DATA_BYTES];
    h->vcpu->arch = *fresh;
    for (size_t i = 0; i < DATA; i++)
        ram[i] = i & 1 ? 0x0b : 0x0f; /* UD2, for whoever strays */
    memcpy(ram + CODE, c->bytes, c->len);
    for (size_t i = DATA; i < sizeof(ram); i += 4)
        le32_store(ram + i, random_below(c, 3) ? random_below(c, 2) : CODE + random_below(c, 200));
    EXPECT(physmem_write(h->pm, 0, ram, sizeof(ram)));
    for (unsigned r = 0; r < 8; r++)
        h->vcpu->arch.gpr[r] = r < 4 ? random_below(c, 4) : some_address(c, is_64);
    h->vcpu->arch.gpr[REG_RBX] = is_64 ? 0 - (uint64_t)random_below(c, 3) : random_below(c, 256);
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
    EXPECT(physmem_read(h->pm, DATA, o->data, sizeof(o->data)));
    EXPECT(physmem_read(h->pm, CODE, o->code, sizeof(o->code)));
}

/* Fetches from a device are reads too, and how many depends on what is cached. */
static void expect_same(const struct outcome *a, const struct outcome *b, uint32_t seed)
{
    bool same = a->arch.rip == b->arch.rip && a->arch.rflags == b->arch.rflags &&
                a->arch.ticks == b->arch.ticks && a->arch.retired == b->arch.retired &&
                (a->reads == b->reads || a->arch.rip >= HARNESS_RAM) && a->writes == b->writes &&
                a->fault.vector == b->fault.vector &&
                !memcmp(a->arch.gpr, b->arch.gpr, sizeof(a->arch.gpr)) &&
                !memcmp(a->data, b->data, sizeof(a->data)) &&
                !memcmp(a->code, b->code, sizeof(a->code));
    if (!same)
        printf("seed %u: RIP %llx and %llx, ticks %llu and %llu\n", seed,
               (unsigned long long)a->arch.rip, (unsigned long long)b->arch.rip,
               (unsigned long long)a->arch.ticks, (unsigned long long)b->arch.ticks);
    EXPECT(same);
}

static void compare_runs(enum decode_mode mode)
{
    static struct outcome freely, exactly;
    struct harness *h = harness_create(mode);
    struct cpu fresh = h->vcpu->arch;
    unsigned faults = 0, reads = 0;
    for (uint32_t trial = 1; trial <= TRIALS; trial++) {
        struct code c = {.seed = trial * 2654435761u};
        make_code(&c, mode == DECODE_64);
        struct code again = c;
        int64_t ticks = 1 + random_below(&c, 90);
        again.seed = c.seed;
        prepare(h, &fresh, &c, mode == DECODE_64);
        run(h, ticks, ticks, &freely);
        prepare(h, &fresh, &again, mode == DECODE_64);
        run(h, ticks, 1, &exactly);
        expect_same(&exactly, &freely, trial);
        faults += freely.why == CPU_EXIT_FAULT;
        reads += freely.reads > 0;
    }
    harness_destroy(h);
    EXPECT(faults > 20 && reads > 20); /* or it is not a test of them */
}

TEST(fuse, does_the_same_as_one_by_one_in_64_bit_code)
{
    compare_runs(DECODE_64);
}

TEST(fuse, does_the_same_as_one_by_one_in_32_bit_code)
{
    compare_runs(DECODE_32);
}

#define CODE_IS(h, ...)                                                                            \
    do {                                                                                           \
        static const uint8_t code_[] = {__VA_ARGS__};                                              \
        harness_code((h), code_, sizeof(code_));                                                   \
    } while (0)

TEST(fuse, fault_in_the_second_part_leaves_the_first_done)
{
    struct harness *h = harness_create(DECODE_64);
    /* pop rcx; ret, to an address that is not canonical */
    CODE_IS(h, 0x59, 0xc3);
    const uint8_t stack[16] = {7, [15] = 0x40};
    EXPECT(physmem_write(h->pm, DATA, stack, sizeof(stack)));
    h->vcpu->arch.gpr[REG_RSP] = DATA;
    EXPECT_EQ(CPU_EXIT_FAULT, harness_run(h, 10));
    EXPECT_EQ(EXC_GP, h->vcpu->run.fault.vector);
    EXPECT_EQ(CODE + 1, h->vcpu->arch.rip);
    EXPECT_EQ(7, h->vcpu->arch.gpr[REG_RCX]);
    EXPECT_EQ(DATA + 8, h->vcpu->arch.gpr[REG_RSP]);
    EXPECT_EQ(1, h->vcpu->arch.ticks);
    harness_destroy(h);
}

TEST(fuse, fault_in_the_middle_of_a_run_of_pushes_leaves_those_before_done)
{
    struct harness *h = harness_create(DECODE_64);
    /* push rax three times, the third below the last canonical address of the upper half */
    CODE_IS(h, 0x50, 0x50, 0x50);
    h->vcpu->arch.gpr[REG_RSP] = UINT64_C(0xffff800000000010);
    EXPECT_EQ(CPU_EXIT_FAULT, harness_run(h, 10));
    EXPECT_EQ(CODE + 2, h->vcpu->arch.rip);
    EXPECT_EQ(UINT64_C(0xffff800000000000), h->vcpu->arch.gpr[REG_RSP]);
    EXPECT_EQ(2, h->vcpu->arch.ticks);
    harness_destroy(h);
}

TEST(fuse, break_between_the_parts_is_taken_there)
{
    struct harness *h = harness_create(DECODE_64);
    /* cmp [rsi], eax; jz .; on a device */
    CODE_IS(h, 0x39, 0x06, 0x74, 0xfe);
    h->vcpu->arch.gpr[REG_RSI] = DEVICE;
    h->vcpu->arch.gpr[REG_RAX] = UINT32_MAX;
    h->bus_breaks = true;
    EXPECT_EQ(CPU_EXIT_BREAK, harness_run(h, 10));
    EXPECT_EQ(CODE + 2, h->vcpu->arch.rip);
    EXPECT_EQ(1, h->vcpu->arch.ticks);
    EXPECT_EQ(1, h->bus_reads);
    harness_destroy(h);
}

TEST(fuse, budget_ends_between_the_parts)
{
    struct harness *h = harness_create(DECODE_64);
    /* 1: dec ecx; jnz 1b; inc ebx; jmp . */
    CODE_IS(h, 0xff, 0xc9, 0x75, 0xfc, 0xff, 0xc3, 0xeb, 0xfe);
    h->vcpu->arch.gpr[REG_RCX] = 100;
    EXPECT_EQ(CPU_EXIT_BUDGET, harness_run(h, 101));
    EXPECT_EQ(CODE + 2, h->vcpu->arch.rip);
    EXPECT_EQ(49, h->vcpu->arch.gpr[REG_RCX]);
    EXPECT_EQ(CPU_EXIT_BUDGET, harness_run(h, 100));
    EXPECT_EQ(1, h->vcpu->arch.gpr[REG_RBX]);
    EXPECT_EQ(CODE + 6, h->vcpu->arch.rip);
    harness_destroy(h);
}

TEST(fuse, a_push_over_the_next_one_takes_effect_at_once)
{
    struct harness *h = harness_create(DECODE_64);
    /* push rax; push rbx -> push rcx; jmp . */
    CODE_IS(h, 0x50, 0x53, 0xeb, 0xfe);
    h->vcpu->arch.gpr[REG_RSP] = CODE + 1 + 8;
    h->vcpu->arch.gpr[REG_RAX] = 0xfeeb51;
    h->vcpu->arch.gpr[REG_RBX] = 1;
    h->vcpu->arch.gpr[REG_RCX] = 0x1234;
    enum cpu_exit why = harness_run(h, 2);
    while (why == CPU_EXIT_BREAK)
        why = cpu_run(h->vcpu);
    EXPECT_EQ(0x1234, le64_load(h->ram + CODE - 7));
    EXPECT_EQ(2, h->vcpu->arch.ticks);
    harness_destroy(h);
}

TEST_MAIN(RUN(fuse, does_the_same_as_one_by_one_in_64_bit_code)
              RUN(fuse, does_the_same_as_one_by_one_in_32_bit_code)
                  RUN(fuse, fault_in_the_second_part_leaves_the_first_done)
                      RUN(fuse, fault_in_the_middle_of_a_run_of_pushes_leaves_those_before_done)
                          RUN(fuse, break_between_the_parts_is_taken_there)
                              RUN(fuse, budget_ends_between_the_parts)
                                  RUN(fuse, a_push_over_the_next_one_takes_effect_at_once))
