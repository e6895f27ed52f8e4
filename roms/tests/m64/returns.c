/* SPDX-License-Identifier: MIT */
/* IRET and RETF in 64-bit mode, of every width, to every level and to compatibility mode; gates and
 * interrupts to other levels than 0; bad stacks. SDM Vol. 2A, "IRET", "INT n", "CALL"; Vol. 3A,
 * "IRET in IA-32e Mode", "Stack Switching in IA-32e Mode". */
#include "roms/lib/launch.h"

enum {
    GATE = SEL_SPARE,
    CODE1 = SEL_SPARE + 16,
    STACK1 = SEL_SPARE + 24,
    STACK16 = SEL_SPARE + 32,
    A = SEL_SPARE + 40,
    CONFORMING = SEL_SPARE + 48,
    CODE32 = SEL_SPARE + 56, /* compatibility mode, ring 0 */
    BEYOND = GDT_ENTRIES * 8 + 64,
};
enum { DPL1 = 1 << 5, DPL3 = 3 << 5, NOT_PRESENT = 0x80, SHOW = 0x31 };
enum { AT_IP, AT_CS, AT_FLAGS, AT_SP, AT_SS };
#define HOLE ((reg_t)1 << 47)

void go_iretq(reg_t), go_iretd(reg_t), go_iretw(reg_t), go_lretq(reg_t), go_lretl(reg_t);
void go_lretq16(reg_t);
extern const uint8_t outer_probe[], outer_call[], outer_ud[], outer_hole[], inner_probe[],
    iretq_insn[];
extern uint64_t outer_far[2], go_ds, go_es, go_fs, go_gs;

static reg_t image_room[512], *const image = image_room + 400;
static uint8_t stack1[GUEST_PAGE] __attribute__((aligned(4096)));
static uint8_t stack3[GUEST_PAGE] __attribute__((aligned(4096)));
#define TOP3 ((reg_t)stack3 + 2048)

static void show(struct frame *f)
{
    landed = *f;
    land();
}

static void set_image(reg_t cs, reg_t ss, reg_t sp)
{
    image[AT_IP] = (reg_t)outer_probe;
    image[AT_CS] = cs;
    image[AT_FLAGS] = 2;
    image[AT_SP] = sp;
    image[AT_SS] = ss;
}

static void lands(const char *name, reg_t cs, reg_t ss, reg_t sp)
{
    if (!check_landed(name, RING3_VECTOR, 0))
        return;
    check_equal("  CS", cs, landed.cs & 0xFFFF);
    check_equal("  SS", ss, landed.ss & 0xFFFF);
    check_equal("  RSP", sp, landed.sp);
}

static void by_iretq(reg_t cs, reg_t ss, reg_t sp)
{
    set_image(cs, ss, sp);
    launch_and_catch(go_iretq, (reg_t)image);
}

static void iretq(void)
{
    by_iretq(SEL_CS3_64, SEL_DS3, TOP3);
    lands("IRETQ to ring 3", SEL_CS3_64, SEL_DS3, TOP3);
    by_iretq(SEL_CS3_64, SEL_DS3, HOLE);
    check_landed("RSP may be anything", RING3_VECTOR, 0);
    check_equal("  RSP", HOLE, landed.sp);
    by_iretq(SEL_CS3_32, SEL_DS3, 0x1122334455667788);
    lands("IRETQ to compatibility mode: 32 bits of RSP", SEL_CS3_32, SEL_DS3, 0x55667788);
    by_iretq(SEL_CS3_32, STACK16 | 3, 0x5678);
    check_landed("IRETQ to a 16-bit stack", RING3_VECTOR, 0);
    check_equal("  16 bits of RSP", 0x5678, landed.sp & 0xFFFF);
    check_equal("  bits 31:16 are the old ones", (reg_t)image >> 16 & 0xFFFF,
                landed.sp >> 16 & 0xFFFF);
    by_iretq(CODE1 | 1, 1, (reg_t)stack1 + 2048);
    lands("IRETQ to 64-bit ring 1 with a null SS", CODE1 | 1, 1, (reg_t)stack1 + 2048);
    by_iretq(CODE1 | 1, STACK1 | 1, (reg_t)stack1 + 2048);
    lands("and with a good one", CODE1 | 1, STACK1 | 1, (reg_t)stack1 + 2048);
    by_iretq(SEL_CS0, 0, (reg_t)stack1 + 2048);
    check_landed("IRETQ to ring 0 pops SS:RSP too", RING3_VECTOR, 0);
    check("  RSP", landed.sp == (reg_t)stack1 + 2048 && landed.ss == 0);
    by_iretq(CODE32, SEL_DS0, 0x1122334400000000 | ((reg_t)stack1 + 2048));
    check_landed("IRETQ to ring 0 in compatibility mode", RING3_VECTOR, 0);
    check_equal("  RSP", (reg_t)stack1 + 2048, landed.sp);
}

