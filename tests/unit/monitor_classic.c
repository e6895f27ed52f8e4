/* SPDX-License-Identifier: MIT */
/* -virt classic: every hole in both rings, what traps all the same, real and virtual-8086 mode. */
#include "monitor/emulate/real.h"
#include "tests/unit/monitor_emulate.h"

static const unsigned rings[] = {1, 3};

static void make_classic(struct bench *b, unsigned ring, bool emulates_faults)
{
    b->vcpu->run.sens = policy_slots(POLICY_CLASSIC);
    real_init(&b->vcpu->real, ring, emulates_faults);
}

/* 32-bit protected mode, virtual CPL 0. */
static struct bench *classic(unsigned ring)
{
    struct bench *b = bench_create(DECODE_32);
    make_classic(b, ring, false);
    return b;
}

/* Run `body` with a bench `b` for each ring. */
#define EACH_RING(body)                                                                            \
    for (unsigned i_ = 0; i_ < ARRAY_SIZE(rings); i_++) {                                          \
        const unsigned ring = rings[i_];                                                           \
        struct bench *b = classic(ring);                                                           \
        body;                                                                                      \
        bench_destroy(b);                                                                          \
    }

/* ---- what is read ---- */

TEST(shown, sgdt_and_sidt_show_the_tables_of_the_monitor)
{
    EACH_RING({
        b->cpu->gpr[REG_RBX] = DATA;
        STEP(b, 0x0f, 0x01, 0x03); /* sgdt [ebx] */
        EXPECT_EQ(0xffff, peek(b, DATA, 2));
        EXPECT_EQ(b->vcpu->real.gdtr_base, peek(b, DATA + 2, 4));
        STEP(b, 0x0f, 0x01, 0x0b); /* sidt [ebx] */
        EXPECT_EQ(0x7ff, peek(b, DATA, 2));
        EXPECT_EQ(b->vcpu->real.idtr_base, peek(b, DATA + 2, 4));
        EXPECT_EQ(GDT, b->cpu->gdtr_base);
        EXPECT_EQ(IDT, b->cpu->idtr_base);
    })
}

TEST(shown, sldt_and_str_show_the_monitors_selectors)
{
    EACH_RING({
        STEP(b, 0x0f, 0x00, 0xc0); /* sldt eax */
        EXPECT_EQ(b->vcpu->real.ldtr_sel, b->cpu->gpr[REG_RAX]);
        STEP(b, 0x0f, 0x00, 0xc8); /* str eax */
        EXPECT_EQ(b->vcpu->real.tr_sel, b->cpu->gpr[REG_RAX]);
        EXPECT_EQ(TSS_SEL, b->cpu->seg_sel[SEG_TR]);
    })
}

TEST(shown, smsw_shows_the_real_cr0_and_the_guests_ts)
{
    EACH_RING({
        uint64_t cr0 = b->cpu->cr0 |= CR0_TS;
        cpu_update_mode(b->vcpu);
        STEP(b, 0x0f, 0x01, 0xe0); /* smsw eax */
        EXPECT_EQ(0x80050033 | CR0_TS, b->cpu->gpr[REG_RAX]);
        EXPECT_EQ(cr0, b->cpu->cr0);
    })
}

TEST(shown, pushf_shows_interrupts_enabled_and_iopl_0)
{
    EACH_RING({
        b->cpu->rflags = F_IOPL | F_CF | 2;
        STEP(b, 0x9c);
        EXPECT_EQ(F_IF | F_CF | 2, peek(b, STACK - 4, 4));
        EXPECT_EQ(F_IOPL | F_CF | 2, b->cpu->rflags);
    })
}

TEST(shown, cs_and_ss_have_the_ring_as_rpl)
{
    EACH_RING({
        STEP(b, 0x0e); /* push cs */
        EXPECT_EQ(CODE0 | ring, peek(b, STACK - 4, 2));
        STEP(b, 0x8c, 0xd0); /* mov eax, ss */
        EXPECT_EQ(DATA0 | ring, b->cpu->gpr[REG_RAX]);
        STEP(b, 0x8c, 0xd8); /* mov eax, ds */
        EXPECT_EQ(DATA0, b->cpu->gpr[REG_RAX]);
        EXPECT_EQ(CODE0, b->cpu->seg_sel[SEG_CS]);
        EXPECT_EQ(DATA0, b->cpu->seg_sel[SEG_SS]);
    })
}

