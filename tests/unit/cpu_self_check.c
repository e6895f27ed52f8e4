/* SPDX-License-Identifier: MIT */
/*
 * Code that is written again and again, by itself and by others: blocks that were laid aside and
 * picked up, with the same bytes or others, against an interpreter that goes instruction by
 * instruction and forgets all blocks before each run.
 */
#include "cpu/jit/jit.h"
#include "tests/unit/cpu_harness.h"

#define TRIALS (60 / ONE_IN) /* ONE_IN: tests/CMakeLists.txt */
#define TURNS 80 /* of one program, with something written before each */
#define INSNS 14
#define ROOM 16 /* bytes for each of them: rewritten within, it never touches the next one */

struct program {
    uint32_t seed;               /* of what comes next */
    uint8_t bytes[INSNS * ROOM]; /* each instruction followed by a jump to the next place */
};

static unsigned random_below(struct program *p, unsigned n)
{
    p->seed = p->seed * 1664525 + 1013904223;
    return (unsigned)(((uint64_t)(p->seed >> 8) * n) >> 24);
}

static unsigned put32(uint8_t *to, uint32_t v)
{
    le32_store(to, v);
    return 4;
}

/* One instruction; RBX points to the code. */
static unsigned put_insn(struct program *p, uint8_t *to)
{
    static const uint8_t with_rax[] = {0x05, 0x0d, 0x15, 0x1d, 0x25, 0x2d, 0x35, 0x3d, 0xa9, 0xb9};
    unsigned place = random_below(p, INSNS) * ROOM, n = 0;
    switch (random_below(p, 8)) {
    case 0: /* MOV [RBX + somewhere in the code], AL */
        to[n++] = 0x88;
        to[n++] = 0x83;
        return n + put32(to + n, place + random_below(p, 6));
    case 1: /* ROL EAX, or another shift, by a constant */
        to[n++] = 0xc1;
        to[n++] = (uint8_t)(0xc0 | random_below(p, 8) << 3);
        to[n++] = (uint8_t)random_below(p, 40);
        return n;
    case 2: /* Jcc to the next place or the one behind */
        to[n++] = (uint8_t)(0x70 | random_below(p, 16));
        to[n] = (uint8_t)(random_below(p, 2) * ROOM);
        return n + 1;
    case 3: /* MOV EDX, [RBX + disp32] or LEA */
        to[n++] = random_below(p, 2) ? 0x8b : 0x8d;
        to[n++] = 0x93;
        return n + put32(to + n, place);
    case 4: /* ADD EDX, imm8 and its kind */
        to[n++] = 0x83;
        to[n++] = (uint8_t)(0xc2 | random_below(p, 8) << 3);
        to[n++] = (uint8_t)random_below(p, 256);
        return n;
    default: /* ADD EAX, imm32 and its kind */
        to[n++] = with_rax[random_below(p, ARRAY_SIZE(with_rax))];
        return n + put32(to + n, p->seed);
    }
}

/* An instruction and what fills its place: NOPs, or a jump over them. */
static void put_place(struct program *p, unsigned i)
{
    uint8_t *at = &p->bytes[i * ROOM];
    unsigned n = put_insn(p, at);
    if (random_below(p, 4) == 0) {
        at[n] = 0xeb;
        at[n + 1] = (uint8_t)(ROOM - n - 2);
        n += 2;
    }
    memset(at + n, 0x90, ROOM - n);
}

/* Change one instruction's last bytes, or the whole, or write what is there. */
static void rewrite(struct program *p, struct harness *h[2])
{
    unsigned i = random_below(p, INSNS), from = i * ROOM, len = ROOM;
    memcpy(p->bytes, h[0]->ram + CODE, sizeof(p->bytes)); /* as the program has left it */
    switch (random_below(p, 4)) {
    case 0:
        put_place(p, i);
        break;
    case 1:
        break;
    default:
        from += 2;
        len = 1 + random_below(p, 3);
        for (unsigned k = 0; k < len; k++)
            p->bytes[from + k] = (uint8_t)random_below(p, 256);
    }
    for (unsigned k = 0; k < 2; k++)
        EXPECT(physmem_write(h[k]->pm, CODE + from, p->bytes + from, len));
}

static void begin(struct harness *h, const struct program *p)
{
    static const uint8_t again[] = {0xeb, 0xfe};
    uint8_t page[PAGE_SIZE];
    memset(page, 0x0b, sizeof(page)); /* OR: whoever strays goes on to a fault or the end */
    memcpy(page, p->bytes, sizeof(p->bytes));
    memcpy(page + sizeof(p->bytes), again, sizeof(again));
    EXPECT(physmem_write(h->pm, CODE, page, sizeof(page)));
}

