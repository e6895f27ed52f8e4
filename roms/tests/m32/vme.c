/* SPDX-License-Identifier: MIT */
/* Virtual-8086 mode with its extensions: the six ways of INT n, VIF and VIP, the I/O bitmap; and
 * protected-mode virtual interrupts. SDM Vol. 3B, "8086 Emulation"; Vol. 1, "I/O Permission Bit
 * Map". */
#include "roms/lib/launch.h"

enum { SEG = 0x700, BASE = SEG << 4, STACK = 0xF00, VECTOR = 0x60, PORT = 0x80 };
enum { REDIRECTION = TSS_BITMAP, BITMAP = TSS_BITMAP + 32, IO_BASE = 102 };
enum { FLAGS_VI = FLAG_VIF | FLAG_VIP };

void v86_enter(reg_t image);
extern const uint8_t v86_code[], v86_code_end[], v86_hlt[], v86_int[], v86_cd3[], v86_int3[];
extern const uint8_t v86_into[], v86_handler[], v86_handler_hlt[], v86_cli[], v86_sti[];
extern const uint8_t v86_pushf[], v86_pushfl[], v86_popf[], v86_popfl[], v86_popfl_insn[];
extern const uint8_t v86_do_iret[], v86_iret_insn[], v86_iretl[], v86_in8[], v86_in16[], v86_in32[];
extern const uint8_t v86_insb[], v86_word[], v86_word_insn[], v86_stack_word[];
extern const uint8_t v86_stack_word_insn[], v86_wide[], v86_wide_insn[], v86_privileged[];
extern const uint8_t v86_unknown[], v86_allowed[], v86_allowed_end[];
extern uint32_t v86_edx;
extern const uint8_t pvi_cli[], pvi_sti[], pvi_pushf[];

static uint32_t image_room[300], *const image = image_room + 256;

static uint32_t offset_of(const uint8_t *label)
{
    return (uint32_t)(label - v86_code);
}

static void *memory(uint32_t at)
{
    __asm__("" : "+r"(at));
    return (void *)at;
}

/* Run a program in virtual-8086 mode until something takes it away. */
static void v86(const uint8_t *program, uint32_t flags)
{
    const uint32_t v[9] = {
        offset_of(program), SEG, flags | 2 | FLAG_VM, STACK, SEG, SEG, SEG, SEG, SEG};
    memcpy(image, v, sizeof(v));
    launch_and_catch(v86_enter, (reg_t)image);
}

/* It came to its HLT. */
static bool ends(const char *name)
{
    bool is_end = landed.vector == EXC_GP && landed.error == 0 && landed.flags & FLAG_VM &&
                  *(const uint8_t *)memory(BASE + landed.ip) == 0xF4;
    if (!check(name, is_end))
        print("     vector %u error %x ip %x flags %x\n", (unsigned)landed.vector,
              (unsigned)landed.error, (unsigned)landed.ip, (unsigned)landed.flags);
    return is_end;
}

/* It was stopped at this instruction. */
static void stops_at(const char *name, const uint8_t *insn, unsigned vector, unsigned error)
{
    if (check_landed(name, vector, error))
        check_equal("  at the instruction", offset_of(insn), landed.ip);
}

static void set_redirection(unsigned vector, bool to_monitor)
{
    uint8_t *byte = tss_bytes() + REDIRECTION + vector / 8;
    uint8_t bit = (uint8_t)(1u << vector % 8);
    *byte = to_monitor ? *byte | bit : *byte & (uint8_t)~bit;
}

static void prepare(void)
{
    const uint16_t base = BITMAP;
    memcpy(memory(BASE), v86_code, (size_t)(v86_code_end - v86_code));
    for (unsigned v = 0; v < 256; v++)
        *(volatile uint32_t *)memory(v * 4) = (uint32_t)SEG << 16 | offset_of(v86_handler);
    memcpy(tss_bytes() + IO_BASE, &base, 2);
    memset(tss_bytes() + REDIRECTION, 0xFF, 32);
    idt_restore(VECTOR, 0xEE);
    launch_expect(VECTOR);
}

/* ---- INT n ---- */

