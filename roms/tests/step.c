/* SPDX-License-Identifier: MIT */
/* Single steps: after which instructions TF traps, what is pushed, how it mixes with interrupts,
 * shadows and other breakpoints; branches only with IA32_DEBUGCTL.BTF. SDM Vol. 3B, "Single-Step
 * Exception Condition". */
#include "roms/lib/chips.h"
#include "roms/lib/launch.h"

enum { VECTOR = 0x60, SOFT = 0x50, BS = 1 << 14, TRAPS = 0xE00F, DEBUGCTL_BTF = 2 };
enum { CLC = 0xF8, STC = 0xF9, CMC = 0xF5, CLD = 0xFC, NOP = 0x90 };

static volatile reg_t where[32], flags_at[32], dr6_at[32];
static volatile unsigned steps, events, events_before_step;

static void note_step(struct frame *f)
{
    if (steps < COUNT(where)) {
        where[steps] = f->ip;
        flags_at[steps] = f->flags;
        dr6_at[steps] = read_dr6() & TRAPS;
    }
    if (steps == 0)
        events_before_step = events;
    steps++;
    write_dr6(0);
}

static void note_event(struct frame *f)
{
    events++;
    if (f->vector == VECTOR)
        lapic_eoi();
}

static void begin(void)
{
    steps = events = events_before_step = 0;
    write_dr6(0);
    trap_set(EXC_DB, note_step);
    trap_set(SOFT, note_event);
    trap_set(VECTOR, note_event);
}

static bool stopped_at(unsigned n, unsigned opcode)
{
    return n < steps && *(const volatile uint8_t *)where[n] == opcode;
}

#define TF_ON "pushf\n\torl $0x100, (%%" SP ")\n\tpopf\n\t"
#define TF_OFF "pushf\n\tandl $~0x100, (%%" SP ")\n\tpopf\n\t" /* three traps of its own */
enum { OFF_STEPS = 3 };

static void plain(void)
{
    begin();
    __asm__ volatile(TF_ON "clc\n\tstc\n\t" TF_OFF : : : "memory", "cc");
    check("after each instruction", steps == 2 + OFF_STEPS && stopped_at(0, STC));
    check_equal("with DR6.BS alone", BS, dr6_at[0]);
    check("the pushed flags have TF", flags_at[0] & FLAG_TF);
    check("but not RF: a trap", !(flags_at[0] & FLAG_RF));
    check("not after the POPF that sets TF, but after the one that clears it", steps == 5);
}

static void by_iret(void)
{
    begin();
#if defined(__x86_64__)
    __asm__ volatile(
        "mov %%rsp, %%rbx\n\tmov %%ss, %%eax\n\tpush %%rax\n\tpush %%rbx\n\tpush $0x102\n\t"
        "mov %%cs, %%eax\n\tpush %%rax\n\tpush $1f\n\tiretq\n1:\tclc\n\tstc\n\t" TF_OFF
        :
        :
        : "rax", "rbx", "memory", "cc");
#else
    __asm__ volatile("push $0x102\n\tpush %%cs\n\tpush $1f\n\tiret\n1:\tclc\n\tstc\n\t" TF_OFF
                     :
                     :
                     : "memory", "cc");
#endif
    check("IRET that sets TF: first trap after the instruction it leads to", stopped_at(0, STC));
    check_equal("and so on", 2 + OFF_STEPS, steps);
}

static void software_interrupt(void)
{
    begin();
    __asm__ volatile(TF_ON "int $0x50\n\tclc\n\tstc\n\t" TF_OFF : : : "memory", "cc");
    check("INT n: the handler is not stepped", events == 1);
    check("nor is there a trap for INT n itself", stopped_at(0, STC));
    check_equal("IRET brings TF back", 2 + OFF_STEPS, steps);
}

static void faulting(void)
{
    begin();
    __asm__ volatile(TF_ON TRY "ud2" END_TRY "pushf\n\tandl $~0x100, (%%" SP ")\n\tpopf"
                     :
                     :
                     : "memory", "cc");
    check_fault("a fault while TF is set", EXC_UD, 0);
    check("the saved flags have TF", caught.flags & FLAG_TF);
    check("and RF", caught.flags & FLAG_RF);
    check("the instruction that faulted is no step", steps == 2); /* the two MOVs of TRY */
}

static void shadows(void)
{
    begin();
    __asm__ volatile("cli\n\t" TF_ON "sti\n\tclc\n\tstc\n\tcli\n\t" TF_OFF : : : "memory", "cc");
    check("STI's shadow does not hold back a step", stopped_at(0, CLC));
    begin();
    __asm__ volatile("mov %0, %%ecx\n\t" TF_ON "mov %%ecx, %%ss\n\tclc\n\tstc\n\t" TF_OFF
                     :
                     : "i"(SEL_DS0)
                     : "ecx", "memory", "cc");
    check("MOV SS's does", stopped_at(0, STC) && dr6_at[0] == BS);
    begin();
#if !defined(__x86_64__)
    __asm__ volatile("push %%ss\n\tpop %%ecx\n\t" TF_ON
                     "push %%ecx\n\tpop %%ss\n\tclc\n\tstc\n\t" TF_OFF
                     :
                     :
                     : "ecx", "memory", "cc");
    check("POP SS's too", stopped_at(1, STC) && steps == 3 + OFF_STEPS);
    begin();
#endif
    /* MOV SS, INT n: the step of MOV SS is pending and comes in the handler, before its first
     * instruction. */
    __asm__ volatile("mov %0, %%ecx\n\t" TF_ON
                     "mov %%ecx, %%ss\n\tint $0x50\n\tclc\n\tstc\n\t" TF_OFF
                     :
                     : "i"(SEL_DS0)
                     : "ecx", "memory", "cc");
    extern uint8_t trap_stubs[];
    check("MOV SS, INT n: the held step comes at the handler",
          where[0] == (reg_t)trap_stubs + SOFT * 16);
    check("where TF is clear", !(flags_at[0] & FLAG_TF));
}

