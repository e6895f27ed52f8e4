/* SPDX-License-Identifier: MIT */
/* Returns to outer levels, gates to inner ones, and every check on the way. SDM Vol. 2A, "CALL",
 * "INT n", "IRET"; Vol. 2B, "RET". */
#include "roms/lib/launch.h"

enum {
    GATE = SEL_SPARE,
    CODE1 = SEL_SPARE + 8,
    STACK1 = SEL_SPARE + 16,
    A = SEL_SPARE + 24,
    CONFORMING = SEL_SPARE + 32,
    BASED = SEL_SPARE + 40, /* code whose base is inner_probe */
    STACK3 = SEL_SPARE + 48,
    SMALL = SEL_SPARE + 56, /* code with a small limit */
    BEYOND = GDT_ENTRIES * 8 + 64,
};
enum { DPL1 = 1 << 5, DPL3 = 3 << 5, NOT_PRESENT = 0x80, SHOW = 0x31, INT = 0x40 };
enum { AT_IP, AT_CS, AT_FLAGS, AT_SP, AT_SS };

void go_iret(reg_t), go_iretw(reg_t), go_lret(reg_t), go_lret8(reg_t), go_lretw(reg_t);
void go_segments(reg_t);
extern const uint8_t outer_probe[], outer_call[], outer_jump[], outer_ud[], outer_int[],
    outer_end[];
extern const uint8_t inner_probe[], iret_insn[], lret_insn[], outer_params[];
extern uint32_t far_target[2], go_ds, go_es, go_fs, go_gs;

static uint32_t image_room[512], *const image = image_room + 400;
static uint8_t stack1[GUEST_PAGE] __attribute__((aligned(4096)));
static uint8_t stack3[GUEST_PAGE] __attribute__((aligned(4096)));
static reg_t far_offset = 0xBADBAD; /* a gate ignores it */
static uint32_t shown[48];          /* the stack behind the frame of vector 31h */

static void show(struct frame *f)
{
    landed = *f;
    memcpy(shown, &f->sp, sizeof(shown));
    land();
}

static uint16_t word(unsigned i)
{
    return ((const uint16_t *)(const void *)shown)[i];
}

static void set_image(reg_t ip, reg_t cs, reg_t flags, reg_t sp, reg_t ss)
{
    image[AT_IP] = ip;
    image[AT_CS] = cs;
    image[AT_FLAGS] = flags;
    image[AT_SP] = sp;
    image[AT_SS] = ss;
}

static void set_outer(void)
{
    set_image((reg_t)outer_probe, SEL_CS3_32, 2, (reg_t)stack3 + 256, SEL_DS3);
}

static void iret(void)
{
    launch_and_catch(go_iret, (reg_t)image);
}

/* Where the stack pointer stood before a fault at the same level. */
static reg_t sp_before(void)
{
    return landed.unused_sp + 5 * 4;
}

static void lands_outside(const char *name, reg_t cs, reg_t ss, reg_t sp)
{
    if (!check_landed(name, RING3_VECTOR, 0))
        return;
    check_equal("  its CS", cs, landed.cs & 0xFFFF);
    check_equal("  its SS", ss, landed.ss & 0xFFFF);
    check_equal("  its ESP", sp, landed.sp);
}

static void outer_returns(void)
{
    set_outer();
    iret();
    lands_outside("IRET to ring 3", SEL_CS3_32, SEL_DS3, (reg_t)stack3 + 256);
    set_image((reg_t)outer_probe, CODE1 | 1, 2, (reg_t)stack1 + 256, STACK1 | 1);
    iret();
    lands_outside("IRET to ring 1", CODE1 | 1, STACK1 | 1, (reg_t)stack1 + 256);
    set_image((reg_t)outer_probe, SEL_CS3_32, 2, 0x12345678, STACK3 | 3);
    iret();
    lands_outside("IRET to a 16-bit stack: only SP is loaded", SEL_CS3_32, STACK3 | 3,
                  (((reg_t)image + 20) & 0xFFFF0000) | 0x5678);
    image[AT_IP] = (reg_t)outer_probe;
    image[AT_CS] = SEL_CS3_32;
    image[2] = 0x12345678;
    image[3] = SEL_DS3;
    launch_and_catch(go_lret, (reg_t)image);
    lands_outside("RETF to ring 3", SEL_CS3_32, SEL_DS3, 0x12345678);
    image[3] = STACK3 | 3;
    launch_and_catch(go_lret, (reg_t)image);
    check_landed("RETF to a 16-bit stack", RING3_VECTOR, 0);
    check_equal("  its SP", 0x5678, landed.sp & 0xFFFF);
    image[4] = 0x1000;
    image[5] = SEL_DS3;
    launch_and_catch(go_lret8, (reg_t)image);
    lands_outside("RETF 8 releases on both stacks", SEL_CS3_32, SEL_DS3, 0x1008);
}

