/* SPDX-License-Identifier: MIT */
/*
 * The seams between C and translated code, made once. Translated code has a stack of its own, which
 * begins below the vCPU; C runs on that of whoever called enter, with the vCPU in R15 meanwhile.
 */
#include "cpu/jit/x86_64/jit_priv.h"

/* Kept by the C that called: SysV AMD64 ABI, "Register Usage". */
static const uint8_t callee_saved[] = {H_RBX, H_RBP, H_R12, H_R13, H_R14, H_R15};

const uint8_t pinned[16] = {H_RAX, H_RCX, H_RDX, H_RBX, H_R12,  H_RBP,  H_RSI,  H_RDI,
                            H_R8,  H_R9,  H_R10, H_R11, H_R15,  H_NONE, H_NONE, H_NONE};

struct host_mem mem_vcpu(size_t offset)
{
    return (struct host_mem){VCPU, H_NONE, 0, (int32_t)offset};
}

static struct host_mem arch_gpr(unsigned g)
{
    return mem_vcpu(offsetof(struct vcpu, arch.gpr) + 8 * g);
}

#define FIRST_BELOW 13 /* guest registers from here on are below RSP */

struct host_mem mem_gpr(unsigned g)
{
    if (g < FIRST_BELOW)
        return arch_gpr(g);
    return (struct host_mem){VCPU, H_NONE, 0, BELOW_GPR + 8 * (int32_t)(g - FIRST_BELOW)};
}

static struct host_mem mem_at(unsigned base, size_t offset)
{
    return (struct host_mem){(uint8_t)base, H_NONE, 0, (int32_t)offset};
}

static void push(struct emit *e, unsigned reg)
{
    emit_opcode(e, 0x50 | (reg & 7), 4, 0, H_NONE, reg, false);
    e->pushed += 8;
}

static void pop(struct emit *e, unsigned reg)
{
    emit_opcode(e, 0x58 | (reg & 7), 4, 0, H_NONE, reg, false);
    e->pushed -= 8;
}

/* Code that follows is run with so many bytes on the stack of translated code. */
static void on_own_stack(struct emit *e, int32_t pushed)
{
    e->in_c = false;
    e->pushed = pushed;
}

/* To C's stack: what C finds when translated code calls it, or leaves. All registers but T0 and T1
 * are free. */
static void to_c(const struct jit *jit, struct emit *e)
{
    for (unsigned g = 0; g < 16; g++)
        if (pinned[g] != H_NONE)
            emit_store(e, 8, pinned[g], arch_gpr(g));
    for (unsigned g = FIRST_BELOW; g < 16; g++) {
        emit_load(e, 8, H_RAX, mem_gpr(g));
        emit_store(e, 8, H_RAX, arch_gpr(g));
    }
    emit_lea(e, 8, H_R15, mem_vcpu(0));
    e->in_c = true;
    emit_load(e, 8, H_RSP, RUN(jit_host_stack));
    emit_alu_mi(e, ALU_CMP, 2, RUN(jit_fp), 0); /* and jit_x87 */
    emit_label none = emit_jump(e, 4);
    emit_call_to(e, jit->give_fp);
    emit_bind(e, none);
}

/* Back, with so many bytes on it. */
static void to_own_stack(struct emit *e, int32_t pushed)
{
    emit_lea(e, 8, H_RSP, (struct host_mem){H_R15, H_NONE, 0, -pushed});
    on_own_stack(e, pushed);
}

static void reload(struct emit *e)
{
    for (unsigned g = FIRST_BELOW; g < 16; g++) {
        emit_load(e, 8, H_RAX, arch_gpr(g));
        emit_store(e, 8, H_RAX, mem_gpr(g));
    }
    for (unsigned g = 0; g < 16; g++)
        if (pinned[g] != H_NONE)
            emit_load(e, 8, pinned[g], arch_gpr(g));
}

