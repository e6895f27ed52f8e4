/* SPDX-License-Identifier: MIT */
/* Event delivery, IRET, system calls, far transfers, task switches, segment loads. */
#include "tests/unit/monitor_emulate.h"

static void deliver_external(struct bench *b, uint8_t vector)
{
    EXPECT(reflect_interrupt(b->vcpu, vector));
}

/* ---- delivery ---- */

TEST(deliver, to_the_same_privilege_in_32_bit_mode)
{
    struct bench *b = bench_create(DECODE_32);
    idt_set(b, 0x20, CODE0, 0x8e, 0);
    b->cpu->rflags = F_IF | F_TF | F_NT | F_CF | 2;
    b->cpu->rip = 0x1234;
    deliver_external(b, 0x20);
    EXPECT_EQ(HANDLER + 0x200, b->cpu->rip);
    EXPECT_EQ(STACK - 12, b->cpu->gpr[REG_RSP]);
    EXPECT_EQ(0x1234, peek(b, STACK - 12, 4));
    EXPECT_EQ(CODE0, peek(b, STACK - 8, 4));
    EXPECT_EQ(F_IF | F_TF | F_NT | F_CF | 2, peek(b, STACK - 4, 4));
    EXPECT_EQ(F_CF | 2, b->cpu->rflags);
    bench_destroy(b);
}

TEST(deliver, from_user_mode_through_the_tss_with_error_code_and_rf)
{
    struct bench *b = bench_create(DECODE_32);
    idt_set(b, EXC_PF, CODE0, 0x8f, 0);
    set_cpl(b, 3);
    b->cpu->rflags = F_IF | 2;
    b->vcpu->run.fault =
        (struct fault){.vector = EXC_PF, .has_error_code = true, .error_code = 6, .cr2 = 0xdead000};
    EXPECT(reflect_fault(b->vcpu));
    EXPECT_EQ(0, b->cpu->cpl);
    EXPECT_EQ(DATA0, b->cpu->seg_sel[SEG_SS]);
    EXPECT_EQ(CODE0, b->cpu->seg_sel[SEG_CS]);
    EXPECT_EQ(STACK0 - 24, b->cpu->gpr[REG_RSP]);
    EXPECT_EQ(6, peek(b, STACK0 - 24, 4));
    EXPECT_EQ(CODE3, peek(b, STACK0 - 16, 4));
    EXPECT_EQ(F_IF | F_RF | 2, peek(b, STACK0 - 12, 4));
    EXPECT_EQ(STACK, peek(b, STACK0 - 8, 4));
    EXPECT_EQ(DATA3, peek(b, STACK0 - 4, 4));
    EXPECT_EQ(0xdead000, b->cpu->cr2);
    EXPECT(b->cpu->rflags & F_IF);
    bench_destroy(b);
}

TEST(deliver, in_64_bit_mode_aligns_the_stack_and_nulls_ss_from_user_mode)
{
    struct bench *b = bench_create(DECODE_64);
    idt_set(b, 0x30, CODE0_64, 0x8e, 0);
    b->cpu->gpr[REG_RSP] = STACK - 3;
    deliver_external(b, 0x30);
    EXPECT_EQ(STACK - 16 - 40, b->cpu->gpr[REG_RSP]);
    EXPECT_EQ(DATA0, b->cpu->seg_sel[SEG_SS]);
    set_cpl(b, 3);
    b->cpu->gpr[REG_RSP] = STACK - 3;
    deliver_external(b, 0x30);
    EXPECT_EQ(STACK0 - 40, b->cpu->gpr[REG_RSP]);
    EXPECT_EQ(0, b->cpu->seg_sel[SEG_SS]);
    EXPECT_EQ(STACK - 3, peek(b, STACK0 - 16, 8));
    EXPECT_EQ(DATA3, peek(b, STACK0 - 8, 8));
    bench_destroy(b);
}

TEST(deliver, ist_switches_stacks_without_a_change_of_privilege)
{
    struct bench *b = bench_create(DECODE_64);
    idt_set(b, EXC_NMI, CODE0_64, 0x8e, 1);
    EXPECT(reflect_nmi(b->vcpu));
    EXPECT_EQ(STACK_IST - 40, b->cpu->gpr[REG_RSP]);
    EXPECT(!reflect_nmi_window_open(b->vcpu));
    STEP(b, 0x48, 0xcf); /* IRETQ */
    EXPECT(reflect_nmi_window_open(b->vcpu));
    EXPECT_EQ(STACK, b->cpu->gpr[REG_RSP]);
    bench_destroy(b);
}