static void put_words(const uint16_t *v, unsigned n)
{
    memcpy(image, v, n * 2);
}

static void outer_returns_16(void)
{
    const uint16_t by_iret[5] = {0, BASED | 3, 0x0ED7, 0x4321, SEL_DS3};
    const uint16_t by_ret[4] = {0, BASED | 3, 0x4321, SEL_DS3};
    idt_restore(SHOW, 0xEE);
    gdt_set(BASED, make_segment((uint32_t)inner_probe, 0xFFF, SEG_CODE | DPL3, SEG_D));
    put_words(by_iret, 5);
    launch_expect(SHOW);
    launch_and_catch(go_iretw, (reg_t)image);
    check_landed("IRETW to ring 3", SHOW, 0);
    check_equal("  EIP is 16 bits", 2, landed.ip);
    check_equal("  ESP is 16 bits, zero-extended to a 32-bit stack", 0x4321, landed.sp);
    check_equal("  the low half of EFLAGS", 0x0ED7 & ~0x0028, landed.flags & 0xFFFF);
    put_words(by_ret, 4);
    launch_expect(SHOW);
    launch_and_catch(go_lretw, (reg_t)image);
    check_landed("RETFW to ring 3", SHOW, 0);
    check_equal("  ESP", 0x4321, landed.sp);
    gdt_set(BASED, make_segment((uint32_t)inner_probe, 0xFFF, SEG_CODE, SEG_D));
}

static void nulled_segments(void)
{
    set_outer();
    go_ds = SEL_DS0;
    go_es = SEL_DS3;
    go_fs = 3;
    go_gs = CONFORMING;
    launch_and_catch(go_segments, (reg_t)image);
    check_equal("a DPL 0 data segment becomes null", 0, landed.ds & 0xFFFF);
    check_equal("a DPL 3 one stays", SEL_DS3, landed.es & 0xFFFF);
    check_equal("a null selector becomes 0", 0, landed.fs & 0xFFFF);
    check_equal("conforming code of DPL 0 stays", CONFORMING, landed.gs & 0xFFFF);
    go_ds = SEL_CS0;
    go_es = SEL_CS3_32;
    go_fs = STACK1 | 1;
    go_gs = 0;
    launch_and_catch(go_segments, (reg_t)image);
    check_equal("readable code of DPL 0 becomes null", 0, landed.ds & 0xFFFF);
    check_equal("of DPL 3 stays", SEL_CS3_32, landed.es & 0xFFFF);
    check_equal("a DPL 1 data segment becomes null", 0, landed.fs & 0xFFFF);
}

static void expect_iret_fault(const char *name, unsigned vector, unsigned error)
{
    iret();
    check_landed(name, vector, error);
    check("  at the instruction, nothing popped",
          landed.ip == (reg_t)iret_insn && sp_before() == (reg_t)image);
    set_outer();
}

