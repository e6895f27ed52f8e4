/* SPDX-License-Identifier: MIT */
/* The other CPUs: how many, started by INIT-SIPI-SIPI, each running one function at a time. */
#pragma once

#include "roms/lib/guest.h"

enum { SMP_MAX = 16 };

unsigned cpu_count(void); /* as fw_cfg says, this one included */

/* Start all others and wait until they idle; how many came. They are numbered from 1 as they come.
 */
unsigned smp_start(void);

/* CPU n runs fn(arg) next, with interrupts as it likes; does not wait. */
void smp_run(unsigned n, void (*fn)(void *), void *arg);
void smp_wait(unsigned n); /* until it is idle again */

uint32_t smp_apic_id(unsigned n);

/* Called by lib/boot.S. */
void ap_start(unsigned n) __attribute__((noreturn));
