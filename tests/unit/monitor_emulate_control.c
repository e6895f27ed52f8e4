/* SPDX-License-Identifier: MIT */
/* Flags, control and debug registers, MSRs, CPUID, ports, clocks. */
#include "tests/unit/monitor_emulate.h"

/* ---- flags ---- */

TEST(flags, popf_in_user_mode_changes_neither_if_nor_iopl)
{
    struct bench *b = bench_create(DECODE_32);
    set_cpl(b, 3);
    poke(b, STACK - 4, F_IF | F_IOPL | F_CF | F_AC | F_ID, 4);
    b->cpu->gpr[REG_RSP] = STACK - 4;
    STEP(b, 0x9d);
    EXPECT_EQ(F_CF | F_AC | F_ID | 2, b->cpu->rflags);
    EXPECT_EQ(STACK, b->cpu->gpr[REG_RSP]);
    bench_destroy(b);
}

TEST(flags, popf_in_ring_0_writes_if_and_iopl_but_not_vm)
{
    struct bench *b = bench_create(DECODE_64);
    poke(b, STACK - 8, F_IF | F_IOPL | F_VM | F_VIF | F_RF, 8);
    b->cpu->gpr[REG_RSP] = STACK - 8;
    STEP(b, 0x9d);
    EXPECT_EQ(F_IF | F_IOPL | 2, b->cpu->rflags);
    bench_destroy(b);
}

TEST(flags, pushf_hides_rf_and_vm)
{
    struct bench *b = bench_create(DECODE_64);
    b->cpu->rflags = F_IF | F_ZF | 2;
    STEP(b, 0x9c);
    EXPECT_EQ(F_IF | F_ZF | 2, peek(b, STACK - 8, 8));
    bench_destroy(b);
}

TEST(flags, sti_holds_events_off_for_one_instruction_only_if_it_set_if)
{
    struct bench *b = bench_create(DECODE_64);
    STEP(b, 0xfb);
    EXPECT_EQ(SHADOW_STI, b->cpu->int_shadow);
    EXPECT(!reflect_interrupt_window_open(b->vcpu));
    EXPECT(reflect_nmi_window_open(b->vcpu));
    STEP(b, 0xfb);
    EXPECT_EQ(SHADOW_NONE, b->cpu->int_shadow);
    EXPECT(reflect_interrupt_window_open(b->vcpu));
    bench_destroy(b);
}

TEST(flags, cli_needs_iopl)
{
    struct bench *b = bench_create(DECODE_32);
    set_cpl(b, 3);
    b->cpu->rflags = F_IF | 2;
    EXPECT_FAULT(b, EXC_GP, 0, 0xfa);
    b->cpu->rflags = F_IF | F_IOPL | 2;
    STEP(b, 0xfa);
    EXPECT(!(b->cpu->rflags & F_IF));
    bench_destroy(b);
}

TEST(flags, cli_with_pvi_clears_vif)
{
    struct bench *b = bench_create(DECODE_32);
    set_cpl(b, 3);
    b->cpu->cr4 |= CR4_PVI;
    b->cpu->rflags = F_IF | F_VIF | 2;
    STEP(b, 0xfa);
    EXPECT_EQ(F_IF | 2, b->cpu->rflags);
    bench_destroy(b);
}

TEST(flags, stac_is_undefined_above_ring_0)
{
    struct bench *b = bench_create(DECODE_64);
    STEP(b, 0x0f, 0x01, 0xcb);
    EXPECT(b->cpu->rflags & F_AC);
    STEP(b, 0x0f, 0x01, 0xca);
    EXPECT(!(b->cpu->rflags & F_AC));
    set_cpl(b, 3);
    EXPECT_FAULT(b, EXC_UD, 0, 0x0f, 0x01, 0xcb);
    bench_destroy(b);
}

/* ---- control registers ---- */