TEST(deliver, int_n_checks_the_gates_dpl_and_names_it)
{
    struct bench *b = bench_create(DECODE_64);
    idt_set(b, 0x80, CODE0_64, 0xee, 0);
    idt_set(b, 0x81, CODE0_64, 0x8e, 0);
    set_cpl(b, 3);
    EXPECT_FAULT(b, EXC_GP, 0x81 * 8 + 2, 0xcd, 0x81);
    STEP(b, 0xcd, 0x80);
    EXPECT_EQ(HANDLER + 0x800, b->cpu->rip);
    EXPECT_EQ(CODE + 2, peek(b, STACK0 - 40, 8));
    bench_destroy(b);
}

TEST(deliver, real_mode_pushes_six_bytes)
{
    struct bench *b = bench_real();
    poke(b, 0x21 * 4, 0x02001234, 4); /* 0200:1234 */
    b->cpu->rflags = F_IF | F_ZF | 2;
    STEP(b, 0xcd, 0x21);
    EXPECT_EQ(0x200, b->cpu->seg_sel[SEG_CS]);
    EXPECT_EQ(0x2000, b->cpu->seg_base[SEG_CS]);
    EXPECT_EQ(0x1234, b->cpu->rip);
    EXPECT_EQ(0xf000 - 6, b->cpu->gpr[REG_RSP]);
    EXPECT_EQ(CODE + 2, peek(b, 0xf000 - 6, 2));
    EXPECT_EQ(F_IF | F_ZF | 2, peek(b, 0xf000 - 2, 2));
    EXPECT_EQ(F_ZF | 2, b->cpu->rflags);
    poke(b, 0x2000 + 0x1234, 0xcf, 1); /* IRET */
    harness_run(b->h, 1);
    EXPECT_EQ(CODE + 2, b->cpu->rip);
    EXPECT_EQ(0, b->cpu->seg_base[SEG_CS]);
    EXPECT_EQ(F_IF | F_ZF | 2, b->cpu->rflags);
    EXPECT_EQ(0xf000, b->cpu->gpr[REG_RSP]);
    bench_destroy(b);
}

TEST(deliver, contributory_faults_become_a_double_fault_then_a_shutdown)
{
    struct bench *b = bench_create(DECODE_64);
    idt_set(b, EXC_DF, CODE0_64, 0x8e, 1);
    b->vcpu->run.fault = fault_code(EXC_GP, 0); /* its gate is empty: #GP again */
    EXPECT(reflect_fault(b->vcpu));
    EXPECT_EQ(HANDLER + 0x80, b->cpu->rip);
    EXPECT_EQ(0, peek(b, STACK_IST - 48, 8));
    idt_set(b, EXC_DF, 0, 0, 0);
    b->vcpu->run.fault = fault_code(EXC_GP, 0);
    EXPECT(!reflect_fault(b->vcpu));
    EXPECT_EQ(ACTIVITY_SHUTDOWN, b->cpu->activity);
    bench_destroy(b);
}

TEST(deliver, fault_while_delivering_an_interrupt_is_delivered_with_ext)
{
    struct bench *b = bench_create(DECODE_64);
    idt_set(b, EXC_NP, CODE0_64, 0x8e, 0);
    idt_set(b, 0x40, CODE0_64, 0x0e, 0);
    deliver_external(b, 0x40);
    EXPECT_EQ(HANDLER + 16 * EXC_NP, b->cpu->rip);
    EXPECT_EQ(0x40 * 8 + 3, peek(b, STACK - 48, 8));
    bench_destroy(b);
}

TEST(deliver, failed_push_leaves_everything_as_it_was)
{
    struct bench *b = bench_create(DECODE_32);
    idt_set(b, 0x80, CODE0, 0xee, 0);
    b->cpu->seg_limit[SEG_SS] = STACK - 9; /* room for one value only */
    cpu_update_mode(b->vcpu);
    uint64_t before = peek(b, STACK - 4, 4);
    EXPECT_FAULT(b, EXC_SS, 0, 0xcd, 0x80);
    EXPECT_EQ(STACK, b->cpu->gpr[REG_RSP]);
    EXPECT_EQ(before, peek(b, STACK - 4, 4));
    bench_destroy(b);
}

TEST(deliver, debug_traps_are_collected_into_one)
{
    struct bench *b = bench_create(DECODE_64);
    idt_set(b, EXC_DB, CODE0_64, 0x8e, 0);
    b->cpu->pending_db = BIT(14) | BIT(0);
    b->cpu->rip = 0x1111;
    EXPECT(reflect_debug_trap(b->vcpu));
    EXPECT_EQ(0, b->cpu->pending_db);
    EXPECT_EQ(DR6_FIXED | BIT(14) | 1, b->cpu->dr[6]);
    EXPECT_EQ(0x1111, peek(b, STACK - 40, 8));
    EXPECT(!(peek(b, STACK - 24, 8) & F_RF));
    bench_destroy(b);
}

