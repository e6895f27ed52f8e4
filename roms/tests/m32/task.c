/* SPDX-License-Identifier: MIT */
/* Hardware tasks: every way into and out of one, 32- and 16-bit, nested, and the faults before and
 * after the switch is complete. SDM Vol. 3A, "Task Management". */
#include "roms/lib/launch.h"

enum {
    T1 = SEL_SPARE,
    T2 = SEL_SPARE + 8,
    T16 = SEL_SPARE + 16,
    HANDLER = SEL_SPARE + 24,
    GATE = SEL_SPARE + 32,
    LDT = SEL_SPARE + 40,
    CODE16 = SEL_SPARE + 48,
    A = SEL_SPARE + 56,
    BEYOND = GDT_ENTRIES * 8 + 64,
};
enum { SHOW = 0x31, VECTOR = 0x70, TSS_AVAILABLE = 9, TSS_BUSY = 11, DPL3 = 3 << 5, SEG86 = 0x700 };

/* Doublewords of a 32-bit TSS. */
enum { LINK, CR3 = 7, EIP, EFLAGS, EAX, ECX, EDX, EBX, ESP, EBP, ESI, EDI };
enum { ES = EDI + 1, CS, SS_, DS, FS, GS };
enum { LDTR = 24, TRAP_MAP = 25, TSS_WORDS = 26 };
/* Words of a 16-bit one. */
enum { IP16 = 7, FLAGS16, AX16, BX16 = 12, SP16, ES16 = 17, CS16, SS16, DS16, LDT16, TSS16_WORDS };

extern const uint8_t jump_insn_end[], call_insn_end[], ud_insn[], code_v86[], code_v86_end[];
extern uint32_t task_far[2], task_back[2], task_next[2], task_ran, task_outer_ran, task_flags;
extern uint32_t task_tr, task_ldtr, task_cr3, task_dr7, task_esp, task_error, task_link;
extern uint32_t task_handler_tss, task_main_tss, task_eip, task_saved_flags, task_ebx, task_cs,
    task_sp16;
void task_jump(void), task_call(void), task_int(void), task_ud(void);
void code_iret(void), code_jump_back(void), code_call_next(void), code_handler(void);
void code_ud_handler(void), code_probe(void), code_ring3(void), code_16(void), task_bad(void);

static uint32_t t1[TSS_WORDS], t2[TSS_WORDS], handler[TSS_WORDS];
static uint16_t t16[TSS16_WORDS];
static uint8_t stacks[4][1024] __attribute__((aligned(16)));
static uint64_t ldt[2];

static uint32_t *main_tss(void)
{
    return (uint32_t *)(void *)tss_bytes();
}

static unsigned type_of(uint16_t sel)
{
    return gdt[sel / 8] >> 40 & 0xF;
}

static void make_task(uint16_t sel, uint32_t *t, void (*entry)(void), unsigned stack)
{
    memset(t, 0, TSS_WORDS * 4);
    t[1] = (uint32_t)stacks[stack] + sizeof(stacks[0]) - 256; /* ESP0, SS0 */
    t[2] = SEL_DS0;
    t[CR3] = read_cr3();
    t[EIP] = (uint32_t)entry;
    t[EFLAGS] = 2;
    t[ESP] = (uint32_t)stacks[stack] + sizeof(stacks[0]);
    t[ES] = t[SS_] = t[DS] = t[FS] = t[GS] = SEL_DS0;
    t[CS] = SEL_CS0;
    t[TRAP_MAP] = TSS_WORDS * 4 << 16;
    gdt_set(sel, make_segment((uint32_t)t, TSS_WORDS * 4 - 1, 0x89, 0));
}

/* Every task fresh, ours busy, nothing counted. */
static void reset(void)
{
    make_task(T1, t1, code_iret, 0);
    make_task(T2, t2, code_iret, 1);
    make_task(HANDLER, handler, code_handler, 2);
    gdt_set(SEL_TSS, make_segment((uint32_t)tss_bytes(), TSS_BYTES - 1, 0x89, 0));
    load_tr(SEL_TSS);
    main_tss()[CR3] = read_cr3();
    main_tss()[LINK] = 0;
    main_tss()[LDTR] = 0;
    main_tss()[TRAP_MAP] &= ~1u;
    task_back[1] = SEL_TSS;
    task_handler_tss = (uint32_t)handler;
    task_main_tss = (uint32_t)main_tss();
    task_ran = task_outer_ran = task_error = task_flags = 0;
    task_tr = task_ldtr = task_link = 0xDEAD;
    write_flags(2);
}

