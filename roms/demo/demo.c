/* SPDX-License-Identifier: MIT */
/* The order of the walk, its first and its last words. */
#include "roms/demo/demo.h"

enum { PM1A_CNT = 0x604, SLP_EN = 1 << 13, SLP_TYP_S5 = 0 << 10 };

void heading(const char *title)
{
    static unsigned number;
    print("\n%u. %s\n", ++number, title);
}

/* ACPI, "Waking and Sleeping": the piece of the chipset that turns the machine off. */
static __attribute__((noreturn)) void power_off(void)
{
    print_flush();
    out16(PM1A_CNT, SLP_TYP_S5 | SLP_EN);
    for (;;)
        __asm__ volatile("cli; hlt");
}

int main(void)
{
    print("\nHello. I am a guest: %u bytes that own this x86 machine, or believe so.\n"
          "I am in ring 0 of 64-bit mode. Every chip and every privilege I use below is made\n"
          "by the monitor. Popek and Goldberg (1974) tell which instructions it must see.\n",
          (unsigned)((reg_t)image_loaded_end - 0x100000));
    show_ring_3();
    show_popf();
    show_gate();
    show_syscall();
    show_page_fault();
    show_single_step();
    show_halt();
    show_cpuid();
    show_time();
    print_table();
    print(
        "\nThat was the walk: now ACPI power-off, and the exit status is 0. Next:\n"
        "  trapline run -kernel bzImage -initrd initrd -append console=ttyS0 -nographic -d exits\n"
        "                       a Linux kernel, and how often each reason made it exit\n"
        "  trapline --help      everything else\n");
    power_off();
}