/* RDI is vcpu for all that is called. */
static void vcpu_argument(struct emit *e)
{
    emit_lea(e, 8, H_RDI, mem_vcpu(0));
}

static void call_c(struct emit *e, uintptr_t function)
{
    vcpu_argument(e);
    emit_mov_ri(e, H_RAX, function);
    emit_rr(e, 0xff, 4, 2, H_RAX);
}

/* What enter pushed. */
static void leave_frame(struct emit *e)
{
    emit_alu_ri(e, ALU_ADD, 8, H_RSP, 8);
    for (size_t i = ARRAY_SIZE(callee_saved); i-- > 0;)
        pop(e, callee_saved[i]);
}

static void ret(struct emit *e)
{
    emit_8(e, 0xc3);
}

/* run.block and run.insn_base from a site or exit in `from`; RAX is used. */
static void set_place(struct emit *e, unsigned from, size_t block, size_t offset)
{
    emit_load(e, 8, H_RAX, mem_at(from, block));
    emit_store(e, 8, H_RAX, RUN(block));
    emit_load(e, 4, H_RAX, mem_at(from, offset));
    emit_alu_rm(e, ALU_ADD, 8, H_RAX, RUN(jit_page));
    emit_store(e, 8, H_RAX, RUN(insn_base));
}

/* int enter(vcpu, code): the caller has charged the block; the flags are in the image. */
static void make_enter(struct jit *jit, struct emit *e)
{
    jit->enter = (jit_enter_fn *)(uintptr_t)emit_here(e);
    for (size_t i = 0; i < ARRAY_SIZE(callee_saved); i++)
        push(e, callee_saved[i]);
    emit_alu_ri(e, ALU_SUB, 8, H_RSP, 8); /* C is called with a multiple of 16 */
    emit_store(e, 8, H_RSP, mem_at(H_RDI, offsetof(struct vcpu, run.jit_host_stack)));
    emit_mov_rr(e, 8, T0, H_RSI);
    emit_mov_rr(e, 8, H_R15, H_RDI);
    to_own_stack(e, 0);
    emit_rm(e, 0xc7, 8, 0, host_room_4);
    emit_number(e, PAGE_SIZE - 4, 4);
    emit_rm(e, 0xc7, 8, 0, host_room_8);
    emit_number(e, PAGE_SIZE - 8, 4);
    reload(e);
    emit_rr(e, 0xff, 4, 4, T0); /* JMP */
}

/* Status in EAX, registers in memory: to whoever called enter, or on to run.rec. The loop
 * dispatcher does the latter itself. */
static void make_leave(struct emit *e)
{
    if (!HAVE_TAIL_CALLS) {
        leave_frame(e);
        ret(e);
        return;
    }
    emit_alu_ri(e, ALU_CMP, 4, H_RAX, EXEC_CHAIN);
    emit_label chains = emit_jump(e, 4);
    leave_frame(e);
    ret(e);
    emit_bind(e, chains);
    vcpu_argument(e);
    emit_load(e, 8, H_RSI, RUN(rec));
    leave_frame(e);
    emit_load(e, 8, H_RAX, mem_at(H_RSI, offsetof(struct rec, fn)));
    emit_rr(e, 0xff, 4, 4, H_RAX);
}

/* T0: site. Called; returns when the handler says EXEC_NEXT and nobody wants a break behind it.
 * flags: it reads or writes them. */
