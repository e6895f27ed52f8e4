/* SPDX-License-Identifier: MIT */
/* An interrupt that is due at tick n is taken at the boundary behind the n-th, whatever the
 * instructions are: shadows, repetition, masked stretches, device accesses. */
#include "roms/lib/chips.h"

enum { TIMER_VECTOR = 0x59 };

extern const uint32_t sweep_at[], sweep_at_end[];
void sweep_run(uint32_t n);

static volatile uint32_t hits;
static volatile reg_t hit_ip;

static void on_timer(struct frame *f)
{
    hits++;
    hit_ip = f->ip;
    lapic_eoi();
}

int main(void)
{
    unsigned count = (unsigned)(sweep_at_end - sweep_at) - 1, bad = 0;
    pic_off();
    lapic_enable();
    trap_set(TIMER_VECTOR, on_timer);
    lapic_write(LAPIC_TIMER_DIVIDE, 0xB);
    lapic_write(LAPIC_TIMER, TIMER_VECTOR);
    print("%u ticks\n", count);
    for (unsigned round = 0; round < 3; round++) /* again when the text is warm */
        for (unsigned n = 1; n <= count; n++) {
            unsigned at = n - 1;
            while (!sweep_at[at])
                at++;
            hits = 0;
            sweep_run(n);
            if (hits != 1 || hit_ip != sweep_at[at]) {
                print("     tick %u: %u interrupts, at %x, not %x\n", n, hits, (unsigned)hit_ip,
                      sweep_at[at]);
                bad++;
            }
        }
    check_equal("every tick of the text is hit at its own boundary", 0, bad);
    return checks_result();
}
