/* SPDX-License-Identifier: MIT */
/*
 * Integer instructions of 64- and 32-bit code in every form, at random, against the processor
 * itself: the same bytes run on a bare vCPU and on the host, at the same addresses, from the same
 * registers, flags and memory. On an x86-64 Linux host only. Flags that the manual leaves undefined
 * are not compared (cpu_alu holds our rule to its formulas).
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* memmem */
#endif
#include "tests/unit/cpu_harness.h"

#if defined(__x86_64__) && defined(__linux__)

#include <sys/mman.h>

/* Low memory that both have: data and stack, code, and what the assembly below saves. */
#define LOW_DATA 0x20000u
#define LOW_SIZE 0x21000u
#define LOW_CODE 0x50000u
#define LOW_SAVE 0x51000u
#define TRAMPOLINE (LOW_CODE + 0x800) /* 64-bit code that 32-bit code leaves through */

struct host_regs {
    uint64_t gpr[16]; /* RAX..R15 */
    uint64_t flags;   /* RFLAGS */
};

/* At LOW_SAVE; the offsets are in the assembly. */
struct save {
    uint64_t rsp;           /* 00: the test's own */
    struct host_regs *regs; /* 08: where the results go */
    uint64_t rdi;           /* 10: of the code under test */
    uint32_t far_offset;    /* 18: entry as m16:32 */
    uint16_t far_selector;  /* 1c: 32-bit code, or 0 for 64-bit */
};

/* Load regs, go to LOW_CODE (64-bit, or 32-bit through the far pointer); the code leaves by a jump
 * to host_leave. */
void host_enter(struct host_regs *regs, int is_32);
void host_leave(void);

__asm__(
    ".text\n"
    "host_enter:\n"
    "    push %rbx; push %rbp; push %r12; push %r13; push %r14; push %r15\n"
    "    mov %rsp, 0x51000; mov %rdi, 0x51008\n"
    "    test %esi, %esi; mov $0, %esi; setne %sil; mov %rsi, 0x51020\n"
    "    push 0x80(%rdi); popfq\n"
    "    mov 0x00(%rdi), %rax; mov 0x08(%rdi), %rcx; mov 0x10(%rdi), %rdx; mov 0x18(%rdi), %rbx\n"
    "    mov 0x20(%rdi), %rsp; mov 0x28(%rdi), %rbp; mov 0x30(%rdi), %rsi\n"
    "    mov 0x40(%rdi), %r8; mov 0x48(%rdi), %r9; mov 0x50(%rdi), %r10; mov 0x58(%rdi), %r11\n"
    "    mov 0x60(%rdi), %r12; mov 0x68(%rdi), %r13; mov 0x70(%rdi), %r14; mov 0x78(%rdi), %r15\n"
    "    mov 0x38(%rdi), %rdi\n"
    "    jmp *0x51028\n"
    "host_enter_64:\n"
    "    jmp *0x51030\n"
    "host_enter_32:\n"
    "    ljmp *0x51018\n"
    "host_leave:\n"
    "    mov %rdi, 0x51010; mov 0x51008, %rdi\n"
    "    mov %rax, 0x00(%rdi); mov %rcx, 0x08(%rdi); mov %rdx, 0x10(%rdi); mov %rbx, 0x18(%rdi)\n"
    "    mov %rsp, 0x20(%rdi); mov %rbp, 0x28(%rdi); mov %rsi, 0x30(%rdi)\n"
    "    mov %r8, 0x40(%rdi); mov %r9, 0x48(%rdi); mov %r10, 0x50(%rdi); mov %r11, 0x58(%rdi)\n"
    "    mov %r12, 0x60(%rdi); mov %r13, 0x68(%rdi); mov %r14, 0x70(%rdi); mov %r15, 0x78(%rdi)\n"
    "    mov 0x51000, %rsp; pushfq; pop 0x80(%rdi); cld\n"
    "    mov 0x51010, %rax; mov %rax, 0x38(%rdi)\n"
    "    pop %r15; pop %r14; pop %r13; pop %r12; pop %rbp; pop %rbx\n"
    "    ret\n");

void host_enter_64(void);
void host_enter_32(void);

/* ---- templates ---- */