static void iret_faults(void)
{
    set_outer();
    image[AT_CS] = 0;
    expect_iret_fault("IRET: CS is null", EXC_GP, 0);
    image[AT_CS] = BEYOND | 3;
    expect_iret_fault("CS beyond the GDT", EXC_GP, BEYOND);
    image[AT_CS] = SEL_DS3;
    expect_iret_fault("CS is data", EXC_GP, SEL_DS3 & ~3);
    image[AT_CS] = SEL_CS0 | 3;
    expect_iret_fault("nonconforming, DPL is not RPL", EXC_GP, SEL_CS0);
    gdt_set(A, make_segment(0, 0xFFFFF, 0x9F | DPL3, SEG_G | SEG_D));
    image[AT_CS] = A | 1;
    expect_iret_fault("conforming, DPL above RPL", EXC_GP, A);
    gdt_set(A, make_segment(0, 0xFFFFF, (SEG_CODE | DPL3) & ~NOT_PRESENT, SEG_G | SEG_D));
    image[AT_CS] = A | 3;
    expect_iret_fault("CS not present", EXC_NP, A);
    image[AT_SS] = 3;
    expect_iret_fault("SS is null", EXC_GP, 0);
    image[AT_SS] = BEYOND | 3;
    expect_iret_fault("SS beyond the GDT", EXC_GP, BEYOND);
    image[AT_SS] = SEL_DS3 & ~1;
    expect_iret_fault("RPL of SS is not that of CS", EXC_GP, SEL_DS3 & ~3);
    image[AT_SS] = SEL_DS0 | 3;
    expect_iret_fault("DPL of SS is not RPL of CS", EXC_GP, SEL_DS0);
    gdt_set(A, make_segment(0, 0xFFFFF, 0x91 | DPL3, SEG_G | SEG_D));
    image[AT_SS] = A | 3;
    expect_iret_fault("SS is not writable", EXC_GP, A);
    gdt_set(A, make_segment(0, 0xFFFFF, (SEG_DATA | DPL3) & ~NOT_PRESENT, SEG_G | SEG_D));
    image[AT_SS] = A | 3;
    expect_iret_fault("SS not present", EXC_SS, A);
    image[AT_CS] = SMALL | 3;
    image[AT_IP] = 0x1000;
    expect_iret_fault("EIP beyond the limit of CS", EXC_GP, 0);
    image[AT_SS] = 0;
    image[AT_CS] = SMALL | 3;
    image[AT_IP] = 0x1000;
    expect_iret_fault("SS is looked at before EIP", EXC_GP, 0);
}

/* The stack segment ends inside what is popped. */
static void cut_stack(const char *name, void (*go)(reg_t), reg_t bytes)
{
    static uint8_t room[2 * GUEST_PAGE] __attribute__((aligned(4096)));
    reg_t end = (reg_t)room + GUEST_PAGE;
    set_outer();
    memcpy((void *)(end - bytes), image, 20);
    gdt_set(A, make_segment(0, (end >> 12) - 1, SEG_DATA, SEG_D | SEG_G));
    launch_expect(EXC_SS);
    __asm__ volatile("mov %0, %%ss" : : "r"(A));
    launch_and_catch(go, end - bytes);
    check_landed(name, EXC_SS, 0);
}

static void cut_stacks(void)
{
    cut_stack("IRET, EIP and CS within the stack, EFLAGS not", go_iret, 8);
    cut_stack("IRET, ESP and SS not", go_iret, 12);
    cut_stack("RETF, CS not", go_lret, 4);
    cut_stack("RETF, SS not", go_lret, 12);
    cut_stack("RETF 8, the parameters within, SS not", go_lret8, 20);
}

static reg_t user_iret(reg_t arg)
{
    __asm__ volatile("mov %%esp, %%ebx\n\t" TRY "pushf\n\tpush %0\n\tpush $77f\n\tiret" END_TRY
                     "mov %%ebx, %%esp"
                     :
                     : "r"(arg)
                     : "ebx", "memory");
    return 0;
}

static reg_t user_iret_flags(reg_t flags)
{
    __asm__ volatile("push %0\n\tpush %%cs\n\tpush $1f\n\tiret\n1:\tpushf\n\tpop %0"
                     : "+r"(flags)
                     :
                     : "memory", "cc");
    return flags;
}

static void from_ring_3(void)
{
    ring3(user_iret, SEL_CS0);
    check_fault("IRET to an inner level", EXC_GP, SEL_CS0);
    ring3_flags = 2;
    check_equal("IRET at CPL 3, IOPL 0: neither IF nor IOPL, VM, VIF, VIP", 2 | FLAG_ID | FLAG_AC,
                ring3(user_iret_flags,
                      FLAG_IF | FLAG_IOPL | FLAG_VM | FLAG_VIF | FLAG_VIP | FLAG_ID | FLAG_AC));
    ring3_flags = 2 | FLAG_IOPL;
    check_equal("with IOPL 3: IF", 2 | FLAG_IF | FLAG_IOPL, ring3(user_iret_flags, FLAG_IF));
    ring3_flags = 2;
}