TEST(control, cr0_refuses_paging_without_protection_and_nw_without_cd)
{
    struct bench *b = bench_create(DECODE_32);
    b->cpu->gpr[REG_RAX] = CR0_PG;
    EXPECT_FAULT(b, EXC_GP, 0, 0x0f, 0x22, 0xc0);
    b->cpu->gpr[REG_RAX] = CR0_PE | CR0_NW;
    EXPECT_FAULT(b, EXC_GP, 0, 0x0f, 0x22, 0xc0);
    set_cpl(b, 3);
    EXPECT_FAULT(b, EXC_GP, 0, 0x0f, 0x20, 0xc0);
    bench_destroy(b);
}

TEST(control, paging_with_lme_activates_long_mode_only_with_pae)
{
    struct bench *b = bench_create(DECODE_32);
    b->cpu->efer = EFER_LME;
    b->cpu->gpr[REG_RAX] = CR0_PE | CR0_PG;
    EXPECT_FAULT(b, EXC_GP, 0, 0x0f, 0x22, 0xc0);
    b->cpu->cr4 |= CR4_PAE;
    STEP(b, 0x0f, 0x22, 0xc0);
    EXPECT(b->cpu->efer & EFER_LMA);
    EXPECT_EQ(CR0_PE | CR0_PG | CR0_ET, b->cpu->cr0);
    EXPECT_EQ(DECODE_32, mode_code(b->vcpu->run.mode));
    bench_destroy(b);
}

TEST(control, cr4_refuses_what_cpuid_does_not_offer)
{
    struct bench *b = bench_create(DECODE_64);
    uint64_t base = CR4_PAE | CR4_OSFXSR;
    b->cpu->gpr[REG_RAX] = base | BIT(13);
    EXPECT_FAULT(b, EXC_GP, 0, 0x0f, 0x22, 0xe0);
    b->cpu->gpr[REG_RAX] = CR4_OSFXSR;
    EXPECT_FAULT(b, EXC_GP, 0, 0x0f, 0x22, 0xe0);
    b->cpu->gpr[REG_RAX] = base | CR4_SMEP | CR4_UMIP;
    STEP(b, 0x0f, 0x22, 0xe0);
    EXPECT_EQ(base | CR4_SMEP | CR4_UMIP, b->cpu->cr4);
    bench_destroy(b);
}

TEST(control, pcide_needs_pcid_zero)
{
    struct bench *b = bench_create(DECODE_64);
    b->cpu->cr4 = CR4_PAE;
    b->cpu->cr3 = 0x1001;
    b->cpu->gpr[REG_RAX] = CR4_PAE | CR4_PCIDE;
    EXPECT_FAULT(b, EXC_GP, 0, 0x0f, 0x22, 0xe0);
    b->cpu->cr3 = 0x1000;
    STEP(b, 0x0f, 0x22, 0xe0);
    EXPECT(b->cpu->cr4 & CR4_PCIDE);
    bench_destroy(b);
}

TEST(control, cr3_drops_the_no_flush_bit_and_faults_on_reserved_ones)
{
    struct bench *b = bench_create(DECODE_64);
    b->cpu->gpr[REG_RAX] = BIT(63) | 0x7000;
    EXPECT_FAULT(b, EXC_GP, 0, 0x0f, 0x22, 0xd8);
    b->cpu->cr4 |= CR4_PCIDE | CR4_PAE;
    STEP(b, 0x0f, 0x22, 0xd8);
    EXPECT_EQ(0x7000, b->cpu->cr3);
    b->cpu->gpr[REG_RAX] = BIT(CPU_MAXPHYADDR);
    EXPECT_FAULT(b, EXC_GP, 0, 0x0f, 0x22, 0xd8);
    bench_destroy(b);
}

TEST(control, lmsw_sets_but_never_clears_pe)
{
    struct bench *b = bench_create(DECODE_32);
    b->cpu->gpr[REG_RAX] = CR0_TS;
    STEP(b, 0x0f, 0x01, 0xf0);
    EXPECT_EQ(CR0_PE | CR0_TS | CR0_ET | CR0_NE, b->cpu->cr0);
    STEP(b, 0x0f, 0x06);
    EXPECT(!(b->cpu->cr0 & CR0_TS));
    bench_destroy(b);
}