static const uint8_t *make_call(const struct jit *jit, struct emit *e, bool flags)
{
    const uint8_t *start = emit_here(e);
    on_own_stack(e, 8);
    emit_alu_mi(e, ALU_ADD, 8, mem_at(T0, offsetof(struct jit_site, calls)), 1);
    to_c(jit, e);
    set_place(e, T0, offsetof(struct jit_site, block), offsetof(struct jit_site, offset));
    if (flags)
        call_c(e, (uintptr_t)jit_flags_from_memory);
    vcpu_argument(e);
    emit_load(e, 8, H_RSI, mem_at(T0, offsetof(struct jit_site, rec)));
    emit_rm(e, 0xff, 4, 2, mem_at(T0, offsetof(struct jit_site, fn)));
    emit_rr(e, 0x85, 4, H_RAX, H_RAX); /* EXEC_NEXT is 0 */
    emit_label leaves = emit_jump(e, 5);
    emit_alu_mi(e, ALU_CMP, 8, RUN(patched), 0);
    emit_label breaks = emit_jump(e, 5);
    if (flags)
        call_c(e, (uintptr_t)jit_flags_to_memory);
    to_own_stack(e, 8);
    reload(e);
    ret(e);
    e->in_c = true;
    emit_bind(e, breaks); /* before the next record, which is patched */
    emit_load(e, 8, H_RSI, mem_at(T0, offsetof(struct jit_site, rec)));
    emit_alu_ri(e, ALU_ADD, 8, H_RSI, sizeof(struct rec));
    call_c(e, (uintptr_t)exec_break);
    emit_bind(e, leaves);
    if (!flags) {
        emit_mov_rr(e, 4, H_RBX, H_RAX);
        call_c(e, (uintptr_t)jit_flags_from_memory);
        emit_mov_rr(e, 4, H_RAX, H_RBX);
    }
    make_leave(e);
    return start;
}

/* T0: site. Called; returns behind a sensitive instruction, or goes on with the code of the next block. */
static void make_call_step(struct jit *jit, struct emit *e)
{
    jit->call_step = emit_here(e);
    on_own_stack(e, 8);
    to_c(jit, e);
    emit_mov_rr(e, 8, H_RSI, T0);
    call_c(e, (uintptr_t)jit_step);
    emit_mov_rr(e, 8, T0, H_RAX);
    emit_alu_ri(e, ALU_CMP, 8, H_RAX, 1); /* JIT_STEP_NEXT */
    emit_label leaves = emit_jump(e, 2);
    emit_label elsewhere = emit_jump(e, 5);
    to_own_stack(e, 8);
    reload(e);
    ret(e);
    emit_bind(e, elsewhere);
    e->in_c = true;
    to_own_stack(e, 0);
    reload(e);
    emit_rr(e, 0xff, 4, 4, T0); /* JMP */
    emit_bind(e, leaves);
    e->in_c = true;
    emit_load(e, 4, H_RAX, mem_vcpu(offsetof(struct vcpu, aside.jit_status)));
    make_leave(e);
}

/* T0: site. Its handler goes on from here. */
static void make_tail(struct jit *jit, struct emit *e)
{
    jit->tail = emit_here(e);
    on_own_stack(e, 0);
    emit_alu_mi(e, ALU_ADD, 8, mem_at(T0, offsetof(struct jit_site, calls)), 1);
    to_c(jit, e);
    set_place(e, T0, offsetof(struct jit_site, block), offsetof(struct jit_site, offset));
    call_c(e, (uintptr_t)jit_flags_from_memory);
    vcpu_argument(e);
    emit_load(e, 8, H_RSI, mem_at(T0, offsetof(struct jit_site, rec)));
    emit_load(e, 8, H_RDX, mem_at(T0, offsetof(struct jit_site, fn)));
    leave_frame(e);
    emit_mov_ri(e, H_RAX, (uintptr_t)exec_jit_tail);
    emit_rr(e, 0xff, 4, 4, H_RAX);
}

/* T0: site; T1: DROP_BEHIND, DROP_WIDE or 0. To exec_jit_drop. */
static void make_drop(struct jit *jit, struct emit *e)
{
    jit->drop = emit_here(e);
    on_own_stack(e, 0);
    to_c(jit, e);
    set_place(e, T0, offsetof(struct jit_site, block), offsetof(struct jit_site, offset));
    call_c(e, (uintptr_t)jit_flags_from_memory);
    vcpu_argument(e);
    emit_load(e, 8, H_RSI, mem_at(T0, offsetof(struct jit_site, rec)));
    emit_mov_rr(e, 8, H_RDX, T1);
    leave_frame(e);
    emit_mov_ri(e, H_RAX, (uintptr_t)exec_jit_drop);
    emit_rr(e, 0xff, 4, 4, H_RAX);
}