static void go(void (*way)(void), uint16_t sel)
{
    task_far[1] = sel;
    way();
}

/* A fault in our own context. */
static void expect_fault(const char *name, void (*way)(void), uint16_t sel, unsigned vector,
                         unsigned error)
{
    task_far[1] = sel;
    if (way == task_jump)
        __asm__ volatile(TRY "ljmp *task_far" END_TRY : : : "memory");
    else
        __asm__ volatile(TRY "lcall *task_far" END_TRY : : : "memory");
    check_fault(name, vector, error);
}

static void jumps(void)
{
    reset();
    t1[EIP] = (uint32_t)code_jump_back;
    t1[LINK] = 0x1234;
    write_cr0(read_cr0() & ~(reg_t)CR0_TS);
    write_flags(read_flags() | FLAG_ID);
    go(task_jump, T1);
    check_equal("JMP to a TSS, and back by JMP", 1, task_ran);
    check_equal("TR named it", T1, task_tr & 0xFFFF);
    check("NT is not set by JMP", !(task_flags & FLAG_NT));
    check_equal("the link is left alone", 0x1234, t1[LINK]);
    check("it is available again, ours is busy",
          type_of(T1) == TSS_AVAILABLE && type_of(SEL_TSS) == TSS_BUSY);
    check_equal("our EIP was saved", (uint32_t)jump_insn_end, main_tss()[EIP]);
    check("our EFLAGS were saved", main_tss()[EFLAGS] & FLAG_ID);
    check("CR0.TS is set", read_cr0() & CR0_TS);
    go(task_jump, T1);
    check_equal("again: it goes on where it was", 2, task_ran);
    gdt_set(GATE, (uint64_t)T1 << 16 | (uint64_t)0x85 << 40);
    go(task_jump, GATE);
    check_equal("JMP through a task gate", 3, task_ran);
    write_cr0(read_cr0() & ~(reg_t)CR0_TS);
}

static void calls(void)
{
    reset();
    write_dr7(0x355); /* L0-L3, LE, GE of breakpoints at 0 */
    go(task_call, T1);
    check_equal("CALL of a TSS, and back by IRET", 1, task_ran);
    check_equal("its link names us", SEL_TSS, t1[LINK] & 0xFFFF);
    check("NT is set", task_flags & FLAG_NT);
    check("NT is clear in what IRET saved", !(t1[EFLAGS] & FLAG_NT));
    check_equal("DR7: the local bits and LE are cleared", 0x600, task_dr7);
    check_equal("ESP came from the TSS", (uint32_t)stacks[0] + sizeof(stacks[0]), task_esp);
    write_dr7(0);
    reset();
    t1[EIP] = (uint32_t)code_call_next;
    task_next[1] = T2;
    go(task_call, T1);
    check("a task that calls a task", task_outer_ran == 2 && task_ran == 1);
    check("links: second to first, first to us",
          (t2[LINK] & 0xFFFF) == T1 && (t1[LINK] & 0xFFFF) == SEL_TSS);
    check("all free but ours", type_of(T1) == TSS_AVAILABLE && type_of(T2) == TSS_AVAILABLE &&
                                   type_of(SEL_TSS) == TSS_BUSY);
    reset();
    t1[CS] = SEL_CS3_32;
    t1[SS_] = t1[DS] = t1[ES] = t1[FS] = t1[GS] = SEL_DS3;
    t1[EIP] = (uint32_t)code_ring3;
    go(task_call, T1);
    check("a task at CPL 3, and IRET from there",
          task_ran == 1 && (task_cs & 0xFFFF) == SEL_CS3_32);
}

