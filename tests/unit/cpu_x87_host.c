/* SPDX-License-Identifier: MIT */
/*
 * Every x87 encoding against the host, where the host is x86-64: random stacks (empty registers,
 * every TOP), control words, status and operands; the whole state, the memory operand, AX and the
 * flags afterwards. Transcendentals are the MPFR test's.
 */
#include "tests/unit/cpu_harness.h"
#include "tests/unit/softfloat_operands.h"

#if defined(__x86_64__)

#include <sys/mman.h>

enum { ROUNDS = 400 };

/* Start and end of one instruction; the same layout on the host and in the guest. */
struct scene {
    uint8_t in[112];  /* FRSTOR image before */
    uint8_t out[112]; /* FSAVE image after */
    uint8_t mem[128]; /* memory operand */
    uint64_t rax;     /* before and after */
    uint64_t flags;   /* before and after */
};

struct encoding {
    uint8_t bytes[4]; /* instruction; a memory operand is [rsi] */
    uint8_t len;      /* of them */
    uint16_t op;      /* enum op */
};

/* ---- the host ---- */

struct host {
    uint8_t *code; /* owned: executable */
    size_t at;     /* bytes emitted */
    size_t insn;   /* offset of the instruction */
};

static void emit(struct host *h, const void *p, size_t n)
{
    memcpy(h->code + h->at, p, n);
    h->at += n;
}

static void emit_disp(struct host *h, const void *p, size_t n, size_t disp)
{
    uint32_t d = (uint32_t)disp;
    emit(h, p, n);
    emit(h, &d, 4);
}

/* void (struct scene *): rdi. */
static void host_assemble(struct host *h, const struct encoding *e)
{
    h->at = 0;
    emit_disp(h, "\xdd\xa7", 2, offsetof(struct scene, in));      /* frstor */
    emit_disp(h, "\x48\x8d\xb7", 3, offsetof(struct scene, mem)); /* lea rsi */
    emit_disp(h, "\x48\x8b\x87", 3, offsetof(struct scene, rax)); /* mov rax */
    emit_disp(h, "\xff\xb7", 2, offsetof(struct scene, flags));   /* push */
    emit(h, "\x9d", 1);                                           /* popfq */
    h->insn = h->at;
    emit(h, e->bytes, e->len);
    emit(h, "\x9c", 1);                                           /* pushfq */
    emit_disp(h, "\x8f\x87", 2, offsetof(struct scene, flags));   /* pop */
    emit_disp(h, "\x48\x89\x87", 3, offsetof(struct scene, rax)); /* mov rax */
    emit_disp(h, "\xdd\xb7", 2, offsetof(struct scene, out));     /* fnsave */
    emit(h, "\xfc\xdb\xe3\xc3", 4);                               /* cld; fninit; ret */
}

static void host_run(struct host *h, struct scene *s)
{
    void (*run)(struct scene *);
    memcpy(&run, &h->code, sizeof(run));
    run(s);
}

/* ---- the guest ---- */

enum { SCENE = DATA, INSN_AT = CODE + 6 };

static void guest_run(struct harness *g, const struct encoding *e, struct scene *s)
{
    uint8_t code[32] = {0xdd, 0xa7, 0, 0, 0, 0}; /* frstor [rdi] */
    static const uint8_t save[] = {0xdd, 0xb7, offsetof(struct scene, out), 0, 0, 0};
    memcpy(code + 6, e->bytes, e->len);
    memcpy(code + 6 + e->len, save, sizeof(save));
    EXPECT(physmem_write(g->pm, SCENE, s, sizeof(*s)));
    harness_code(g, code, sizeof(code));
    g->vcpu->arch.gpr[REG_RDI] = SCENE;
    g->vcpu->arch.gpr[REG_RSI] = SCENE + offsetof(struct scene, mem);
    g->vcpu->arch.gpr[REG_RAX] = s->rax;
    g->vcpu->arch.rflags = s->flags;
    EXPECT_EQ(CPU_EXIT_BUDGET, harness_run(g, 3));
    EXPECT(physmem_read(g->pm, SCENE, s, sizeof(*s)));
    s->rax = g->vcpu->arch.gpr[REG_RAX];
    s->flags = g->vcpu->arch.rflags;
}

/* ---- inputs ---- */