/* T0: exit. To the function in C. */
static void leave_by(struct jit *jit, struct emit *e, uintptr_t function)
{
    to_c(jit, e);
    set_place(e, T0, offsetof(struct jit_exit, block), offsetof(struct jit_exit, offset));
    call_c(e, (uintptr_t)jit_flags_from_memory);
    vcpu_argument(e);
    emit_load(e, 8, H_RSI, mem_at(T0, offsetof(struct jit_exit, rec)));
    emit_mov_rr(e, 8, H_RDX, T0);
    leave_frame(e);
    emit_mov_ri(e, H_RAX, function);
    emit_rr(e, 0xff, 4, 4, H_RAX);
}

static void make_link(struct jit *jit, struct emit *e)
{
    jit->link = emit_here(e);
    on_own_stack(e, 0);
    leave_by(jit, e, (uintptr_t)exec_jit_link);
}

/* reg := the exit that follows the call. */
static void take_exit(struct emit *e, unsigned reg)
{
    on_own_stack(e, sizeof(uint64_t));
    pop(e, reg);
    emit_load(e, 8, reg, mem_at(reg, 0));
}

static void make_call_exit(struct jit *jit, struct emit *e)
{
    jit->call = emit_here(e);
    take_exit(e, T0);
    leave_by(jit, e, (uintptr_t)exec_jit_call);
}

/* Unlinked, the refund has been given by the charge. */
static void make_out(struct jit *jit, struct emit *e)
{
    jit->out = emit_here(e);
    take_exit(e, T0);
    emit_alu_mi(e, ALU_CMP, 8, RUN(budget), 0);
    emit_jump_to(e, 12, jit->over);
    emit_load(e, 4, T1, mem_at(T0, offsetof(struct jit_exit, refund)));
    emit_alu_mr(e, ALU_SUB, 8, RUN(budget), T1);
    emit_jump_to(e, EMIT_ALWAYS, jit->link);
}

/* T0: exit whose charge made the budget negative. Take it back and leave for the run loop. A seam's: which is told. */
static void make_over(struct jit *jit, struct emit *e)
{
    jit->seam_over = emit_here(e);
    emit_rm(e, 0xc6, 1, 0, RUN(jit_at_seam));
    emit_8(e, true);
    jit->over = emit_here(e);
    on_own_stack(e, 0);
    to_c(jit, e);
    emit_load(e, 4, H_RAX, mem_at(T0, offsetof(struct jit_exit, give_back)));
    emit_alu_mr(e, ALU_ADD, 8, RUN(budget), H_RAX);
    emit_load(e, 8, H_RAX, mem_at(T0, offsetof(struct jit_exit, target)));
    emit_alu_rm(e, ALU_ADD, 8, H_RAX, RUN(jit_page));
    emit_alu_rm(e, ALU_AND, 8, H_RAX, RUN(la_mask));
    emit_store(e, 8, H_RAX, ARCH(rip));
    call_c(e, (uintptr_t)jit_flags_from_memory);
    leave_frame(e);
    emit_mov_ri(e, H_RAX, EXEC_LOOKUP);
    ret(e);
}

/* arch.gpr of the pinned registers is stale here: room for two of them. */
static void save_two(struct emit *e)
{
    emit_store(e, 8, H_RAX, mem_gpr(REG_RAX));
    emit_store(e, 8, H_RCX, mem_gpr(REG_RCX));
}

static void restore_two(struct emit *e)
{
    emit_load(e, 8, H_RAX, mem_gpr(REG_RAX));
    emit_load(e, 8, H_RCX, mem_gpr(REG_RCX));
}

/*
 * An exit to another page, whose tag is not the present one. If the fetch array has the frame that
 * it is made for, it has the tag now, and goes on.
 */