TEST(shown, lar_shows_the_dpl_and_lsl_the_limit_of_the_monitors_descriptor)
{
    EACH_RING({
        b->cpu->gpr[REG_RCX] = DATA0;
        STEP(b, 0x0f, 0x02, 0xc1); /* lar eax, ecx */
        EXPECT(b->cpu->rflags & F_ZF);
        EXPECT_EQ(ring, b->cpu->gpr[REG_RAX] >> 13 & 3);
        STEP(b, 0x0f, 0x03, 0xc1); /* lsl eax, ecx */
        EXPECT_EQ(ring == 1 ? 0xffbfffff : 0xffffffff, b->cpu->gpr[REG_RAX]);
        EXPECT_EQ(UINT32_MAX, b->cpu->seg_limit[SEG_DS]);
    })
}

TEST(shown, the_guests_tss_and_the_monitors_slots_are_invisible)
{
    EACH_RING({
        b->cpu->gpr[REG_RCX] = TSS_SEL;
        STEP(b, 0x0f, 0x02, 0xc1);
        EXPECT(!(b->cpu->rflags & F_ZF));
        b->cpu->gpr[REG_RCX] = REAL_SLOTS;
        STEP(b, 0x0f, 0x02, 0xc1);
        EXPECT(!(b->cpu->rflags & F_ZF));
    })
}

TEST(shown, verr_and_verw_believe_an_rpl_that_ring_0_would_not)
{
    EACH_RING({
        b->cpu->gpr[REG_RCX] = DATA0 | ring;
        STEP(b, 0x0f, 0x00, 0xe1); /* verr cx */
        EXPECT(b->cpu->rflags & F_ZF);
        STEP(b, 0x0f, 0x00, 0xe9); /* verw cx */
        EXPECT(b->cpu->rflags & F_ZF);
    })
}

/* ---- what is changed, or not ---- */

TEST(changed, popf_loses_if_and_iopl_silently)
{
    EACH_RING({
        b->cpu->rflags = F_IF | 2;
        poke(b, STACK - 4, F_IOPL | F_CF, 4);
        b->cpu->gpr[REG_RSP] = STACK - 4;
        EXPECT_EQ(CPU_EXIT_BUDGET, STEP(b, 0x9d));
        EXPECT_EQ(F_IF | F_CF | 2, b->cpu->rflags);
        EXPECT_EQ(STACK, b->cpu->gpr[REG_RSP]);
    })
}

TEST(changed, a_stack_segment_of_ring_0_is_refused)
{
    EACH_RING({
        b->cpu->gpr[REG_RAX] = DATA0;
        EXPECT_FAULT(b, EXC_GP, DATA0, 0x8e, 0xd0); /* mov ss, eax */
        b->cpu->gpr[REG_RAX] = DATA0 | ring;
        STEP(b, 0x8e, 0xd0);
        EXPECT_EQ(DATA0, b->cpu->seg_sel[SEG_SS]);
        EXPECT_EQ(0, attr_dpl(b->cpu->seg_attr[SEG_SS]));
        EXPECT_EQ(0, b->cpu->cpl);
    })
}

TEST(changed, a_segment_load_leaves_the_guests_descriptor_unaccessed)
{
    EACH_RING({
        const uint64_t raw = descriptor_raw(0x1000, 0xfff, ATTR_P | ATTR_S | ATTR_RW | ATTR_DB);
        gdt_set(b, DATA0, raw);
        b->cpu->gpr[REG_RAX] = DATA0;
        STEP(b, 0x8e, 0xd8); /* mov ds, eax */
        EXPECT_EQ(raw, peek(b, GDT + DATA0, 8));
        EXPECT_EQ(DATA0, b->cpu->seg_sel[SEG_DS]);
        EXPECT_EQ(0x1000, b->cpu->seg_base[SEG_DS]);
        EXPECT_EQ(0xfff, b->cpu->seg_limit[SEG_DS]);
        EXPECT_EQ(0, attr_dpl(b->cpu->seg_attr[SEG_DS]));
        EXPECT(b->cpu->seg_attr[SEG_DS] & ATTR_ACCESSED);
    })
}