TEST(control, cr8_is_the_apics)
{
    struct bench *b = bench_create(DECODE_64);
    b->cpu->gpr[REG_RAX] = 5;
    STEP(b, 0x44, 0x0f, 0x22, 0xc0);
    EXPECT_EQ(5, b->cr8);
    b->cpu->gpr[REG_RAX] = 16;
    EXPECT_FAULT(b, EXC_GP, 0, 0x44, 0x0f, 0x22, 0xc0);
    bench_destroy(b);
}

TEST(control, invpcid_checks_its_descriptor)
{
    struct bench *b = bench_create(DECODE_64);
    poke(b, DATA, 0, 8);
    poke(b, DATA + 8, BIT(62), 8);
    b->cpu->gpr[REG_RCX] = DATA;
    b->cpu->gpr[REG_RAX] = 2;
    EXPECT_EQ(CPU_EXIT_BUDGET, STEP(b, 0x66, 0x0f, 0x38, 0x82, 0x01));
    b->cpu->gpr[REG_RAX] = 0; /* not canonical */
    EXPECT_FAULT(b, EXC_GP, 0, 0x66, 0x0f, 0x38, 0x82, 0x01);
    b->cpu->gpr[REG_RAX] = 4;
    EXPECT_FAULT(b, EXC_GP, 0, 0x66, 0x0f, 0x38, 0x82, 0x01);
    bench_destroy(b);
}

TEST(control, xsetbv_needs_osxsave_and_x87)
{
    struct bench *b = bench_create(DECODE_64);
    b->cpu->gpr[REG_RAX] = 3;
    EXPECT_FAULT(b, EXC_UD, 0, 0x0f, 0x01, 0xd1);
    b->cpu->cr4 |= CR4_OSXSAVE;
    STEP(b, 0x0f, 0x01, 0xd1);
    EXPECT_EQ(3, b->cpu->xcr0);
    b->cpu->gpr[REG_RAX] = 2;
    EXPECT_FAULT(b, EXC_GP, 0, 0x0f, 0x01, 0xd1);
    b->cpu->gpr[REG_RAX] = 5; /* AVX without SSE */
    EXPECT_FAULT(b, EXC_GP, 0, 0x0f, 0x01, 0xd1);
    EXPECT(!(b->vcpu->run.mode & MODE_AVX));
    b->cpu->gpr[REG_RAX] = 7;
    STEP(b, 0x0f, 0x01, 0xd1);
    EXPECT_EQ(7, b->cpu->xcr0);
    EXPECT(b->vcpu->run.mode & MODE_AVX);
    bench_destroy(b);
}

TEST(debug, general_detect_traps_the_access_and_is_cleared_by_delivery)
{
    struct bench *b = bench_create(DECODE_64);
    b->cpu->dr[7] = DR7_FIXED | BIT(13);
    EXPECT_EQ(CPU_EXIT_FAULT, STEP(b, 0x0f, 0x21, 0xc0));
    EXPECT_EQ(EXC_DB, b->vcpu->run.fault.vector);
    idt_set(b, EXC_DB, CODE0_64, 0x8e, 0);
    EXPECT(reflect_fault(b->vcpu));
    EXPECT_EQ(DR6_FIXED | BIT(13), b->cpu->dr[6]);
    EXPECT_EQ(DR7_FIXED, b->cpu->dr[7]);
    bench_destroy(b);
}

TEST(debug, dr4_is_dr6_until_cr4_de)
{
    struct bench *b = bench_create(DECODE_64);
    b->cpu->gpr[REG_RAX] = 0xffffffff;
    STEP(b, 0x0f, 0x23, 0xe0);
    EXPECT_EQ(DR6_FIXED | 0xe00f, b->cpu->dr[6]);
    b->cpu->cr4 |= CR4_DE;
    EXPECT_FAULT(b, EXC_UD, 0, 0x0f, 0x23, 0xe0);
    bench_destroy(b);
}