static void put_f80(uint8_t *p, struct f80 v)
{
    le64_store(p, v.mant);
    le16_store(p + 8, v.se);
}

static void fill_memory(uint64_t *seed, uint8_t *mem, bool is_bcd)
{
    uint64_t kind = prng(seed);
    for (unsigned i = 0; i < 128; i++)
        mem[i] = (uint8_t)prng(seed);
    if (is_bcd)
        for (unsigned i = 0; i < 9; i++)
            mem[i] = (uint8_t)(prng(seed) % 10 | prng(seed) % 10 << 4);
    else if (kind % 4 == 0)
        le32_store(mem, operand_f32(seed, 0x3f800000));
    else if (kind % 4 == 1)
        le64_store(mem, operand_f64(seed, UINT64_C(0x3ff) << 52));
    else if (kind % 4 == 2)
        put_f80(mem, operand_f80(seed, (struct f80){0, 0x3fff}));
    else
        le64_store(mem, operand_integer(seed));
}

/* Usual: the control word of ordinary programs, so that quick paths are taken. pending: unmasked
 * exceptions may be set. */
static void random_scene(uint64_t *seed, struct scene *s, bool usual, bool pending, bool is_bcd)
{
    uint64_t bits = prng(seed), tags = prng(seed) | prng(seed);
    unsigned fcw = usual ? 0x7f | (bits & 0x300) : bits & 0xffff;
    unsigned fsw = bits >> 16 & 0x7f7f;
    if (bits >> 60 < 8)
        fcw |= 0x3f;
    if (!pending)
        fsw &= ~0x3fu | fcw;
    for (unsigned i = 0; i < sizeof(s->in); i++)
        s->in[i] = (uint8_t)prng(seed);
    le32_store(s->in, fcw);
    le32_store(s->in + 4, fsw);
    struct f80 near = {UINT64_C(1) << 63, 0x3fff};
    for (unsigned i = 0; i < 8; i++)
        put_f80(s->in + 28 + 10 * i, near = operand_f80(seed, near));
    unsigned word = 0;
    for (unsigned i = 0; i < 8; i++)
        word |= (usual || (tags >> i & 1) ? 0u : 3u) << 2 * i;
    if (usual) /* room for one push */
        word |= 3u << 2 * (((fsw >> 11) + 7) & 7);
    le32_store(s->in + 8, word);
    fill_memory(seed, s->mem, is_bcd);
    s->rax = prng(seed);
    s->flags = 0x202 | (prng(seed) & F_OSZAPC);
}

/* ---- comparing ---- */

/* Addresses and selectors of the host's run as the guest's have them, where the instruction set
 * them. */
static void rename_pointers(const struct host *h, const struct scene *where, struct scene *s)
{
    if (le32_load(s->out + 12) != (uint32_t)(uintptr_t)(h->code + h->insn))
        return;
    le32_store(s->out + 12, INSN_AT);
    le16_store(s->out + 16, 0x10);
    if (le32_load(s->out + 20) != (uint32_t)(uintptr_t)where->mem)
        return;
    le32_store(s->out + 20, SCENE + offsetof(struct scene, mem));
    le16_store(s->out + 24, 0x18);
}

static void show(const char *who, const struct scene *s)
{
    printf("  %s fcw=%04x fsw=%04x tag=%04x rax=%llx flags=%llx mem=", who, le16_load(s->out),
           le16_load(s->out + 4), le16_load(s->out + 8), (unsigned long long)s->rax,
           (unsigned long long)s->flags);
    for (int i = 15; i >= 0; i--)
        printf("%02x", s->mem[i]);
    for (unsigned i = 0; i < 3; i++)
        printf(" st%u=%04x:%016llx", i, le16_load(s->out + 36 + 10 * i),
               (unsigned long long)le64_load(s->out + 28 + 10 * i));
    for (unsigned i = 12; i < 28; i += 4)
        printf(" %08x", le32_load(s->out + i));
    printf("\n");
}

/* Fields where the manual says one thing and the AMD parts that this was written on do another. */
static void forget_known(const struct encoding *e, struct scene *s)
{
    switch (e->op) {
    case OP_FCOMI: /* "C1: set to 0"; AMD leaves it */
    case OP_FCOMIP:
    case OP_FUCOMI:
    case OP_FUCOMIP:
        s->out[5] &= 0xfd;
        break;
    default:
        break;
    }
}

