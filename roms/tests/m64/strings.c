/* SPDX-License-Identifier: MIT */
/* String instructions that fault on the way, and go on. SDM Vol. 2B, "REP/REPE/REPZ/REPNE/REPNZ":
 * registers and memory show the iterations that were finished. */
#include "roms/lib/paging.h"

#define WINDOW ((reg_t)0x40000000)
#define SECOND (WINDOW + GUEST_PAGE)
enum { FW_CFG_SELECT = 0x510, FW_CFG_DATA = 0x511 };

static uint8_t page_a[GUEST_PAGE] __attribute__((aligned(4096)));
static uint8_t page_b[GUEST_PAGE] __attribute__((aligned(4096)));
static uint8_t source[2 * GUEST_PAGE];
static unsigned faults;

static void set_window(bool has_second)
{
    page_map(WINDOW, (reg_t)page_a, PT_P | PT_W | PT_U);
    page_map(SECOND, (reg_t)page_b, has_second ? PT_P | PT_W | PT_U : 0);
    pages_flush();
    memset(page_a, 0, sizeof(page_a));
    memset(page_b, 0, sizeof(page_b));
}

static void map_on_fault(struct frame *f)
{
    (void)f;
    faults++;
    page_map(SECOND, (reg_t)page_b, PT_P | PT_W | PT_U);
    invlpg((void *)SECOND);
}

static void movs(void)
{
    set_window(false);
    __asm__ volatile(TRY "rep movsb" END_TRY
                     :
                     : "S"(source), "D"(SECOND - 10), "c"((reg_t)30)
                     : "memory");
    check_fault("REP MOVSB into a page not present", EXC_PF, PF_W);
    check_equal("RCX: iterations left", 20, caught.cx);
    check_equal("RDI at the fault", SECOND, caught.di);
    check_equal("RSI at the fault", (reg_t)source + 10, caught.si);
    check("what was finished is in memory", !memcmp(page_a + GUEST_PAGE - 10, source, 10));
    set_window(false);
    faults = 0;
    trap_set(EXC_PF, map_on_fault);
    memcpy((void *)(SECOND - 100), source, 300);
    check_equal("mapped by the handler it goes on, one fault", 1, faults);
    check("and is complete", !memcmp((void *)(SECOND - 100), source, 300));
    set_window(false);
    faults = 0;
    __asm__ volatile("std\n\trep movsb\n\tcld"
                     :
                     : "S"(source + 299), "D"(SECOND + 199), "c"((reg_t)300)
                     : "memory");
    check_equal("backwards: one fault", 1, faults);
    check("backwards: complete", !memcmp((void *)(SECOND - 100), source, 300));
    trap_set(EXC_PF, NULL);
}

static void crossing_element(void)
{
    set_window(false);
    memset(page_a, 0x11, sizeof(page_a));
    __asm__ volatile(TRY "rep stosq" END_TRY
                     :
                     : "D"(SECOND - 12), "c"((reg_t)4), "a"((reg_t)-1)
                     : "memory");
    check_fault("REP STOSQ whose second element crosses", EXC_PF, PF_W);
    check_equal("CR2 is the first byte that is missing", SECOND, caught.cr2);
    check_equal("three elements left", 3, caught.cx);
    check_equal("the crossing element wrote nothing", 0x11111111,
                *(volatile uint32_t *)(SECOND - 4));
    check_equal("the first element is written", (reg_t)-1, *(volatile uint64_t *)(SECOND - 12));
}

static void compare_and_scan(void)
{
    reg_t left;
    uint8_t is_zero;
    set_window(true);
    memset((void *)WINDOW, 7, 2 * GUEST_PAGE);
    *(volatile uint8_t *)(SECOND + 5) = 9;
    __asm__ volatile("repe scasb\n\tsetz %1"
                     : "=c"(left), "=q"(is_zero)
                     : "0"((reg_t)100), "D"(SECOND - 10), "a"(7)
                     : "memory", "cc");
    check("REPE SCASB stops at the difference", left == 84 && !is_zero);
    __asm__ volatile("repne scasb\n\tsetz %1"
                     : "=c"(left), "=q"(is_zero)
                     : "0"((reg_t)100), "D"(SECOND - 10), "a"(9)
                     : "memory", "cc");
    check("REPNE SCASB stops at the match", left == 84 && is_zero);
    __asm__ volatile("repe cmpsb\n\tsetz %1"
                     : "=c"(left), "=q"(is_zero)
                     : "0"((reg_t)16), "S"(SECOND - 10), "D"(SECOND - 11)
                     : "memory", "cc", "rax");
    check("REPE CMPSB", left == 0 && !is_zero);
    page_map(SECOND, 0, 0);
    pages_flush();
    __asm__ volatile(TRY "repe scasb" END_TRY
                     :
                     : "c"((reg_t)100), "D"(SECOND - 10), "a"(7)
                     : "memory", "cc");
    check_fault("REPE SCASB into a page not present", EXC_PF, 0);
    check("after ten iterations, ZF as they left it", caught.cx == 90 && caught.flags & FLAG_ZF);
}

static void counts(void)
{
    reg_t c, d, s;
    set_window(false);
    __asm__ volatile(TRY "rep movsb" END_TRY
                     :
                     : "S"(SECOND), "D"(SECOND), "c"((reg_t)0)
                     : "memory");
    check_no_fault("RCX = 0 touches no memory");
    __asm__ volatile("xor %%ecx, %%ecx\n\tstc\n\trepe cmpsb\n\tsetc %%cl"
                     : "=c"(c)
                     :
                     : "memory", "cc");
    check_equal("and no flag", 1, c & 0xFF);
    memset(page_a, 0, 64);
    page_a[0] = 0x5A;
    d = WINDOW + 1;
    s = WINDOW;
    c = 63;
    __asm__ volatile("rep movsb" : "+c"(c), "+D"(d), "+S"(s) : : "memory");
    check("an overlapping REP MOVSB repeats its first byte", page_a[63] == 0x5A && page_a[64] == 0);
    d = WINDOW | (reg_t)1 << 32;
    c = (reg_t)0xFFFFFFFF00000004;
    __asm__ volatile(".byte 0x67\n\trep stosb" : "+c"(c), "+D"(d) : "a"(0x33) : "memory");
    check("with 67h ECX and EDI are used", *(volatile uint32_t *)WINDOW == 0x33333333);
    check_equal("and EDI comes back zero-extended", WINDOW + 4, d);
    check_equal("RCX too", 0, c);
}

static void port_input(void)
{
    static const char want[4] = {'Q', 'E', 'M', 'U'};
    reg_t c = 4, d = SECOND - 2;
    set_window(false);
    out16(FW_CFG_SELECT, 0);
    faults = 0;
    trap_set(EXC_PF, map_on_fault);
    __asm__ volatile("rep insb" : "+c"(c), "+D"(d) : "d"(FW_CFG_DATA) : "memory");
    trap_set(EXC_PF, NULL);
    check_equal("REP INSB: one fault", 1, faults);
    check("and no byte of the port was lost or read twice", !memcmp((void *)(SECOND - 2), want, 4));
}

int main(void)
{
    for (unsigned i = 0; i < sizeof(source); i++)
        source[i] = (uint8_t)(i * 7 + 1);
    movs();
    crossing_element();
    compare_and_scan();
    counts();
    port_input();
    return checks_result();
}
