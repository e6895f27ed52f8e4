/* SPDX-License-Identifier: MIT */
/*
 * The guest's floating-point units into the host's and back: fp.h. The bringing thunks keep all
 * registers but T0 and T1; the giving one runs when the guest's registers are in memory, on C's
 * stack.
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

/* FRSTOR is DD /4, FLDCW D9 /5, FNSAVE DD /6, FNSTCW D9 /7. */
enum { FRSTOR = 4, FLDCW = 5, FNSAVE = 6, FNSTCW = 7 };

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

static struct host_mem image(unsigned offset)
{
    struct host_mem m = RUN(jit_fsave);
    m.disp += (int32_t)offset;
    return m;
}

/* Of FNSAVE's image: 32-bit fields, then ST(0) to ST(7). */
enum { AT_FCW = 0, AT_FSW = 4, AT_TAGS = 8, AT_REGISTERS = 28 };

static void push(struct emit *e, unsigned reg)
{
    emit_8(e, 0x50 | reg);
    e->pushed += 8;
}

static void pop(struct emit *e, unsigned reg)
{
    emit_8(e, 0x58 | reg);
    e->pushed -= 8;
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

/* EAX, EDX: x := (x | x << by) & mask. */
static void spread(struct emit *e, unsigned by, int32_t mask)
{
    emit_mov_rr(e, 4, H_RDX, H_RAX);
    emit_shift_ri(e, 4, 4, H_RDX, by);
    emit_alu_rr(e, ALU_OR, 4, H_RAX, H_RDX);
    if (mask)
        emit_alu_ri(e, ALU_AND, 4, H_RAX, mask);
}

/* FCW in RCX, FSW in RAX; two bits of tag for each empty register. */
static void make_image(struct emit *e)
{
    emit_x87(e, 0xd9, FNSTCW, RUN(jit_host_fcw));
    emit_store(e, 4, H_RCX, image(AT_FCW));
    emit_store(e, 4, H_RAX, image(AT_FSW));
    emit_rm(e, X_0F | 0xb6, 4, H_RAX, ARCH(ftw));
    emit_alu_ri(e, ALU_XOR, 4, H_RAX, 0xff);
    spread(e, 4, 0x0f0f);
    spread(e, 2, 0x3333);
    spread(e, 1, 0x5555);
    spread(e, 1, 0);
    emit_store(e, 4, H_RAX, image(AT_TAGS));
}

/* All registers, for FXSAVE and the like show empty ones, too. */
static void load_registers(struct emit *e)
{
    emit_mov_rr(e, 4, H_RAX, T0);
    for (unsigned i = 0; i < 8; i++) {
        emit_alu_ri(e, ALU_AND, 4, H_RAX, 7);
        emit_load(e, 8, T1, mem_mant());
        emit_store(e, 8, T1, image(AT_REGISTERS + 10 * i));
        emit_rm(e, X_0F | 0xb7, 4, T1, mem_se());
        emit_store(e, 2, T1, image(AT_REGISTERS + 10 * i + 8));
        emit_alu_ri(e, ALU_ADD, 4, H_RAX, 1);
    }
    emit_x87(e, 0xdd, FRSTOR, image(0));
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
    make_image(e);
    load_registers(e);
    emit_store(e, 1, T0, RUN(jit_x87));
    emit_alu_rr(e, ALU_CMP, 4, T0, T0);
    for (size_t i = 0; i < ARRAY_SIZE(fail); i++)
        emit_bind(e, fail[i]);
    pop(e, H_RDX);
    pop(e, H_RCX);
    pop(e, H_RAX);
    ret(e);
}

/* Registers, tags and FSW to where C looks for them; FNSAVE leaves the host's unit empty, with the
 * FCW that programs begin with. RAX, RCX, RDX, RSI are used. */
static void give_x87(struct emit *e)
{
    emit_rm(e, X_0F | 0xb6, 4, H_RAX, RUN(jit_x87));
    emit_rr(e, 0x85, 4, H_RAX, H_RAX);
    emit_label none = emit_jump(e, 4);
    emit_x87(e, 0xdd, FNSAVE, image(0));
    emit_x87(e, 0xd9, FLDCW, RUN(jit_host_fcw));
    store_byte(e, RUN(jit_x87), 0);
    emit_load(e, 4, H_RSI, image(AT_FSW));
    emit_store(e, 2, H_RSI, ARCH(fsw));
    emit_mov_rr(e, 4, H_RCX, H_RAX);
    emit_shift_ri(e, 5, 4, H_RCX, 3);
    emit_alu_ri(e, ALU_AND, 4, H_RCX, 15);
    emit_alu_rr(e, ALU_XOR, 4, H_RDX, H_RDX);
    for (unsigned i = 0; i < 8; i++) {
        emit_alu_ri(e, ALU_AND, 4, H_RAX, 7);
        emit_load(e, 8, H_RSI, image(AT_REGISTERS + 10 * i));
        emit_store(e, 8, H_RSI, mem_mant());
        emit_rm(e, X_0F | 0xb7, 4, H_RSI, image(AT_REGISTERS + 10 * i + 8));
        emit_store(e, 2, H_RSI, mem_se());
        emit_alu_ri(e, ALU_CMP, 4, H_RCX, (int32_t)i);
        emit_label empty = emit_jump(e, 6);       /* not above */
        emit_rr(e, X_0F | 0xab, 4, H_RAX, H_RDX); /* BTS EDX, EAX */
        emit_bind(e, empty);
        emit_alu_ri(e, ALU_ADD, 4, H_RAX, 1);
    }
    emit_store(e, 1, H_RDX, ARCH(ftw));
    emit_bind(e, none);
}

void jit_make_fp_thunks(struct jit *jit, struct emit *e)
{
    e->pushed = 8; /* the return address */
    make_bring_mxcsr(jit, e);
    make_bring_x87(jit, e);
    e->in_c = true;
    jit->give_fp = emit_here(e);
    give_mxcsr(e);
    give_x87(e);
    ret(e);
}