static void ways_1_to_4(void)
{
    write_cr4(read_cr4() & ~(reg_t)CR4_VME);
    v86(v86_int, FLAG_IOPL);
    check_landed("1. VME 0, IOPL 3: through the IDT", VECTOR, 0);
    check_equal("  behind INT", offset_of(v86_int) + 2, landed.ip);
    check("  VM on the stack", landed.flags & FLAG_VM);
    v86(v86_int, 0);
    stops_at("2. VME 0, IOPL 0: #GP(0)", v86_int, EXC_GP, 0);
    set_redirection(VECTOR, false);
    v86(v86_int, 0);
    stops_at("   whatever the bitmap says", v86_int, EXC_GP, 0);
    write_cr4(read_cr4() | CR4_VME);
    set_redirection(VECTOR, true);
    v86(v86_int, 0);
    stops_at("3. VME 1, IOPL 0, bit 1: #GP(0)", v86_int, EXC_GP, 0);
    v86(v86_int, FLAG_IOPL);
    check_landed("4. VME 1, IOPL 3, bit 1: through the IDT", VECTOR, 0);
    idt_restore(VECTOR, 0x8E);
    v86(v86_int, FLAG_IOPL);
    stops_at("   whose DPL counts", v86_int, EXC_GP, VECTOR * 8 + 2);
    idt_restore(VECTOR, 0xEE);
}

static void ways_5_and_6(void)
{
    set_redirection(VECTOR, false);
    v86(v86_int, FLAG_IOPL | FLAG_IF | FLAG_VIF | FLAG_CF);
    ends("5. VME 1, IOPL 3, bit 0: through the IVT");
    check_equal("  to the handler", offset_of(v86_handler_hlt), landed.ip);
    check_equal("  IP", offset_of(v86_int) + 2, landed.ax & 0xFFFF);
    check_equal("  CS", SEG, landed.bx & 0xFFFF);
    check_equal("  FLAGS as they were", 2 | FLAG_IOPL | FLAG_IF | FLAG_CF, landed.cx & 0xFFFF);
    check("  IF is cleared, VIF is not", !(landed.flags & FLAG_IF) && landed.flags & FLAG_VIF);
    v86(v86_int, FLAG_IF | FLAG_VIF);
    ends("6. VME 1, IOPL 0, bit 0: through the IVT");
    check_equal("  FLAGS with IOPL 3, and IF = VIF", 2 | FLAG_IOPL | FLAG_IF, landed.cx & 0xFFFF);
    check("  VIF is cleared, IF is not", !(landed.flags & FLAG_VIF) && landed.flags & FLAG_IF);
    check_equal("  IOPL is as before", 0, landed.flags & FLAG_IOPL);
    v86(v86_int, FLAG_IF);
    ends("   with VIF 0");
    check_equal("  FLAGS with IF = 0", 2 | FLAG_IOPL, landed.cx & 0xFFFF);
}

static void not_int_n(void)
{
    set_redirection(EXC_BP, false);
    set_redirection(EXC_OF, false);
    idt_restore(EXC_BP, 0xEE);
    idt_restore(EXC_OF, 0xEE);
    v86(v86_int3, 0);
    check_landed("INT3 is never redirected, and needs no IOPL", EXC_BP, 0);
    v86(v86_into, 0);
    check_landed("nor INTO", EXC_OF, 0);
    v86(v86_cd3, 0);
    ends("INT 3 of two bytes is");
    check_equal("  to the handler", offset_of(v86_handler_hlt), landed.ip);
    idt_restore(EXC_BP, 0x8E);
    idt_restore(EXC_OF, 0x8E);
    v86(v86_int3, FLAG_IOPL);
    stops_at("INT3 with a gate for ring 0", v86_int3, EXC_GP, EXC_BP * 8 + 2);
}

/* ---- VIF and VIP ---- */

static void virtual_interrupts(void)
{
    v86(v86_cli, FLAG_IF | FLAG_VIF);
    ends("CLI with VME, IOPL 0");
    check("  clears VIF, not IF", !(landed.flags & FLAG_VIF) && landed.flags & FLAG_IF);
    v86(v86_sti, 0);
    ends("STI");
    check("  sets VIF, not IF", landed.flags & FLAG_VIF && !(landed.flags & FLAG_IF));
    v86(v86_sti, FLAG_VIP);
    stops_at("STI with VIP", v86_sti, EXC_GP, 0);
    check("  does not set VIF", !(landed.flags & FLAG_VIF));
    v86(v86_cli, FLAG_VIP);
    ends("CLI with VIP");
    v86(v86_pushf, FLAG_VIF);
    ends("PUSHF");
    check_equal("  IF is VIF, IOPL is 3", 2 | FLAG_IF | FLAG_IOPL, landed.ax & 0xFFFF);
    v86(v86_pushf, FLAG_IF);
    check_equal("  and not IF", 2 | FLAG_IOPL, landed.ax & 0xFFFF);
    v86(v86_pushfl, FLAG_VIF);
    stops_at("PUSHFD", v86_pushfl, EXC_GP, 0);
    v86(v86_popfl, FLAG_VIF);
    stops_at("POPFD", v86_popfl_insn, EXC_GP, 0);
    v86(v86_iretl, FLAG_VIF);
    stops_at("IRETD", v86_iretl, EXC_GP, 0);
    v86(v86_cli, FLAG_IOPL | FLAG_IF | FLAG_VIF);
    ends("CLI with VME, IOPL 3");
    check("  clears IF, not VIF", landed.flags & FLAG_VIF && !(landed.flags & FLAG_IF));
    v86(v86_pushf, FLAG_IOPL | FLAG_VIF);
    check_equal("PUSHF with IOPL 3 shows IF", 2 | FLAG_IOPL, landed.ax & 0xFFFF);
}