static void gates(void)
{
    reset();
    idt_set(VECTOR, T1, 0, 0x85, 0);
    write_flags(read_flags() | FLAG_ID);
    task_int();
    check_equal("INT n through a task gate", 1, task_ran);
    check_equal("its link names us", SEL_TSS, t1[LINK] & 0xFFFF);
    check("NT is set", task_flags & FLAG_NT);
    reset();
    handler[EIP] = (uint32_t)code_ud_handler;
    idt_set(EXC_UD, HANDLER, 0, 0x85, 0);
    task_ud();
    check_equal("#UD through a task gate", 1, task_ran);
    check_equal("the saved EIP is the instruction", (uint32_t)ud_insn, task_eip);
    check("the saved EFLAGS have RF", task_saved_flags & FLAG_RF);
    check_equal("nothing was pushed", (uint32_t)stacks[2] + sizeof(stacks[0]), task_esp);
    check_equal("the task goes on with its registers", 0x5EED, task_ebx);
    idt_restore(EXC_UD, 0x8E);
}

/* An exception whose handler is a task; the handler comes back to us by JMP. */
static void by_task(unsigned vector)
{
    idt_set(vector, HANDLER, 0, 0x85, 0);
}

/* ---- faults in the new task ---- */

/* CALL T1; its fault goes to the handler task, which comes back to us. */
static void fails_inside(const char *name, unsigned vector, unsigned error)
{
    by_task(EXC_TS);
    by_task(EXC_NP);
    by_task(EXC_SS);
    by_task(EXC_GP);
    task_error = 0xBAD;
    task_far[1] = T1;
    task_call();
    idt_restore(EXC_TS, 0x8E);
    idt_restore(EXC_NP, 0x8E);
    idt_restore(EXC_SS, 0x8E);
    idt_restore(EXC_GP, 0x8E);
    check_equal(name, error, task_error);
    check("  the handler was called by the new task", (task_link & 0xFFFF) == T1);
    check("  which had loaded its EIP", t1[EIP] == (uint32_t)code_iret || vector == EXC_GP);
    check("  the switch was complete", (t1[LINK] & 0xFFFF) == SEL_TSS && type_of(T1) == TSS_BUSY);
    reset();
}

static void cr3_and_ldt(void)
{
    static uint32_t directory[1024] __attribute__((aligned(4096)));
    static uint32_t directory2[1024] __attribute__((aligned(4096)));
    for (uint32_t i = 0; i < 1024; i++)
        directory[i] = directory2[i] = i << 22 | 0x87;
    write_cr4(read_cr4() | CR4_PSE);
    write_cr3((reg_t)directory);
    write_cr0(read_cr0() | CR0_PG);
    reset();
    ldt[1] = make_segment(0, 0xFFFFF, SEG_DATA, SEG_G | SEG_D);
    gdt_set(LDT, make_segment((uint32_t)ldt, sizeof(ldt) - 1, 0x82, 0));
    t1[CR3] = (uint32_t)directory2;
    main_tss()[CR3] = (uint32_t)directory | 8;
    t1[LDTR] = LDT;
    t1[FS] = 8 | 4;
    go(task_call, T1);
    check_equal("CR3 came from the TSS", (uint32_t)directory2, task_cr3);
    check_equal("and came back from ours, where it was not saved", (uint32_t)directory | 8,
                read_cr3());
    check_equal("LDTR came from the TSS", LDT, task_ldtr & 0xFFFF);
    check_equal("FS from that LDT", 8 | 4, t1[FS] & 0xFFFF);
    write_cr0(read_cr0() & ~(reg_t)CR0_PG);
    write_cr3(0);
}