enum {
    MODRM = 1,    /* a ModRM byte; digit < 8 fixes its reg field */
    ONLY_MEM = 2, /* mod is not 3 */
    ONLY_REG = 4, /* mod is 3 */
    IMM8 = 8,     /* immediates */
    IMM16 = 16,
    IMMZ = 32,       /* 2 or 4 bytes by operand size */
    IMMV = 64,       /* the same, 8 with REX.W */
    MOFFS = 128,     /* an address of address size */
    PLUS_R = 256,    /* any of 8 opcodes */
    PLUS_CC = 512,   /* any of 16 opcodes */
    FIXED = 1024,    /* no prefix is added */
    ONLY_32 = 2048,  /* not in 64-bit code */
    ONLY_64 = 4096,  /* not in 32-bit code */
    STRING = 8192,   /* rSI, rDI point to data, rCX is small, REP at random */
    BIT_REG = 16384, /* the reg operand is a bit offset: small */
    NO_66 = 32768,
};

struct form {
    const char *opcode; /* hex, with a mandatory prefix first */
    unsigned digit;     /* ModRM.reg, or 8 for a register */
    unsigned kind;      /* the bits above */
};

/* clang-format off */
#define ALU(op, hex, digit)                                                                               \
    {hex "0", 8, MODRM}, {hex "1", 8, MODRM}, {hex "2", 8, MODRM}, {hex "3", 8, MODRM}, {hex "4", 0, IMM8}, {hex "5", 0, IMMZ}
#define ALU8(op, hex, digit)                                                                              \
    {hex "8", 8, MODRM}, {hex "9", 8, MODRM}, {hex "a", 8, MODRM}, {hex "b", 8, MODRM}, {hex "c", 0, IMM8}, {hex "d", 0, IMMZ}
#define GROUP(d)                                                                                          \
    {"80", d, MODRM | IMM8}, {"81", d, MODRM | IMMZ}, {"83", d, MODRM | IMM8}
#define SHIFTS(d)                                                                                         \
    {"c0", d, MODRM | IMM8}, {"c1", d, MODRM | IMM8}, {"d0", d, MODRM}, {"d1", d, MODRM}, {"d2", d, MODRM}, {"d3", d, MODRM}