TEST(changed, a_far_call_pushes_the_ring_and_its_return_goes_back)
{
    EACH_RING({
        STEP(b, 0x9a, 0x00, 0x70, 0x00, 0x00, CODE0, 0x00); /* call 8:7000h */
        EXPECT_EQ(0x7000, b->cpu->rip);
        EXPECT_EQ(CODE0, b->cpu->seg_sel[SEG_CS]);
        EXPECT_EQ(CODE0 | ring, peek(b, STACK - 4, 2));
        STEP(b, 0xcb);
        EXPECT_EQ(CODE + 7, b->cpu->rip);
        EXPECT_EQ(CODE0, b->cpu->seg_sel[SEG_CS]);
        EXPECT_EQ(0, b->cpu->cpl);
    })
}

TEST(changed, far_return_and_iret_to_ring_0_fault)
{
    EACH_RING({
        poke(b, STACK - 12, 0x7000, 4);
        poke(b, STACK - 8, CODE0, 4);
        poke(b, STACK - 4, 2, 4);
        b->cpu->gpr[REG_RSP] = STACK - 12;
        EXPECT_FAULT(b, EXC_GP, CODE0, 0xcb);
        EXPECT_FAULT(b, EXC_GP, CODE0, 0xcf);
    })
}

static void push_user_frame(struct bench *b)
{
    poke(b, STACK - 20, 0x7000, 4);
    poke(b, STACK - 16, CODE3, 4);
    poke(b, STACK - 12, F_IF | 2, 4);
    poke(b, STACK - 8, 0x5000, 4);
    poke(b, STACK - 4, DATA3, 4);
    b->cpu->gpr[REG_RSP] = STACK - 20;
}

TEST(changed, iret_to_user_mode_loses_if)
{
    struct bench *b = classic(1);
    push_user_frame(b);
    STEP(b, 0xcf);
    EXPECT_EQ(3, b->cpu->cpl);
    EXPECT_EQ(CODE3, b->cpu->seg_sel[SEG_CS]);
    EXPECT_EQ(DATA3, b->cpu->seg_sel[SEG_SS]);
    EXPECT_EQ(0x5000, b->cpu->gpr[REG_RSP]);
    EXPECT_EQ(0, b->cpu->seg_sel[SEG_DS]); /* DPL 1 is not for CPL 3 */
    EXPECT(!(b->cpu->rflags & F_IF));
    bench_destroy(b);
}

TEST(changed, in_ring_3_iret_to_user_mode_is_a_return_in_the_same_ring)
{
    struct bench *b = classic(3);
    push_user_frame(b);
    STEP(b, 0xcf);
    EXPECT_EQ(0, b->cpu->cpl); /* the monitor has seen nothing */
    EXPECT_EQ(0x7000, b->cpu->rip);
    EXPECT_EQ(STACK - 8, b->cpu->gpr[REG_RSP]);
    EXPECT_EQ(DATA0, b->cpu->seg_sel[SEG_SS]);
    bench_destroy(b);
}

TEST(changed, user_mode_may_jump_into_the_kernel_in_ring_3_alone)
{
    EACH_RING({
        set_cpl(b, 3);
        if (ring == 1)
            EXPECT_FAULT(b, EXC_GP, CODE0, 0xea, 0x00, 0x70, 0x00, 0x00, CODE0, 0x00);
        else
            EXPECT_EQ(CPU_EXIT_BUDGET, STEP(b, 0xea, 0x00, 0x70, 0x00, 0x00, CODE0 | 3, 0x00));
        EXPECT_EQ(3, b->cpu->cpl);
    })
}

TEST(changed, software_interrupts_meet_the_monitors_gates)
{
    EACH_RING({
        idt_set(b, 0x40, CODE0, 0xee, 0);
        EXPECT_FAULT(b, EXC_GP, 0x202, 0xcd, 0x40);
        EXPECT_FAULT(b, EXC_GP, 0x1a, 0xcc);
        b->cpu->rflags = 2;
        EXPECT_EQ(CPU_EXIT_BUDGET, STEP(b, 0xce)); /* into */
        set_cpl(b, 3);
        EXPECT_FAULT(b, EXC_GP, 0x202, 0xcd, 0x40);
    })
}

