/* SPDX-License-Identifier: MIT */
/*
 * The guest's floating-point units into the host's and back: fp.h. The bringing thunks keep all
 * registers but T0 and T1; the giving one runs when the guest's registers are in memory.
 */
#include "cpu/jit/x86_64/jit_priv.h"

/* LDMXCSR and STMXCSR by their /digit. */
enum { LDMXCSR = 2, STMXCSR = 3 };

static void emit_mxcsr(struct emit *e, unsigned digit, struct host_mem m)
{
    emit_rm(e, X_0F | 0xae, 4, digit, m);
}

/* MXCSR bits 12:7 and FCW bits 5:0: the masks; MXCSR bits 5:0: the flags. */
#define MXCSR_ALL_MASKED 0x1f80
#define FCW_ALL_MASKED 0x3f
#define MXCSR_FLAGS 0x3f

static void ret(struct emit *e)
{
    emit_8(e, 0xc3);
}

static void store_byte(struct emit *e, struct host_mem m, unsigned v)
{
    emit_rm(e, 0xc6, 1, 0, m);
    emit_8(e, v);
}

/* The host's MXCSR becomes the guest's if that masks all exceptions. ZF: it did. */
static void make_bring_mxcsr(struct jit *jit, struct emit *e)
{
    jit->bring_mxcsr = emit_here(e);
    emit_load(e, 4, T0, ARCH(mxcsr));
    emit_alu_ri(e, ALU_AND, 4, T0, MXCSR_ALL_MASKED);
    emit_alu_ri(e, ALU_CMP, 4, T0, MXCSR_ALL_MASKED);
    emit_label unmasked = emit_jump(e, 5);
    emit_mxcsr(e, STMXCSR, RUN(jit_host_mxcsr));
    emit_load(e, 4, T0, ARCH(mxcsr));
    emit_alu_rm(e, ALU_CMP, 4, T0, RUN(jit_host_mxcsr));
    emit_label same = emit_jump(e, 4);
    emit_mxcsr(e, LDMXCSR, ARCH(mxcsr));
    emit_bind(e, same);
    store_byte(e, RUN(jit_fp), 1);
    emit_alu_rr(e, ALU_CMP, 4, T0, T0);
    emit_bind(e, unmasked);
    ret(e);
}

/* The guest's sees the flags that have come up; C has its own, but for flags that it never asks
 * for. RAX is used. */
static void give_mxcsr(struct emit *e)
{
    emit_alu_mi(e, ALU_CMP, 1, RUN(jit_fp), 0);
    emit_label none = emit_jump(e, 4);
    emit_mxcsr(e, STMXCSR, ARCH(mxcsr));
    store_byte(e, RUN(jit_fp), 0);
    emit_load(e, 4, H_RAX, ARCH(mxcsr));
    emit_alu_rm(e, ALU_XOR, 4, H_RAX, RUN(jit_host_mxcsr));
    emit_alu_ri(e, ALU_AND, 4, H_RAX, ~MXCSR_FLAGS);
    emit_label same = emit_jump(e, 4);
    emit_mxcsr(e, LDMXCSR, RUN(jit_host_mxcsr));
    emit_bind(e, same);
    emit_bind(e, none);
}

/* ---- x87 ---- */

/* What an instruction of the x87 needs: opcode, /digit, memory. */
static void emit_x87(struct emit *e, unsigned opcode, unsigned digit, struct host_mem m)
{
    emit_rm(e, opcode, 4, digit, m);
}

/* FLD m80 is DB /5, FSTP m80 DB /7, FLDENV D9 /4, FLDCW D9 /5, FNSTENV D9 /6, FNSTCW D9 /7, FNSTSW
 * DD /7. */
enum { FLD80 = 5, FSTP80 = 7, FLDENV = 4, FLDCW = 5, FNSTENV = 6, FNSTCW = 7, FNSTSW = 7 };

/* Significand, sign and exponent of the physical register in RAX. */
static struct host_mem mem_mant(void)
{
    struct host_mem m = ARCH(fp_mant);
    m.index = H_RAX;
    m.scale = 3;
    return m;
}

static struct host_mem mem_se(void)
{
    struct host_mem m = ARCH(fp_se);
    m.index = H_RAX;
    m.scale = 1;
    return m;
}

