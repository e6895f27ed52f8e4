/* SPDX-License-Identifier: MIT */
/*
 * Every MMX and SSE row of the table against the host, where the host is x86-64: register and
 * memory forms with and without REX.W, random and special operands, every rounding mode; registers,
 * MXCSR, flags and memory afterwards. The estimates (RCPPS ...) are cpu_sse.c's, since the manual
 * leaves their bits open.
 */
#include "tests/unit/cpu_harness.h"
#include "tests/unit/softfloat_operands.h"

#if defined(__x86_64__)

#include <signal.h>
#include <sys/mman.h>
#include <ucontext.h>

enum { ROUNDS = 160, XMMS = 3 };

/* Start and end of one instruction. mem is first: rDI and rSI point at it. */
struct scene {
    uint8_t mem[64];  /* memory operand */
    uint8_t in[512];  /* FXRSTOR image before; 16-byte aligned */
    uint8_t out[512]; /* FXSAVE image after */
    uint64_t rax;     /* before and after */
    uint64_t rcx;     /* before and after */
    uint64_t rdx;     /* before and after */
    uint64_t flags;   /* before and after */
    uint32_t mxcsr;   /* of the test itself */
    bool trapped;     /* #XM: nothing but MXCSR changed */
};

struct encoding {
    uint8_t bytes[12]; /* instruction; a memory operand is [rsi] */
    uint8_t len;       /* of them, the immediate last */
    bool has_imm;      /* it has one */
    uint16_t row;      /* of the table */
    uint16_t op;       /* enum op */
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
    emit_disp(h, "\x0f\xae\x8f", 3, offsetof(struct scene, in));  /* fxrstor */
    emit_disp(h, "\x48\x8d\xb7", 3, offsetof(struct scene, mem)); /* lea rsi */
    emit_disp(h, "\x48\x8b\x87", 3, offsetof(struct scene, rax)); /* mov rax */
    emit_disp(h, "\x48\x8b\x8f", 3, offsetof(struct scene, rcx)); /* mov rcx */
    emit_disp(h, "\x48\x8b\x97", 3, offsetof(struct scene, rdx)); /* mov rdx */
    emit_disp(h, "\xff\xb7", 2, offsetof(struct scene, flags));   /* push */
    emit(h, "\x9d", 1);                                           /* popfq */
    h->insn = h->at;
    emit(h, e->bytes, e->len);
    emit(h, "\x9c", 1);                                             /* pushfq */
    emit_disp(h, "\x8f\x87", 2, offsetof(struct scene, flags));     /* pop */
    emit_disp(h, "\x48\x89\x87", 3, offsetof(struct scene, rax));   /* mov rax */
    emit_disp(h, "\x48\x89\x8f", 3, offsetof(struct scene, rcx));   /* mov rcx */
    emit_disp(h, "\x48\x89\x97", 3, offsetof(struct scene, rdx));   /* mov rdx */
    emit_disp(h, "\x0f\xae\x87", 3, offsetof(struct scene, out));   /* fxsave */
    emit_disp(h, "\x0f\xae\x97", 3, offsetof(struct scene, mxcsr)); /* ldmxcsr */
    emit(h, "\xfc\xdb\xe3\xc3", 4);                                 /* cld; fninit; ret */
}

/* The running scene, for the signal handler alone. */
static struct scene *volatile running;
static uint8_t running_len;

static void on_fpe(int signal, siginfo_t *info, void *context)
{
    (void)signal, (void)info;
    ucontext_t *uc = context;
    running->trapped = true;
    uc->uc_mcontext.gregs[16] += running_len; /* REG_RIP, a name that decoder/insn.h has too */
}

static void host_run(struct host *h, const struct encoding *e, struct scene *s)
{
    void (*run)(struct scene *);
    memcpy(&run, &h->code, sizeof(run));
    s->mxcsr = 0x1f80;
    running = s;
    running_len = e->len;
    run(s);
}

/* ---- the guest ---- */

enum { SCENE_MEM = DATA };

static void guest_enter(struct cpu *cpu, const struct scene *s)
{
    unsigned top = s->in[3] >> 3 & 7;
    cpu->fcw = le16_load(s->in);
    cpu->fsw = le16_load(s->in + 2);
    cpu->ftw = s->in[4];
    cpu->mxcsr = le32_load(s->in + 24);
    for (unsigned i = 0; i < 8; i++) {
        cpu->fp_mant[(top + i) & 7] = le64_load(s->in + 32 + 16 * i);
        cpu->fp_se[(top + i) & 7] = le16_load(s->in + 40 + 16 * i);
    }
    for (unsigned i = 0; i < 16; i++) {
        cpu->ymm[4 * i] = le64_load(s->in + 160 + 16 * i);
        cpu->ymm[4 * i + 1] = le64_load(s->in + 168 + 16 * i);
        cpu->ymm[4 * i + 2] = cpu->ymm[4 * i + 3] = UINT64_C(0x5555) << i;
    }
    cpu->gpr[REG_RAX] = s->rax;
    cpu->gpr[REG_RCX] = s->rcx;
    cpu->gpr[REG_RDX] = s->rdx;
    cpu->gpr[REG_RSI] = cpu->gpr[REG_RDI] = SCENE_MEM;
    cpu->rflags = s->flags;
}