/* ---- MSRs ---- */

static enum cpu_exit wrmsr(struct bench *b, uint32_t msr, uint64_t v)
{
    b->cpu->gpr[REG_RCX] = msr;
    b->cpu->gpr[REG_RAX] = (uint32_t)v;
    b->cpu->gpr[REG_RDX] = v >> 32;
    return STEP(b, 0x0f, 0x30);
}

static bool rdmsr(struct bench *b, uint32_t msr, uint64_t *v)
{
    b->cpu->gpr[REG_RCX] = msr;
    if (STEP(b, 0x0f, 0x32) == CPU_EXIT_FAULT)
        return false;
    *v = b->cpu->gpr[REG_RDX] << 32 | b->cpu->gpr[REG_RAX];
    return true;
}

/* Every row is found by bisection, so the table is in order. */
TEST(msr, every_row_is_found)
{
    static const uint32_t numbers[] = {
#define MSR_FIELD(number, name, needs, field, writable) number,
#define MSR_ADDRESS(number, name, needs, field) number,
#define MSR_CONST(number, name, needs, value, on_write) number,
#define MSR_CODE(number, name, needs, read, write) number,
#define MSR_BLOCK(first, last, name, needs, read, write) first, last,
#include "cpu/msr.def"
    };
    struct bench *b = bench_create(DECODE_64);
    uint64_t v;
    for (unsigned i = 0; i < ARRAY_SIZE(numbers); i++) {
        uint32_t n = numbers[i];
        bool is_readable = n != 0x49 && n != 0x79 && n != 0x6e0 && !(n >= 0x800 && n <= 0x8ff) &&
                           n != 0x4b564d03 && n != 0x4b564d04; /* of -virt pv */
        EXPECT_EQ(is_readable, rdmsr(b, n, &v));
        EXPECT(i == 0 || numbers[i - 1] <= n);
    }
    bench_destroy(b);
}

TEST(msr, unknown_numbers_and_reserved_values_fault)
{
    struct bench *b = bench_create(DECODE_64);
    uint64_t v;
    EXPECT(!rdmsr(b, 0x1234, &v));
    EXPECT_EQ(CPU_EXIT_FAULT, wrmsr(b, 0x277, 2));
    EXPECT_EQ(CPU_EXIT_FAULT, wrmsr(b, 0xc0000082, BIT(50)));
    EXPECT_EQ(CPU_EXIT_FAULT, wrmsr(b, 0xfe, 0));
    EXPECT_EQ(CPU_EXIT_FAULT, wrmsr(b, 0xc0000080, BIT(1)));
    EXPECT_EQ(CPU_EXIT_FAULT, wrmsr(b, 0x200, BIT(CPU_MAXPHYADDR)));
    bench_destroy(b);
}

TEST(msr, tsc_and_tsc_adjust_move_together)
{
    struct bench *b = bench_create(DECODE_64);
    uint64_t v;
    b->tsc = 1000;
    wrmsr(b, 0x10, 5000);
    EXPECT(rdmsr(b, 0x3b, &v));
    EXPECT_EQ(4000, v);
    wrmsr(b, 0x3b, 1);
    EXPECT(rdmsr(b, 0x10, &v));
    EXPECT_EQ(1001, v);
    STEP(b, 0x0f, 0x31);
    EXPECT_EQ(1001, b->cpu->gpr[REG_RAX]);
    bench_destroy(b);
}

TEST(msr, bases_reach_the_next_access)
{
    struct bench *b = bench_create(DECODE_64);
    poke(b, DATA + 8, 0x1122334455667788, 8);
    wrmsr(b, 0xc0000101, DATA);
    STEP(b, 0x65, 0x48, 0x8b, 0x04, 0x25, 8, 0, 0, 0); /* mov rax, gs:[8] */
    EXPECT_EQ(0x1122334455667788, b->cpu->gpr[REG_RAX]);
    b->cpu->kernel_gs_base = DATA - 8;
    STEP(b, 0x0f, 0x01, 0xf8);
    STEP(b, 0x65, 0x48, 0x8b, 0x1c, 0x25, 16, 0, 0, 0); /* mov rbx, gs:[16] */
    EXPECT_EQ(0x1122334455667788, b->cpu->gpr[REG_RBX]);
    EXPECT_EQ(DATA, b->cpu->kernel_gs_base);
    bench_destroy(b);
}