/* POPF and IRET take FLAGS from DX. */
static void with_flags(const uint8_t *program, uint32_t dx, uint32_t flags)
{
    v86_edx = dx;
    v86(program, flags);
}

static void popped(void)
{
    static const uint8_t *const programs[2] = {v86_popf, v86_do_iret};
    static const uint8_t *const insns[2] = {v86_popf, v86_iret_insn};
    for (unsigned i = 0; i < 2; i++) {
        const char *what = i ? "IRET" : "POPF";
        print("     %s\n", what);
        with_flags(programs[i], FLAG_IF | FLAG_CF, 0);
        ends("of IF");
        check("  sets VIF, not IF", landed.flags & FLAG_VIF && !(landed.flags & FLAG_IF));
        check("  and the others", landed.flags & FLAG_CF);
        with_flags(programs[i], FLAG_IOPL, FLAG_VIF | FLAG_IF);
        ends("without IF");
        check("  clears VIF, not IF, not IOPL",
              !(landed.flags & (FLAG_VIF | FLAG_IOPL)) && landed.flags & FLAG_IF);
        with_flags(programs[i], FLAG_IF, FLAG_VIP);
        check_landed("of IF with VIP", EXC_GP, 0);
        check("  at it", landed.ip == offset_of(insns[i]) + (i ? 0u : 1u));
        check("  nothing changed",
              !(landed.flags & FLAG_VIF) && landed.sp == STACK - (i ? 6u : 2u));
        with_flags(programs[i], 0, FLAG_VIP);
        ends("without IF with VIP");
        with_flags(programs[i], FLAG_TF, 0);
        check_landed("of TF", EXC_GP, 0);
    }
}

/* "If the processor finds that both the VIF and VIP flags are set at the beginning of an
 * instruction, it generates a general-protection exception." */
static void both_flags(void)
{
    v86(v86_pushf, FLAGS_VI);
    check_landed("IRET to an 8086 program with VIF and VIP: #GP", EXC_GP, 0);
    check_equal("  before its first instruction", offset_of(v86_pushf), landed.ip);
    check("  in virtual-8086 mode", landed.flags & FLAG_VM && landed.cs == SEG);
    v86(v86_pushf, FLAGS_VI | FLAG_IOPL);
    ends("with IOPL 3 they mean nothing");
    write_cr4(read_cr4() & ~(reg_t)CR4_VME);
    v86(v86_cli, FLAGS_VI | FLAG_IOPL);
    ends("nor without VME");
    v86(v86_sti, 0);
    stops_at("STI without VME", v86_sti, EXC_GP, 0);
    write_cr4(read_cr4() | CR4_VME);
}

/* ---- I/O ---- */

static void set_port(unsigned port, bool is_denied)
{
    uint8_t *byte = tss_bytes() + BITMAP + port / 8;
    uint8_t bit = (uint8_t)(1u << port % 8);
    *byte = is_denied ? *byte | bit : *byte & (uint8_t)~bit;
}

static void in(const uint8_t *program, uint16_t port)
{
    v86_edx = port;
    v86(program, FLAG_IOPL);
}

static void io_bitmap(void)
{
    in(v86_in8, PORT + 7);
    stops_at("IN, its bit set", v86_in8, EXC_GP, 0);
    set_port(PORT + 7, false);
    in(v86_in8, PORT + 7);
    ends("IN, its bit clear");
    in(v86_in16, PORT + 7);
    stops_at("a word, the second bit in the next byte set", v86_in16, EXC_GP, 0);
    set_port(PORT + 8, false);
    in(v86_in16, PORT + 7);
    ends("both clear");
    in(v86_in32, PORT + 7);
    stops_at("a doubleword, two bits set", v86_in32, EXC_GP, 0);
    set_port(PORT + 9, false);
    set_port(PORT + 10, false);
    in(v86_in32, PORT + 7);
    ends("all four clear");
    in(v86_insb, PORT + 11);
    stops_at("INSB", v86_insb, EXC_GP, 0);
    for (unsigned i = 7; i < 11; i++)
        set_port(PORT + i, true);
}

