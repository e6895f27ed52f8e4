/* SPDX-License-Identifier: MIT */
/* Real mode and virtual-8086 mode. SDM Vol. 3B, "8086 Emulation". The 16-bit code is in real.S. */
#include "roms/lib/chips.h"

enum { SEG = 0x700, BASE = SEG << 4, CODE16 = SEL_SPARE, DATA16 = SEL_SPARE + 8 };

extern const uint8_t real_code[], real_code_end[], real_results[];
extern const uint8_t real_handler_int[], real_handler_fault[], real_handler_irq[];
extern const uint8_t real_test_int[], real_test_divide[], real_test_segments[], real_test_widths[];
extern const uint8_t real_test_stack[], real_test_unreal[], real_test_limit[], real_test_irq[];
extern const uint8_t real_test_unreal_load[], real_test_ip_wrap[], real_test_ip_end[];
extern const uint8_t real_test_sp_wrap[], real_wrapped[];
extern const uint8_t v86_test_flags[], v86_test_int[], v86_hlt[], v86_pushf[], v86_cli[], v86_in[];
extern const uint8_t v86_lgdt[], v86_arpl[], v86_fault_int[], v86_segments[];
extern uint32_t real_data_sel, real_enter_far[2];
void real_call(uint32_t offset);
reg_t v86_call(uint32_t offset, uint32_t flags);
void ring3_back(void);

static uint32_t offset_of(const uint8_t *label)
{
    return (uint32_t)(label - real_code);
}

/* Memory that no object of C owns; the address is hidden from the compiler's view of objects. */
static volatile uint8_t *memory(uint32_t at)
{
    __asm__("" : "+r"(at));
    return (volatile uint8_t *)at;
}

static uint16_t result(unsigned at)
{
    return *(volatile uint16_t *)memory(BASE + offset_of(real_results) + at);
}

static uint32_t result32(unsigned at)
{
    return result(at) | (uint32_t)result(at + 2) << 16;
}

static void set_ivt(unsigned vector, const uint8_t *handler)
{
    *(volatile uint32_t *)memory(vector * 4) = (uint32_t)SEG << 16 | offset_of(handler);
}

static void prepare(void)
{
    memcpy((void *)memory(BASE), real_code, (size_t)(real_code_end - real_code));
    gdt_set(CODE16, make_segment(BASE, 0xFFFF, SEG_CODE, 0));
    gdt_set(DATA16, make_segment(BASE, 0xFFFF, SEG_DATA, 0));
    real_data_sel = DATA16;
    real_enter_far[1] = CODE16;
    for (unsigned v = 0; v < 32; v++)
        set_ivt(v, real_handler_fault);
    set_ivt(0x60, real_handler_int);
}

static void interrupts(void)
{
    real_call(offset_of(real_test_int));
    check("INT clears IF and TF", !(result(0) & (FLAG_IF | FLAG_TF)));
    check_equal("pushes IP", result(14), result(2));
    check_equal("pushes CS", SEG, result(4));
    check("pushes FLAGS", result(6) & FLAG_IF && result(6) & FLAG_CF);
    check("IRET brings them back", result(12) & FLAG_IF && result(10) & 1);
    real_call(offset_of(real_test_divide));
    check_equal("DIV by zero: vector 0 with IP at DIV", result(14), result(8));
    real_call(offset_of(real_test_limit));
    check_equal("a word at FFFFh: vector 13 with IP at it", result(14), result(12));
    check_equal("an offset of 10000h: vector 13", 0, result(10));
}

static void addressing(void)
{
    real_call(offset_of(real_test_segments));
    check_equal("segment * 16 + offset", 0x5A5A, result(0));
    check_equal("FFFF:0010 is 100000h: A20 is on", *(volatile uint32_t *)memory(0x100000),
                result32(4));
    real_call(offset_of(real_test_widths));
    check_equal("a 32-bit operand by 66h", 0x12345678, result32(0));
    check_equal("a 32-bit address by 67h", 0x9ABCDEF0, result32(4));
    check("INC AX wraps to zero", result(8) & FLAG_ZF);
    check_equal("AX is the low half of EAX", 0, result(10));
    real_call(offset_of(real_test_stack));
    check_equal("PUSH SP stores SP as it was before", result(2), result(0));
    check_equal("a 32-bit PUSH and POP", 0x11223344, result32(4));
    check_equal("ENTER and LEAVE are even", 0, result(8));
    check_equal("a far call and return", 0x77, result(10));
    real_call(offset_of(real_test_unreal));
    check_equal("FS keeps its limit from protected mode", *(volatile uint32_t *)memory(0x100000),
                result32(0));
}

