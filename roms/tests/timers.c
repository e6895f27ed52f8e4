/* SPDX-License-Identifier: MIT */
/* Every clock of the board that can interrupt, and how they agree with each other. */
#include "roms/lib/chips.h"

enum { LAPIC_VECTOR = 0x50, HPET_VECTOR = 0x51, RTC_VECTOR = 0x28 };
#define HPET ((reg_t)0xFED00000u)

static volatile unsigned ticks;

static void on_pit(struct frame *f)
{
    (void)f;
    ticks++;
    pic_eoi(0);
}

static void on_rtc(struct frame *f)
{
    (void)f;
    ticks++;
    cmos_read(0x0C); /* Register C: reading clears the request */
    pic_eoi(8);
}

static void on_lapic(struct frame *f)
{
    (void)f;
    ticks++;
    lapic_eoi();
}

/* Halt until `n` interrupts came. */
static void wait_ticks(unsigned n)
{
    while (ticks < n)
        sti_hlt_cli();
}

/* PM timer cycles (3.579545 MHz) in microseconds. */
static uint32_t pm_us(uint32_t cycles)
{
    return cycles / 4 + cycles / 34; /* 1 / 3.579545 = 0.27936 */
}

static bool is_near(uint32_t got, uint32_t want, uint32_t percent)
{
    uint32_t slack = want / 100 * percent + 2;
    bool is_ok = got + slack >= want && got <= want + slack;
    if (!is_ok)
        print("     want about %u, got %u\n", want, got);
    return is_ok;
}

static void pit_by_pic(void)
{
    uint32_t start;
    uint16_t a, b;
    trap_set(PIC_BASE, on_pit);
    pic_init();
    ticks = 0;
    pit_start(0, 11932); /* 10 ms, once */
    pic_mask(0xFFFE);
    start = pm_timer();
    wait_ticks(1);
    check("PIT mode 0 interrupts after its count", is_near(pm_us(pm_timer() - start), 10000, 5));
    for (unsigned i = 0; i < 3; i++) {
        sti();
        delay_us(10000);
        cli();
    }
    check_equal("and only once", 1, ticks);
    pit_start(2, 1193); /* 1 ms */
    pic_mask(0xFFFE);
    ticks = 0;
    wait_ticks(1);
    start = pm_timer();
    wait_ticks(11);
    check("PIT mode 2 comes every millisecond", is_near(pm_us(pm_timer() - start), 10000, 10));
    a = pit_read();
    delay_us(50);
    b = pit_read();
    check("its counter stays below the reload value", a <= 1193 && b <= 1193 && a != b);
    pic_mask(0xFFFF);
    ticks = 0;
    sti();
    delay_us(5000);
    cli();
    check_equal("a masked line does not interrupt", 0, ticks);
    out8(PIC_MASTER, 0x0A); /* OCW3: read IRR */
    check("but the request is held in the IRR", in8(PIC_MASTER) & 1);
    pit_start(0, 0);
    trap_set(PIC_BASE, NULL);
}

static void rtc_by_pic(void)
{
    uint8_t b = cmos_read(0x0B), a = cmos_read(0x0A);
    uint32_t start;
    trap_set(RTC_VECTOR, on_rtc);
    cmos_write(0x0A, (uint8_t)((a & 0xF0) | 6)); /* 1024 Hz */
    cmos_write(0x0B, b | 0x40);                  /* PIE */
    cmos_read(0x0C);
    ticks = 0;
    pic_mask((uint16_t) ~(1u << 8 | 1u << 2));
    wait_ticks(1);
    start = pm_timer();
    wait_ticks(1 + 8);
    check("RTC periodic interrupt at 1024 Hz", is_near(pm_us(pm_timer() - start), 7812, 20));
    cmos_write(0x0B, b);
    cmos_write(0x0A, a);
    pic_mask(0xFFFF);
    cmos_read(0x0C);
    check("RTC: valid RAM and time", cmos_read(0x0D) & 0x80);
    trap_set(RTC_VECTOR, NULL);
}

/* LAPIC timer counts in 10 ms with divisor 1. */
static uint32_t lapic_rate(void)
{
    uint32_t start;
    lapic_write(LAPIC_TIMER, LVT_MASKED | LAPIC_VECTOR);
    lapic_write(LAPIC_TIMER_DIVIDE, 0xB);
    lapic_write(LAPIC_TIMER_INITIAL, 0xFFFFFFFF);
    start = lapic_read(LAPIC_TIMER_CURRENT);
    delay_us(10000);
    return start - lapic_read(LAPIC_TIMER_CURRENT);
}

