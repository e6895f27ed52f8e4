/* SPDX-License-Identifier: MIT */
/* Call gates, stacks from the TSS, the I/O permission bitmap, and tasks. SDM Vol. 3A, "Call Gates",
 * "Stack Switching", "Task Management"; Vol. 1, "I/O Permission Bit Map". */
#include "roms/lib/traps.h"

enum { GATE = SEL_SPARE, CODE1 = SEL_SPARE + 8, STACK1 = SEL_SPARE + 16, TASK = SEL_SPARE + 24 };
enum { PORT = 0x80, TASK_VECTOR = 0x70 };

extern uint32_t gate_esp, gate_cs, gate_ss, gate_params[2], task_count, task_flags;
void gate_target(void);
reg_t gate_call_two(reg_t sel);
void task_entry(void);

static uint64_t make_gate(uint16_t sel, void (*entry)(void), unsigned type, unsigned params)
{
    uint32_t at = (uint32_t)entry;
    return (at & 0xFFFF) | (uint64_t)sel << 16 | (uint64_t)params << 32 | (uint64_t)type << 40 |
           (uint64_t)(at >> 16) << 48;
}

static reg_t try_gate(reg_t sel)
{
    struct {
        uint32_t offset;
        uint16_t sel;
    } __attribute__((packed)) far = {0, (uint16_t)sel};
    __asm__ volatile(TRY "lcall *%0" END_TRY : : "m"(far) : "memory");
    return 0;
}

static void call_gates(void)
{
    gdt_set(GATE, make_gate(SEL_CS0, gate_target, 0xEC, 2));
    check_equal("ESP after the call is as before", 0, ring3(gate_call_two, GATE | 3));
    check_equal("the gate leads to CPL 0", SEL_CS0, gate_cs & 0xFFFF);
    check_equal("with SS from the TSS", SEL_DS0, gate_ss & 0xFFFF);
    check("and copies the parameters in order", gate_params[0] == 0x22 && gate_params[1] == 0x11);
    gdt_set(GATE, make_gate(SEL_CS0, gate_target, 0x8C, 2));
    ring3(try_gate, GATE | 3);
    check_fault("a gate with DPL 0 from CPL 3", EXC_GP, GATE);
    gdt_set(GATE, make_gate(SEL_CS0, gate_target, 0x6C, 2));
    ring3(try_gate, GATE | 3);
    check_fault("a gate not present", EXC_NP, GATE);
    gdt_set(GATE, make_gate(SEL_DS0, gate_target, 0xEC, 2));
    ring3(try_gate, GATE | 3);
    check_fault("a gate to data", EXC_GP, SEL_DS0);
    gdt_set(GATE, make_gate(0, gate_target, 0xEC, 2));
    ring3(try_gate, GATE | 3);
    check_fault("a gate to the null selector", EXC_GP, 0);
    ring3(try_gate, SEL_CS0);
    check_fault("a far call to more privileged code without a gate", EXC_GP, SEL_CS0);
}

/* A gate to ring 1, whose stack in the TSS is bad. */
static void bad_stacks(void)
{
    uint8_t *tss = tss_bytes();
    gdt_set(CODE1, make_segment(0, 0xFFFFF, SEG_CODE | 1 << 5, SEG_G | SEG_D));
    gdt_set(GATE, make_gate(CODE1, gate_target, 0xEC, 0));
    tss[16] = 0;
    ring3(try_gate, GATE | 3);
    check_fault("SS1 is null: #TS(0)", EXC_TS, 0);
    gdt_set(STACK1, make_segment(0, 0xFFFFF, SEG_DATA, SEG_G | SEG_D));
    tss[16] = STACK1 | 1;
    ring3(try_gate, GATE | 3);
    check_fault("SS1 has DPL 0: #TS(SS1)", EXC_TS, STACK1);
    gdt_set(STACK1, make_segment(0, 0xFFFFF, (SEG_DATA | 1 << 5) & ~0x80, SEG_G | SEG_D));
    ring3(try_gate, GATE | 3);
    check_fault("SS1 is not present: #SS(SS1)", EXC_SS, STACK1);
    tss[16] = 0;
}