/* ---- CPUID and models ---- */

TEST(cpuid, says_what_the_model_says)
{
    struct bench *b = bench_create(DECODE_64);
    b->cpu->gpr[REG_RAX] = 0;
    STEP(b, 0x0f, 0xa2);
    EXPECT_EQ(0x756e6547, b->cpu->gpr[REG_RBX]);
    b->cpu->gpr[REG_RAX] = 1;
    STEP(b, 0x0f, 0xa2);
    EXPECT(!(b->cpu->gpr[REG_RCX] & BIT(27)));
    EXPECT(b->cpu->gpr[REG_RDX] & BIT(9));
    b->cpu->cr4 |= CR4_OSXSAVE;
    b->cpu->gpr[REG_RAX] = 1;
    STEP(b, 0x0f, 0xa2);
    EXPECT(b->cpu->gpr[REG_RCX] & BIT(27));
    b->cpu->gpr[REG_RAX] = 0x40000000;
    STEP(b, 0x0f, 0xa2);
    EXPECT_EQ(0x4b4d564b, b->cpu->gpr[REG_RBX]);
    bench_destroy(b);
}

TEST(cpuid, parses_features_and_names_the_nearest)
{
    struct cpu_model m;
    struct err err = {{0}, {0}};
    EXPECT_EQ(0, cpu_model_parse("max,-x2apic,kvm=off,smap=off,+pni", &m, &err));
    EXPECT(!cpu_model_has(&m, CPUID_1_ECX, 21));
    EXPECT(!m.kvm);
    EXPECT(!(cpu_model_cr4(&m) & CR4_SMAP));
    EXPECT(cpu_model_parse("macs", &m, &err) < 0);
    EXPECT(strstr(err.hint, "'max'") != NULL);
    EXPECT(cpu_model_parse("max,+sse4.3", &m, &err) < 0);
    EXPECT(strstr(err.hint, "'sse4.") != NULL);
    EXPECT(cpu_model_parse("max,+vmx", &m, &err) < 0);
    EXPECT(cpu_model_parse("max,kvm=maybe", &m, &err) < 0);
    EXPECT(cpu_model_parse("host", &m, &err) < 0);
    EXPECT(cpu_model_parse("max,", &m, &err) < 0);
    EXPECT(cpu_model_parse("", &m, &err) < 0);
}

TEST(cpuid, topology_and_clock_follow_the_machine)
{
    struct cpu_model m;
    struct cpu cpu = {0};
    EXPECT_EQ(0, cpu_model_parse("max", &m, NULL));
    cpu_model_set_machine(&m, 4, 2000000000, 1000000000);
    struct cpuid_regs r = cpuid_query(&m, &cpu, 3, 0xb, 1);
    EXPECT_EQ(2, r.eax);
    EXPECT_EQ(4, r.ebx);
    EXPECT_EQ(3, r.edx);
    r = cpuid_query(&m, &cpu, 3, 0x15, 0);
    EXPECT_EQ(2, r.ebx);
    EXPECT_EQ(1000000000, r.ecx);
    r = cpuid_query(&m, &cpu, 3, 1, 0);
    EXPECT(r.edx & BIT(28));
    EXPECT_EQ(3, r.ebx >> 24);
}

