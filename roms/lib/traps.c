/* SPDX-License-Identifier: MIT */
/* GDT, IDT, TSS and the dispatcher of exceptions. SDM Vol. 3A, "Protected-Mode Memory Management",
 * "Interrupt and Exception Handling", "Task Management". */
#include "roms/lib/traps.h"

enum { CPUS = 16, GATE_BYTES = IS_64 ? 16 : 8, STUB_BYTES = 16 };

uint64_t gdt[GDT_ENTRIES] __attribute__((aligned(16)));
volatile struct caught caught;
reg_t ring3_flags = 2;
uint8_t user_stack[GUEST_PAGE * 2] __attribute__((aligned(4096)));

static uint8_t idt[256 * GATE_BYTES] __attribute__((aligned(16)));
static uint8_t tss[TSS_BYTES] __attribute__((aligned(4096)));
static uint8_t ap_tss[CPUS][TSS_BITMAP] __attribute__((aligned(128)));
static trap_handler handlers[256];

extern uint8_t trap_stubs[]; /* 256 times STUB_BYTES */
void ring3_back(void);
void load_segments(void); /* CS, SS and the data segments from our GDT */

uint64_t make_segment(uint32_t base, uint32_t limit, unsigned type, unsigned flags)
{
    return (limit & 0xFFFF) | (uint64_t)(base & 0xFFFFFF) << 16 | (uint64_t)type << 40 |
           (uint64_t)(limit >> 16 & 0xF) << 48 | (uint64_t)flags << 52 |
           (uint64_t)(base >> 24) << 56;
}

void gdt_set(uint16_t sel, uint64_t descriptor)
{
    *(volatile uint64_t *)&gdt[sel / 8] = descriptor;
}

static void store_le(uint8_t *at, uint64_t v, unsigned bytes)
{
    memcpy(at, &v, bytes);
}

void idt_set(unsigned vector, uint16_t sel, reg_t entry, unsigned type, unsigned ist)
{
    uint8_t *g = idt + vector * GATE_BYTES;
    memset(g, 0, GATE_BYTES);
    store_le(g, entry, 2);
    store_le(g + 2, sel, 2);
    store_le(g + 4, ist | type << 8, 2);
    store_le(g + 6, entry >> 16, IS_64 ? 6 : 2);
}

void idt_restore(unsigned vector, unsigned type)
{
    idt_set(vector, SEL_CS0, (reg_t)trap_stubs + vector * STUB_BYTES, type, 0);
}

void ring3_gate_restore(void)
{
    idt_set(RING3_VECTOR, SEL_CS0, (reg_t)ring3_back, 0xEE, 0);
}

void tss_set_stack(reg_t sp0)
{
    store_le(tss + 4, sp0, sizeof(reg_t));
}

void tss_set_ist(unsigned n, reg_t sp)
{
    store_le(tss + 28 + 8 * n, sp, sizeof(reg_t));
}

uint8_t *tss_bytes(void)
{
    return tss;
}

static void tss_install(uint8_t *t, uint32_t limit, uint16_t sel)
{
    reg_t base = (reg_t)t;
    store_le(t + 8, IS_64 ? 0 : SEL_DS0, 4); /* SS0 */
    store_le(t + 102, TSS_BITMAP, 2);
    gdt_set(sel, make_segment((uint32_t)base, limit, 0x89, 0));
    gdt_set((uint16_t)(sel + 8), 0);
    load_tr(sel);
}

static void tables_load(void)
{
    struct table_register g = {sizeof(gdt) - 1, (reg_t)gdt}, i = {sizeof(idt) - 1, (reg_t)idt};
    load_gdt(&g);
    load_segments();
    load_idt(&i);
}