/* Both from the start of the code, the second one instruction at a time. */
static void run_both(struct harness *h[2], int64_t ticks)
{
    for (unsigned k = 0; k < 2; k++) {
        h[k]->vcpu->arch.rip = CODE;
        h[k]->vcpu->arch.gpr[REG_RBX] = CODE;
    }
    block_cache_drop_all(h[1]->blocks);
    bool is_fault = harness_run_in_parts(h[0], ticks, ticks) == CPU_EXIT_FAULT;
    EXPECT_EQ(harness_run_in_parts(h[1], ticks, 1) == CPU_EXIT_FAULT, is_fault);
    const struct cpu *a = &h[0]->vcpu->arch, *b = &h[1]->vcpu->arch;
    EXPECT_EQ(b->rip, a->rip);
    EXPECT_EQ(b->ticks, a->ticks);
    EXPECT_EQ(b->rflags, a->rflags);
    EXPECT(memcmp(a->gpr, b->gpr, sizeof(a->gpr)) == 0);
    EXPECT(memcmp(h[0]->ram + CODE, h[1]->ram + CODE, PAGE_SIZE) == 0);
}

/* regions: ticks between looks for one; 0: never. */
static void rewrite_and_run(enum decode_mode mode, uint32_t threshold, uint32_t regions)
{
    struct harness *h[2] = {harness_create(mode), harness_create(mode)};
    struct jit *jit = NULL;
    if (threshold && jit_is_available()) {
        jit = jit_create(&(struct jit_config){.threshold = threshold, .cache = 1 * MiB, .regions = regions});
        assert_non_null(jit);
        harness_set_jit(h[0], jit);
    }
    for (uint32_t trial = 1; trial <= TRIALS; trial++) {
        struct program p = {.seed = trial * 2654435761u};
        for (unsigned i = 0; i < INSNS; i++)
            put_place(&p, i);
        begin(h[0], &p);
        begin(h[1], &p);
        for (unsigned turn = 0; turn < TURNS; turn++) {
            rewrite(&p, h);
            for (unsigned k = 0; k < 1 + turn % 3; k++)
                run_both(h, 1 + random_below(&p, 80));
        }
    }
    EXPECT(block_cache_stats(h[0]->blocks).picked_up > TRIALS * TURNS / 4);
    harness_set_jit(h[0], NULL);
    jit_destroy(jit);
    harness_destroy(h[0]);
    harness_destroy(h[1]);
}

TEST(self_check, is_exact_when_interpreted)
{
    rewrite_and_run(DECODE_64, 0, 0);
    rewrite_and_run(DECODE_32, 0, 0);
}

TEST(self_check, is_exact_when_translated_at_once)
{
    rewrite_and_run(DECODE_64, 1, 0);
    rewrite_and_run(DECODE_32, 1, 0);
}

TEST(self_check, is_exact_when_translated_later)
{
    rewrite_and_run(DECODE_64, 3, 0);
}

TEST(self_check, is_exact_in_regions)
{
    rewrite_and_run(DECODE_64, 1, 1);
    rewrite_and_run(DECODE_32, 1, 1);
    rewrite_and_run(DECODE_64, 1, 4);
}

/* A page that was code for a while and is data from now on is written fast again. */
TEST(self_check, gives_pages_back)
{
    static const uint8_t code[] = {0x05, 1, 0, 0, 0, 0xeb, 0xfe};
    struct harness *h = harness_create(DECODE_64);
    harness_code(h, code, sizeof(code));
    for (uint32_t i = 0; i < 10; i++) {
        uint8_t imm[4];
        le32_store(imm, i);
        EXPECT(physmem_write(h->pm, CODE + 1, imm, 4));
        EXPECT(physmem_state(h->pm, CODE) == 0 || i > 3);
        h->vcpu->arch.rip = CODE;
        harness_run(h, 1);
        EXPECT(physmem_state(h->pm, CODE) & PAGE_CODE);
    }
    EXPECT_EQ(h->vcpu->arch.gpr[REG_RAX], 45);
    EXPECT(block_cache_stats(h->blocks).picked_up >= 5);
    for (unsigned i = 0; i < PAGE_SIZE && physmem_state(h->pm, CODE); i++)
        EXPECT(physmem_write(h->pm, CODE + 8 * (i % 16), &(uint64_t){0x9090909090909090}, 8));
    EXPECT(physmem_state(h->pm, CODE) == 0);
    EXPECT(block_cache_stats(h->blocks).live == 0);
    harness_destroy(h);
}

TEST_MAIN(RUN(self_check, is_exact_when_interpreted) RUN(self_check, is_exact_when_translated_at_once)
              RUN(self_check, is_exact_when_translated_later) RUN(self_check, is_exact_in_regions)
              RUN(self_check, gives_pages_back))