TEST(changed, a_task_cannot_be_returned_to)
{
    EACH_RING({
        b->cpu->rflags = F_NT | 2;
        EXPECT_FAULT(b, EXC_TS, 0, 0xcf);
    })
}

TEST(changed, a_silent_iret_does_not_unblock_nmis)
{
    struct bench *b = classic(1);
    b->cpu->nmi_blocked = true;
    push_user_frame(b);
    STEP(b, 0xcf);
    EXPECT(b->cpu->nmi_blocked);
    bench_destroy(b);
}

/* ---- what traps ---- */

TEST(traps, privileged_instructions_act_on_the_virtual_machine)
{
    EACH_RING({
        b->cpu->rflags = F_IF | 2;
        STEP(b, 0xfa); /* cli */
        EXPECT(!(b->cpu->rflags & F_IF));
        STEP(b, 0x0f, 0x20, 0xc0); /* mov eax, cr0 */
        EXPECT_EQ(b->cpu->cr0, b->cpu->gpr[REG_RAX]);
        poke(b, DATA, 0x7f, 2);
        poke(b, DATA + 2, 0x5000, 4);
        b->cpu->gpr[REG_RBX] = DATA;
        STEP(b, 0x0f, 0x01, 0x13); /* lgdt [ebx] */
        EXPECT_EQ(0x5000, b->cpu->gdtr_base);
        b->cpu->gdtr_base = GDT;
        set_cpl(b, 3);
        EXPECT_FAULT(b, EXC_GP, 0, 0xfa);
    })
}

TEST(traps, umip_makes_five_of_them_privileged)
{
    EACH_RING({
        b->cpu->cr4 |= CR4_UMIP;
        b->cpu->gpr[REG_RBX] = DATA;
        STEP(b, 0x0f, 0x01, 0x03);
        EXPECT_EQ(GDT, peek(b, DATA + 2, 4));
        STEP(b, 0x0f, 0x00, 0xc8);
        EXPECT_EQ(TSS_SEL, b->cpu->gpr[REG_RAX]);
        set_cpl(b, 3);
        EXPECT_FAULT(b, EXC_GP, 0, 0x0f, 0x01, 0xe0);
    })
}

TEST(traps, emulated_faults_are_the_virtual_machines)
{
    for (unsigned i = 0; i < ARRAY_SIZE(rings); i++) {
        struct bench *b = bench_create(DECODE_32);
        make_classic(b, rings[i], true);
        b->cpu->gpr[REG_RAX] = DATA0;
        EXPECT_EQ(CPU_EXIT_BUDGET, STEP(b, 0x8e, 0xd0)); /* mov ss, eax */
        EXPECT_EQ(DATA0, b->cpu->seg_sel[SEG_SS]);
        b->cpu->gpr[REG_RAX] = CODE0;
        EXPECT_FAULT(b, EXC_GP, CODE0, 0x8e, 0xd0); /* no stack anywhere */
        b->cpu->gpr[REG_RSP] = STACK;
        idt_set(b, 0x40, CODE0, 0x8e, 0);
        STEP(b, 0xcd, 0x40);
        EXPECT_EQ(HANDLER + 16 * 0x40, b->cpu->rip);
        EXPECT_EQ(CODE0, peek(b, STACK - 8, 4));
        bench_destroy(b);
    }
}

/* ---- real mode runs in virtual-8086 mode ---- */

static struct bench *classic_real(void)
{
    struct bench *b = bench_real();
    make_classic(b, 1, false);
    return b;
}

TEST(real_mode, smsw_shows_protected_mode)
{
    struct bench *b = classic_real();
    STEP(b, 0x0f, 0x01, 0xe0); /* smsw ax */
    EXPECT_EQ(0x33, b->cpu->gpr[REG_RAX]);
    EXPECT(!(b->cpu->cr0 & CR0_PE));
    bench_destroy(b);
}

TEST(real_mode, flags_and_interrupts_trap_and_are_right)
{
    struct bench *b = classic_real();
    b->cpu->rflags = 2;
    STEP(b, 0x9c);
    EXPECT_EQ(2, peek(b, 0xf000 - 2, 2));
    STEP(b, 0xfb);
    EXPECT(b->cpu->rflags & F_IF);
    STEP(b, 0x9d);
    EXPECT_EQ(2, b->cpu->rflags);
    poke(b, 4 * 0x40, 0x7000, 4);
    STEP(b, 0xcd, 0x40);
    EXPECT_EQ(0x7000, b->cpu->rip);
    EXPECT_EQ(0, b->cpu->seg_sel[SEG_CS]);
    STEP(b, 0xcf);
    EXPECT_EQ(CODE + 2, b->cpu->rip);
    bench_destroy(b);
}