/* PDPTEs are loaded with CR3: a bad one is the new task's fault. */
static void bad_pdptes(void)
{
    static uint64_t pdpt[4] __attribute__((aligned(32))), bad[4] __attribute__((aligned(32)));
    static uint64_t pd[4][512] __attribute__((aligned(4096)));
    for (uint32_t i = 0; i < 2048; i++)
        pd[i / 512][i % 512] = (uint64_t)i << 21 | 0x87;
    for (unsigned i = 0; i < 4; i++)
        pdpt[i] = bad[i] = (uint32_t)pd[i] | 1;
    bad[3] |= 2;
    write_cr4(read_cr4() | CR4_PAE);
    write_cr3((reg_t)pdpt);
    write_cr0(read_cr0() | CR0_PG);
    reset();
    t1[CR3] = (uint32_t)pdpt;
    go(task_call, T1);
    check_equal("PAE: CR3 from the TSS", (uint32_t)pdpt, task_cr3);
    t1[CR3] = (uint32_t)bad;
    fails_inside("PAE: a reserved bit in a PDPTE there: #GP(0)", EXC_GP, 0);
    write_cr0(read_cr0() & ~(reg_t)CR0_PG);
    write_cr4(read_cr4() & ~(reg_t)CR4_PAE);
    write_cr3(0);
}

static void debug_trap(void)
{
    reset();
    t1[EIP] = (uint32_t)code_probe;
    t1[TRAP_MAP] |= 1;
    write_dr6(0);
    task_far[1] = T1;
    launch_and_catch((void (*)(reg_t))task_call, 0);
    check_landed("the T bit: a debug trap", EXC_DB, 0);
    check_equal("DR6.BT", 1u << 15, read_dr6() & 0xE00F);
    check_equal("before the first instruction of the new task", (uint32_t)code_probe, landed.ip);
    check("without RF", !(landed.flags & FLAG_RF));
    write_dr6(0);
}

static void sixteen_bit(void)
{
    reset();
    memset(t16, 0, sizeof(t16));
    t16[IP16] = 0;
    t16[FLAGS16] = 2;
    t16[SP16] = 0x300;
    t16[CS16] = CODE16;
    t16[SS16] = A;
    t16[DS16] = t16[ES16] = SEL_DS0;
    gdt_set(CODE16, make_segment((uint32_t)code_16, 0xFFF, SEG_CODE, 0));
    gdt_set(A, make_segment((uint32_t)stacks[3], 0x3FF, SEG_DATA, 0));
    gdt_set(T16, make_segment((uint32_t)t16, sizeof(t16) - 1, 0x81, 0));
    /* The code counts at DS:BX; the upper half of EBX is not in the TSS. */
    t16[BX16] = 0;
    gdt_set(T2, make_segment((uint32_t)&task_ran, 0xFFF, SEG_DATA, 0));
    t16[DS16] = T2;
    go(task_call, T16);
    check_equal("CALL of a 16-bit TSS, and back", 1, task_ran);
    check("NT is set", task_flags & FLAG_NT);
    check_equal("its link names us", SEL_TSS, t16[0]);
    check("IP was saved, FS and GS were not touched", t16[IP16] != 0);
    check_equal("NT is clear in what IRET saved", 0, t16[FLAGS16] & FLAG_NT);
    go(task_call, T16);
    check_equal("again", 2, task_ran);
    check_equal("free", 1, type_of(T16));
    check_equal("SP came from the TSS", 0x300, task_sp16 & 0xFFFF);
    reset();
}

