/* SPDX-License-Identifier: MIT */
/* Two exceptions at once: each pair of classes, with what is delivered, its error code and CR2. SDM
 * Vol. 3A, "Interrupt 8 - Double Fault Exception", table "Conditions for Generating a Double
 * Fault". The second one comes from the gate of the first: not present (#NP), of a wrong type
 * (#GP), to a null selector (#GP(0)), or on a page that is not present (#PF). */
#include "roms/lib/traps.h"

enum { GATE_BYTES = IS_64 ? 16 : 8, VECTOR = 0x60 };
enum { NP_GATE, GP_GATE, NULL_GATE, GATES };

extern uint8_t trap_stubs[];

static void spoil(unsigned vector, unsigned how)
{
    if (how == NP_GATE)
        idt_restore(vector, 0x0E);
    else if (how == GP_GATE)
        idt_restore(vector, 0x8C);
    else
        idt_set(vector, 0, (reg_t)trap_stubs + vector * 16, 0x8E, 0);
}

/* ---- firsts ---- */

static void raise_ud(void)
{
    __asm__ volatile(TRY "ud2" END_TRY : : : "memory");
}

static void raise_int1(void)
{
    __asm__ volatile(TRY ".byte 0xF1" END_TRY : : : "memory");
}

static void raise_int3(void)
{
    __asm__ volatile(TRY "int3" END_TRY : : : "memory");
}

static void raise_nm(void)
{
    write_cr0(read_cr0() | CR0_TS);
    __asm__ volatile(TRY "fninit" END_TRY : : : "memory");
    write_cr0(read_cr0() & ~(reg_t)CR0_TS);
}

static void raise_de(void)
{
    __asm__ volatile(TRY "xor %%ecx, %%ecx\n\tdiv %%ecx" END_TRY
                     :
                     :
                     : "eax", "ecx", "edx", "memory");
}

static void raise_np(void)
{
    gdt_set(SEL_SPARE, make_segment(0, 0xFFFFF, 0x13, SEG_G | SEG_D));
    __asm__ volatile(TRY "mov %0, %%fs" END_TRY : : "r"((uint32_t)SEL_SPARE) : "memory");
}

static void raise_ss(void)
{
    gdt_set(SEL_SPARE, make_segment(0, 0xFFFFF, 0x13, SEG_G | SEG_D));
    __asm__ volatile(TRY "mov %0, %%ss" END_TRY : : "r"((uint32_t)SEL_SPARE) : "memory");
}

static void raise_gp(void)
{
    __asm__ volatile(TRY "mov %0, %%fs" END_TRY : : "r"(0xFFF8) : "memory");
}

static void raise_int_n(void)
{
    __asm__ volatile(TRY "int $0x60" END_TRY : : : "memory");
}

struct first {
    const char *name;
    uint8_t vector;
    bool is_contributory;
    bool is_software; /* EXT = 0 */
    void (*raise)(void);
};

static const struct first firsts[] = {
    {"#UD", EXC_UD, false, false, raise_ud},     {"INT1", EXC_DB, false, false, raise_int1},
    {"INT3", EXC_BP, false, true, raise_int3},   {"#NM", EXC_NM, false, false, raise_nm},
    {"INT n", VECTOR, false, true, raise_int_n}, {"#DE", EXC_DE, true, false, raise_de},
    {"#NP", EXC_NP, true, false, raise_np},      {"#SS", EXC_SS, true, false, raise_ss},
    {"#GP", EXC_GP, true, false, raise_gp},
};

static void one_pair(const struct first *f, unsigned how)
{
    static const char *const seconds[GATES] = {"#NP", "#GP of the gate", "#GP of its selector"};
    unsigned second = how == NP_GATE ? EXC_NP : EXC_GP, ext = !f->is_software;
    unsigned error = how == NULL_GATE ? ext : f->vector * 8u + 2 + ext;
    if (f->vector == second && !f->is_contributory)
        return;
    print("     %s, then %s\n", f->name, seconds[how]);
    spoil(f->vector, how);
    f->raise();
    idt_restore(f->vector, 0x8E);
    if (f->is_contributory)
        check_fault("is a double fault", EXC_DF, 0);
    else
        check_fault("is the second alone", second, error);
}

