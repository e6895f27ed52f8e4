/* SPDX-License-Identifier: MIT */
/* Stacks of 64-bit interrupts, IST, call gates, compatibility mode, FS and GS. SDM Vol. 3A, "64-Bit
 * Mode Stack Frame", "Interrupt Stack Table", "64-Bit Call Gates". */
#include "roms/lib/traps.h"

enum { GATE = SEL_SPARE, CODE32 = SEL_SPARE + 16, CODE64 = SEL_SPARE + 24, DATA = SEL_SPARE + 32 };

static uint8_t ist_stack[GUEST_PAGE] __attribute__((aligned(16)));
static volatile reg_t frame_at, frame_sp, frame_ss;
static reg_t good_sp;

static void note(struct frame *f)
{
    frame_at = (reg_t)(&f->ss + 1);
    frame_sp = f->sp;
    frame_ss = f->ss;
}

static void frames(void)
{
    trap_set(0x50, note);
    for (reg_t i = 0; i < 16; i += 8) {
        reg_t sp;
        __asm__ volatile("mov %%rsp, %%rbx\n\tand $-16, %%rsp\n\tsub %1, %%rsp\n\tmov %%rsp, %0\n\t"
                         "int $0x50\n\tmov %%rbx, %%rsp"
                         : "=&r"(sp)
                         : "r"(i)
                         : "rbx", "memory");
        check_equal("the pushed RSP is the old one", sp, frame_sp);
        check("the frame is aligned to 16 bytes",
              !(frame_at & 15) && frame_at <= sp && sp - frame_at < 16);
    }
    check_equal("SS is pushed without a change of CPL", SEL_DS0, frame_ss);
    trap_set(0x50, NULL);
}

static void interrupt_stack_table(void)
{
    extern uint8_t trap_stubs[];
    tss_set_ist(1, (reg_t)ist_stack + sizeof(ist_stack));
    trap_set(0x50, note);
    idt_set(0x50, SEL_CS0, (reg_t)trap_stubs + 0x50 * 16, 0x8E, 1);
    __asm__ volatile("int $0x50" : : : "memory");
    check_equal("IST 1: the frame is at its top", (reg_t)ist_stack + sizeof(ist_stack), frame_at);
    idt_restore(0x50, 0x8E);
    trap_set(0x50, NULL);
}

static void leave_bad_stack(struct frame *f)
{
    caught.vector = f->vector;
    caught.error = f->error;
    f->ip = caught.resume;
    f->sp = good_sp;
}

static void double_fault_stack(void)
{
    extern uint8_t trap_stubs[];
    idt_set(EXC_DF, SEL_CS0, (reg_t)trap_stubs + EXC_DF * 16, 0x8E, 1);
    trap_set(EXC_DF, leave_bad_stack);
    __asm__ volatile("mov %%rsp, %0\n\t" TRY "mov %1, %%rsp\n\tud2" END_TRY
                     : "=m"(good_sp)
                     : "r"((reg_t)1 << 60)
                     : "memory");
    check_fault("an exception on a non-canonical stack: #DF on its IST", EXC_DF, 0);
    trap_set(EXC_DF, NULL);
    idt_restore(EXC_DF, 0x8E);
}

static uint64_t gate_low(uint16_t sel, reg_t entry, unsigned type)
{
    return (entry & 0xFFFF) | (uint64_t)sel << 16 | (uint64_t)type << 40 |
           (uint64_t)(entry >> 16 & 0xFFFF) << 48;
}

void gate64_target(void);
extern uint64_t gate64_rsp, gate64_cs, gate64_ss;

static reg_t call_gate(reg_t sel)
{
    struct {
        uint32_t offset;
        uint16_t sel;
    } __attribute__((packed)) far = {0, (uint16_t)sel};
    __asm__ volatile(TRY "lcall *%0" END_TRY : : "m"(far) : "memory", "rax");
    return 0;
}

static void call_gates(void)
{
    gdt_set(GATE, gate_low(SEL_CS0, (reg_t)gate64_target, 0xEC));
    gdt_set(GATE + 8, (reg_t)gate64_target >> 32);
    ring3(call_gate, GATE | 3);
    check_no_fault("a 64-bit call gate from ring 3, and back");
    check_equal("it led to CPL 0", SEL_CS0, gate64_cs);
    check_equal("SS became null", 0, gate64_ss);
    gdt_set(GATE + 8, (uint64_t)0x1F << 40);
    call_gate(GATE);
    check_fault("its upper half must have type 0", EXC_GP, GATE);
    gdt_set(GATE, gate_low(CODE32, (reg_t)gate64_target, 0xEC));
    gdt_set(GATE + 8, 0);
    gdt_set(CODE32, make_segment(0, 0xFFFFF, SEG_CODE, SEG_G | SEG_D));
    call_gate(GATE);
    check_fault("it must lead to 64-bit code", EXC_GP, CODE32);
}