static void refused(void)
{
    reset();
    expect_fault("CALL of our own, busy TSS", task_call, SEL_TSS, EXC_GP, SEL_TSS);
    expect_fault("JMP to it", task_jump, SEL_TSS, EXC_GP, SEL_TSS);
    gdt_set(GATE, (uint64_t)0 << 16 | (uint64_t)0x85 << 40);
    expect_fault("a task gate with a null selector", task_call, GATE, EXC_GP, 0);
    gdt_set(GATE, (uint64_t)BEYOND << 16 | (uint64_t)0x85 << 40);
    expect_fault("beyond the GDT", task_call, GATE, EXC_GP, BEYOND);
    gdt_set(GATE, (uint64_t)(T1 | 4) << 16 | (uint64_t)0x85 << 40);
    expect_fault("in the LDT", task_call, GATE, EXC_GP, T1 | 4);
    gdt_set(GATE, (uint64_t)SEL_DS0 << 16 | (uint64_t)0x85 << 40);
    expect_fault("that is no TSS", task_call, GATE, EXC_GP, SEL_DS0);
    gdt_set(GATE, (uint64_t)SEL_TSS << 16 | (uint64_t)0x85 << 40);
    expect_fault("that is busy", task_call, GATE, EXC_GP, SEL_TSS);
    gdt_set(GATE, (uint64_t)T1 << 16 | (uint64_t)0x05 << 40);
    expect_fault("a task gate not present", task_call, GATE, EXC_NP, GATE);
    gdt_set(T1, make_segment((uint32_t)t1, TSS_WORDS * 4 - 1, 0x09, 0));
    gdt_set(GATE, (uint64_t)T1 << 16 | (uint64_t)0x85 << 40);
    expect_fault("a gate to a TSS not present", task_call, GATE, EXC_NP, T1);
    gdt_set(T1, make_segment((uint32_t)t1, 0x66, 0x89, 0));
    expect_fault("a 32-bit TSS shorter than 67h", task_jump, T1, EXC_TS, T1);
    gdt_set(T1, make_segment((uint32_t)t1, 0x2A, 0x81, 0));
    expect_fault("a 16-bit TSS shorter than 2Bh", task_jump, T1, EXC_TS, T1);
    check("ours is still the current one", type_of(SEL_TSS) == TSS_BUSY);
    idt_set(VECTOR, SEL_TSS, 0, 0x85, 0);
    __asm__ volatile(TRY "int $0x70" END_TRY : : : "memory");
    check_fault("INT through a gate to a busy TSS", EXC_GP, SEL_TSS);
    idt_set(EXC_UD, SEL_TSS, 0, 0x85, 0);
    __asm__ volatile(TRY "ud2" END_TRY : : : "memory");
    check_fault("#UD through one: EXT", EXC_GP, SEL_TSS | 1);
    idt_restore(EXC_UD, 0x8E);
}

static void bad_links(void)
{
    static const struct {
        const char *name;
        uint16_t link;
        uint16_t error;
        uint8_t vector;
    } links[] = {
        {"IRET with NT: the link is null", 0, 0, EXC_TS},
        {"the link is beyond the GDT", BEYOND, BEYOND, EXC_TS},
        {"the link is in the LDT", T1 | 4, T1 | 4, EXC_TS},
        {"the link is not busy", T1, T1, EXC_TS},
        {"the link is no TSS", SEL_DS0, SEL_DS0, EXC_TS},
    };
    reset();
    for (unsigned i = 0; i < COUNT(links); i++) {
        main_tss()[LINK] = links[i].link;
        __asm__ volatile(TRY "pushf\n\torl $0x4000, (%%esp)\n\tpopf\n\tiret" END_TRY
                         :
                         :
                         : "memory", "cc");
        write_flags(2);
        check_fault(links[i].name, links[i].vector, links[i].error);
    }
    gdt_set(T1, make_segment((uint32_t)t1, TSS_WORDS * 4 - 1, 0x0B, 0));
    main_tss()[LINK] = T1;
    __asm__ volatile(TRY "pushf\n\torl $0x4000, (%%esp)\n\tpopf\n\tiret" END_TRY
                     :
                     :
                     : "memory", "cc");
    write_flags(2);
    check_fault("the link is not present", EXC_NP, T1);
    main_tss()[LINK] = 0;
}