static const struct form forms[] = {
    ALU(add, "0", 0), ALU8(or, "0", 1), ALU(adc, "1", 2), ALU8(sbb, "1", 3), ALU(and, "2", 4), ALU8(sub, "2", 5), ALU(xor, "3", 6),
    ALU8(cmp, "3", 7), GROUP(0), GROUP(1), GROUP(2), GROUP(3), GROUP(4), GROUP(5), GROUP(6), GROUP(7),
    SHIFTS(0), SHIFTS(1), SHIFTS(2), SHIFTS(3), SHIFTS(4), SHIFTS(5), SHIFTS(7),
    {"84", 8, MODRM}, {"85", 8, MODRM}, {"a8", 0, IMM8}, {"a9", 0, IMMZ}, {"f6", 0, MODRM | IMM8}, {"f7", 0, MODRM | IMMZ},
    {"f6", 2, MODRM}, {"f7", 2, MODRM}, {"f6", 3, MODRM}, {"f7", 3, MODRM}, {"f6", 4, MODRM}, {"f7", 4, MODRM},
    {"f6", 5, MODRM}, {"f7", 5, MODRM}, {"fe", 0, MODRM}, {"fe", 1, MODRM}, {"ff", 0, MODRM}, {"ff", 1, MODRM},
    {"40", 0, PLUS_R | ONLY_32}, {"48", 0, PLUS_R | ONLY_32}, {"0faf", 8, MODRM}, {"69", 8, MODRM | IMMZ}, {"6b", 8, MODRM | IMM8},
    {"31d283c901f7f1", 0, FIXED}, {"9983c9010fbaf11ff7f9", 0, FIXED}, {"30e480c901f6f1", 0, FIXED},
    {"4831d24883c90148f7f1", 0, FIXED | ONLY_64}, {"48994883c901480fbaf13f48f7f9", 0, FIXED | ONLY_64},
    {"27", 0, ONLY_32}, {"2f", 0, ONLY_32}, {"37", 0, ONLY_32}, {"3f", 0, ONLY_32}, {"d40a", 0, ONLY_32}, {"d50a", 0, ONLY_32},
    {"d407", 0, ONLY_32}, {"d510", 0, ONLY_32}, {"d6", 0, ONLY_32},
    {"98", 0, 0}, {"99", 0, 0}, {"0fc0", 8, MODRM}, {"0fc1", 8, MODRM}, {"0fb0", 8, MODRM}, {"0fb1", 8, MODRM},
    {"0fc7", 1, MODRM | ONLY_MEM | NO_66},
    {"88", 8, MODRM}, {"89", 8, MODRM}, {"8a", 8, MODRM}, {"8b", 8, MODRM}, {"c6", 0, MODRM | IMM8}, {"c7", 0, MODRM | IMMZ},
    {"b0", 0, PLUS_R | IMM8}, {"b8", 0, PLUS_R | IMMV}, {"a0", 0, MOFFS}, {"a1", 0, MOFFS}, {"a2", 0, MOFFS}, {"a3", 0, MOFFS},
    {"0fb6", 8, MODRM}, {"0fb7", 8, MODRM}, {"0fbe", 8, MODRM}, {"0fbf", 8, MODRM}, {"63", 8, MODRM | ONLY_64},
    {"0f38f0", 8, MODRM | ONLY_MEM}, {"0f38f1", 8, MODRM | ONLY_MEM}, {"0fc3", 8, MODRM | ONLY_MEM | NO_66},
    {"0f40", 8, MODRM | PLUS_CC}, {"0f90", 0, MODRM | PLUS_CC}, {"8d", 8, MODRM | ONLY_MEM}, {"86", 8, MODRM}, {"87", 8, MODRM},
    {"90", 0, PLUS_R}, {"d7", 0, STRING}, {"0f1f", 0, MODRM}, {"0fae", 7, MODRM | ONLY_MEM | NO_66}, {"0f18", 1, MODRM | ONLY_MEM},
    {"0fc8", 0, PLUS_R | NO_66}, {"0fa4", 8, MODRM | IMM8}, {"0fa5", 8, MODRM}, {"0fac", 8, MODRM | IMM8}, {"0fad", 8, MODRM},
    {"0fa3", 8, MODRM | BIT_REG}, {"0fab", 8, MODRM | BIT_REG}, {"0fb3", 8, MODRM | BIT_REG}, {"0fbb", 8, MODRM | BIT_REG},
    {"0fba", 4, MODRM | IMM8}, {"0fba", 5, MODRM | IMM8}, {"0fba", 6, MODRM | IMM8}, {"0fba", 7, MODRM | IMM8},
    {"0fbc", 8, MODRM}, {"0fbd", 8, MODRM}, {"f30fbc", 8, MODRM}, {"f30fbd", 8, MODRM}, {"f30fb8", 8, MODRM},
    {"f20f38f0", 8, MODRM}, {"f20f38f1", 8, MODRM}, {"660f38f6", 8, MODRM | NO_66}, {"f30f38f6", 8, MODRM | NO_66},
    {"f5", 0, 0}, {"f8", 0, 0}, {"f9", 0, 0}, {"9e", 0, 0}, {"9f", 0, 0},
    {"50", 0, PLUS_R}, {"58", 0, PLUS_R}, {"68", 0, IMMZ}, {"6a", 0, IMM8}, {"ff", 6, MODRM}, {"8f", 0, MODRM}, {"c9", 0, 0},
    {"c8100000", 0, 0}, {"c8200001", 0, 0}, {"c8080003", 0, 0}, {"60", 0, ONLY_32}, {"61", 0, ONLY_32},
    {"e8010000009059", 0, FIXED}, {"68000005009dc3", 0, 0 | FIXED | ONLY_64 | ONLY_32}, {"8d44240850c3", 0, FIXED | ONLY_64 | ONLY_32},
    {"7005b901000000", 0, PLUS_CC | FIXED}, {"e205b901000000", 0, FIXED}, {"e105b901000000", 0, FIXED}, {"e005b901000000", 0, FIXED},
    {"e305b901000000", 0, FIXED}, {"67e305b901000000", 0, FIXED}, {"67e205b901000000", 0, FIXED}, {"eb05b901000000", 0, FIXED},
    {"b9030000000fafc1e2fb", 0, FIXED}, {"e80000000059488d490751c3", 0, FIXED | ONLY_64},
    {"e80000000059488d4909ffe1ffff", 0, FIXED | ONLY_64}, {"e800000000588d400650c3", 0, FIXED | ONLY_32},
    {"e8000000005983c106ffd1905a", 0, FIXED | ONLY_32}, {"e80000000059488d4907ffd1905a", 0, FIXED | ONLY_64},
    {"6a09c21000", 0, FIXED | ONLY_64 | ONLY_32},
    {"a4", 0, STRING}, {"a5", 0, STRING}, {"a6", 0, STRING}, {"a7", 0, STRING}, {"aa", 0, STRING}, {"ab", 0, STRING},
    {"ac", 0, STRING}, {"ad", 0, STRING}, {"ae", 0, STRING}, {"af", 0, STRING},
};
/* clang-format on */