TEST(cpuid, state_sizes_follow_xcr0)
{
    struct cpu_model m;
    struct cpu cpu = {.xcr0 = 3};
    EXPECT_EQ(0, cpu_model_parse("max", &m, NULL));
    struct cpuid_regs r = cpuid_query(&m, &cpu, 0, 0xd, 0);
    EXPECT_EQ(7, r.eax & 7);
    EXPECT_EQ(576, r.ebx);
    EXPECT(r.ecx >= 832);
    cpu.xcr0 = 7;
    EXPECT_EQ(832, cpuid_query(&m, &cpu, 0, 0xd, 0).ebx);
    r = cpuid_query(&m, &cpu, 0, 0xd, 2);
    EXPECT_EQ(256, r.eax);
    EXPECT_EQ(576, r.ebx);
    EXPECT_EQ(0, cpu_model_parse("max,-avx", &m, NULL));
    EXPECT_EQ(3, cpuid_query(&m, &cpu, 0, 0xd, 0).eax & 7);
    EXPECT_EQ(0, cpuid_query(&m, &cpu, 0, 0xd, 2).eax);
}

/* ---- ports ---- */

TEST(io, rep_insb_reads_the_port_once_for_each_byte)
{
    struct bench *b = bench_create(DECODE_64);
    b->cpu->gpr[REG_RCX] = 3;
    b->cpu->gpr[REG_RDX] = 0x1f0;
    b->cpu->gpr[REG_RDI] = DATA;
    b->port_value = 7;
    static const uint8_t code[] = {0xf3, 0x6c, 0x90};
    harness_code(b->h, code, sizeof(code));
    harness_run(b->h, 3);
    EXPECT_EQ(3, b->port_reads);
    EXPECT_EQ(0x090807, peek(b, DATA, 3));
    EXPECT_EQ(CODE + 2, b->cpu->rip);
    EXPECT_EQ(1, b->cpu->retired);
    EXPECT_EQ(3, b->cpu->ticks);
    bench_destroy(b);
}

TEST(io, rep_with_count_zero_touches_nothing)
{
    struct bench *b = bench_create(DECODE_64);
    b->cpu->gpr[REG_RDI] = BIT(50);
    STEP(b, 0xf3, 0x6c);
    EXPECT_EQ(0, b->port_reads);
    EXPECT_EQ(CODE + 2, b->cpu->rip);
    bench_destroy(b);
}

TEST(io, ins_does_not_read_the_port_if_its_destination_faults)
{
    struct bench *b = bench_create(DECODE_64);
    b->cpu->gpr[REG_RDI] = BIT(50);
    EXPECT_FAULT(b, EXC_GP, 0, 0x6c);
    EXPECT_EQ(0, b->port_reads);
    bench_destroy(b);
}

TEST(io, bitmap_decides_above_iopl)
{
    struct bench *b = bench_create(DECODE_32);
    set_cpl(b, 3);
    poke(b, TSS + 0x66, 0x68, 2);
    poke(b, TSS + 0x68 + 0x80 / 8, 0xfe, 1); /* only port 80h */
    poke(b, TSS + 0x68 + 0x88 / 8, 0xff, 1);
    b->cpu->gpr[REG_RAX] = 0x55;
    STEP(b, 0xe6, 0x80);
    EXPECT_EQ(1, b->port_writes);
    EXPECT_EQ(0x80, b->port);
    EXPECT_FAULT(b, EXC_GP, 0, 0xe6, 0x81);
    EXPECT_FAULT(b, EXC_GP, 0, 0xe7, 0x80);
    b->cpu->rflags |= F_IOPL;
    STEP(b, 0xe6, 0x81);
    EXPECT_EQ(2, b->port_writes);
    bench_destroy(b);
}

TEST(io, outsw_reads_through_the_segment)
{
    struct bench *b = bench_create(DECODE_32);
    poke(b, DATA, 0xbeef, 2);
    b->cpu->gpr[REG_RSI] = DATA;
    b->cpu->gpr[REG_RDX] = 0x402;
    b->cpu->rflags |= F_DF;
    STEP(b, 0x66, 0x6f);
    EXPECT_EQ(0xbeef, b->port_value);
    EXPECT_EQ(DATA - 2, b->cpu->gpr[REG_RSI]);
    bench_destroy(b);
}