static void guest_leave(const struct cpu *cpu, struct scene *s)
{
    unsigned top = cpu->fsw >> 11 & 7;
    memcpy(s->out, s->in, sizeof(s->out));
    le16_store(s->out + 2, cpu->fsw);
    s->out[4] = cpu->ftw;
    le32_store(s->out + 24, cpu->mxcsr);
    for (unsigned i = 0; i < 8; i++) {
        le64_store(s->out + 32 + 16 * i, cpu->fp_mant[(top + i) & 7]);
        le64_store(s->out + 40 + 16 * i, cpu->fp_se[(top + i) & 7]);
    }
    for (unsigned i = 0; i < 16; i++) {
        le64_store(s->out + 160 + 16 * i, cpu->ymm[4 * i]);
        le64_store(s->out + 168 + 16 * i, cpu->ymm[4 * i + 1]);
        EXPECT_EQ(UINT64_C(0x5555) << i, cpu->ymm[4 * i + 2]);
        EXPECT_EQ(UINT64_C(0x5555) << i, cpu->ymm[4 * i + 3]);
    }
    s->rax = cpu->gpr[REG_RAX];
    s->rcx = cpu->gpr[REG_RCX];
    s->rdx = cpu->gpr[REG_RDX];
    s->flags = cpu->rflags;
}

static void guest_run(struct harness *g, struct scene *s)
{
    EXPECT(physmem_write(g->pm, SCENE_MEM, s->mem, sizeof(s->mem)));
    g->vcpu->arch.rip = CODE;
    guest_enter(&g->vcpu->arch, s);
    enum cpu_exit exit = harness_run(g, 1);
    s->trapped = exit == CPU_EXIT_FAULT && g->vcpu->run.fault.vector == EXC_XM;
    if (!s->trapped)
        EXPECT_EQ(CPU_EXIT_BUDGET, exit);
    EXPECT(physmem_read(g->pm, SCENE_MEM, s->mem, sizeof(s->mem)));
    guest_leave(&g->vcpu->arch, s);
}

/* ---- inputs ---- */

/* Sixteen bytes of one of the kinds that instructions tell apart. */
static void random_value(uint64_t *seed, uint8_t *p)
{
    uint64_t kind = prng(seed), near64 = operand_f64(seed, 0x3ff), v = prng(seed);
    uint32_t near32 = operand_f32(seed, 0x7f);
    for (unsigned i = 0; i < 16; i++) {
        if (kind % 6 == 0 && i % 4 == 0)
            le32_store(p + i, near32 = operand_f32(seed, near32));
        else if (kind % 6 == 1 && i % 8 == 0)
            le64_store(p + i, near64 = operand_f64(seed, near64));
        else if (kind % 6 == 2 && i % 8 == 0)
            le64_store(p + i, operand_integer(seed));
        else if (kind % 6 == 3) /* a small alphabet, with nulls */
            p[i] = (uint8_t)(prng(seed) % 5 * 0x3f);
        else if (kind % 6 == 4) /* ends of ranges */
            p[i] = (uint8_t)((prng(seed) & 1 ? 0x7f : 0) + (prng(seed) & 1) + (v & 0x80));
        else if (kind % 6 == 5)
            p[i] = (uint8_t)prng(seed);
    }
    if ((kind >> 8) % 8 == 0) /* a count */
        le64_store(p, prng(seed) % 80);
}

static void random_scene(uint64_t *seed, struct scene *s, bool unmasked)
{
    uint64_t bits = prng(seed);
    memset(s, 0, sizeof(*s));
    le16_store(s->in, 0x37f);
    le16_store(s->in + 2, (unsigned)bits & 0x7f00); /* any TOP, nothing pending */
    s->in[4] = (uint8_t)(bits >> 16);
    uint32_t mxcsr = (uint32_t)(bits >> 24) & 0xe07f;
    if (bits >> 62 == 0)
        mxcsr &= 0x60; /* the ordinary case: to nearest, inexact */
    mxcsr |= unmasked ? (uint32_t)(bits >> 40) & 0x1f80 : 0x1f80;
    le32_store(s->in + 24, mxcsr);
    for (unsigned i = 0; i < 8; i++) {
        random_value(seed, s->in + 32 + 16 * i);
        memset(s->in + 42 + 16 * i, 0, 6);
    }
    for (unsigned i = 0; i < XMMS; i++)
        random_value(seed, s->in + 160 + 16 * i);
    for (unsigned i = 0; i < sizeof(s->mem); i += 16)
        random_value(seed, s->mem + i);
    if (bits >> 60 & 1)
        memcpy(s->mem, s->in + 160 + 16, 16);
    if (bits >> 61 & 1)
        memcpy(s->in + 160 + 32, s->in + 160 + 16, 15);
    s->rax = bits & 0x100 ? prng(seed) % 20 : operand_integer(seed);
    s->rcx = operand_integer(seed);
    s->rdx = bits & 0x200 ? 0 - prng(seed) % 20 : operand_integer(seed);
    s->flags = 0x202 | (prng(seed) & F_OSZAPC);
}