static void make_look(struct jit *jit, struct emit *e)
{
    emit_label miss[2];
    jit->look = emit_here(e);
    take_exit(e, T0);
    save_two(e);
    emit_load(e, 8, H_RAX, mem_at(T0, offsetof(struct jit_exit, target)));
    emit_alu_ri(e, ALU_AND, 8, H_RAX, -(int32_t)PAGE_SIZE);
    emit_alu_rm(e, ALU_ADD, 8, H_RAX, RUN(jit_page));
    emit_alu_rm(e, ALU_AND, 8, H_RAX, RUN(la_mask));
    emit_shifted(jit, e, H_RCX, H_RAX, PAGE_SHIFT - 4);
    emit_alu_rm(e, ALU_AND, 8, H_RCX, RUN(mmu.view.fetch_mask));
    emit_alu_rm(e, ALU_ADD, 8, H_RCX, RUN(mmu.view.fetch));
    emit_alu_rm(e, ALU_CMP, 8, H_RAX, mem_at(H_RCX, offsetof(struct vtlb_entry, tag)));
    miss[0] = emit_jump(e, 5);
    emit_alu_rm(e, ALU_ADD, 8, H_RAX, mem_at(H_RCX, offsetof(struct vtlb_entry, addend)));
    emit_alu_rm(e, ALU_CMP, 8, H_RAX, mem_at(T0, offsetof(struct jit_exit, frame)));
    miss[1] = emit_jump(e, 5);
    emit_load(e, 8, H_RAX, RUN(jit_page));
    emit_alu_rm(e, ALU_XOR, 8, H_RAX, RUN(mmu.view.epoch));
    emit_load(e, 4, H_RCX, mem_at(T0, offsetof(struct jit_exit, tag_at)));
    emit_store(e, 8, H_RAX, (struct host_mem){VCPU, H_RCX, 0, 0});
    restore_two(e);
    emit_rm(e, 0xff, 4, 4, mem_at(T0, offsetof(struct jit_exit, hit)));
    emit_bind(e, miss[0]);
    emit_bind(e, miss[1]);
    restore_two(e);
    emit_rm(e, 0xff, 4, 4, mem_at(T0, offsetof(struct jit_exit, miss)));
}

/* RAX := guest-physical address of T0, by the fetch array, or to the label. RCX is used. */
static emit_label fetch_pa(struct emit *e)
{
    emit_mov_rr(e, 8, H_RAX, T0);
    emit_shift_ri(e, 5, 8, H_RAX, PAGE_SHIFT - 4);
    emit_alu_rm(e, ALU_AND, 8, H_RAX, RUN(mmu.view.fetch_mask));
    emit_alu_rm(e, ALU_ADD, 8, H_RAX, RUN(mmu.view.fetch));
    emit_mov_rr(e, 8, H_RCX, T0);
    emit_alu_ri(e, ALU_AND, 8, H_RCX, -(int32_t)PAGE_SIZE);
    emit_alu_rm(e, ALU_CMP, 8, H_RCX, mem_at(H_RAX, offsetof(struct vtlb_entry, tag)));
    emit_label miss = emit_jump(e, 5);
    emit_load(e, 8, H_RAX, mem_at(H_RAX, offsetof(struct vtlb_entry, addend)));
    emit_alu_rr(e, ALU_ADD, 8, H_RAX, T0);
    return miss;
}

/* RDX := the place of the address in RAX. RCX is used. */
static void place_of(const struct jit *jit, struct emit *e)
{
    static_assert(sizeof(struct jit_place) == 16, "an index is shifted by 4");
    emit_mov_rr(e, 8, H_RCX, H_RAX);
    emit_shift_ri(e, 5, 8, H_RCX, PAGE_SHIFT);
    emit_alu_rr(e, ALU_XOR, 4, H_RCX, H_RAX);
    emit_alu_ri(e, ALU_AND, 4, H_RCX, JIT_PLACES - 1);
    emit_shift_ri(e, 4, 8, H_RCX, 4);
    emit_mov_ri(e, H_RDX, (uintptr_t)jit->places);
    emit_alu_rr(e, ALU_ADD, 8, H_RDX, H_RCX);
}