static void compatibility_mode(void)
{
    static const uint8_t text[] = {0x40, 0x41,
                                   0xCB}; /* INC EAX; INC ECX; RETF: REX in 64-bit code */
    struct {
        uint32_t offset;
        uint16_t sel;
    } __attribute__((packed)) far = {(uint32_t)(reg_t)text, CODE32};
    reg_t a = 0x10, c = 0x20;
    __asm__ volatile("lcall *%2" : "+a"(a), "+c"(c) : "m"(far) : "memory", "cc");
    check("a far call into compatibility mode, and back", a == 0x11 && c == 0x21);
    gdt_set(CODE64, make_segment(0, 0xFFFFF, SEG_CODE, SEG_G | SEG_D | SEG_L));
    far.sel = CODE64;
    __asm__ volatile(TRY "ljmp *%0" END_TRY : : "m"(far) : "memory");
    check_fault("code with both L and D", EXC_GP, CODE64);
}

static void iret_checks(void)
{
    __asm__ volatile("mov %%rsp, %%rbx\n\t" TRY
                     "push %0\n\tpush %%rbx\n\tpush $2\n\tpush %1\n\tpush %2\n\tiretq" END_TRY
                     "mov %%rbx, %%rsp"
                     :
                     : "r"((reg_t)SEL_DS0), "r"((reg_t)SEL_CS0), "r"((reg_t)1 << 62)
                     : "rbx", "memory");
    check_fault("IRETQ to a non-canonical RIP", EXC_GP, 0);
    __asm__ volatile("mov %%rsp, %%rbx\n\t" TRY
                     "push %0\n\tpush %%rbx\n\tpush $2\n\tpush %1\n\tpush $1f\n\tiretq\n1:" END_TRY
                     "mov %%rbx, %%rsp"
                     :
                     : "r"((reg_t)0), "r"((reg_t)SEL_CS0)
                     : "rbx", "memory");
    check_no_fault("IRETQ to ring 0 with a null SS");
    __asm__ volatile("mov %0, %%ss" : : "r"(SEL_DS0));
    __asm__ volatile("mov %%rsp, %%rbx\n\t" TRY
                     "push %0\n\tpush %%rbx\n\tpush $0x4002\n\tpopf\n\tiretq" END_TRY
                     "mov %%rbx, %%rsp\n\tpush $2\n\tpopf"
                     :
                     : "r"((reg_t)SEL_DS0)
                     : "rbx", "memory", "cc");
    check_fault("IRETQ with NT = 1 in IA-32e mode", EXC_GP, 0);
}

static void fs_and_gs(bool has_fsgsbase)
{
    static uint64_t words[2] = {0x1111, 0x2222};
    uint64_t v;
    write_msr(MSR_FS_BASE, (reg_t)&words[0]);
    write_msr(MSR_GS_BASE, (reg_t)&words[0]);
    write_msr(MSR_KERNEL_GS_BASE, (reg_t)&words[1]);
    __asm__ volatile("mov %%fs:0, %0" : "=r"(v));
    check_equal("FS base by MSR", 0x1111, v);
    __asm__ volatile("swapgs\n\tmov %%gs:0, %0\n\tswapgs" : "=r"(v));
    check_equal("SWAPGS", 0x2222, v);
    check_equal("and back", (reg_t)&words[0], read_msr(MSR_GS_BASE));
    gdt_set(DATA, make_segment(0x1000, 0xFFFFF, SEG_DATA, SEG_G | SEG_D));
    __asm__ volatile("mov %0, %%fs" : : "r"(DATA));
    check_equal("loading FS takes the base of the descriptor", 0x1000, read_msr(MSR_FS_BASE));
    __asm__ volatile("mov %0, %%ds\n\tmov %1, %%eax\n\tmov %2, %%ds"
                     :
                     : "r"(DATA), "m"(words), "r"(SEL_DS0)
                     : "eax");
    check("the base of DS is not used", true);
    if (!has_fsgsbase) {
        skip("WRFSBASE", "the CPU has none");
        return;
    }
    __asm__ volatile(TRY "rdfsbase %0" END_TRY : "=r"(v) : : "memory");
    check_fault("RDFSBASE without CR4.FSGSBASE", EXC_UD, 0);
    write_cr4(read_cr4() | 0x10000);
    __asm__ volatile("wrfsbase %1\n\trdfsbase %0" : "=r"(v) : "r"(&words[1]));
    check_equal("WRFSBASE, RDFSBASE", (reg_t)&words[1], v);
    __asm__ volatile(TRY "wrgsbase %0" END_TRY : : "r"((reg_t)1 << 50) : "memory");
    check_fault("WRGSBASE of a non-canonical address", EXC_GP, 0);
    write_cr4(read_cr4() & ~(reg_t)0x10000);
}

int main(void)
{
    frames();
    interrupt_stack_table();
    double_fault_stack();
    call_gates();
    compatibility_mode();
    iret_checks();
    fs_and_gs(cpuid(7, 0).b & 1);
    return checks_result();
}
