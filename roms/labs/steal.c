/* SPDX-License-Identifier: MIT */
/*
 * The guest of `trapline lab steal`: a machine among others. Its command line says how much it has to do: nothing said, all the time;
 * `part WORK PERIOD`, WORK ns (an instruction each) at the beginning of each PERIOD ns, in decimal; halted otherwise. After A on the debug port comes the address of `page`, 32 bits, low byte first, where it keeps what it knows
 * of time: the monitor reads it there.
 */
#include "roms/labs/command_line.h"
#include "roms/lib/chips.h"
#include "roms/lib/guest.h"

enum { DEBUG_PORT = 0xE9, VECTOR = 0x40, PIECE = 100 }; /* a piece of work: so many turns of a loop of two instructions */
enum { KVM_FEATURES = 0x40000001, STEAL_TIME = 1 << 5, MSR_STEAL_TIME = 0x4b564d03 };

static struct page {
    /* struct kvm_steal_time: Linux, Documentation/virt/kvm/x86/msr.rst */
    volatile uint64_t steal;   /* ns */
    volatile uint32_t version; /* odd: being written */
    uint32_t flags;
    uint8_t preempted, padding[47];
    /* our own */
    uint64_t pieces; /* of work that were done */
    uint64_t gaps;   /* TSC ticks that went by in pieces of work beyond what they take */
    uint64_t usual;  /* TSC ticks that one takes */
} page __attribute__((aligned(4096)));

static void piece(void)
{
    uint32_t loops = PIECE;
    __asm__ volatile("1: dec %0; jnz 1b" : "+r"(loops) : : "cc");
}

/* Work, and what the clock says of it. */
static __attribute__((noinline)) void work(uint64_t pieces)
{
    uint64_t last = read_tsc();
    for (uint64_t i = 0; i < pieces; i++) {
        piece();
        uint64_t now = read_tsc();
        if (now - last > page.usual)
            page.gaps += now - last - page.usual;
        last = now;
        page.pieces++;
    }
}

/* How long a piece takes when nothing is stolen. */
static void calibrate(void)
{
    enum { SAMPLE = 16 };
    work(SAMPLE);
    page.usual = page.gaps / SAMPLE + 1;
    page.gaps = 0;
}

static void on_timer(struct frame *f)
{
    (void)f;
    lapic_eoi();
}

/* The number after the word-th blank. */
static uint32_t argument(unsigned word)
{
    const char *line = command_line();
    uint32_t v = 0;
    for (; *line && word; line++)
        word -= *line == ' ';
    for (; *line >= '0' && *line <= '9'; line++)
        v = v * 10 + (uint32_t)(*line - '0');
    return v;
}

static void announce(void)
{
    uint32_t at = (uint32_t)(reg_t)&page;
    calibrate();
    if (cpuid(KVM_FEATURES, 0).a & STEAL_TIME)
        write_msr(MSR_STEAL_TIME, at | 1);
    out8(DEBUG_PORT, 'A');
    for (unsigned i = 0; i < 4; i++)
        out8(DEBUG_PORT, (uint8_t)(at >> 8 * i));
}

/* The periodic LAPIC timer counts ns (1 GHz, divided by 1): late work does not move the next period. */
static void periods(uint32_t ns, uint32_t pieces)
{
    pic_off();
    lapic_enable();
    trap_set(VECTOR, on_timer);
    lapic_write(LAPIC_TIMER_DIVIDE, 0xB);
    lapic_write(LAPIC_TIMER, VECTOR | LVT_PERIODIC);
    lapic_write(LAPIC_TIMER_INITIAL, ns);
    for (;;) {
        work(pieces);
        sti_hlt_cli();
    }
}

int main(void)
{
    announce();
    if (command_line_has("part"))
        periods(argument(3), argument(2) / (uint32_t)page.usual);
    work(UINT64_MAX);
    return 0;
}