/* ---- virtual-8086 mode ---- */

static void enter_vm86(struct bench *b, uint64_t flags)
{
    const uint64_t frame[9] = {0x100, 0x200, flags | F_VM | 2, 0x1000, 0x300, 0x400, 0x500,
                               0x600, 0x700};
    for (unsigned i = 0; i < 9; i++)
        poke(b, STACK - 36 + 4 * i, frame[i], 4);
    b->cpu->gpr[REG_RSP] = STACK - 36;
    STEP(b, 0xcf);
}

TEST(vm86, is_entered_by_iret_and_left_by_an_interrupt)
{
    struct bench *b = bench_create(DECODE_32);
    idt_set(b, 0x20, CODE0, 0x8e, 0);
    enter_vm86(b, F_IF);
    EXPECT_EQ(3, b->cpu->cpl);
    EXPECT_EQ(0x2000, b->cpu->seg_base[SEG_CS]);
    EXPECT_EQ(0x100, b->cpu->rip);
    EXPECT_EQ(0x3000, b->cpu->seg_base[SEG_SS]);
    EXPECT_EQ(0x7000, b->cpu->seg_base[SEG_GS]);
    EXPECT_EQ(0xffff, b->cpu->seg_limit[SEG_DS]);
    deliver_external(b, 0x20);
    EXPECT_EQ(0, b->cpu->cpl);
    EXPECT(!(b->cpu->rflags & F_VM));
    EXPECT_EQ(STACK0 - 36, b->cpu->gpr[REG_RSP]);
    EXPECT_EQ(0x700, peek(b, STACK0 - 4, 4));
    EXPECT_EQ(0x400, peek(b, STACK0 - 16, 4));
    EXPECT_EQ(F_VM | F_IF | 2, peek(b, STACK0 - 28, 4));
    EXPECT(b->cpu->seg_attr[SEG_DS] & ATTR_UNUSABLE);
    bench_destroy(b);
}

TEST(vm86, int_n_needs_iopl_3_or_the_redirection_bitmap)
{
    struct bench *b = bench_create(DECODE_32);
    idt_set(b, 0x21, CODE0, 0xee, 0);
    poke(b, 0x2100, 0x21cd, 2);
    enter_vm86(b, F_VIF);
    EXPECT_EQ(CPU_EXIT_FAULT, harness_run(b->h, 1));
    EXPECT_EQ(EXC_GP, b->vcpu->run.fault.vector);
    EXPECT_EQ(0, b->vcpu->run.fault.error_code);
    b->cpu->cr4 |= CR4_VME;
    poke(b, TSS + 0x66, 0x88, 2);
    poke(b, 0x21 * 4, 0x09000010, 4);
    harness_run(b->h, 1);
    EXPECT_EQ(0x9000, b->cpu->seg_base[SEG_CS]);
    EXPECT_EQ(0x10, b->cpu->rip);
    EXPECT_EQ(F_IOPL | F_IF | 2, peek(b, 0x3000 + 0x1000 - 2, 2));
    EXPECT(!(b->cpu->rflags & F_VIF));
    EXPECT(b->cpu->rflags & F_VM);
    bench_destroy(b);
}

/* ---- IRET ---- */

static void push_iret_frame(struct bench *b, uint64_t rip, uint64_t cs, uint64_t flags,
                            uint64_t rsp, uint64_t ss)
{
    const uint64_t frame[5] = {rip, cs, flags, rsp, ss};
    for (unsigned i = 0; i < 5; i++)
        poke(b, STACK - 40 + 8 * i, frame[i], 8);
    b->cpu->gpr[REG_RSP] = STACK - 40;
}

TEST(iret, to_user_mode_in_64_bit_mode)
{
    struct bench *b = bench_create(DECODE_64);
    push_iret_frame(b, 0x3000, CODE3_64, F_IF | F_ZF | 2, 0x7fff0, DATA3);
    STEP(b, 0x48, 0xcf);
    EXPECT_EQ(3, b->cpu->cpl);
    EXPECT_EQ(0x3000, b->cpu->rip);
    EXPECT_EQ(0x7fff0, b->cpu->gpr[REG_RSP]);
    EXPECT_EQ(F_IF | F_ZF | 2, b->cpu->rflags);
    EXPECT(b->cpu->seg_attr[SEG_DS] & ATTR_UNUSABLE);
    EXPECT(b->vcpu->run.mode & MODE_USER);
    bench_destroy(b);
}