/* ---- the rest ---- */

static void instructions(void)
{
    bool is_right = true;
    unsigned at;
    for (at = 0; v86_privileged + at < v86_unknown; at += 8) {
        v86(v86_privileged + at, FLAG_IOPL);
        is_right = is_right && landed.vector == EXC_GP && landed.error == 0 &&
                   landed.ip == offset_of(v86_privileged) + at;
    }
    check("LGDT LIDT LMSW CLTS MOV-CR MOV-DR WBINVD INVLPG RDMSR: #GP(0)", is_right);
    is_right = true;
    for (at = 0; v86_unknown + at < v86_allowed; at += 8) {
        v86(v86_unknown + at, FLAG_IOPL);
        is_right = is_right && landed.vector == EXC_UD && landed.ip == offset_of(v86_unknown) + at;
    }
    check("LLDT LTR SLDT STR LAR LSL VERR VERW ARPL: #UD", is_right);
    is_right = true;
    for (at = 0; v86_allowed + at < v86_allowed_end; at += 8) {
        v86(v86_allowed + at, 0);
        is_right = is_right && landed.vector == EXC_GP && landed.ip > offset_of(v86_allowed) + at;
    }
    check("SMSW SGDT SIDT run", is_right);
    v86(v86_word, 0);
    stops_at("a word at FFFFh: #GP(0)", v86_word_insn, EXC_GP, 0);
    v86(v86_stack_word, 0);
    stops_at("through SS: #SS(0)", v86_stack_word_insn, EXC_SS, 0);
    v86(v86_wide, 0);
    stops_at("an offset above FFFFh: #GP(0)", v86_wide_insn, EXC_GP, 0);
}

/* ---- protected-mode virtual interrupts ---- */

static void pvi(const uint8_t *program, uint32_t flags)
{
    const uint32_t v[5] = {(uint32_t)program, SEL_CS3_32, flags | 2,
                           (uint32_t)user_stack + sizeof(user_stack), SEL_DS3};
    memcpy(image, v, sizeof(v));
    launch_and_catch(v86_enter, (reg_t)image);
}

static bool ends_pvi(const char *name)
{
    return check(name, landed.vector == EXC_GP && *(const uint8_t *)landed.ip == 0xF4);
}

static void protected_mode(void)
{
    write_cr4((read_cr4() & ~(reg_t)CR4_VME) | CR4_PVI);
    pvi(pvi_cli, FLAG_IF | FLAG_VIF);
    ends_pvi("CLI with PVI at CPL 3, IOPL 0");
    check("  clears VIF, not IF", !(landed.flags & FLAG_VIF) && landed.flags & FLAG_IF);
    pvi(pvi_sti, 0);
    ends_pvi("STI");
    check("  sets VIF, not IF", landed.flags & FLAG_VIF && !(landed.flags & FLAG_IF));
    pvi(pvi_sti, FLAG_VIP);
    check_landed("STI with VIP", EXC_GP, 0);
    check_equal("  at it", (uint32_t)pvi_sti, landed.ip);
    pvi(pvi_pushf, FLAG_IF);
    ends_pvi("PUSHF");
    check_equal("  shows IF and IOPL as they are", 2 | FLAG_IF, landed.ax);
    pvi(pvi_cli, FLAG_IF | FLAG_VIF | FLAG_IOPL);
    ends_pvi("CLI with IOPL 3");
    check("  clears IF, not VIF", landed.flags & FLAG_VIF && !(landed.flags & FLAG_IF));
    pvi(pvi_pushf, FLAGS_VI);
    check_landed("IRET to CPL 3 with VIF and VIP: #GP", EXC_GP, 0);
    check_equal("  before the first instruction there", (uint32_t)pvi_pushf, landed.ip);
    write_cr4(read_cr4() & ~(reg_t)CR4_PVI);
    pvi(pvi_cli, FLAG_VIF);
    check_landed("CLI without PVI", EXC_GP, 0);
    check_equal("  at it", (uint32_t)pvi_cli, landed.ip);
}

int main(void)
{
    prepare();
    ways_1_to_4();
    ways_5_and_6();
    not_int_n();
    virtual_interrupts();
    popped();
    both_flags();
    io_bitmap();
    instructions();
    protected_mode();
    return checks_result();
}
