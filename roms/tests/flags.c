/* SPDX-License-Identifier: MIT */
/* EFLAGS and the boundaries of instructions: shadows of STI and MOV SS, single steps, breakpoints,
 * and which bits POPF may write. SDM Vol. 3A, "Masking Exceptions and Interrupts When Switching
 * Stacks"; Vol. 3B, "Debug Exceptions". */
#include "roms/lib/chips.h"

enum { VECTOR = 0x60, CLC = 0xF8, STC = 0xF9, CMC = 0xF5 };

static volatile reg_t hits, where[16];

static void note(struct frame *f)
{
    if (hits < COUNT(where))
        where[hits] = f->ip;
    hits++;
    if (f->vector == VECTOR)
        lapic_eoi();
}

/* An instruction breakpoint pushes RF = 0: to get past it the handler must set it. */
static void note_and_resume(struct frame *f)
{
    note(f);
    f->flags |= FLAG_RF;
}

static uint8_t byte_at(reg_t la)
{
    return *(const volatile uint8_t *)la;
}

static void ask_for_interrupt(void)
{
    hits = 0;
    lapic_send(0, ICR_ASSERT | ICR_SELF | VECTOR);
}

static void sti_shadow(void)
{
    trap_set(VECTOR, note);
    lapic_enable();
    ask_for_interrupt();
    __asm__ volatile("sti\n\tcli\n\tstc" : : : "memory", "cc");
    check_equal("STI, CLI: no interrupt gets between", 0, hits);
    __asm__ volatile("sti\n\tclc\n\tstc\n\tcli" : : : "memory", "cc");
    check("STI, CLC: the interrupt comes after CLC", hits == 1 && byte_at(where[0]) == STC);
    ask_for_interrupt();
    write_flags(read_flags() | FLAG_IF);
    cli();
    check_equal("POPF has no such shadow", 1, hits);
    ask_for_interrupt();
    __asm__ volatile("sti\n\tmov %0, %%ss\n\tclc\n\tstc\n\tcli" : : "r"(SEL_DS0) : "memory", "cc");
    /* The manual lets a processor honour only the first of two such instructions in a row. */
    check("STI, MOV SS, CLC: after MOV SS or after CLC",
          hits == 1 && (byte_at(where[0]) == CLC || byte_at(where[0]) == STC));
    trap_set(VECTOR, NULL);
}

static void single_step(void)
{
    trap_set(EXC_DB, note);
    hits = 0;
    __asm__ volatile("pushf\n\torl $0x100, (%%" SP ")\n\tpopf\n\tmov %0, %%ss\n\tclc\n\tstc\n\t"
                     "pushf\n\tandl $~0x100, (%%" SP ")\n\tpopf"
                     :
                     : "r"(SEL_DS0)
                     : "memory", "cc");
    check("no single step between MOV SS and the next instruction",
          hits > 0 && byte_at(where[0]) == STC);
    check_equal("CLC, STC, PUSHF, AND, POPF trap", 5, hits);
    hits = 0;
    static uint8_t bytes[4];
    __asm__ volatile("mov $3, %%ecx\n\tpushf\n\torl $0x100, (%%" SP
                     ")\n\tpopf\n\trep stosb\n\tclc\n\t"
                     "pushf\n\tandl $~0x100, (%%" SP ")\n\tpopf"
                     :
                     : "D"(bytes)
                     : "ecx", "memory", "cc");
    check("a single step after each iteration of REP",
          byte_at(where[0]) == 0xF3 && byte_at(where[1]) == 0xF3 && byte_at(where[2]) == CLC);
    check_equal("3 iterations, CLC, PUSHF, AND, POPF", 7, hits);
    trap_set(EXC_DB, NULL);
}