TEST(iret, to_compatibility_mode_and_to_a_null_stack)
{
    struct bench *b = bench_create(DECODE_64);
    push_iret_frame(b, 0x3000, CODE0_64, 2, STACK, 0);
    STEP(b, 0x48, 0xcf);
    EXPECT_EQ(0x3000, b->cpu->rip);
    EXPECT(b->cpu->seg_attr[SEG_SS] & ATTR_UNUSABLE);
    push_iret_frame(b, 0x3000, CODE3, 2, 0x1234, DATA3);
    STEP(b, 0x48, 0xcf);
    EXPECT_EQ(DECODE_32, mode_code(b->vcpu->run.mode));
    EXPECT_EQ(0x1234, b->cpu->gpr[REG_RSP]);
    bench_destroy(b);
}

TEST(iret, refuses_bad_frames_without_a_trace)
{
    struct bench *b = bench_create(DECODE_64);
    push_iret_frame(b, 0x3000, DATA3, 2, STACK, DATA3);
    EXPECT_FAULT(b, EXC_GP, DATA3 & ~3, 0x48, 0xcf);
    push_iret_frame(b, BIT(50), CODE3_64, 2, STACK, DATA3);
    EXPECT_FAULT(b, EXC_GP, 0, 0x48, 0xcf);
    push_iret_frame(b, 0x3000, CODE3_64, 2, STACK, 0);
    EXPECT_FAULT(b, EXC_GP, 0, 0x48, 0xcf);
    push_iret_frame(b, 0x3000, 0x1003, 2, STACK, DATA3);
    EXPECT_FAULT(b, EXC_GP, 0x1000, 0x48, 0xcf);
    b->cpu->rflags |= F_NT;
    EXPECT_FAULT(b, EXC_GP, 0, 0x48, 0xcf);
    EXPECT_EQ(STACK - 40, b->cpu->gpr[REG_RSP]);
    EXPECT_EQ(0, b->cpu->cpl);
    bench_destroy(b);
}

/* ---- fast system calls ---- */

TEST(syscall, goes_in_and_comes_back)
{
    struct bench *b = bench_create(DECODE_64);
    set_cpl(b, 3);
    b->cpu->efer |= EFER_SCE;
    b->cpu->star = UINT64_C(0x0023000800000000);
    b->cpu->lstar = 0x9000;
    b->cpu->fmask = F_IF | F_TF;
    b->cpu->rflags = F_IF | F_CF | 2;
    STEP(b, 0x0f, 0x05);
    EXPECT_EQ(0x9000, b->cpu->rip);
    EXPECT_EQ(CODE + 2, b->cpu->gpr[REG_RCX]);
    EXPECT_EQ(F_IF | F_CF | 2, b->cpu->gpr[11]);
    EXPECT_EQ(F_CF | 2, b->cpu->rflags);
    EXPECT_EQ(0, b->cpu->cpl);
    EXPECT_EQ(0x08, b->cpu->seg_sel[SEG_CS]);
    EXPECT_EQ(0x10, b->cpu->seg_sel[SEG_SS]);
    STEP(b, 0x48, 0x0f, 0x07);
    EXPECT_EQ(CODE + 2, b->cpu->rip);
    EXPECT_EQ(3, b->cpu->cpl);
    EXPECT_EQ(0x33, b->cpu->seg_sel[SEG_CS]);
    EXPECT_EQ(0x2b, b->cpu->seg_sel[SEG_SS]);
    EXPECT_EQ(F_IF | F_CF | 2, b->cpu->rflags);
    bench_destroy(b);
}

TEST(syscall, does_not_exist_outside_64_bit_mode_and_sysret_checks_rcx)
{
    struct bench *b = bench_create(DECODE_64);
    b->cpu->efer |= EFER_SCE;
    b->cpu->gpr[REG_RCX] = BIT(47);
    EXPECT_FAULT(b, EXC_GP, 0, 0x48, 0x0f, 0x07);
    b->cpu->efer &= ~EFER_SCE;
    EXPECT_FAULT(b, EXC_UD, 0, 0x0f, 0x05);
    bench_destroy(b);
    b = bench_create(DECODE_32);
    b->cpu->efer |= EFER_SCE;
    EXPECT_FAULT(b, EXC_UD, 0, 0x0f, 0x05);
    EXPECT_FAULT(b, EXC_GP, 0, 0x0f, 0x34);
    bench_destroy(b);
}