/* One case: bytes, and the state before. */
struct trial {
    uint8_t code[64];      /* the instruction or instructions */
    unsigned len;          /* of code[] */
    struct host_regs regs; /* before */
    uint64_t *seed;        /* of the random numbers */
    bool is_64;            /* code size */
    bool is_skipped;       /* the result is undefined */
};

static uint64_t rnd(uint64_t *s)
{
    *s ^= *s << 13;
    *s ^= *s >> 7;
    *s ^= *s << 17;
    return *s;
}

static void put(struct trial *t, uint64_t v, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        t->code[t->len++] = (uint8_t)(v >> (8 * i));
}

static unsigned hex_byte(const char *s)
{
    char b[3] = {s[0], s[1], 0};
    return (unsigned)strtoul(b, NULL, 16);
}

static uint64_t small_address(struct trial *t)
{
    uint64_t r = rnd(t->seed);
    return LOW_DATA + (r & 1 ? 0xfc0 + (r >> 8) % 0x80 : 0x800 + (r >> 8) % 0x1000);
}

/* A memory operand in the data area; the registers it uses are set. */
static void put_memory(struct trial *t, unsigned reg, unsigned rex)
{
    uint64_t r = rnd(t->seed);
    unsigned how = r & 7, base = (r >> 4 & 7) | (rex & 1) << 3,
             index = (r >> 8 & 7) | (rex & 2) << 2;
    if (how == 0) { /* disp32: absolute, or RIP-relative in 64-bit code with what follows unknown:
                       SIB form */
        put(t, reg << 3 | 4, 1);
        put(t, 0x25, 1);
        put(t, small_address(t), 4);
        if (rex & 2) /* index 12 is R12 */
            t->regs.gpr[12] = 0;
        return;
    }
    bool has_index = how >= 4 && index != base && index != REG_RSP,
         needs_sib = (base & 7) == REG_RSP;
    unsigned scale = r >> 12 & 3, mod = r >> 14 & 1 ? 1 : 2;
    t->regs.gpr[base] = small_address(t);
    if (has_index) {
        t->regs.gpr[index] = r >> 20 & 31;
    } else if (needs_sib) {
        index = REG_RSP; /* none; but R12 with REX.X */
        scale = 0;
        if (rex & 2)
            t->regs.gpr[12] = base == 12 ? t->regs.gpr[12] / 2 : 0;
    }
    put(t, mod << 6 | reg << 3 | (has_index || needs_sib ? 4 : base & 7), 1);
    if (has_index || needs_sib)
        put(t, scale << 6 | (index & 7) << 3 | (base & 7), 1);
    put(t, r >> 32, mod == 1 ? 1 : 4);
    if (mod == 2) { /* keep it near */
        t->len -= 4;
        put(t, (uint64_t)(int64_t)(int8_t)(r >> 32), 4);
    }
}

static void put_modrm(struct trial *t, const struct form *f, unsigned rex)
{
    uint64_t r = rnd(t->seed);
    unsigned reg = f->digit < 8 ? f->digit : r & 7, full = reg | (rex & 4) << 1;
    if (f->kind & BIT_REG)
        t->regs.gpr[full] = ((r >> 8 & 0xfff) - 0x800) & (t->is_64 ? UINT64_MAX : UINT32_MAX);
    if (!(f->kind & ONLY_REG) && ((f->kind & ONLY_MEM) || (r >> 4 & 3)))
        put_memory(t, reg, rex);
    else
        put(t, 0xc0 | reg << 3 | (r >> 20 & 7), 1);
}

static void put_immediate(struct trial *t, const struct form *f, bool is_16, bool is_w, bool is_67)
{
    uint64_t r = rnd(t->seed);
    if (f->kind & IMM8)
        put(t, r & 0xff, 1);
    if (f->kind & (IMMZ | IMMV))
        put(t, r, is_w && (f->kind & IMMV) ? 8 : is_16 && !is_w ? 2 : 4);
    if (f->kind & MOFFS)
        put(t, small_address(t), t->is_64 && !is_67 ? 8 : 4);
}