static bool same(const struct scene *a, const struct scene *b)
{
    return memcmp(a->out, b->out, 108) == 0 && memcmp(a->mem, b->mem, sizeof(a->mem)) == 0 &&
           a->rax == b->rax && a->flags == b->flags;
}

/* The host has three tries: a task switch between its instructions makes AMD parts forget FIP, FDP
 * and FOP. */
static bool agree(struct host *h, struct harness *g, const struct encoding *e,
                  const struct scene *start)
{
    struct scene want, got = *start;
    guest_run(g, e, &got);
    forget_known(e, &got);
    for (int i = 0; i < 3; i++) {
        want = *start;
        host_run(h, &want);
        rename_pointers(h, &want, &want);
        forget_known(e, &want);
        if (same(&want, &got))
            return true;
    }
    printf("%s %02x %02x %02x\n", op_name(e->op), e->bytes[0], e->bytes[1], e->bytes[2]);
    struct scene from = *start;
    memcpy(from.out, from.in, sizeof(from.out));
    show("from", &from);
    show("host", &want);
    show("ours", &got);
    return false;
}

static bool is_transcendental(unsigned op)
{
    switch (op) {
    case OP_F2XM1:
    case OP_FYL2X:
    case OP_FYL2XP1:
    case OP_FPATAN:
    case OP_FPTAN:
    case OP_FSIN:
    case OP_FCOS:
    case OP_FSINCOS:
        return true;
    default:
        return false;
    }
}

static bool waits(unsigned op)
{
    return op != OP_FNINIT && op != OP_FNCLEX && op != OP_FNSTSW && op != OP_FNSTCW &&
           op != OP_FNSTENV && op != OP_FNSAVE;
}

/* The encoding esc modrm, if it is one. */
static bool make_encoding(const struct harness *g, struct encoding *e, unsigned esc, unsigned modrm,
                          bool p66)
{
    struct insn in;
    *e = (struct encoding){.len = 0};
    if (p66)
        e->bytes[e->len++] = 0x66;
    e->bytes[e->len++] = (uint8_t)(0xd8 + esc);
    e->bytes[e->len++] = (uint8_t)modrm;
    if (decoder_decode(g->decoder, DECODE_64, e->bytes, e->len, &in) != DECODE_OK)
        return false;
    e->op = in.op;
    return !is_transcendental(in.op);
}

static int run_encoding(struct host *h, struct harness *g, const struct encoding *e, uint64_t *seed)
{
    int bad = 0;
    host_assemble(h, e);
    for (int i = 0; i < ROUNDS && bad < 3; i++) {
        struct scene s;
        memset(&s, 0, sizeof(s));
        random_scene(seed, &s, i % 3 == 0, !waits(e->op), e->op == OP_FBLD);
        bad += !agree(h, g, e, &s);
    }
    return bad;
}

static int run_all(bool memory, bool p66)
{
    struct host h = {.code = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC,
                                  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)};
    struct harness *g = harness_create(DECODE_64);
    uint64_t seed = memory ? 7 : 8;
    int bad = 0;
    assert_true(h.code != MAP_FAILED);
    for (unsigned esc = 0; esc < 8; esc++) {
        for (unsigned modrm = memory ? 6 : 0xc0; modrm < (memory ? 0x40u : 0x100u);
             modrm += memory ? 8 : 1) {
            struct encoding e;
            if (make_encoding(g, &e, esc, modrm, p66))
                bad += run_encoding(&h, g, &e, &seed);
        }
    }
    munmap(h.code, 4096);
    harness_destroy(g);
    return bad;
}

TEST(x87_host, register_forms_equal_the_host)
{
    EXPECT_EQ(0, run_all(false, false));
}

TEST(x87_host, memory_forms_equal_the_host)
{
    EXPECT_EQ(0, run_all(true, false));
}

TEST(x87_host, short_environments_equal_the_host)
{
    EXPECT_EQ(0, run_all(true, true));
}

TEST_MAIN(RUN(x87_host, register_forms_equal_the_host) RUN(x87_host, memory_forms_equal_the_host)
              RUN(x87_host, short_environments_equal_the_host))

#else

TEST(x87_host, skipped)
{
    printf("skipped: the host has no x87 unit\n");
    skip();
}

TEST_MAIN(RUN(x87_host, skipped))

#endif