static void with_interrupt(void)
{
    begin();
    lapic_enable();
    lapic_send(0, ICR_ASSERT | ICR_SELF | VECTOR);
    /* The step of CLC and the interrupt are due at once: the trap is taken first, and TF is clear
     * in the interrupt's handler. */
    __asm__ volatile(TF_ON "sti\n\tclc\n\tstc\n\tcli\n\t" TF_OFF : : : "memory", "cc");
    check_equal("one interrupt", 1, events);
    check("the trap of STI comes before it", events_before_step == 0 && stopped_at(0, CLC));
    check("and the trap of CLC", stopped_at(1, STC));
    check_equal("STI, CLC, STC, CLI are stepped", 4 + OFF_STEPS, steps);
}

static void repeated(void)
{
    static uint8_t to[8];
    begin();
    __asm__ volatile("mov $3, %%ecx\n\t" TF_ON "rep stosb\n\tclc\n\t" TF_OFF
                     :
                     : "D"(to), "a"(1)
                     : "ecx", "memory", "cc");
    check("REP STOSB: a trap per iteration",
          stopped_at(0, 0xF3) && stopped_at(1, 0xF3) && stopped_at(2, CLC));
    check("RF is pushed as 1 while iterations remain", flags_at[0] & flags_at[1] & FLAG_RF);
    check("as 0 after the last", !(flags_at[2] & FLAG_RF));
    begin();
    __asm__ volatile("xor %%ecx, %%ecx\n\t" TF_ON "rep stosb\n\tclc\n\t" TF_OFF
                     :
                     : "D"(to), "a"(1)
                     : "ecx", "memory", "cc");
    check("a count of 0: one trap", stopped_at(0, CLC));
    begin();
    __asm__ volatile("mov $2, %%ecx\n\t" TF_ON "rep outsb\n\tclc\n\t" TF_OFF
                     :
                     : "d"(0x80), "S"(to)
                     : "ecx", "memory", "cc");
    check("REP OUTSB the same", stopped_at(0, 0xF3) && stopped_at(1, CLC));
    check("with RF", flags_at[0] & FLAG_RF && !(flags_at[1] & FLAG_RF));
}

static void rf_passes(struct frame *f)
{
    note_step(f);
    if (dr6_at[steps - 1] & 15)
        f->flags |= FLAG_RF;
}

/* The breakpoint of the next instruction and the step of this one: first the trap, then the fault.
 */
static void before_a_breakpoint(void)
{
    extern const uint8_t step_here[];
    begin();
    trap_set(EXC_DB, rf_passes);
    write_dr0((reg_t)step_here);
    write_dr7(1);
    __asm__ volatile(TF_ON "clc\n\tstep_here:\tstc\n\tcmc\n\t"
                           "movl $0, %%eax\n\tmov %%" IF_64("rax", "eax") ", %%dr7\n\t" TF_OFF
                     :
                     :
                     : IF_64("rax", "eax"), "memory", "cc");
    check("the trap", where[0] == (reg_t)step_here && dr6_at[0] == BS);
    check("then the fault at the same place", where[1] == (reg_t)step_here && dr6_at[1] == 1);
    check("then the step of that instruction", stopped_at(2, CMC) && dr6_at[2] == BS);
}

static void branches(void)
{
    begin();
    __asm__ volatile(TRY "wrmsr" END_TRY
                     :
                     : "c"(MSR_DEBUGCTL), "a"(DEBUGCTL_BTF), "d"(0)
                     : "memory");
    if (caught.vector != NO_EXCEPTION || read_msr(MSR_DEBUGCTL) != DEBUGCTL_BTF) {
        skip("steps on branches", "no IA32_DEBUGCTL.BTF");
        trap_set(EXC_DB, NULL);
        return;
    }
    __asm__ volatile(TF_ON "clc\n\tstc\n\tjnc 1f\n\tnop\n\tjmp 1f\n\tnop\n1:\tcmc\n\tclc\n\t" TF_OFF
                     :
                     :
                     : "memory", "cc");
    check("BTF: the first trap is after the branch that is taken", stopped_at(0, CMC));
    check_equal("delivery clears BTF", 0, read_msr(MSR_DEBUGCTL) & DEBUGCTL_BTF);
    check("so steps go on one by one", stopped_at(1, CLC) && steps == 3 + OFF_STEPS);
    write_msr(MSR_DEBUGCTL, 0);
}

int main(void)
{
    plain();
    by_iret();
    software_interrupt();
    faulting();
    shadows();
    with_interrupt();
    repeated();
    before_a_breakpoint();
    branches();
    trap_set(EXC_DB, NULL);
    return checks_result();
}