static void make_registers(struct trial *t)
{
    static const uint64_t corner[] = {0,
                                      1,
                                      0x7f,
                                      0x80,
                                      0xff,
                                      0x7fff,
                                      0x8000,
                                      0xffff,
                                      0x7fffffff,
                                      0x80000000,
                                      0xffffffff,
                                      INT64_MAX,
                                      (uint64_t)INT64_MIN,
                                      UINT64_MAX};
    for (unsigned i = 0; i < 16; i++) {
        uint64_t r = rnd(t->seed);
        t->regs.gpr[i] = r & 1 ? corner[(r >> 8) % ARRAY_SIZE(corner)] : rnd(t->seed);
        if (!t->is_64)
            t->regs.gpr[i] = i < 8 ? (uint32_t)t->regs.gpr[i] : 0;
    }
    t->regs.gpr[REG_RSP] = STACK - 0x400 - (rnd(t->seed) & 1 ? 0xc00 : 0);
    t->regs.gpr[REG_RBP] = STACK - 0x200;
    t->regs.flags = (rnd(t->seed) & F_OSZAPC) | 2;
}

static void make_string(struct trial *t)
{
    uint64_t r = rnd(t->seed);
    t->regs.gpr[REG_RSI] = small_address(t);
    t->regs.gpr[REG_RDI] = r & 1 ? small_address(t) : t->regs.gpr[REG_RSI] + (r >> 8 & 15) - 8;
    t->regs.gpr[REG_RCX] = r >> 16 & 31;
    t->regs.gpr[REG_RBX] = LOW_DATA + 0x300;
    if (r >> 24 & 1)
        t->regs.flags |= F_DF;
    if (r >> 25 & 1)
        t->regs.gpr[REG_RAX] = 0;
    if (r >> 26 & 3)
        put(t, r >> 28 & 1 ? 0xf2 : 0xf3, 1);
}

static void make_trial(struct trial *t, const struct form *f)
{
    const char *op = f->opcode;
    uint64_t r = rnd(t->seed);
    bool is_16 = !(f->kind & (FIXED | NO_66)) && (r & 7) == 0;
    bool is_67 = !(f->kind & FIXED) && t->is_64 && (r >> 4 & 7) == 0;
    unsigned rex = t->is_64 && !(f->kind & FIXED) && (r >> 8 & 3) ? r >> 12 & 15 : 0;
    make_registers(t);
    if (is_16)
        put(t, 0x66, 1);
    if (is_67)
        put(t, 0x67, 1);
    if (f->kind & STRING) {
        make_string(t);
        rex &= 8;
    }
    if (!(f->kind & FIXED) &&
        (!strncmp(op, "f3", 2) || !strncmp(op, "f2", 2) || !strncmp(op, "66", 2)) && op[2]) {
        put(t, hex_byte(op), 1);
        op += 2;
    }
    if (rex)
        put(t, 0x40 | rex, 1);
    for (unsigned start = t->len; *op; op += 2)
        put(t, hex_byte(op), 1), (void)start;
    unsigned last = t->len - 1;
    if (f->kind & PLUS_R)
        t->code[last] = (uint8_t)(t->code[last] + (r >> 20 & 7));
    if (f->kind & PLUS_CC) {
        unsigned at = f->kind & FIXED ? 0 : last;
        t->code[at] = (uint8_t)(t->code[at] + (r >> 20 & 15));
    }
    if (f->kind & MODRM)
        put_modrm(t, f, rex);
    put_immediate(t, f, is_16, rex & 8, is_67);
}

/* ---- running ---- */

static void fill_memory(uint8_t *p, uint64_t seed)
{
    for (unsigned i = 0; i < LOW_SIZE; i += 8)
        le64_store(p + i, rnd(&seed) & (i & 64 ? UINT64_MAX : 0x0101010101010101));
}