/* ---- gates ---- */

static uint64_t make_gate(uint16_t sel, reg_t entry, unsigned type, unsigned params)
{
    return (entry & 0xFFFF) | (uint64_t)sel << 16 | (uint64_t)params << 32 | (uint64_t)type << 40 |
           (uint64_t)(entry >> 16) << 48;
}

/* Outer code at ring 3 that goes through the gate. */
static void through(const uint8_t *code, uint16_t sel)
{
    far_target[0] = far_offset;
    far_target[1] = sel;
    set_outer();
    image[AT_IP] = (reg_t)code;
    memset(shown, 0, sizeof(shown));
    trap_set(SHOW, show);
    iret();
    trap_set(SHOW, NULL);
}

static void gate_32(void)
{
    bool is_right = true;
    gdt_set(GATE, make_gate(SEL_CS0, (reg_t)inner_probe, 0xEC, 31));
    through(outer_params, GATE | 3);
    check_landed("a 32-bit gate with 31 parameters", SHOW, 0);
    check("EIP and CS are innermost",
          shown[0] == (reg_t)outer_end && (shown[1] & 0xFFFF) == SEL_CS3_32);
    for (unsigned i = 0; i < 31; i++)
        is_right = is_right && shown[2 + i] == i + 1;
    check("the parameters in order", is_right);
    check_equal("then ESP", (reg_t)stack3 + 256 - 31 * 4, shown[33]);
    check_equal("and SS", SEL_DS3, shown[34] & 0xFFFF);
    gdt_set(GATE, make_gate(CODE1, (reg_t)inner_probe, 0xEC, 0));
    through(outer_call, GATE);
    check_landed("to ring 1; RPL below CPL does not matter", SHOW, 0);
    check_equal("CPL is the DPL of the code", CODE1 | 1, landed.cs & 0xFFFF);
    check_equal("with SS1", STACK1 | 1, landed.ss & 0xFFFF);
    check_equal("ESP1 less four words", (reg_t)stack1 + sizeof(stack1) - 16, landed.sp);
}

static void gate_16(void)
{
    gdt_set(GATE, make_gate(BASED, 0xABCD0000, 0xE4, 2));
    through(outer_params, GATE | 3);
    check_landed("a 16-bit gate: the upper half of its offset is ignored", SHOW, 0);
    check_equal("EIP", 2, landed.ip);
    check("IP and CS as words", word(0) == (uint16_t)(reg_t)outer_end && word(1) == SEL_CS3_32);
    check("two words of parameters", word(2) == 1 && word(3) == 0);
    check("SP and SS", word(4) == (uint16_t)((reg_t)stack3 + 256 - 31 * 4) && word(5) == SEL_DS3);
}

static void gate_conforming(void)
{
    gdt_set(GATE, make_gate(CONFORMING, (reg_t)inner_probe, 0xEC, 3));
    idt_restore(SHOW, 0xEE);
    through(outer_call, GATE | 3);
    check_landed("a gate to conforming code", SHOW, 0);
    check_equal("CPL stays 3", CONFORMING | 3, landed.cs & 0xFFFF);
    check_equal("on the same stack, no parameters", (reg_t)stack3 + 256 - 8, landed.sp);
    through(outer_jump, GATE | 3);
    check_landed("the same by JMP", SHOW, 0);
    check_equal("nothing pushed", (reg_t)stack3 + 256, landed.sp);
    gdt_set(GATE, make_gate(SEL_CS0, (reg_t)inner_probe, 0xEC, 0));
    through(outer_jump, GATE | 3);
    check_landed("JMP through a gate to an inner level", EXC_GP, SEL_CS0);
    check_equal("faults at the instruction", (reg_t)outer_jump, landed.ip);
    far_offset = (reg_t)inner_probe;
    through(outer_call, CONFORMING);
    far_offset = 0xBADBAD;
    check_landed("a far CALL of conforming code needs no gate", SHOW, 0);
    check_equal("CPL stays 3", CONFORMING | 3, landed.cs & 0xFFFF);
}