/* Offsets at the end of a segment of 64 KiB; limits that outlive protected mode. */
static void ends_of_segments(void)
{
    volatile uint8_t *top = memory(BASE + 0xFFFD);
    uint32_t target = offset_of(real_wrapped);
    real_call(offset_of(real_test_unreal_load));
    check_equal("FS loaded in real mode: another base, the same limit",
                *(volatile uint32_t *)memory(0x100000), result32(0));
    top[0] = 0xE9;
    top[1] = (uint8_t)target;
    top[2] = (uint8_t)(target >> 8);
    real_call(offset_of(real_test_ip_wrap));
    check_equal("a 16-bit JMP wraps IP at 64 KiB", 0x77, result(0));
    top[2] = 0x90;
    real_call(offset_of(real_test_ip_end));
    check_equal("code that runs off the segment: vector 13, IP 10000h", 0, result(8));
    top[2] = 0xB8;
    real_call(offset_of(real_test_ip_end));
    check_equal("an instruction that ends above it: vector 13 at it", 0xFFFF, result(8));
    real_call(offset_of(real_test_sp_wrap));
    check_equal("PUSH with SP = 0: to FFFEh", 0xFFFE, result(0));
    check_equal("a PUSH across the end: vector 12 at it", result(14), result(8));
}

static void hardware_interrupt(void)
{
    pic_init();
    set_ivt(PIC_BASE, real_handler_irq);
    pit_start(0, 2000);
    pic_mask(0xFFFE);
    real_call(offset_of(real_test_irq));
    check_equal("HLT and a timer interrupt through the IVT", 1, result(0));
    pic_off();
}

static struct frame last;

/* Any exception of the 8086 code ends it. */
static void leave_v86(struct frame *f)
{
    last = *f;
    ring3_back();
}

static void expect_v86_fault(const char *name, const uint8_t *test, unsigned vector, unsigned error,
                             unsigned flags)
{
    memset(&last, 0, sizeof(last));
    last.vector = NO_EXCEPTION;
    v86_call(offset_of(test), flags);
    if (!check(name, last.vector == vector && last.error == error &&
                         (vector == NO_EXCEPTION || last.ip == offset_of(test))))
        print("     vector %u error %x ip %x, test at %x\n", (unsigned)last.vector,
              (unsigned)last.error, (unsigned)last.ip, offset_of(test));
}

static void note(struct frame *f)
{
    last = *f;
}

static void virtual_8086(void)
{
    v86_call(offset_of(v86_test_flags), FLAG_IOPL);
    check("IOPL 3: CLI, PUSHF", !(result(0) & FLAG_IF) && (result(0) & FLAG_IOPL) == FLAG_IOPL);
    check("STI", result(2) & FLAG_IF);
    check("POPF clears IF, leaves IOPL",
          !(result(4) & FLAG_IF) && (result(4) & FLAG_IOPL) == FLAG_IOPL);
    check("IRET too", (result(6) & FLAG_IOPL) == FLAG_IOPL);
    v86_call(offset_of(v86_segments), FLAG_IOPL);
    check_equal("segment * 16 + offset", 0xA5, result(0) & 0xFF);
    trap_set(0x61, note);
    idt_restore(0x61, 0xEE);
    v86_call(offset_of(v86_test_int), FLAG_IOPL);
    check("INT with IOPL 3 goes through the IDT with VM on the stack", last.flags & FLAG_VM);
    /* PUSH of a segment register may leave the upper half of the doubleword as it was. */
    check_equal("data segments are null in the handler", 0,
                (last.ds | last.es | last.fs | last.gs) & 0xFFFF);
    check("and come back by IRET", result(0) == 0x1111 && result(2) == 0x2222);
    check_equal("CS on the stack is the 8086 one", SEG, last.cs);
}

static void sensitive(void)
{
    trap_set(EXC_GP, leave_v86);
    trap_set(EXC_UD, leave_v86);
    expect_v86_fault("IOPL 0: PUSHF", v86_pushf, EXC_GP, 0, 0);
    check("the frame has VM", last.flags & FLAG_VM);
    expect_v86_fault("IOPL 0: CLI", v86_cli, EXC_GP, 0, 0);
    expect_v86_fault("IOPL 0: INT", v86_fault_int, EXC_GP, 0, 0);
    expect_v86_fault("IOPL 0: HLT", v86_hlt, EXC_GP, 0, 0);
    expect_v86_fault("IOPL 3: HLT", v86_hlt, EXC_GP, 0, FLAG_IOPL);
    expect_v86_fault("IOPL 3: IN asks the bitmap all the same", v86_in, EXC_GP, 0, FLAG_IOPL);
    tss_bytes()[TSS_BITMAP + 0x80 / 8] &= (uint8_t)~1u;
    expect_v86_fault("IN with its bit clear", v86_in, NO_EXCEPTION, 0, FLAG_IOPL);
    expect_v86_fault("LGDT", v86_lgdt, EXC_GP, 0, FLAG_IOPL);
    expect_v86_fault("ARPL is not recognized", v86_arpl, EXC_UD, 0, FLAG_IOPL);
    idt_restore(0x61, 0x8E);
    expect_v86_fault("INT through a gate with DPL 0", v86_fault_int, EXC_GP, 0x61 * 8 + 2,
                     FLAG_IOPL);
    trap_set(EXC_GP, NULL);
    trap_set(EXC_UD, NULL);
}

int main(void)
{
    prepare();
    interrupts();
    addressing();
    ends_of_segments();
    hardware_interrupt();
    virtual_8086();
    sensitive();
    return checks_result();
}