static void run_on_host(const struct trial *t, struct host_regs *out)
{
    struct save *save = (struct save *)(uintptr_t)LOW_SAVE;
    uint8_t *code = (uint8_t *)(uintptr_t)LOW_CODE;
    /* jmp *[rip + 0] to host_leave; from 32-bit code by way of jmp 33h:TRAMPOLINE */
    static const uint8_t tail_64[] = {0xff, 0x25, 0, 0, 0, 0};
    static const uint8_t tail_32[] = {0xea, 0x00, 0x08, 0x05, 0x00, 0x33, 0x00};
    memcpy(code, t->code, t->len);
    uint8_t *tail = t->is_64 ? code + t->len : code + 0x800;
    memcpy(tail, tail_64, sizeof(tail_64));
    le64_store(tail + sizeof(tail_64), (uintptr_t)host_leave);
    if (!t->is_64)
        memcpy(code + t->len, tail_32, sizeof(tail_32));
    *save = (struct save){.far_offset = LOW_CODE, .far_selector = 0x23};
    le64_store((uint8_t *)save + 0x28,
               t->is_64 ? (uintptr_t)host_enter_64 : (uintptr_t)host_enter_32);
    le64_store((uint8_t *)save + 0x30, LOW_CODE);
    *out = t->regs;
    host_enter(out, !t->is_64);
}

static bool run_on_vcpu(struct harness *h, const struct trial *t, bool stepwise)
{
    struct cpu *cpu = &h->vcpu->arch;
    uint8_t bytes[sizeof(t->code) + 2];
    memcpy(bytes, t->code, t->len);
    memcpy(bytes + t->len, "\xeb\xfe", 2);
    EXPECT(physmem_write(h->pm, LOW_CODE, bytes, t->len + 2));
    memcpy(cpu->gpr, t->regs.gpr, sizeof(cpu->gpr));
    cpu->rflags = t->regs.flags;
    cpu->rip = LOW_CODE;
    for (unsigned n = 0; n < 100 && cpu->rip != LOW_CODE + t->len; n++)
        if (harness_run(h, stepwise ? 1 : 100) == CPU_EXIT_FAULT)
            return false;
    return cpu->rip == LOW_CODE + t->len;
}

/* Flags left undefined by any instruction of the trial; is_skipped when a result is. */
static uint32_t undefined_flags(const struct harness *h, struct trial *t)
{
    uint32_t mask = 0;
    for (unsigned at = 0; at < t->len;) {
        struct insn in;
        enum decode_mode mode = t->is_64 ? DECODE_64 : DECODE_32;
        if (decoder_decode(h->decoder, mode, t->code + at, sizeof(t->code) - at, &in) != DECODE_OK)
            break;
        unsigned last = in.operand_count ? in.operand_count - 1u : 0;
        uint64_t count = in.operands[last].kind == OPND_IMM ? in.imm : t->regs.gpr[REG_RCX];
        count &= in.operands[0].size == 8 ? 63 : 31;
        mask |= insn_row(in.row)->undefined;
        if ((in.op == OP_SHL || in.op == OP_SHR) && count >= in.operands[0].size * 8u)
            mask |= F_CF;
        if ((in.op == OP_SHLD || in.op == OP_SHRD) && in.operands[0].size == 2 && count > 16)
            t->is_skipped = true;
        if (in.op == OP_SHLD || in.op == OP_SHRD)
            mask |= count == 16 ? F_CF : 0u;
        if (in.op == OP_BSWAP && in.operands[0].size == 2)
            t->is_skipped = true;
        at += in.len;
    }
    return mask;
}

static void explain(const struct trial *t, const struct vcpu *vcpu, const struct host_regs *host)
{
    const struct cpu *cpu = &vcpu->arch;
    char text[200];
    unsigned n = 0;
    for (unsigned i = 0; i < t->len; i++)
        n += (unsigned)snprintf(text + n, sizeof(text) - n, "%02x", t->code[i]);
    print_error("%s code %s rip %llx vector %u flags %llx -> %llx, host %llx\n",
                t->is_64 ? "64-bit" : "32-bit", text, (unsigned long long)cpu->rip,
                vcpu->run.fault.vector, (unsigned long long)t->regs.flags,
                (unsigned long long)cpu->rflags, (unsigned long long)host->flags);
    for (unsigned r = 0; r < 16; r++)
        if (cpu->gpr[r] != host->gpr[r])
            print_error("  gpr %u: %llx -> %llx, host %llx\n", r,
                        (unsigned long long)t->regs.gpr[r], (unsigned long long)cpu->gpr[r],
                        (unsigned long long)host->gpr[r]);
}