static void inside(void)
{
    static const struct {
        const char *name;
        uint8_t field;
        uint16_t sel;
        uint16_t error;
        uint8_t vector;
    } bad[] = {
        {"CS is null: #TS(0)", CS, 0, 0, EXC_TS},
        {"CS beyond the GDT: #TS", CS, BEYOND, BEYOND, EXC_TS},
        {"CS is data: #TS", CS, SEL_DS0, SEL_DS0, EXC_TS},
        {"SS is null: #TS(0)", SS_, 0, 0, EXC_TS},
        {"SS is code: #TS", SS_, SEL_CS0, SEL_CS0, EXC_TS},
        {"SS has another RPL: #TS", SS_, SEL_DS0 | 1, SEL_DS0, EXC_TS},
        {"DS beyond the GDT: #TS", DS, BEYOND, BEYOND, EXC_TS},
        {"ES is a TSS: #TS", ES, SEL_TSS, SEL_TSS, EXC_TS},
        {"FS has too low a DPL: #TS", FS, SEL_DS0 | 3, SEL_DS0, EXC_TS},
        {"the LDT is no LDT: #TS", LDTR, SEL_DS0, SEL_DS0, EXC_TS},
        {"the LDT is in the LDT: #TS", LDTR, LDT | 4, LDT | 4, EXC_TS},
        {"GS not present: #NP", GS, A, A, EXC_NP},
        {"SS not present: #SS", SS_, A, A, EXC_SS},
        {"the LDT not present: #TS", LDTR, A, A, EXC_TS},
    };
    for (unsigned i = 0; i < COUNT(bad); i++) {
        reset();
        t1[bad[i].field] = bad[i].sel;
        gdt_set(A, make_segment(0, 0xFFFFF, bad[i].field == LDTR ? 0x02 : 0x13, SEG_G | SEG_D));
        fails_inside(bad[i].name, bad[i].vector, bad[i].error);
    }
    t1[CS] = A;
    gdt_set(A, make_segment(0, 0xFFFFF, 0x1B, SEG_G | SEG_D));
    fails_inside("CS not present: #NP", EXC_NP, A);
    t1[CS] = A;
    t1[EIP] = 0x2000;
    gdt_set(A, make_segment(0, 0xFFF, SEG_CODE, SEG_D));
    fails_inside("EIP beyond the limit: #GP(0)", EXC_GP, 0);
}

/* #GP by a task gate: its error code is on the new stack. Then #NP while #GP is delivered: #DF. */
static void error_codes(void)
{
    reset();
    by_task(EXC_GP);
    task_error = 0xBAD;
    go(task_bad, BEYOND);
    check_equal("#GP by a task gate: the error code", BEYOND, task_error);
    check_equal("four bytes of it", (uint32_t)stacks[2] + sizeof(stacks[0]), task_esp);
    check_equal("called by us", SEL_TSS, task_link & 0xFFFF);
    reset();
    idt_restore(EXC_GP, 0x0E);
    by_task(EXC_DF);
    task_error = 0xBAD;
    go(task_bad, BEYOND);
    check_equal("#DF by a task gate: error code 0", 0, task_error);
    check_equal("called by us", SEL_TSS, task_link & 0xFFFF);
    idt_restore(EXC_GP, 0x8E);
    idt_restore(EXC_DF, 0x8E);
}

static uint32_t segments_of_v86[4];

static void show_v86(struct frame *f)
{
    landed = *f;
    memcpy(segments_of_v86, &f->ss + 1, sizeof(segments_of_v86));
    land();
}

static void virtual_8086(void)
{
    uint32_t at = SEG86 << 4;
    __asm__("" : "+r"(at));
    memcpy((void *)at, code_v86, (size_t)(code_v86_end - code_v86));
    reset();
    t1[EFLAGS] = 2 | FLAG_VM | FLAG_IOPL;
    t1[EIP] = 0;
    t1[CS] = SEG86;
    t1[SS_] = SEG86;
    t1[ESP] = 0xF00;
    t1[DS] = 0x111;
    t1[ES] = 0x222;
    t1[FS] = 0x333;
    t1[GS] = 0x444;
    task_far[1] = T1;
    idt_restore(SHOW, 0xEE);
    trap_set(SHOW, show_v86);
    launch_and_catch((void (*)(reg_t))task_call, 0);
    check_landed("a task in virtual-8086 mode", SHOW, 0);
    check("VM, NT", landed.flags & FLAG_VM && landed.flags & FLAG_NT);
    check("CS and SS", landed.cs == SEG86 && (landed.ax & 0xFFFF) == SEG86 && landed.ss == SEG86);
    check("ES, DS, FS, GS", segments_of_v86[0] == 0x222 && segments_of_v86[1] == 0x111 &&
                                segments_of_v86[2] == 0x333 && segments_of_v86[3] == 0x444);
    reset();
}

int main(void)
{
    jumps();
    calls();
    gates();
    cr3_and_ldt();
    bad_pdptes();
    debug_trap();
    error_codes();
    refused();
    bad_links();
    inside();
    virtual_8086();
    sixteen_bit();
    return checks_result();
}