TEST(sysenter, uses_its_msrs)
{
    struct bench *b = bench_create(DECODE_32);
    set_cpl(b, 3);
    b->cpu->rflags |= F_IF;
    b->cpu->sysenter_cs = CODE0;
    b->cpu->sysenter_esp = STACK0;
    b->cpu->sysenter_eip = 0x9000;
    STEP(b, 0x0f, 0x34);
    EXPECT_EQ(0x9000, b->cpu->rip);
    EXPECT_EQ(STACK0, b->cpu->gpr[REG_RSP]);
    EXPECT_EQ(0, b->cpu->cpl);
    EXPECT(!(b->cpu->rflags & F_IF));
    b->cpu->gpr[REG_RDX] = 0x3000;
    b->cpu->gpr[REG_RCX] = 0x7000;
    STEP(b, 0x0f, 0x35);
    EXPECT_EQ(CODE3, b->cpu->seg_sel[SEG_CS]);
    EXPECT_EQ(0x3000, b->cpu->rip);
    EXPECT_EQ(3, b->cpu->cpl);
    bench_destroy(b);
}

/* ---- far transfers ---- */

TEST(far, jmp_from_16_bit_code_to_a_32_bit_segment)
{
    struct bench *b = bench_create(DECODE_16);
    b->cpu->seg_attr[SEG_CS] &= ~(uint32_t)ATTR_DB;
    cpu_update_mode(b->vcpu);
    STEP(b, 0x66, 0xea, 0x00, 0x30, 0x00, 0x00, CODE0, 0x00);
    EXPECT_EQ(0x3000, b->cpu->rip);
    EXPECT_EQ(DECODE_32, mode_code(b->vcpu->run.mode));
    bench_destroy(b);
}

TEST(far, call_and_ret_in_real_mode)
{
    struct bench *b = bench_real();
    STEP(b, 0x9a, 0x10, 0x00, 0x00, 0x03);
    EXPECT_EQ(0x10, b->cpu->rip);
    EXPECT_EQ(0x3000, b->cpu->seg_base[SEG_CS]);
    EXPECT_EQ(CODE + 5, peek(b, 0xf000 - 4, 2));
    poke(b, 0x3010, 0x0002ca, 3); /* RETF 2 */
    harness_run(b->h, 1);
    EXPECT_EQ(CODE + 5, b->cpu->rip);
    EXPECT_EQ(0xf002, b->cpu->gpr[REG_RSP]);
    bench_destroy(b);
}

TEST(far, faults_name_the_selector)
{
    struct bench *b = bench_create(DECODE_32);
    EXPECT_FAULT(b, EXC_GP, 0, 0xea, 0, 0, 0, 0, 0, 0);
    EXPECT_FAULT(b, EXC_GP, DATA0, 0xea, 0, 0, 0, 0, DATA0, 0);
    EXPECT_FAULT(b, EXC_GP, CODE3 & ~3, 0xea, 0, 0, 0, 0, CODE3, 0);
    gdt_set(b, GATE_SEL, descriptor_raw(0, 0xfffff, ATTR_S | ATTR_CODE | ATTR_G));
    EXPECT_FAULT(b, EXC_NP, GATE_SEL, 0xea, 0, 0, 0, 0, GATE_SEL, 0);
    bench_destroy(b);
}

TEST(far, call_gate_switches_stacks_and_copies_parameters_and_retf_goes_back)
{
    struct bench *b = bench_create(DECODE_32);
    gdt_set(b, GATE_SEL,
            UINT64_C(0x9000) | (uint64_t)CODE0 << 16 | UINT64_C(2) << 32 | UINT64_C(0xec) << 40);
    set_cpl(b, 3);
    poke(b, STACK - 8, 0x11111111, 4);
    poke(b, STACK - 4, 0x22222222, 4);
    b->cpu->gpr[REG_RSP] = STACK - 8;
    STEP(b, 0x9a, 0, 0, 0, 0, GATE_SEL, 0);
    EXPECT_EQ(0x9000, b->cpu->rip);
    EXPECT_EQ(0, b->cpu->cpl);
    EXPECT_EQ(STACK0 - 24, b->cpu->gpr[REG_RSP]);
    EXPECT_EQ(CODE + 7, peek(b, STACK0 - 24, 4));
    EXPECT_EQ(CODE3, peek(b, STACK0 - 20, 4));
    EXPECT_EQ(0x11111111, peek(b, STACK0 - 16, 4));
    EXPECT_EQ(0x22222222, peek(b, STACK0 - 12, 4));
    EXPECT_EQ(STACK - 8, peek(b, STACK0 - 8, 4));
    EXPECT_EQ(DATA3, peek(b, STACK0 - 4, 4));
    STEP(b, 0xca, 8, 0);
    EXPECT_EQ(3, b->cpu->cpl);
    EXPECT_EQ(CODE + 7, b->cpu->rip);
    EXPECT_EQ(STACK, b->cpu->gpr[REG_RSP]);
    bench_destroy(b);
}