/* True if they agree. */
static bool compare(struct harness *h, struct trial *t, struct host_regs *host)
{
    const struct cpu *cpu = &h->vcpu->arch;
    uint32_t flags = (F_OSZAPC | F_DF) & ~undefined_flags(h, t);
    bool same = ((cpu->rflags ^ host->flags) & flags) == 0;
    for (unsigned r = 0; r < 16; r++) {
        host->gpr[r] &= t->is_64 ? UINT64_MAX : r < 8 ? UINT32_MAX : 0;
        same = same && cpu->gpr[r] == host->gpr[r];
    }
    const uint8_t *mine = h->ram + LOW_DATA, *real = (uint8_t *)(uintptr_t)LOW_DATA;
    if (memcmp(mine, real, LOW_SIZE) != 0) {
        unsigned i = 0;
        while (mine[i] == real[i])
            i++;
        if (!t->is_skipped)
            print_error("memory %x: %02x, host %02x\n", LOW_DATA + i, mine[i], real[i]);
        same = false;
    }
    return same || t->is_skipped;
}

/* CMPXCHG16B at such an address is #GP(0). */
static bool is_misaligned(const struct harness *h)
{
    const uint8_t *p = h->ram + LOW_CODE;
    return h->vcpu->run.fault.vector == EXC_GP && memmem(p, 8, "\x0f\xc7", 2);
}

static bool map_low(uintptr_t at, size_t size, int prot)
{
    void *p =
        mmap((void *)at, size, prot, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    if (p != MAP_FAILED && (uintptr_t)p != at)
        munmap(p, size);
    return p != MAP_FAILED && (uintptr_t)p == at;
}

/* 32-bit code needs usable DS and ES; 64-bit code does not care. */
static void load_flat_segments(void)
{
    __asm__ volatile("mov %0, %%ds; mov %0, %%es" : : "r"(0x2b));
}

static void run_forms(bool is_64, unsigned trials)
{
    uint64_t seed = is_64 ? 64646464 : 32323232;
    struct harness *h = harness_create(is_64 ? DECODE_64 : DECODE_32);
    unsigned failures = 0;
    uint8_t *memory = malloc(LOW_SIZE);
    assert_non_null(memory);
    fill_memory(memory, seed);
    if (!map_low(LOW_DATA, LOW_SIZE, PROT_READ | PROT_WRITE) ||
        !map_low(LOW_CODE, 0x1000, PROT_READ | PROT_WRITE | PROT_EXEC) ||
        !map_low(LOW_SAVE, 0x1000, PROT_READ | PROT_WRITE))
        skip(); /* low memory can't be mapped here */
    load_flat_segments();
    for (unsigned k = 0; k < ARRAY_SIZE(forms) && failures < 20; k++) {
        unsigned kind = forms[k].kind & (ONLY_32 | ONLY_64);
        if (kind == (ONLY_32 | ONLY_64) || kind == (is_64 ? ONLY_32 : ONLY_64))
            continue;
        for (unsigned n = 0; n < trials && failures < 20; n++) {
            struct trial t = {.seed = &seed, .is_64 = is_64};
            struct host_regs host;
            make_trial(&t, &forms[k]);
            memcpy(h->ram + LOW_DATA, memory, LOW_SIZE);
            memcpy((uint8_t *)(uintptr_t)LOW_DATA, memory, LOW_SIZE);
            host = t.regs;
            bool done = run_on_vcpu(h, &t, n & 1);
            if (!done && is_misaligned(h))
                continue;
            if (done)
                run_on_host(&t, &host);
            if (!done || !compare(h, &t, &host)) {
                explain(&t, h->vcpu, &host);
                failures++;
            }
        }
    }
    munmap((void *)(uintptr_t)LOW_DATA, LOW_SIZE);
    munmap((void *)(uintptr_t)LOW_CODE, 0x1000);
    munmap((void *)(uintptr_t)LOW_SAVE, 0x1000);
    free(memory);
    harness_destroy(h);
    EXPECT_EQ(0, failures);
}

TEST(host, every_form_of_64_bit_code_agrees_with_the_processor)
{
    run_forms(true, 120);
}

TEST(host, every_form_of_32_bit_code_agrees_with_the_processor)
{
    run_forms(false, 120);
}

#else

TEST(host, every_form_of_64_bit_code_agrees_with_the_processor)
{
    skip(); /* the host is not an x86-64 Linux */
}

TEST(host, every_form_of_32_bit_code_agrees_with_the_processor)
{
    skip(); /* the host is not an x86-64 Linux */
}

#endif

TEST_MAIN(RUN(host, every_form_of_64_bit_code_agrees_with_the_processor)
              RUN(host, every_form_of_32_bit_code_agrees_with_the_processor))