static void lapic_timer(void)
{
    uint32_t rate, start;
    pic_off();
    trap_set(LAPIC_VECTOR, on_lapic);
    rate = lapic_rate();
    check("the LAPIC timer counts down", rate > 1000);
    lapic_write(LAPIC_TIMER, LAPIC_VECTOR);
    ticks = 0;
    start = pm_timer();
    lapic_write(LAPIC_TIMER_INITIAL, rate);
    wait_ticks(1);
    check("LAPIC one-shot after 10 ms", is_near(pm_us(pm_timer() - start), 10000, 5));
    check_equal("its current count is 0 and stays", 0, lapic_read(LAPIC_TIMER_CURRENT));
    lapic_write(LAPIC_TIMER, LAPIC_VECTOR | LVT_PERIODIC);
    lapic_write(LAPIC_TIMER_INITIAL, rate / 10);
    ticks = 0;
    wait_ticks(1);
    start = pm_timer();
    wait_ticks(11);
    check("LAPIC periodic every millisecond", is_near(pm_us(pm_timer() - start), 10000, 10));
    lapic_write(LAPIC_TIMER_INITIAL, 0);
    ticks = 0;
    sti();
    delay_us(3000);
    cli();
    check("initial count 0 stops it", ticks <= 1);
    lapic_write(LAPIC_TIMER, LVT_MASKED);
}

static void tsc_deadline(void)
{
    uint64_t t0, ten_ms;
    uint32_t start;
    if (!(cpuid(1, 0).c & 1u << 24)) {
        skip("TSC deadline", "the CPU has none");
        return;
    }
    t0 = read_tsc();
    delay_us(10000);
    ten_ms = read_tsc() - t0;
    lapic_write(LAPIC_TIMER, LAPIC_VECTOR | LVT_DEADLINE);
    ticks = 0;
    start = pm_timer();
    write_msr(MSR_TSC_DEADLINE, read_tsc() + ten_ms);
    check("the deadline reads back while armed", read_msr(MSR_TSC_DEADLINE) != 0);
    wait_ticks(1);
    check("TSC deadline after 10 ms", is_near(pm_us(pm_timer() - start), 10000, 5));
    check_equal("and is disarmed", 0, read_msr(MSR_TSC_DEADLINE));
    write_msr(MSR_TSC_DEADLINE, 1);
    sti();
    check_equal("a deadline in the past comes at once", 2, ticks);
    cli();
    lapic_write(LAPIC_TIMER, LVT_MASKED);
    trap_set(LAPIC_VECTOR, NULL);
}

static volatile uint32_t *hpet(unsigned reg)
{
    return (volatile uint32_t *)(HPET + reg);
}

static void hpet_timer(void)
{
    uint32_t period_fs = *hpet(4), routes, per_10ms, start, pin;
    if (*hpet(0) == 0xFFFFFFFF || !period_fs) {
        skip("HPET", "the board has none");
        return;
    }
    check("HPET period is at most 100 ns", period_fs <= 100000000);
    per_10ms = (uint32_t)(1000000000u / (period_fs / 10000)); /* 10^13 fs / period */
    *hpet(0x10) = 0;
    *hpet(0xF0) = 0;
    *hpet(0xF4) = 0;
    delay_us(100);
    check_equal("stopped, the counter stands", 0, *hpet(0xF0));
    *hpet(0x10) = 1;
    delay_us(10000);
    check("HPET and PM timer agree", is_near(*hpet(0xF0), per_10ms, 5));
    routes = *hpet(0x104); /* pins timer 0 can use */
    for (pin = 23; pin && !(routes >> pin & 1);)
        pin--;
    if (pin < 16) {
        skip("HPET comparator", "it shares its pin with another chip");
        return;
    }
    trap_set(HPET_VECTOR, on_lapic);
    ioapic_route(pin, HPET_VECTOR);
    ticks = 0;
    start = pm_timer();
    *hpet(0x108) = *hpet(0xF0) + per_10ms;
    *hpet(0x10C) = 0;
    *hpet(0x100) = pin << 9 | 1 << 8 | 1 << 2; /* 32-bit, edge, one-shot, enabled */
    wait_ticks(1);
    check("HPET comparator by the IOAPIC after 10 ms",
          is_near(pm_us(pm_timer() - start), 10000, 5));
    *hpet(0x100) = 0;
    ioapic_route(pin, IOAPIC_MASKED);
    trap_set(HPET_VECTOR, NULL);
}

static void clocks_agree(void)
{
    uint64_t a, b, c;
    uint32_t p0, p1;
    a = read_tsc();
    p0 = pm_timer();
    delay_us(5000);
    b = read_tsc();
    delay_us(5000);
    c = read_tsc();
    p1 = pm_timer();
    check("the TSC never stands or goes back", a < b && b < c);
    check("PM timer: 10 ms are 35795 cycles", is_near(p1 - p0, 35795, 5));
    check("the TSC runs evenly", is_near((uint32_t)((c - b) >> 8), (uint32_t)((b - a) >> 8), 25));
}

int main(void)
{
    pit_by_pic();
    rtc_by_pic();
    lapic_timer();
    tsc_deadline();
    hpet_timer();
    clocks_agree();
    return checks_result();
}