TEST(far, call_gate_of_64_bit_mode)
{
    struct bench *b = bench_create(DECODE_64);
    gdt_set(b, GATE_SEL, UINT64_C(0x9000) | (uint64_t)CODE0_64 << 16 | UINT64_C(0xec) << 40);
    gdt_set(b, GATE_SEL + 8, 0);
    set_cpl(b, 3);
    poke(b, DATA, 0, 4);
    poke(b, DATA + 4, GATE_SEL, 2);
    b->cpu->gpr[REG_RAX] = DATA;
    STEP(b, 0xff, 0x18); /* CALL FAR [RAX] */
    EXPECT_EQ(0x9000, b->cpu->rip);
    EXPECT_EQ(STACK0 - 32, b->cpu->gpr[REG_RSP]);
    EXPECT_EQ(CODE + 2, peek(b, STACK0 - 32, 8));
    EXPECT_EQ(STACK, peek(b, STACK0 - 16, 8));
    EXPECT(b->cpu->seg_attr[SEG_SS] & ATTR_UNUSABLE);
    bench_destroy(b);
}

/* ---- tasks ---- */

static void second_task(struct bench *b)
{
    gdt_set(b, TSS2_SEL, descriptor_raw(TSS2, 0x67, ATTR_P | TYPE_TSS32));
    poke(b, TSS2 + 32, 0x3000, 4);
    poke(b, TSS2 + 36, F_ZF | 2, 4);
    poke(b, TSS2 + 40, 0xaaaa, 4);
    poke(b, TSS2 + 56, STACK0, 4);
    for (unsigned s = 0; s < 6; s++)
        poke(b, TSS2 + 72 + 4 * s, s == SEG_CS ? CODE0 : DATA0, 2);
}

TEST(task, call_nests_and_iret_returns)
{
    struct bench *b = bench_create(DECODE_32);
    second_task(b);
    b->cpu->gpr[REG_RAX] = 0x5555;
    STEP(b, 0x9a, 0, 0, 0, 0, TSS2_SEL, 0);
    EXPECT_EQ(0x3000, b->cpu->rip);
    EXPECT_EQ(0xaaaa, b->cpu->gpr[REG_RAX]);
    EXPECT_EQ(STACK0, b->cpu->gpr[REG_RSP]);
    EXPECT_EQ(F_ZF | F_NT | 2, b->cpu->rflags);
    EXPECT_EQ(TSS2_SEL, b->cpu->seg_sel[SEG_TR]);
    EXPECT(b->cpu->cr0 & CR0_TS);
    EXPECT_EQ(TSS_SEL, peek(b, TSS2, 2));
    EXPECT_EQ(TYPE_TSS32_BUSY, peek(b, GDT + TSS2_SEL + 5, 1) & 15);
    poke(b, 0x3000, 0xcf, 1);
    harness_run(b->h, 1);
    EXPECT_EQ(CODE + 7, b->cpu->rip);
    EXPECT_EQ(0x5555, b->cpu->gpr[REG_RAX]);
    EXPECT_EQ(TSS_SEL, b->cpu->seg_sel[SEG_TR]);
    EXPECT_EQ(TYPE_TSS32, peek(b, GDT + TSS2_SEL + 5, 1) & 15);
    EXPECT_EQ(0x3001, peek(b, TSS2 + 32, 4));
    bench_destroy(b);
}

TEST(task, jmp_releases_the_old_one_and_the_t_bit_traps)
{
    struct bench *b = bench_create(DECODE_32);
    second_task(b);
    poke(b, TSS2 + 100, 1, 2);
    STEP(b, 0xea, 0, 0, 0, 0, TSS2_SEL, 0);
    EXPECT_EQ(TYPE_TSS32, peek(b, GDT + TSS_SEL + 5, 1) & 15);
    EXPECT_EQ(BIT(15), b->cpu->pending_db);
    EXPECT(!(b->cpu->rflags & F_NT));
    bench_destroy(b);
}

TEST(task, fault_in_the_new_task_is_the_new_tasks)
{
    struct bench *b = bench_create(DECODE_32);
    second_task(b);
    poke(b, TSS2 + 72 + 4 * SEG_SS, DATA3, 2);
    EXPECT_EQ(CPU_EXIT_FAULT, STEP(b, 0xea, 0, 0, 0, 0, TSS2_SEL, 0));
    EXPECT_EQ(EXC_TS, b->vcpu->run.fault.vector);
    EXPECT_EQ(DATA3 & ~3, b->vcpu->run.fault.error_code);
    EXPECT_EQ(0x3000, b->cpu->rip);
    EXPECT_EQ(TSS2_SEL, b->cpu->seg_sel[SEG_TR]);
    bench_destroy(b);
}