static void gate_faults(void)
{
    gdt_set(GATE, make_gate(SEL_CS0, (reg_t)inner_probe, 0x8C | DPL1, 0));
    through(outer_call, GATE | 3);
    check_landed("DPL of the gate below CPL", EXC_GP, GATE);
    gdt_set(GATE, make_gate(SEL_CS0, (reg_t)inner_probe, 0x6C, 0));
    through(outer_call, GATE | 3);
    check_landed("a gate not present", EXC_NP, GATE);
    gdt_set(GATE, make_gate(BEYOND, (reg_t)inner_probe, 0xEC, 0));
    through(outer_call, GATE | 3);
    check_landed("its code beyond the GDT", EXC_GP, BEYOND);
    gdt_set(A, make_segment(0, 0xFFFFF, SEG_CODE & ~NOT_PRESENT, SEG_G | SEG_D));
    gdt_set(GATE, make_gate(A, (reg_t)inner_probe, 0xEC, 0));
    through(outer_call, GATE | 3);
    check_landed("its code not present", EXC_NP, A);
    gdt_set(A, make_segment(0, 0xFFF, SEG_CODE | DPL1, SEG_D));
    gdt_set(GATE, make_gate(A, 0x1000, 0xEC, 0));
    through(outer_call, GATE | 3);
    check_landed("its offset beyond the limit", EXC_GP, 0);
    check_equal("at the outer level", SEL_CS3_32, landed.cs & 0xFFFF);
    gdt_set(STACK1, make_segment((uint32_t)stack1, 7, SEG_DATA | DPL1, SEG_D));
    *(uint32_t *)(void *)(tss_bytes() + 12) = 8;
    through(outer_call, GATE | 3);
    check_landed("no room on the inner stack, which comes first", EXC_SS, STACK1);
    gdt_set(GATE, make_gate(CODE1, (reg_t)inner_probe, 0xEC, 0));
    through(outer_call, GATE | 3);
    check_landed("no room on the inner stack", EXC_SS, STACK1);
    check_equal("at the outer level", SEL_DS3, landed.ss & 0xFFFF);
    check_equal("nothing pushed there", (reg_t)stack3 + 256, landed.sp);
}

/* ---- interrupts to another level than 0 ---- */

static void set_stack1(void)
{
    gdt_set(STACK1, make_segment(0, 0xFFFFF, SEG_DATA | DPL1, SEG_G | SEG_D));
    *(uint32_t *)(void *)(tss_bytes() + 12) = (reg_t)stack1 + sizeof(stack1);
    *(uint32_t *)(void *)(tss_bytes() + 16) = STACK1 | 1;
}

static void interrupts(void)
{
    set_stack1();
    idt_set(INT, CODE1, (reg_t)inner_probe, 0xEE, 0);
    through(outer_int, 0);
    check_landed("INT from ring 3 to ring 1", SHOW, 0);
    check_equal("CPL 1", CODE1 | 1, landed.cs & 0xFFFF);
    check_equal("five words on its stack", (reg_t)stack1 + sizeof(stack1) - 20, landed.sp);
    idt_set(INT, CONFORMING, (reg_t)inner_probe, 0xEE, 0);
    through(outer_int, 0);
    check_landed("INT to conforming code", SHOW, 0);
    check_equal("CPL 3 on its own stack", (reg_t)stack3 + 256 - 12, landed.sp);
    idt_set(INT, BASED, 0xABCD0000, 0xE6, 0);
    through(outer_int, 0);
    check_landed("INT through a 16-bit gate", SHOW, 0);
    check("IP, CS, FLAGS, SP, SS as words",
          word(0) == (uint16_t)((reg_t)outer_int + 2) && word(1) == SEL_CS3_32 && word(2) == 2 &&
              word(3) == (uint16_t)((reg_t)stack3 + 256) && word(4) == SEL_DS3);
    *(uint32_t *)(void *)(tss_bytes() + 16) = 0;
    idt_set(INT, CODE1, (reg_t)inner_probe, 0xEE, 0);
    through(outer_int, 0);
    check_landed("INT, SS1 is null", EXC_TS, 0);
    *(uint32_t *)(void *)(tss_bytes() + 16) = SEL_DS0 | 1;
    through(outer_int, 0);
    check_landed("INT, SS1 has DPL 0", EXC_TS, SEL_DS0);
    idt_set(EXC_UD, CODE1, (reg_t)inner_probe, 0x8E, 0);
    through(outer_ud, 0);
    check_landed("#UD, SS1 has DPL 0: EXT is set", EXC_TS, SEL_DS0 | 1);
    *(uint32_t *)(void *)(tss_bytes() + 16) = 0;
    through(outer_ud, 0);
    check_landed("#UD, SS1 is null: EXT is set", EXC_TS, 1);
    idt_restore(EXC_UD, 0x8E);
    set_stack1();
}