TEST(time, rdrand_sets_carry)
{
    struct bench *b = bench_create(DECODE_64);
    b->cpu->rflags = F_ZF | F_OF | 2;
    STEP(b, 0x48, 0x0f, 0xc7, 0xf1);
    EXPECT_EQ(UINT64_C(0x123456789abcdef0), b->cpu->gpr[REG_RCX]);
    EXPECT_EQ(F_CF | 2, b->cpu->rflags);
    bench_destroy(b);
}

TEST(hypercall, is_refused_with_kvms_error_or_undefined)
{
    struct bench *b = bench_create(DECODE_64);
    STEP(b, 0x0f, 0x01, 0xc1);
    EXPECT_EQ(UINT64_C(0) - 1000, b->cpu->gpr[REG_RAX]);
    b->model.kvm = false;
    EXPECT_FAULT(b, EXC_UD, 0, 0x0f, 0x01, 0xc1);
    bench_destroy(b);
}

TEST(policy, every_sensitive_row_has_a_slot_and_a_reason)
{
    const struct sens_ops *slots = policy_slots(POLICY_BT);
    for (unsigned i = 0; i < insn_row_count(); i++) {
        const struct insn_desc *d = insn_row(i);
        if (d->sensitivity == SENS_NONE)
            continue;
        if (!slots[d->op].exec)
            printf("no emulator for %s\n", d->name);
        EXPECT(slots[d->op].exec != NULL);
        EXPECT(exit_reason_name(policy_exit_reason(d->op, NULL)) != NULL);
        EXPECT(policy_exit_reason(d->op, NULL) != REASON_EXCEPTION_NMI);
    }
}

TEST_MAIN(
    RUN(flags, popf_in_user_mode_changes_neither_if_nor_iopl) RUN(
        flags, popf_in_ring_0_writes_if_and_iopl_but_not_vm) RUN(flags, pushf_hides_rf_and_vm)
        RUN(flags, sti_holds_events_off_for_one_instruction_only_if_it_set_if) RUN(
            flags, cli_needs_iopl) RUN(flags,
                                       cli_with_pvi_clears_vif) RUN(flags,
                                                                    stac_is_undefined_above_ring_0)
            RUN(control, cr0_refuses_paging_without_protection_and_nw_without_cd) RUN(
                control, paging_with_lme_activates_long_mode_only_with_pae)
                RUN(control, cr4_refuses_what_cpuid_does_not_offer) RUN(
                    control,
                    pcide_needs_pcid_zero) RUN(control,
                                               cr3_drops_the_no_flush_bit_and_faults_on_reserved_ones)
                    RUN(control, lmsw_sets_but_never_clears_pe) RUN(control, cr8_is_the_apics) RUN(
                        control, invpcid_checks_its_descriptor) RUN(control,
                                                                    xsetbv_needs_osxsave_and_x87)
                        RUN(debug, general_detect_traps_the_access_and_is_cleared_by_delivery) RUN(
                            debug, dr4_is_dr6_until_cr4_de) RUN(msr, every_row_is_found)
                            RUN(msr, unknown_numbers_and_reserved_values_fault) RUN(
                                msr,
                                tsc_and_tsc_adjust_move_together) RUN(msr,
                                                                      bases_reach_the_next_access)
                                RUN(cpuid, says_what_the_model_says) RUN(
                                    cpuid,
                                    parses_features_and_names_the_nearest) RUN(cpuid,
                                                                               state_sizes_follow_xcr0)
                                    RUN(cpuid, topology_and_clock_follow_the_machine) RUN(
                                        io, rep_insb_reads_the_port_once_for_each_byte)
                                        RUN(io, rep_with_count_zero_touches_nothing) RUN(
                                            io,
                                            ins_does_not_read_the_port_if_its_destination_faults)
                                            RUN(io, bitmap_decides_above_iopl) RUN(
                                                io, outsw_reads_through_the_segment)
                                                RUN(time, rdrand_sets_carry) RUN(
                                                    hypercall,
                                                    is_refused_with_kvms_error_or_undefined)
                                                    RUN(policy,
                                                        every_sensitive_row_has_a_slot_and_a_reason))