static void narrow(void)
{
    uint32_t *d = (uint32_t *)(void *)image;
    uint16_t *w = (uint16_t *)(void *)image;
    d[0] = (uint32_t)(reg_t)outer_probe;
    d[1] = SEL_CS3_64;
    d[2] = 0x202;
    d[3] = (uint32_t)TOP3;
    d[4] = SEL_DS3;
    launch_and_catch(go_iretd, (reg_t)image);
    lands("IRETD in 64-bit mode", SEL_CS3_64, SEL_DS3, TOP3);
    d[0] = (uint32_t)(reg_t)outer_probe;
    d[1] = SEL_CS3_64;
    d[2] = (uint32_t)TOP3;
    d[3] = SEL_DS3;
    launch_and_catch(go_lretl, (reg_t)image);
    lands("RETF with 32-bit operands", SEL_CS3_64, SEL_DS3, TOP3);
    image[0] = (reg_t)outer_probe;
    image[1] = SEL_CS3_64;
    image[2] = TOP3;
    image[3] = SEL_DS3;
    launch_and_catch(go_lretq, (reg_t)image);
    lands("RETFQ", SEL_CS3_64, SEL_DS3, TOP3);
    image[4] = TOP3;
    image[5] = SEL_DS3;
    launch_and_catch(go_lretq16, (reg_t)image);
    lands("RETFQ 16", SEL_CS3_64, SEL_DS3, TOP3 + 16);
    w[0] = 0x1234;
    w[1] = SEL_CS3_64;
    w[2] = 2;
    w[3] = 0x8765;
    w[4] = SEL_DS3;
    memset((void *)(reg_t)0x1234, 0xCD, 1);
    ((volatile uint8_t *)(reg_t)0x1234)[1] = 0x30;
    launch_and_catch(go_iretw, (reg_t)image);
    lands("IRETW in 64-bit mode: all of RSP is 16 bits", SEL_CS3_64, SEL_DS3, 0x8765);
}

static void segments(void)
{
    go_ds = SEL_DS0;
    go_es = SEL_DS3;
    go_fs = 3;
    go_gs = CONFORMING;
    write_msr(MSR_FS_BASE, 0x123456789);
    by_iretq(SEL_CS3_64, SEL_DS3, TOP3);
    go_ds = go_es = go_fs = go_gs = 0;
    check_equal("DS of DPL 0 becomes null", 0, landed.ax & 0xFFFF);
    check_equal("ES of DPL 3 stays", SEL_DS3, landed.cx & 0xFFFF);
    check_equal("a null selector in FS becomes 0", 0, landed.dx & 0xFFFF);
    check_equal("conforming code in GS stays", CONFORMING, landed.bx & 0xFFFF);
    write_msr(MSR_FS_BASE, 0x123456789);
    by_iretq(SEL_CS3_64, SEL_DS3, TOP3);
    check_equal("loading null into FS at CPL 0 clears its base here", 0, read_msr(MSR_FS_BASE));
    __asm__ volatile("mov %0, %%fs" : : "r"(0));
    write_msr(MSR_FS_BASE, 0x123456789);
    set_image(SEL_CS3_64, SEL_DS3, TOP3);
    image[2] = TOP3;
    image[3] = SEL_DS3;
    launch_and_catch(go_lretq, (reg_t)image);
    check_equal("a return to ring 3 leaves the base of a null FS", 0x123456789,
                read_msr(MSR_FS_BASE));
}