static void interrupt_faults(void)
{
    idt_set(INT, 0, (reg_t)inner_probe, 0xEE, 0);
    through(outer_int, 0);
    check_landed("INT, the gate's selector is null", EXC_GP, 0);
    idt_set(INT, BEYOND, (reg_t)inner_probe, 0xEE, 0);
    through(outer_int, 0);
    check_landed("INT, it is beyond the GDT", EXC_GP, BEYOND);
    idt_set(INT, SEL_DS0, (reg_t)inner_probe, 0xEE, 0);
    through(outer_int, 0);
    check_landed("INT, it is data", EXC_GP, SEL_DS0);
    idt_set(INT, SEL_CS0, (reg_t)inner_probe, 0xEC, 0);
    through(outer_int, 0);
    check_landed("INT, a call gate in the IDT", EXC_GP, INT * 8 + 2);
    idt_set(INT, SMALL | 3, 0x1000, 0xEE, 0);
    through(outer_int, 0);
    check_landed("INT, the handler beyond the limit", EXC_GP, 0);
    idt_set(INT, SEL_CS3_32, (reg_t)inner_probe, 0x8E, 0);
    __asm__ volatile(TRY "int $0x40" END_TRY : : : "memory");
    check_fault("INT at CPL 0 to a handler at CPL 3", EXC_GP, SEL_CS3_32 & ~3);
    idt_set(EXC_UD, SEL_DS0, (reg_t)inner_probe, 0x8E, 0);
    __asm__ volatile(TRY "ud2" END_TRY : : : "memory");
    check_fault("#UD, the gate leads to data: EXT is set", EXC_GP, SEL_DS0 | 1);
    idt_restore(EXC_UD, 0x8E);
}

/* A TSS too short for the stack of ring 1. */
static void short_tss(void)
{
    gdt_set(SEL_TSS, make_segment((uint32_t)tss_bytes(), 11, 0x89, 0));
    load_tr(SEL_TSS);
    gdt_set(GATE, make_gate(CODE1, (reg_t)inner_probe, 0xEC, 0));
    through(outer_call, GATE | 3);
    check_landed("the TSS ends before SS1: #TS(TSS)", EXC_TS, SEL_TSS);
    idt_set(EXC_UD, CODE1, (reg_t)inner_probe, 0x8E, 0);
    through(outer_ud, 0);
    check_landed("the same for #UD, with EXT", EXC_TS, SEL_TSS | 1);
    idt_restore(EXC_UD, 0x8E);
    gdt_set(SEL_TSS, make_segment((uint32_t)tss_bytes(), TSS_BYTES - 1, 0x89, 0));
    load_tr(SEL_TSS);
}

int main(void)
{
    gdt_set(CODE1, make_segment(0, 0xFFFFF, SEG_CODE | DPL1, SEG_G | SEG_D));
    gdt_set(CONFORMING, make_segment(0, 0xFFFFF, 0x9F, SEG_G | SEG_D));
    gdt_set(BASED, make_segment((uint32_t)inner_probe, 0xFFF, SEG_CODE, SEG_D));
    gdt_set(STACK3, make_segment(0, 0xFFFF, SEG_DATA | DPL3, 0));
    gdt_set(SMALL, make_segment(0, 0xFFF, SEG_CODE | DPL3, SEG_D));
    set_stack1();
    outer_returns();
    outer_returns_16();
    nulled_segments();
    iret_faults();
    cut_stacks();
    from_ring_3();
    gate_32();
    gate_16();
    gate_conforming();
    gate_faults();
    interrupts();
    interrupt_faults();
    short_tss();
    return checks_result();
}