void traps_init(void)
{
    unsigned flags = IS_64 ? SEG_G | SEG_L : SEG_G | SEG_D;
    out8(0x21, 0xFF); /* firmware may have left lines of the PIC open */
    out8(0xA1, 0xFF);
    gdt_set(SEL_CS0, make_segment(0, 0xFFFFF, SEG_CODE, flags));
    gdt_set(SEL_DS0, make_segment(0, 0xFFFFF, SEG_DATA, SEG_G | SEG_D));
    gdt_set(SEL_CS3_32, make_segment(0, 0xFFFFF, SEG_CODE | SEG_DPL3, SEG_G | SEG_D));
    gdt_set(SEL_DS3, make_segment(0, 0xFFFFF, SEG_DATA | SEG_DPL3, SEG_G | SEG_D));
    gdt_set(SEL_CS3_64, make_segment(0, 0xFFFFF, SEG_CODE | SEG_DPL3, SEG_G | SEG_L));
    gdt_set(SEL_DS3_B, make_segment(0, 0xFFFFF, SEG_DATA | SEG_DPL3, SEG_G | SEG_D));
    for (unsigned v = 0; v < 256; v++)
        idt_restore(v, 0x8E);
    ring3_gate_restore();
    memset(tss + TSS_BITMAP, 0xFF, TSS_BITMAP_BYTES);
    tables_load();
    tss_install(tss, sizeof(tss) - 1, SEL_TSS);
    load_ldt(0); /* after RESET it is present with limit FFFFh */
}

void traps_init_ap(unsigned n)
{
    tables_load();
    /* The last spares: two per CPU, CPU 1 at the very end. */
    tss_install(ap_tss[n % CPUS], TSS_BITMAP - 1,
                (uint16_t)((GDT_ENTRIES - 2 * (n % (GDT_SPARES / 2))) * 8));
}

trap_handler trap_set(unsigned vector, trap_handler handler)
{
    trap_handler old = handlers[vector];
    handlers[vector] = handler;
    return old;
}

bool check_fault(const char *name, unsigned vector, unsigned error)
{
    bool is_as_expected = check(name, caught.vector == vector && caught.error == error);
    if (!is_as_expected)
        print("     want vector %u error %x, got vector %u error %x ip %llx cr2 %llx\n", vector,
              error, (unsigned)caught.vector, (unsigned)caught.error, (unsigned long long)caught.ip,
              (unsigned long long)caught.cr2);
    return is_as_expected;
}

bool check_no_fault(const char *name)
{
    bool is_clean = check(name, caught.vector == NO_EXCEPTION);
    if (!is_clean)
        print("     vector %u error %x ip %llx cr2 %llx\n", (unsigned)caught.vector,
              (unsigned)caught.error, (unsigned long long)caught.ip,
              (unsigned long long)caught.cr2);
    return is_clean;
}

static void die(const struct frame *f)
{
    print("FAIL unexpected vector %u error %x at %x:%llx flags %x cr2 %llx\n", (unsigned)f->vector,
          (unsigned)f->error, (unsigned)f->cs, (unsigned long long)f->ip, (unsigned)f->flags,
          (unsigned long long)read_cr2());
    print("     ax %llx bx %llx cx %llx dx %llx si %llx di %llx bp %llx\n",
          (unsigned long long)f->ax, (unsigned long long)f->bx, (unsigned long long)f->cx,
          (unsigned long long)f->dx, (unsigned long long)f->si, (unsigned long long)f->di,
          (unsigned long long)f->bp);
    guest_exit(2);
}

void trap_dispatch(struct frame *f)
{
    if (handlers[f->vector]) {
        handlers[f->vector](f);
        return;
    }
    if (!caught.resume)
        die(f);
    caught.vector = f->vector;
    caught.error = f->error;
    caught.ip = f->ip;
    caught.cs = f->cs;
    caught.flags = f->flags;
    caught.cr2 = read_cr2();
    caught.dr6 = read_dr6();
    caught.cx = f->cx;
    caught.si = f->si;
    caught.di = f->di;
    f->ip = caught.resume;
    f->flags &= ~(reg_t)FLAG_TF; /* single steps end with the text */
    caught.resume = 0;
}