TEST(real_mode, a_segment_load_ends_unreal_mode)
{
    struct bench *b = classic_real();
    b->cpu->seg_limit[SEG_DS] = UINT32_MAX;
    b->cpu->gpr[REG_RAX] = 0x1234;
    STEP(b, 0x8e, 0xd8); /* mov ds, ax */
    EXPECT_EQ(0x12340, b->cpu->seg_base[SEG_DS]);
    EXPECT_EQ(0xffff, b->cpu->seg_limit[SEG_DS]);
    EXPECT_EQ(0, attr_dpl(b->cpu->seg_attr[SEG_DS]));
    EXPECT_EQ(0, b->cpu->cpl);
    bench_destroy(b);
}

/* ---- the table ---- */

/* A row that is sensitive and does not trap for its CPL alone runs on the real machine; nothing else does. */
TEST(policy, has_slots_of_its_own_where_the_pentium_does_not_trap)
{
    const struct sens_ops *bt = policy_slots(POLICY_BT), *own = policy_slots(POLICY_CLASSIC);
    for (unsigned row = 0; row < INSN_ROWS; row++) {
        const struct insn_desc *d = insn_row(row);
        unsigned p = d->privilege;
        bool is_silent = p == PRIV_VM86 || p == PRIV_UMIP || p == PRIV_UMIP_PE || p == PRIV_GATE || (p == PRIV_PE && d->op != OP_ARPL);
        bool is_excepted = d->op == OP_INT1 || d->op == OP_MOV_CR || d->op == OP_MOV_SREG || d->op == OP_PUSH_SREG;
        EXPECT_EQ(bt[d->op].exec != NULL, own[d->op].exec != NULL);
        if (!is_excepted && bt[d->op].exec)
            EXPECT_EQ(is_silent, own[d->op].exec != bt[d->op].exec);
    }
}

TEST_MAIN(RUN(shown, sgdt_and_sidt_show_the_tables_of_the_monitor)
          RUN(shown, sldt_and_str_show_the_monitors_selectors)
          RUN(shown, smsw_shows_the_real_cr0_and_the_guests_ts)
          RUN(shown, pushf_shows_interrupts_enabled_and_iopl_0)
          RUN(shown, cs_and_ss_have_the_ring_as_rpl)
          RUN(shown, lar_shows_the_dpl_and_lsl_the_limit_of_the_monitors_descriptor)
          RUN(shown, the_guests_tss_and_the_monitors_slots_are_invisible)
          RUN(shown, verr_and_verw_believe_an_rpl_that_ring_0_would_not)
          RUN(changed, popf_loses_if_and_iopl_silently)
          RUN(changed, a_stack_segment_of_ring_0_is_refused)
          RUN(changed, a_segment_load_leaves_the_guests_descriptor_unaccessed)
          RUN(changed, a_far_call_pushes_the_ring_and_its_return_goes_back)
          RUN(changed, far_return_and_iret_to_ring_0_fault)
          RUN(changed, iret_to_user_mode_loses_if)
          RUN(changed, in_ring_3_iret_to_user_mode_is_a_return_in_the_same_ring)
          RUN(changed, user_mode_may_jump_into_the_kernel_in_ring_3_alone)
          RUN(changed, software_interrupts_meet_the_monitors_gates)
          RUN(changed, a_task_cannot_be_returned_to)
          RUN(changed, a_silent_iret_does_not_unblock_nmis)
          RUN(traps, privileged_instructions_act_on_the_virtual_machine)
          RUN(traps, umip_makes_five_of_them_privileged)
          RUN(traps, emulated_faults_are_the_virtual_machines)
          RUN(real_mode, smsw_shows_protected_mode)
          RUN(real_mode, flags_and_interrupts_trap_and_are_right)
          RUN(real_mode, a_segment_load_ends_unreal_mode)
          RUN(policy, has_slots_of_its_own_where_the_pentium_does_not_trap))