static struct host_mem ten_high(void)
{
    struct host_mem m = RUN(jit_ten);
    m.disp += 8;
    return m;
}

static struct host_mem env_field(unsigned i)
{
    struct host_mem m = RUN(jit_env);
    m.disp += (int32_t)(4 * i);
    return m;
}

static void push(struct emit *e, unsigned reg)
{
    emit_8(e, 0x50 | reg);
}

static void pop(struct emit *e, unsigned reg)
{
    emit_8(e, 0x58 | reg);
}

/* ES clear, TOP, tags and masks as T0 wants them, in jumps to fail. RAX := FSW, RCX := FCW. */
static void check_x87(struct emit *e, emit_label fail[4])
{
    emit_alu_mi(e, ALU_CMP, 1, RUN(jit_x87), 0);
    fail[0] = emit_jump(e, 5);
    emit_mov_rr(e, 4, H_RDX, T0);
    emit_shift_ri(e, 5, 4, H_RDX, 16);
    emit_rm(e, X_0F | 0xb7, 4, H_RAX, ARCH(fsw));
    emit_mov_rr(e, 4, H_RCX, H_RAX);
    emit_alu_ri(e, ALU_AND, 4, H_RCX, 0x3880); /* TOP, ES */
    emit_alu_rr(e, ALU_CMP, 4, H_RCX, H_RDX);
    fail[1] = emit_jump(e, 5);
    emit_mov_rr(e, 4, H_RDX, T0);
    emit_shift_ri(e, 5, 4, H_RDX, 8);
    emit_alu_rm(e, ALU_CMP, 1, H_RDX, ARCH(ftw));
    fail[2] = emit_jump(e, 5);
    emit_rm(e, X_0F | 0xb7, 4, H_RCX, ARCH(fcw));
    emit_mov_rr(e, 4, H_RDX, H_RCX);
    emit_alu_ri(e, ALU_AND, 4, H_RDX, FCW_ALL_MASKED);
    emit_alu_ri(e, ALU_CMP, 4, H_RDX, FCW_ALL_MASKED);
    fail[3] = emit_jump(e, 5);
}

/* An environment of FCW in RCX, FSW in RAX, all empty, with TOP so that loading the count in RDX
 * makes it the guest's. */
static void load_environment(struct emit *e)
{
    emit_x87(e, 0xd9, FNSTCW, RUN(jit_host_fcw));
    emit_store(e, 4, H_RCX, env_field(0));
    emit_mov_rr(e, 4, H_RDX, T0);
    emit_shift_ri(e, 5, 4, H_RDX, 3);
    emit_alu_ri(e, ALU_AND, 4, H_RDX, 15);
    emit_mov_rr(e, 4, H_RCX, H_RDX);
    emit_shift_ri(e, 4, 4, H_RCX, 11);
    emit_alu_rr(e, ALU_ADD, 4, H_RCX, H_RAX);
    emit_alu_ri(e, ALU_AND, 4, H_RCX, 0x3800);
    emit_alu_ri(e, ALU_AND, 4, H_RAX, ~0x3800);
    emit_alu_rr(e, ALU_OR, 4, H_RAX, H_RCX);
    emit_store(e, 4, H_RAX, env_field(1));
    emit_rm(e, 0xc7, 4, 0, env_field(2));
    emit_number(e, 0xffff, 4);
    emit_x87(e, 0xd9, FLDENV, RUN(jit_env));
}

/* The count in RDX of registers, the deepest first. */
static void load_registers(struct emit *e)
{
    emit_mov_rr(e, 4, H_RAX, T0);
    emit_alu_rr(e, ALU_ADD, 4, H_RAX, H_RDX);
    const uint8_t *again = emit_here(e);
    emit_alu_ri(e, ALU_SUB, 4, H_RDX, 1);
    emit_label done = emit_jump(e, 8);
    emit_alu_ri(e, ALU_SUB, 4, H_RAX, 1);
    emit_alu_ri(e, ALU_AND, 4, H_RAX, 7);
    emit_load(e, 8, T1, mem_mant());
    emit_store(e, 8, T1, RUN(jit_ten));
    emit_rm(e, X_0F | 0xb7, 4, T1, mem_se());
    emit_store(e, 2, T1, ten_high());
    emit_x87(e, 0xdb, FLD80, RUN(jit_ten));
    emit_jump_to(e, EMIT_ALWAYS, again);
    emit_bind(e, done);
}