/*
 * RDX := the place of the address in RAX, and RAX := its code, which is remembered for T0, a RIP
 * that becomes RIP XOR epoch; or to the labels. RCX is used.
 */
static void remember_place(const struct jit *jit, struct emit *e, emit_label miss[2])
{
    place_of(jit, e);
    emit_alu_rm(e, ALU_CMP, 8, H_RAX, mem_at(H_RDX, offsetof(struct jit_place, pa)));
    miss[0] = emit_jump(e, 5);
    emit_load(e, 4, H_RAX, RUN(mode));
    emit_alu_rm(e, ALU_CMP, 4, H_RAX, mem_at(H_RDX, offsetof(struct jit_place, mode)));
    miss[1] = emit_jump(e, 5);
    emit_load(e, 4, H_RAX, mem_at(H_RDX, offsetof(struct jit_place, to)));
    emit_mov_ri(e, H_RCX, (uintptr_t)jit->memory.run);
    emit_alu_rr(e, ALU_ADD, 8, H_RAX, H_RCX);
    emit_jump_index(e, H_RDX);
    emit_alu_rm(e, ALU_XOR, 8, T0, RUN(mmu.view.epoch));
    emit_store(e, 8, T0, jump_tag(H_RDX));
    emit_store(e, 8, H_RAX, jump_to(H_RDX));
}

static void push_three(struct emit *e)
{
    push(e, H_RAX);
    push(e, H_RCX);
    push(e, H_RDX);
}

static void pop_three(struct emit *e)
{
    pop(e, H_RDX);
    pop(e, H_RCX);
    pop(e, H_RAX);
}

/* Bind the labels where three registers are pushed; pop them. T0: target; T1: site or exit, which
 * has the block and the offset there. To the function in C, with the record, the target and T1. */
static void leave_with_target(const struct jit *jit, struct emit *e, const emit_label miss[],
                              size_t count, size_t block, size_t offset, size_t rec,
                              uintptr_t function)
{
    on_own_stack(e, 24);
    for (size_t i = 0; i < count; i++)
        emit_bind(e, miss[i]);
    pop_three(e);
    to_c(jit, e);
    set_place(e, T1, block, offset);
    call_c(e, (uintptr_t)jit_flags_from_memory);
    vcpu_argument(e);
    emit_load(e, 8, H_RSI, mem_at(T1, rec));
    emit_mov_rr(e, 8, H_RDX, T0);
    emit_mov_rr(e, 8, H_RCX, T1);
    leave_frame(e);
    emit_mov_ri(e, H_RAX, function);
    emit_rr(e, 0xff, 4, 4, H_RAX);
}

/*
 * T0: target RIP, canonical; T1: site. To the code that is known at its physical address, which is
 * entered as a computed jump, and remembered as such.
 */
static void make_indirect(struct jit *jit, struct emit *e)
{
    emit_label miss[3];
    jit->indirect = emit_here(e);
    on_own_stack(e, 0);
    push_three(e);
    miss[0] = fetch_pa(e);
    remember_place(jit, e, miss + 1);
    emit_mov_rr(e, 8, T1, H_RAX);
    pop_three(e);
    emit_rr(e, 0xff, 4, 4, T1);
    leave_with_target(jit, e, miss, ARRAY_SIZE(miss), offsetof(struct jit_site, block),
                      offsetof(struct jit_site, offset), offsetof(struct jit_site, rec),
                      (uintptr_t)exec_jit_indirect);
}

/*
 * T0: target XOR epoch, which the vCPU does not have as the tag of the exit (expect.c). If it has
 * only not been looked up in this epoch, it has it now. Else it goes by the table of computed
 * jumps, where it is now; now and then by C, which may link it.
 */