static void breakpoints(void)
{
    extern const uint8_t flags_break_here[];
    static volatile uint32_t watched;
    write_dr6(0);
    write_dr0((reg_t)&watched);
    write_dr7(1 | 1u << 16 | 3u << 18); /* L0, write, 4 bytes */
    __asm__ volatile(TRY "movl $1, %0\n\tclc" END_TRY : "=m"(watched) : : "memory", "cc");
    check_fault("a data breakpoint", EXC_DB, 0);
    check("is a trap", byte_at(caught.ip) == CLC && watched == 1);
    check_equal("DR6.B0", 1, caught.dr6 & 15);
    __asm__ volatile(TRY "movl %0, %%eax" END_TRY : : "m"(watched) : "eax", "memory");
    check_no_fault("a write breakpoint does not see reads");
    trap_set(EXC_DB, note_and_resume);
    hits = 0;
    write_dr0((reg_t)flags_break_here);
    write_dr7(1); /* L0, execution */
    __asm__ volatile("clc\n\t.globl flags_break_here\nflags_break_here:\tcmc" : : : "memory", "cc");
    write_dr7(0);
    trap_set(EXC_DB, NULL);
    check_equal("an instruction breakpoint, once: IRET restores RF", 1, hits);
    check("is a fault", where[0] == (reg_t)flags_break_here);
    write_dr7(1u << 13); /* GD */
    __asm__ volatile(TRY "mov %%dr6, %%" IF_64("rax", "eax") END_TRY
                     :
                     :
                     : IF_64("rax", "eax"), "memory");
    check_fault("DR7.GD guards the debug registers", EXC_DB, 0);
    check("DR6.BD", caught.dr6 & 1u << 13);
    check("delivery cleared GD", !(read_dr7() & 1u << 13));
    write_dr6(0);
}

static reg_t popf_all(reg_t v)
{
    __asm__ volatile("push %0\n\tpopf\n\tpushf\n\tpop %0\n\tpush $2\n\tpopf"
                     : "+r"(v)
                     :
                     : "memory", "cc");
    return v;
}

static void popf(void)
{
    reg_t all = FLAG_IOPL | FLAG_NT | FLAG_AC | FLAG_ID | FLAG_DF | FLAG_OF | 0xD7, got;
    got = popf_all(0xFFFFFFFF & ~(reg_t)(FLAG_TF | FLAG_IF | FLAG_VIP | FLAG_VIF));
    check_equal("POPF at CPL 0 writes all but VM and RF", all, got);
    got = popf_all(0);
    check_equal("bit 1 is always 1", 2, got);
    ring3_flags = 2;
    got = ring3(popf_all, FLAG_IF | FLAG_IOPL | FLAG_CF);
    check_equal("at CPL 3, IOPL 0: neither IF nor IOPL", 2 | FLAG_CF, got);
    ring3_flags = 2 | FLAG_IOPL;
    got = ring3(popf_all, FLAG_IF | FLAG_CF);
    check_equal("at CPL 3, IOPL 3: IF but not IOPL", 2 | FLAG_CF | FLAG_IF | FLAG_IOPL, got);
    ring3_flags = 2;
}

static reg_t cli_sti(reg_t v)
{
    __asm__ volatile(TRY "cli\n\tsti\n\tcli" END_TRY : : : "memory");
    return v;
}

static reg_t frame_flags;

static void keep_flags(struct frame *f)
{
    (void)f;
    frame_flags = read_flags();
}

static void gates(void)
{
    ring3(cli_sti, 0);
    check_fault("CLI at CPL 3, IOPL 0", EXC_GP, 0);
    ring3_flags = 2 | FLAG_IOPL;
    ring3(cli_sti, 0);
    check_no_fault("CLI, STI at CPL 3, IOPL 3");
    ring3_flags = 2;
    trap_set(0x50, keep_flags);
    write_flags(read_flags() | FLAG_IF | FLAG_AC);
    __asm__ volatile("int $0x50" : : : "memory");
    check("an interrupt gate clears IF, keeps AC",
          !(frame_flags & FLAG_IF) && frame_flags & FLAG_AC);
    idt_restore(0x50, 0x8F);
    __asm__ volatile("int $0x50" : : : "memory");
    check("a trap gate keeps IF", frame_flags & FLAG_IF);
    check("IRET brings them back", read_flags() & FLAG_AC);
    write_flags(2);
    idt_restore(0x50, 0x8E);
}

int main(void)
{
    sti_shadow();
    single_step();
    breakpoints();
    popf();
    gates();
    return checks_result();
}