static void expect_fault(const char *name, unsigned vector, unsigned error)
{
    launch_and_catch(go_iretq, (reg_t)image);
    if (check_landed(name, vector, error))
        check("  at IRETQ, RSP as it was",
              landed.ip == (reg_t)iretq_insn && landed.sp == (reg_t)image);
    set_image(SEL_CS3_64, SEL_DS3, TOP3);
}

static void faults(void)
{
    set_image(SEL_CS3_64, 3, TOP3);
    expect_fault("SS null to ring 3", EXC_GP, 0);
    image[AT_CS] = CODE1 | 1;
    image[AT_SS] = 0;
    expect_fault("SS null with another RPL", EXC_GP, 0);
    image[AT_CS] = SEL_CS3_32;
    image[AT_SS] = 3;
    expect_fault("SS null to compatibility mode", EXC_GP, 0);
    image[AT_IP] = HOLE;
    expect_fault("RIP not canonical", EXC_GP, 0);
    image[AT_CS] = SEL_CS3_32;
    image[AT_IP] = (reg_t)1 << 32;
    expect_fault("EIP beyond the limit of 32-bit code", EXC_GP, 0);
    gdt_set(A, make_segment(0, 0xFFFFF, SEG_CODE | DPL3, SEG_G | SEG_D | SEG_L));
    image[AT_CS] = A | 3;
    expect_fault("CS with L and D", EXC_GP, A);
    image[AT_CS] = BEYOND | 3;
    expect_fault("CS beyond the GDT", EXC_GP, BEYOND);
    image[AT_SS] = SEL_DS0 | 3;
    expect_fault("SS of DPL 0", EXC_GP, SEL_DS0);
    gdt_set(A, make_segment(0, 0xFFFFF, (SEG_DATA | DPL3) & ~NOT_PRESENT, SEG_G | SEG_D));
    image[AT_SS] = A | 3;
    expect_fault("SS not present", EXC_SS, A);
    image[AT_CS] = SEL_CS3_64;
    image[AT_SS] = A | 3;
    image[AT_IP] = HOLE;
    expect_fault("SS is looked at before RIP", EXC_SS, A);
}

/* ---- gates and interrupts to ring 1 ---- */

static void set_gate(uint16_t sel, reg_t entry, unsigned type)
{
    gdt_set(GATE, (entry & 0xFFFF) | (uint64_t)sel << 16 | (uint64_t)type << 40 |
                      (uint64_t)(entry >> 16 & 0xFFFF) << 48);
    gdt_set(GATE + 8, entry >> 32);
}

static void from_outer(const uint8_t *code)
{
    outer_far[1] = GATE | 3;
    ((uint32_t *)(void *)outer_far)[2] = GATE | 3;
    set_image(SEL_CS3_64, SEL_DS3, TOP3);
    image[AT_IP] = (reg_t)code;
    trap_set(SHOW, show);
    launch_and_catch(go_iretq, (reg_t)image);
    trap_set(SHOW, NULL);
}

static void set_rsp1(reg_t rsp)
{
    memcpy(tss_bytes() + 12, &rsp, 8);
}