static void make_expect(struct jit *jit, struct emit *e)
{
    emit_label miss[4];
    jit->expect = emit_here(e);
    take_exit(e, T1);
    emit_alu_rm(e, ALU_XOR, 8, T0, RUN(mmu.view.epoch));
    push_three(e);
    miss[0] = fetch_pa(e);
    emit_alu_rm(e, ALU_CMP, 8, H_RAX, mem_at(T1, offsetof(struct jit_exit, pa)));
    emit_label other = emit_jump(e, 5);
    emit_alu_rm(e, ALU_XOR, 8, T0, RUN(mmu.view.epoch));
    emit_load(e, 4, H_RCX, mem_at(T1, offsetof(struct jit_exit, tag_at)));
    emit_store(e, 8, T0, (struct host_mem){VCPU, H_RCX, 0, 0});
    pop_three(e);
    emit_rm(e, 0xff, 4, 4, mem_at(T1, offsetof(struct jit_exit, hit)));
    on_own_stack(e, 24);
    emit_bind(e, other);
    emit_alu_mi(e, ALU_SUB, 8, mem_at(T1, offsetof(struct jit_exit, misses)), 1);
    miss[1] = emit_jump(e, 4);
    remember_place(jit, e, miss + 2);
    pop_three(e);
    emit_rm(e, 0xff, 4, 4, mem_at(T1, offsetof(struct jit_exit, miss)));
    leave_with_target(jit, e, miss, ARRAY_SIZE(miss), offsetof(struct jit_exit, block),
                      offsetof(struct jit_exit, offset), offsetof(struct jit_exit, rec),
                      (uintptr_t)exec_jit_expect);
}

/* T0: target XOR epoch, of a computed jump to a block that died. The run loop finds what is there.
 */
static void make_gone(struct jit *jit, struct emit *e)
{
    jit->gone = emit_here(e);
    on_own_stack(e, 0);
    emit_alu_rm(e, ALU_XOR, 8, T0, RUN(mmu.view.epoch));
    emit_jump_index(e, T1);
    emit_rm(e, 0xc7, 8, 0, jump_tag(T1));
    emit_number(e, 0, 4);
    to_c(jit, e);
    emit_store(e, 8, T0, ARCH(rip));
    call_c(e, (uintptr_t)jit_flags_from_memory);
    leave_frame(e);
    emit_mov_ri(e, H_RAX, EXEC_LOOKUP);
    ret(e);
}

/* T0: RIP XOR epoch, of a return that is not linked to what is there. C may link it; the run loop goes on. */
static void make_back(struct jit *jit, struct emit *e)
{
    jit->back = emit_here(e);
    take_exit(e, T1);
    emit_alu_rm(e, ALU_XOR, 8, T0, RUN(mmu.view.epoch));
    to_c(jit, e);
    emit_store(e, 8, T0, ARCH(rip));
    call_c(e, (uintptr_t)jit_flags_from_memory);
    emit_mov_rr(e, 8, H_RSI, T0);
    emit_mov_rr(e, 8, H_RDX, T1);
    call_c(e, (uintptr_t)jit_link_return);
    leave_frame(e);
    emit_mov_ri(e, H_RAX, EXEC_LOOKUP);
    ret(e);
}

void jit_make_thunks(struct jit *jit, struct emit *e)
{
    jit_make_fp_thunks(jit, e);
    make_enter(jit, e);
    jit->call_plain = make_call(jit, e, false);
    jit->call_flags = make_call(jit, e, true);
    make_call_step(jit, e);
    make_tail(jit, e);
    make_drop(jit, e);
    make_link(jit, e);
    make_look(jit, e);
    make_over(jit, e);
    make_out(jit, e);
    make_call_exit(jit, e);
    make_indirect(jit, e);
    make_expect(jit, e);
    make_open_window(jit, e);
    make_gone(jit, e);
    make_back(jit, e);
    jit_make_plain_flags(jit, e);
}