TEST(task, exception_through_a_task_gate_pushes_its_error_code)
{
    struct bench *b = bench_create(DECODE_32);
    second_task(b);
    poke(b, IDT + EXC_DF * 8, (uint64_t)TSS2_SEL << 16 | UINT64_C(0x85) << 40, 8);
    b->vcpu->run.fault = fault_code(EXC_GP, 0);
    EXPECT(reflect_fault(b->vcpu));
    EXPECT_EQ(0x3000, b->cpu->rip);
    EXPECT_EQ(STACK0 - 4, b->cpu->gpr[REG_RSP]);
    EXPECT_EQ(0, peek(b, STACK0 - 4, 4));
    EXPECT_EQ(CODE, peek(b, TSS + 32, 4));
    bench_destroy(b);
}

/* ---- segments ---- */

TEST(segments, loads_check_privilege_type_and_presence)
{
    struct bench *b = bench_create(DECODE_32);
    b->cpu->gpr[REG_RAX] = DATA3;
    EXPECT_FAULT(b, EXC_GP, DATA3 & ~3, 0x8e, 0xd0); /* mov ss: RPL 3 */
    b->cpu->gpr[REG_RAX] = 0;
    EXPECT_FAULT(b, EXC_GP, 0, 0x8e, 0xd0);
    EXPECT_EQ(CPU_EXIT_BUDGET, STEP(b, 0x8e, 0xd8));
    EXPECT(b->cpu->seg_attr[SEG_DS] & ATTR_UNUSABLE);
    b->cpu->gpr[REG_RAX] = 0x1000;
    EXPECT_FAULT(b, EXC_GP, 0x1000, 0x8e, 0xd8);
    gdt_set(b, GATE_SEL, descriptor_raw(0, 0, ATTR_S | ATTR_RW));
    b->cpu->gpr[REG_RAX] = GATE_SEL;
    EXPECT_FAULT(b, EXC_NP, GATE_SEL, 0x8e, 0xd8);
    EXPECT_FAULT(b, EXC_SS, GATE_SEL, 0x8e, 0xd0);
    EXPECT_FAULT(b, EXC_UD, 0, 0x8e, 0xc8);
    bench_destroy(b);
}

TEST(segments, load_sets_the_accessed_bit_and_ss_holds_events_off)
{
    struct bench *b = bench_create(DECODE_32);
    gdt_set(b, GATE_SEL, descriptor_raw(0x1000, 0xfff, ATTR_P | ATTR_S | ATTR_RW | ATTR_DB));
    b->cpu->gpr[REG_RAX] = GATE_SEL;
    STEP(b, 0x8e, 0xd0);
    EXPECT_EQ(0x93, peek(b, GDT + GATE_SEL + 5, 1));
    EXPECT_EQ(0x1000, b->cpu->seg_base[SEG_SS]);
    EXPECT_EQ(SHADOW_MOV_SS, b->cpu->int_shadow);
    EXPECT(!reflect_nmi_window_open(b->vcpu));
    EXPECT(!reflect_debug_window_open(b->vcpu));
    bench_destroy(b);
}

TEST(segments, push_of_32_bits_writes_only_the_selector)
{
    struct bench *b = bench_create(DECODE_32);
    poke(b, STACK - 4, 0xffffffff, 4);
    STEP(b, 0x1e);
    EXPECT_EQ(0xffff0000 | DATA0, peek(b, STACK - 4, 4));
    EXPECT_EQ(STACK - 4, b->cpu->gpr[REG_RSP]);
    bench_destroy(b);
}

TEST(segments, queries_answer_in_zf)
{
    struct bench *b = bench_create(DECODE_64);
    b->cpu->gpr[REG_RCX] = CODE3_64;
    STEP(b, 0x0f, 0x02, 0xc1); /* lar eax, ecx */
    EXPECT(b->cpu->rflags & F_ZF);
    EXPECT_EQ(0xaffb00, b->cpu->gpr[REG_RAX]);
    STEP(b, 0x0f, 0x03, 0xc1); /* lsl */
    EXPECT_EQ(0xffffffff, b->cpu->gpr[REG_RAX]);
    STEP(b, 0x0f, 0x00, 0xe9); /* verw cx: code is not writable */
    EXPECT(!(b->cpu->rflags & F_ZF));
    b->cpu->gpr[REG_RCX] = 0x2000;
    b->cpu->gpr[REG_RAX] = 7;
    STEP(b, 0x0f, 0x02, 0xc1);
    EXPECT(!(b->cpu->rflags & F_ZF));
    EXPECT_EQ(7, b->cpu->gpr[REG_RAX]);
    bench_destroy(b);
}