/* ---- comparing ---- */

static void show(const char *who, const struct scene *s, const uint8_t *image)
{
    printf("  %s%s mxcsr=%04x rax=%llx rcx=%llx rdx=%llx flags=%llx fsw=%04x ftw=%02x", who,
           s->trapped ? " trap" : "", le32_load(image + 24), (unsigned long long)s->rax,
           (unsigned long long)s->rcx, (unsigned long long)s->rdx, (unsigned long long)s->flags,
           le16_load(image + 2), image[4]);
    for (unsigned i = 0; i < XMMS; i++)
        printf("\n    x%u=%016llx:%016llx mm%u=%04x:%016llx", i,
               (unsigned long long)le64_load(image + 168 + 16 * i),
               (unsigned long long)le64_load(image + 160 + 16 * i), i,
               le16_load(image + 40 + 16 * i), (unsigned long long)le64_load(image + 32 + 16 * i));
    printf("\n    m=%016llx:%016llx\n", (unsigned long long)le64_load(s->mem + 8),
           (unsigned long long)le64_load(s->mem));
}

/*
 * Where the AMD parts that this was written on differ from Intel's manual: CVTPI2PS from memory
 * does not go to MMX state. And where the manual is silent: whether a conversion that ends in #XM
 * has gone to MMX state.
 */
static void forget_known(const struct encoding *e, struct scene *s, const struct scene *start)
{
    bool is_memory = e->bytes[e->len - 1] == 0x0e;
    if ((e->op == OP_CVTPI2PS && is_memory) || s->trapped) {
        memcpy(s->out, start->in, 5);
        memcpy(s->out + 32, start->in + 32, 128);
    }
}

static bool same(const struct scene *a, const struct scene *b)
{
    return a->trapped == b->trapped && !memcmp(a->mem, b->mem, sizeof(a->mem)) &&
           a->rax == b->rax && a->rcx == b->rcx && a->rdx == b->rdx &&
           !((a->flags ^ b->flags) & F_OSZAPC) && !memcmp(a->out, b->out, 5) &&
           le32_load(a->out + 24) == le32_load(b->out + 24) &&
           !memcmp(a->out + 32, b->out + 32, 384);
}

static bool compare(struct harness *g, struct host *h, const struct encoding *e,
                    const struct scene *start)
{
    static _Alignas(64) struct scene want, got;
    want = got = *start;
    host_run(h, e, &want);
    guest_run(g, &got);
    forget_known(e, &want, start);
    forget_known(e, &got, start);
    if (same(&want, &got))
        return true;
    printf("%s:", op_name(e->op));
    for (unsigned i = 0; i < e->len; i++)
        printf(" %02x", e->bytes[i]);
    printf("\n");
    show("start", start, start->in);
    show("host", &want, want.out);
    show("ours", &got, got.out);
    return false;
}

/* ---- encodings ---- */

/* Opcode bytes of a row, from the text of its encoding column. False: not of our maps. */
static bool opcode_bytes(const char *text, bool rex_w, uint8_t modrm, struct encoding *e)
{
    static const struct {
        const char *name, *bytes;
        uint8_t prefix;
    } maps[] = {{"OP_NP_0F(", "\x0f", 0},          {"OP_66_0F(", "\x0f", 0x66},
                {"OP_F3_0F(", "\x0f", 0xf3},       {"OP_F2_0F(", "\x0f", 0xf2},
                {"OP_NP_0F38(", "\x0f\x38", 0},    {"OP_66_0F38(", "\x0f\x38", 0x66},
                {"OP_F3_0F38(", "\x0f\x38", 0xf3}, {"OP_F2_0F38(", "\x0f\x38", 0xf2},
                {"OP_NP_0F3A(", "\x0f\x3a", 0},    {"OP_66_0F3A(", "\x0f\x3a", 0x66}};
    for (size_t i = 0; i < ARRAY_SIZE(maps); i++) {
        size_t n = strlen(maps[i].name);
        if (strncmp(text, maps[i].name, n))
            continue;
        if (maps[i].prefix)
            e->bytes[e->len++] = maps[i].prefix;
        if (rex_w)
            e->bytes[e->len++] = 0x48;
        for (const char *b = maps[i].bytes; *b; b++)
            e->bytes[e->len++] = (uint8_t)*b;
        e->bytes[e->len++] = (uint8_t)strtoul(text + n, NULL, 16);
        const char *reg = strstr(text, " REG(");
        if (reg)
            modrm = (uint8_t)((modrm & 0xc7) | strtoul(reg + 5, NULL, 10) << 3);
        e->bytes[e->len++] = modrm;
        return true;
    }
    return false;
}