static reg_t try_in8(reg_t port)
{
    __asm__ volatile(TRY "inb %%dx, %%al" END_TRY : : "d"(port) : "eax", "memory");
    return 0;
}

static reg_t try_in16(reg_t port)
{
    __asm__ volatile(TRY "inw %%dx, %%ax" END_TRY : : "d"(port) : "eax", "memory");
    return 0;
}

static void io_bitmap(void)
{
    uint8_t *byte = tss_bytes() + TSS_BITMAP + PORT / 8;
    ring3(try_in8, PORT);
    check_fault("IN at CPL 3 with its bit set", EXC_GP, 0);
    *byte &= (uint8_t)~1u;
    ring3(try_in8, PORT);
    check_no_fault("IN at CPL 3 with its bit clear");
    ring3(try_in16, PORT);
    check_fault("16-bit IN needs both bits clear", EXC_GP, 0);
    *byte &= (uint8_t)~2u;
    ring3(try_in16, PORT);
    check_no_fault("and has them");
    *byte |= 3;
    ring3_flags |= FLAG_IOPL;
    ring3(try_in8, PORT);
    check_no_fault("IOPL 3 needs no bitmap");
    ring3_flags &= ~(reg_t)FLAG_IOPL;
}

static uint32_t task[26];
static uint8_t task_stack[GUEST_PAGE];

static void make_task(uint16_t sel, void (*entry)(void))
{
    memset(task, 0, sizeof(task));
    task[7] = read_cr3();
    task[8] = (uint32_t)entry;
    task[9] = 2;
    task[14] = (uint32_t)task_stack + sizeof(task_stack); /* ESP */
    task[18] = SEL_DS0;                                   /* ES, CS, SS, DS, FS, GS */
    task[19] = SEL_CS0;
    task[20] = SEL_DS0;
    task[21] = SEL_DS0;
    task[25] = 104u << 16;
    gdt_set(sel, make_segment((uint32_t)task, sizeof(task) - 1, 0x89, 0));
}

static unsigned type_of(uint16_t sel)
{
    return gdt[sel / 8] >> 40 & 0x1F;
}

static void tasks(void)
{
    write_cr0(read_cr0() & ~(reg_t)CR0_TS);
    make_task(TASK, task_entry);
    try_gate(TASK);
    check_no_fault("CALL of a TSS, and IRET back");
    check_equal("the task ran", 1, task_count);
    check("with NT set", task_flags & FLAG_NT);
    check("CR0.TS is set by a switch", read_cr0() & CR0_TS);
    check_equal("its TSS is available again", 9, type_of(TASK));
    check_equal("ours is busy", 11, type_of(SEL_TSS));
    check_equal("its link is our TSS", SEL_TSS, task[0] & 0xFFFF);
    check("its EIP was saved behind the IRET", task[8] != (uint32_t)task_entry);
    check("NT is off here", !(read_flags() & FLAG_NT));
    try_gate(TASK);
    check_equal("called again it goes on where it was", 2, task_count);
    idt_set(TASK_VECTOR, TASK, 0, 0x85, 0);
    __asm__ volatile(TRY "int $0x70" END_TRY : : : "memory");
    check_no_fault("INT through a task gate");
    check_equal("the task ran", 3, task_count);
    gdt_set(GATE, make_gate(TASK, NULL, 0xE5, 0));
    try_gate(GATE);
    check_no_fault("CALL through a task gate");
    check_equal("the task ran", 4, task_count);
    gdt_set(TASK, gdt[TASK / 8] | (uint64_t)2 << 40);
    try_gate(TASK);
    check_fault("CALL of a busy TSS", EXC_GP, TASK);
    gdt_set(TASK, make_segment((uint32_t)task, 0x66, 0x89, 0));
    try_gate(TASK);
    check_fault("a TSS shorter than 67h", EXC_TS, TASK);
    gdt_set(TASK, make_segment((uint32_t)task, sizeof(task) - 1, 0x09, 0));
    try_gate(TASK);
    check_fault("a TSS not present", EXC_NP, TASK);
    write_cr0(read_cr0() & ~(reg_t)CR0_TS);
}

int main(void)
{
    call_gates();
    bad_stacks();
    io_bitmap();
    tasks();
    return checks_result();
}