TEST(segments, tables_are_ten_bytes_in_64_bit_mode)
{
    struct bench *b = bench_create(DECODE_64);
    b->cpu->gpr[REG_RAX] = DATA;
    STEP(b, 0x0f, 0x01, 0x00); /* sgdt [rax] */
    EXPECT_EQ(GDT_BYTES - 1, peek(b, DATA, 2));
    EXPECT_EQ(GDT, peek(b, DATA + 2, 8));
    poke(b, DATA + 2, UINT64_C(0xffff800000001000), 8);
    STEP(b, 0x0f, 0x01, 0x18); /* lidt [rax] */
    EXPECT_EQ(UINT64_C(0xffff800000001000), b->cpu->idtr_base);
    poke(b, DATA + 2, BIT(50), 8);
    EXPECT_FAULT(b, EXC_GP, 0, 0x0f, 0x01, 0x18);
    bench_destroy(b);
}

TEST(segments, ltr_marks_its_tss_busy_and_lldt_takes_null)
{
    struct bench *b = bench_create(DECODE_64);
    gdt_set(b, GATE_SEL, descriptor_raw(TSS2, 0x67, ATTR_P | TYPE_TSS32));
    gdt_set(b, GATE_SEL + 8, 0xffff8000);
    b->cpu->gpr[REG_RAX] = GATE_SEL;
    STEP(b, 0x0f, 0x00, 0xd8);
    EXPECT_EQ(UINT64_C(0xffff800000000000) + TSS2, b->cpu->seg_base[SEG_TR]);
    EXPECT_EQ(TYPE_TSS32_BUSY, peek(b, GDT + GATE_SEL + 5, 1) & 15);
    EXPECT_FAULT(b, EXC_GP, GATE_SEL, 0x0f, 0x00, 0xd8);
    b->cpu->gpr[REG_RAX] = 0;
    STEP(b, 0x0f, 0x00, 0xd0);
    EXPECT(b->cpu->seg_attr[SEG_LDTR] & ATTR_UNUSABLE);
    bench_destroy(b);
}

TEST_MAIN(
    RUN(deliver, to_the_same_privilege_in_32_bit_mode) RUN(
        deliver, from_user_mode_through_the_tss_with_error_code_and_rf)
        RUN(deliver, in_64_bit_mode_aligns_the_stack_and_nulls_ss_from_user_mode) RUN(
            deliver, ist_switches_stacks_without_a_change_of_privilege)
            RUN(deliver, int_n_checks_the_gates_dpl_and_names_it) RUN(
                deliver,
                real_mode_pushes_six_bytes) RUN(deliver,
                                                contributory_faults_become_a_double_fault_then_a_shutdown)
                RUN(deliver, fault_while_delivering_an_interrupt_is_delivered_with_ext) RUN(
                    deliver,
                    failed_push_leaves_everything_as_it_was) RUN(deliver,
                                                                 debug_traps_are_collected_into_one)
                    RUN(vm86, is_entered_by_iret_and_left_by_an_interrupt) RUN(
                        vm86,
                        int_n_needs_iopl_3_or_the_redirection_bitmap) RUN(iret,
                                                                          to_user_mode_in_64_bit_mode)
                        RUN(iret, to_compatibility_mode_and_to_a_null_stack) RUN(
                            iret, refuses_bad_frames_without_a_trace) RUN(syscall,
                                                                          goes_in_and_comes_back)
                            RUN(syscall, does_not_exist_outside_64_bit_mode_and_sysret_checks_rcx) RUN(
                                sysenter,
                                uses_its_msrs) RUN(far, jmp_from_16_bit_code_to_a_32_bit_segment)
                                RUN(far, call_and_ret_in_real_mode) RUN(far, faults_name_the_selector) RUN(
                                    far,
                                    call_gate_switches_stacks_and_copies_parameters_and_retf_goes_back)
                                    RUN(far,
                                        call_gate_of_64_bit_mode) RUN(task,
                                                                      call_nests_and_iret_returns)
                                        RUN(task, jmp_releases_the_old_one_and_the_t_bit_traps)
                                            RUN(task, fault_in_the_new_task_is_the_new_tasks) RUN(
                                                task,
                                                exception_through_a_task_gate_pushes_its_error_code)
                                                RUN(segments, loads_check_privilege_type_and_presence) RUN(
                                                    segments,
                                                    load_sets_the_accessed_bit_and_ss_holds_events_off)
                                                    RUN(segments,
                                                        push_of_32_bits_writes_only_the_selector)
                                                        RUN(segments, queries_answer_in_zf) RUN(
                                                            segments,
                                                            tables_are_ten_bytes_in_64_bit_mode)
                                                            RUN(segments,
                                                                ltr_marks_its_tss_busy_and_lldt_takes_null))