static void pairs(void)
{
    for (unsigned i = 0; i < COUNT(firsts); i++)
        for (unsigned how = 0; how < GATES; how++)
            one_pair(&firsts[i], how);
}

/* ---- page faults ---- */

#define WINDOW ((reg_t)0x40000000)

static uint8_t tables[3 * GUEST_PAGE] __attribute__((aligned(4096)));

#if defined(__x86_64__)
#include "roms/lib/paging.h"

static void set_page(unsigned n, reg_t pa)
{
    page_map(WINDOW + n * GUEST_PAGE, pa, pa ? PT_P | PT_W : 0);
    pages_flush();
}

static void paging_on(void)
{
}

static void paging_off(void)
{
}
#else
static uint32_t directory[1024] __attribute__((aligned(4096)));
static uint32_t table[1024] __attribute__((aligned(4096)));

static void set_page(unsigned n, reg_t pa)
{
    table[n] = pa ? pa | 3 : 0;
    write_cr3(read_cr3());
}

static void paging_on(void)
{
    for (uint32_t i = 0; i < 1024; i++)
        directory[i] = i << 22 | 0x87;
    directory[WINDOW >> 22] = (uint32_t)table | 7;
    write_cr4(read_cr4() | CR4_PSE);
    write_cr3((reg_t)directory);
    write_cr0(read_cr0() | CR0_PG);
}

static void paging_off(void)
{
    write_cr0(read_cr0() & ~(reg_t)CR0_PG);
}
#endif

static void raise_pf(void)
{
    __asm__ volatile(TRY "mov (%0), %%al" END_TRY
                     :
                     : "r"(WINDOW + 8 * GUEST_PAGE)
                     : "eax", "memory");
}

/* A copy of the IDT in the window: gates of vectors below `first` on page 0, the others on page 1.
 */
static void move_idt(unsigned first, struct table_register *old)
{
    struct table_register moved;
    unsigned at = GUEST_PAGE - first * GATE_BYTES;
    __asm__ volatile("sidt %0" : "=m"(*old));
    memcpy(tables + at, (const void *)old->base, 64 * GATE_BYTES);
    set_page(0, (reg_t)tables);
    set_page(1, (reg_t)tables + GUEST_PAGE);
    moved.base = WINDOW + at;
    moved.limit = 64 * GATE_BYTES - 1;
    load_idt(&moved);
}

static void with_page_out(unsigned split, unsigned page, void (*raise)(void))
{
    struct table_register old;
    move_idt(split, &old);
    set_page(page, 0);
    write_cr2(0x1234);
    raise();
    load_idt(&old);
}

static reg_t gate_at(unsigned split, unsigned vector)
{
    return WINDOW + GUEST_PAGE - split * GATE_BYTES + vector * GATE_BYTES;
}

static void page_faults(void)
{
    paging_on();
    set_page(8, 0);
    with_page_out(8, 0, raise_ud);
    check_fault("#UD, then #PF of the IDT: the #PF", EXC_PF, 0);
    check_equal("CR2 is the gate", gate_at(8, EXC_UD), caught.cr2);
    with_page_out(8, 0, raise_de);
    check_fault("#DE, then #PF: the #PF", EXC_PF, 0);
    check_equal("CR2 is the gate", gate_at(8, EXC_DE), caught.cr2);
    with_page_out(14, 0, raise_np);
    check_fault("#NP, then #PF: the #PF", EXC_PF, 0);
    with_page_out(14, 0, raise_gp);
    check_fault("#GP, then #PF: the #PF", EXC_PF, 0);
    check_equal("CR2 is the gate", gate_at(14, EXC_GP), caught.cr2);
    with_page_out(14, 1, raise_pf);
    check_fault("#PF, then #PF: a double fault", EXC_DF, 0);
    check_equal("CR2 is the second", gate_at(14, EXC_PF), caught.cr2);
    for (unsigned how = 0; how < GATES; how++) {
        spoil(EXC_PF, how);
        raise_pf();
        idt_restore(EXC_PF, 0x8E);
        check_fault(how == NP_GATE ? "#PF, then #NP: a double fault"
                                   : "#PF, then #GP: a double fault",
                    EXC_DF, 0);
        check_equal("CR2 is the first", WINDOW + 8 * GUEST_PAGE, caught.cr2);
    }
    paging_off();
}

int main(void)
{
    pairs();
    page_faults();
    return checks_result();
}