static bool is_ours(const struct insn *in)
{
    switch (in->op) {
    case OP_RCPPS:
    case OP_RCPSS:
    case OP_RSQRTPS:
    case OP_RSQRTSS:
        return false;
    case OP_EMMS:
        return true;
    default:
        break;
    }
    for (unsigned i = 0; i < in->operand_count; i++)
        if (in->operands[i].kind == OPND_XMM || in->operands[i].kind == OPND_MMX)
            return true;
    return false;
}

static bool is_feature(unsigned f)
{
    return f == FEAT_MMX || f == FEAT_SSE || f == FEAT_SSE2 || f == FEAT_SSE3 || f == FEAT_SSSE3 ||
           f == FEAT_SSE41 || f == FEAT_SSE42 || f == FEAT_AES || f == FEAT_PCLMUL;
}

/* One form of a row, if it is one. */
static bool encode(const struct decoder *d, unsigned row, bool rex_w, uint8_t modrm,
                   struct encoding *e)
{
    struct insn in;
    *e = (struct encoding){.row = (uint16_t)row};
    if (!is_feature(insn_row(row)->feature) ||
        !opcode_bytes(insn_row(row)->encoding, rex_w, modrm, e))
        return false;
    if (insn_row(row)->op == OP_EMMS)
        e->len--;
    if (decoder_decode(d, DECODE_64, e->bytes, sizeof(e->bytes), &in) != DECODE_OK ||
        in.row != row || !is_ours(&in))
        return false;
    e->has_imm = in.len > e->len;
    e->len = in.len;
    e->op = in.op;
    return true;
}

/* A fresh immediate now and then; strings have the most to say with it. */
static void next_code(struct harness *g, struct host *h, struct encoding *e, uint64_t *seed)
{
    if (e->has_imm)
        e->bytes[e->len - 1] = (uint8_t)(prng(seed) & (prng(seed) & 1 ? 0x1f : 0xff));
    host_assemble(h, e);
    harness_code(g, e->bytes, e->len);
}

static unsigned check_encoding(struct harness *g, struct host *h, struct encoding *e,
                               uint64_t *seed)
{
    static _Alignas(64) struct scene start;
    unsigned per_code = e->has_imm ? 4 : 40, wrong = 0;
    unsigned rounds = e->has_imm ? 4 * ROUNDS : ROUNDS;
    for (unsigned i = 0; i < rounds && wrong < 2; i++) {
        if (i % per_code == 0)
            next_code(g, h, e, seed);
        random_scene(seed, &start, i % 8 == 7);
        wrong += !compare(g, h, e, &start);
    }
    return wrong;
}

TEST(sse_host, every_form_of_every_row_gives_what_the_host_gives)
{
    static const uint8_t modrms[] = {0xca, 0xc9, 0x0e}; /* reg 1, rm 2; the same; [rsi] */
    struct harness *g = harness_create(DECODE_64);
    struct host h = {.code = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC,
                                  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)};
    struct sigaction action = {.sa_sigaction = on_fpe, .sa_flags = SA_SIGINFO};
    uint64_t seed = 20240229;
    unsigned encodings = 0, wrong = 0;
    assert_true(h.code != MAP_FAILED);
    assert_int_equal(0, sigaction(SIGFPE, &action, NULL));
    for (unsigned row = 0; row < insn_row_count(); row++)
        for (unsigned form = 0; form < 6; form++) {
            struct encoding e;
            if (!encode(g->decoder, row, form & 1, modrms[form >> 1], &e))
                continue;
            encodings++;
            wrong += check_encoding(g, &h, &e, &seed);
        }
    printf("%u encodings, seed 20240229\n", encodings);
    EXPECT_EQ(0, wrong);
    EXPECT(encodings > 1000);
    munmap(h.code, 4096);
    harness_destroy(g);
}

TEST_MAIN(RUN(sse_host, every_form_of_every_row_gives_what_the_host_gives))

#else

TEST(sse_host, skipped)
{
    printf("skipped: the host has no SSE unit\n");
    skip();
}

TEST_MAIN(RUN(sse_host, skipped))

#endif