static void gates(void)
{
    const reg_t *words = (const reg_t *)(const void *)(stack1 + 2048);
    idt_restore(SHOW, 0xEE);
    set_rsp1((reg_t)stack1 + 2048);
    set_gate(CODE1, (reg_t)inner_probe, 0xEC);
    from_outer(outer_call);
    check_landed("a call gate to ring 1", SHOW, 0);
    check_equal("  CS", CODE1 | 1, landed.cs);
    check_equal("  SS is null with RPL 1", 1, landed.ax & 0xFFFF);
    check_equal("  four words on its stack", (reg_t)stack1 + 2048 - 32, landed.sp);
    check("  SS, RSP, CS, RIP", words[-1] == SEL_DS3 && words[-2] == TOP3 &&
                                    words[-3] == SEL_CS3_64 && words[-4] == (reg_t)outer_call + 8);
    set_gate(CODE1, HOLE, 0xEC);
    from_outer(outer_call);
    check_landed("a target that is not canonical", EXC_GP, 0);
    set_rsp1(HOLE);
    from_outer(outer_call);
    check_landed("RSP1 not canonical comes first", EXC_SS, 0);
    check_equal("  at the outer level", SEL_CS3_64, landed.cs);
    idt_set(EXC_UD, CODE1, (reg_t)inner_probe, 0x8E, 0);
    from_outer(outer_ud);
    check_landed("#UD to ring 1, RSP1 not canonical: EXT", EXC_SS, 1);
    set_rsp1((reg_t)stack1 + 2041);
    from_outer(outer_ud);
    check_landed("#UD to ring 1", SHOW, 0);
    check_equal("  RSP1 is aligned to 16 bytes first", ((reg_t)stack1 + 2032) - 40, landed.sp);
    check_equal("  SS is null with RPL 1", 1, landed.ax & 0xFFFF);
    idt_set(EXC_UD, SEL_CS3_32, (reg_t)inner_probe, 0x8E, 0);
    from_outer(outer_ud);
    check_landed("#UD to 32-bit code: EXT", EXC_GP, (SEL_CS3_32 & ~3) | 1);
    idt_set(EXC_UD, SEL_CS0, HOLE, 0x8E, 0);
    from_outer(outer_ud);
    check_landed("#UD to a handler that is not canonical: EXT", EXC_GP, 1);
    idt_set(EXC_UD, SEL_CS0, (reg_t)inner_probe, 0x86, 0);
    from_outer(outer_ud);
    check_landed("a 16-bit gate in the IDT", EXC_GP, EXC_UD * 8 + 3);
    idt_set(EXC_UD, SEL_TSS, 0, 0x85, 0);
    from_outer(outer_ud);
    check_landed("a task gate in the IDT", EXC_GP, EXC_UD * 8 + 3);
    idt_restore(EXC_UD, 0x8E);
}

/* PUSH below the hole: #SS. The handler has a stack of its own. */
static void hole_on_the_stack(void)
{
    set_image(SEL_CS3_64, SEL_DS3, (reg_t)0 - HOLE + 4);
    image[AT_IP] = (reg_t)outer_hole;
    launch_and_catch(go_iretq, (reg_t)image);
    check_landed("PUSH across the edge of the hole", EXC_SS, 0);
    check_equal("  RSP as it was", (reg_t)0 - HOLE + 4, landed.sp);
}

int main(void)
{
    gdt_set(CODE1, make_segment(0, 0xFFFFF, SEG_CODE | DPL1, SEG_G | SEG_L));
    gdt_set(STACK1, make_segment(0, 0xFFFFF, SEG_DATA | DPL1, SEG_G | SEG_D));
    gdt_set(STACK16, make_segment(0, 0xFFFF, SEG_DATA | DPL3, 0));
    gdt_set(CONFORMING, make_segment(0, 0xFFFFF, 0x9F, SEG_G | SEG_L));
    gdt_set(CODE32, make_segment(0, 0xFFFFF, SEG_CODE, SEG_G | SEG_D));
    iretq();
    narrow();
    segments();
    faults();
    gates();
    hole_on_the_stack();
    return checks_result();
}