/* Loading has cleared C1; FNSTENV, with everything masked, changes nothing. */
static void restore_c1(struct emit *e)
{
    struct host_mem high = ARCH(fsw);
    high.disp++;
    emit_rm(e, 0xf6, 1, 0, high); /* TEST m8, C1 */
    emit_8(e, 2);
    emit_label clear = emit_jump(e, 4);
    emit_x87(e, 0xd9, FNSTENV, RUN(jit_env));
    emit_alu_mi(e, ALU_OR, 4, env_field(1), 0x200);
    emit_x87(e, 0xd9, FLDENV, RUN(jit_env));
    emit_bind(e, clear);
}

/* T0: fp_want. ZF: the host's unit is the guest's. */
static void make_bring_x87(struct jit *jit, struct emit *e)
{
    emit_label fail[4];
    jit->bring_x87 = emit_here(e);
    push(e, H_RAX);
    push(e, H_RCX);
    push(e, H_RDX);
    check_x87(e, fail);
    load_environment(e);
    load_registers(e);
    restore_c1(e);
    emit_store(e, 1, T0, RUN(jit_x87));
    emit_alu_rr(e, ALU_CMP, 4, T0, T0);
    for (size_t i = 0; i < ARRAY_SIZE(fail); i++)
        emit_bind(e, fail[i]);
    pop(e, H_RDX);
    pop(e, H_RCX);
    pop(e, H_RAX);
    ret(e);
}

/* Registers, tags and FSW to where C looks for them; the host's unit is empty then. RAX, RCX, RDX
 * are used. */
static void give_x87(struct emit *e)
{
    emit_rm(e, X_0F | 0xb6, 4, H_RAX, RUN(jit_x87));
    emit_rr(e, 0x85, 4, H_RAX, H_RAX);
    emit_label none = emit_jump(e, 4);
    emit_x87(e, 0xdd, FNSTSW, ARCH(fsw));
    store_byte(e, RUN(jit_x87), 0);
    emit_mov_rr(e, 4, H_RCX, H_RAX);
    emit_shift_ri(e, 5, 4, H_RCX, 3);
    emit_alu_ri(e, ALU_AND, 4, H_RCX, 15);
    emit_alu_rr(e, ALU_XOR, 4, H_RDX, H_RDX);
    const uint8_t *again = emit_here(e);
    emit_alu_ri(e, ALU_SUB, 4, H_RCX, 1);
    emit_label done = emit_jump(e, 8);
    emit_alu_ri(e, ALU_AND, 4, H_RAX, 7);
    emit_rr(e, X_0F | 0xab, 4, H_RAX, H_RDX); /* BTS EDX, EAX */
    emit_x87(e, 0xdb, FSTP80, RUN(jit_ten));
    emit_load(e, 8, H_RSI, RUN(jit_ten));
    emit_store(e, 8, H_RSI, mem_mant());
    emit_rm(e, X_0F | 0xb7, 4, H_RSI, ten_high());
    emit_store(e, 2, H_RSI, mem_se());
    emit_alu_ri(e, ALU_ADD, 4, H_RAX, 1);
    emit_jump_to(e, EMIT_ALWAYS, again);
    emit_bind(e, done);
    emit_store(e, 1, H_RDX, ARCH(ftw));
    emit_rm(e, X_0F | 0xb7, 4, H_RAX, RUN(jit_host_fcw));
    emit_alu_rm(e, ALU_CMP, 2, H_RAX, ARCH(fcw));
    emit_label same = emit_jump(e, 4);
    emit_x87(e, 0xd9, FLDCW, RUN(jit_host_fcw));
    emit_bind(e, same);
    emit_bind(e, none);
}

void jit_make_fp_thunks(struct jit *jit, struct emit *e)
{
    make_bring_mxcsr(jit, e);
    make_bring_x87(jit, e);
    jit->give_fp = emit_here(e);
    give_mxcsr(e);
    give_x87(e);
    ret(e);
}
