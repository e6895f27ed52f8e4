/* SPDX-License-Identifier: MIT */
/*
 * The local APIC of one vCPU: xAPIC registers by memory, x2APIC registers by MSR, IA32_APIC_BASE,
 * timer with TSC deadline, and the arbitration between TPR, ISR and IRR. The monitor routes
 * accesses of the running vCPU to it, asks it for the vector to deliver and tells it when it has;
 * the apic_bus hands it messages. Owns its registers and timer event; never touches the vCPU: what
 * must happen there is asked for through struct lapic_host.
 */
#pragma once

#include "devices/apic.h"
#include "devices/device.h"

#define LAPIC_DEFAULT_BASE UINT64_C(0xfee00000)

enum {
    MSR_IA32_APIC_BASE = 0x1b,
    MSR_IA32_TSC_DEADLINE = 0x6e0,
    MSR_X2APIC_FIRST = 0x800,
    MSR_X2APIC_LAST = 0x8ff,
};

enum {
    APIC_BASE_BSP = 1 << 8,   /* this is the bootstrap processor */
    APIC_BASE_EXTD = 1 << 10, /* x2APIC mode */
    APIC_BASE_EN = 1 << 11,   /* globally enabled */
};

enum lapic_lvt { LVT_TIMER, LVT_THERMAL, LVT_PMC, LVT_LINT0, LVT_LINT1, LVT_ERROR, LVT_COUNT };

#define LAPIC_STATE(ONE, ARR, S)                                                                   \
    ONE(S, uint64_t, apic_base, "IA32_APIC_BASE")                                                  \
    ONE(S, uint32_t, id, "APIC ID, 8 bits in xAPIC mode")                                          \
    ONE(S, uint32_t, ldr, "Logical Destination Register; xAPIC: bits 31-24")                       \
    ONE(S, uint32_t, dfr, "Destination Format Register, xAPIC")                                    \
    ONE(S, uint32_t, svr, "Spurious-Interrupt Vector Register")                                    \
    ONE(S, uint8_t, tpr, "Task Priority Register; CR8 is bits 7-4")                                \
    ARR(S, uint32_t, isr, 8, "In-Service Register")                                                \
    ARR(S, uint32_t, tmr, 8, "Trigger Mode Register: 1 is level")                                  \
    ARR(S, uint32_t, irr, 8, "Interrupt Request Register")                                         \
    ONE(S, uint32_t, esr, "Error Status Register as last latched by a write")                      \
    ONE(S, uint32_t, esr_pending, "errors since that write")                                       \
    ONE(S, uint64_t, icr, "Interrupt Command Register")                                            \
    ARR(S, uint32_t, lvt, 6, "local vector table: timer, thermal, PMC, LINT0, LINT1, error")       \
    ONE(S, uint32_t, initial_count, "timer Initial Count")                                         \
    ONE(S, uint32_t, divide, "timer Divide Configuration, bits 3, 1, 0")                           \
    ONE(S, bool, is_counting, "the timer is running (one-shot, periodic or deadline)")             \
    ONE(S, uint32_t, first_count, "count at timer_start")                                          \
    ONE(S, vtime, timer_start, "virtual ns at which the timer held first_count")                   \
    ONE(S, uint64_t, tsc_deadline, "IA32_TSC_DEADLINE; 0: disarmed")                               \
    ONE(S, vtime, deadline_when, "virtual ns at which the TSC reaches tsc_deadline")               \
    ARR(S, bool, lint, 2, "levels of LINT0 and LINT1")                                             \
    ONE(S, bool, has_extint, "an ExtINT message came and has not been acknowledged")              \
    ONE(S, bool, eoi_offered, "the guest may end the interrupt in service without a write: paravirtual")
STATE_STRUCT(lapic_state, LAPIC_STATE);

/* What a LAPIC asks of the world around it. Members may be NULL. */
struct lapic_host {
    void *opaque; /* first argument of all */
    bool (*send)(void *opaque,
                 const struct apic_message *m); /* to the bus; false: nobody took it */
    void (*interrupt_pending)(void *opaque);    /* lapic_highest_pending() may have become >= 0 */
    void (*nmi)(void *opaque);                  /* NMI edge */
    void (*smi)(void *opaque);                  /* SMI edge */
    void (*init)(void *opaque);                 /* INIT: the monitor calls lapic_init_reset */
    void (*sipi)(void *opaque, uint8_t vector); /* start at vector << 12, if waiting for it */
    void (*eoi_broadcast)(void *opaque, uint8_t vector); /* level interrupt done: to the IOAPICs */
    uint64_t (*tsc)(void *opaque, vtime now);            /* the guest's TSC; NULL: tsc_hz from 0 */
    vtime (*tsc_when)(void *opaque, uint64_t tsc); /* earliest vtime with TSC >= tsc; NULL: same */
    /* EOI without a write to the register. offer: nothing but an edge-triggered interrupt is in service and nothing is requested;
     * true if the guest is told that it may end it so. take: the offer ends; true if the guest has ended the interrupt. */
    bool (*offer_eoi)(void *opaque);
    bool (*take_eoi)(void *opaque);
};

struct lapic_config {
    uint32_t apic_id;   /* initial (x2)APIC ID */
    bool is_bsp;        /* bootstrap processor */
    bool is_absent;     /* the processor has none: never enabled, LINT0 is INTR */
    bool has_x2apic;    /* CPUID.01H:ECX.21 */
    bool has_deadline;  /* CPUID.01H:ECX.24 */
    unsigned phys_bits; /* MAXPHYADDR: bounds IA32_APIC_BASE */
    uint64_t bus_hz;    /* the timer's input clock (CPUID.15H crystal) */
    uint64_t tsc_hz;    /* when host.tsc is NULL */
};

struct lapic {
    struct lapic_state s;       /* first: all the guest can observe */
    struct lapic_config config; /* wiring: fixed at init */
    struct lapic_host host;     /* wiring */
    struct event_queue *queue;  /* wiring: borrowed */
    struct event timer;         /* wiring: armed for the next expiry that can interrupt */
    struct trace *trace;        /* wiring: may be NULL */
    int pending;                /* cache of lapic_highest_pending, rebuilt by every change */
};

extern const struct device_ops lapic_ops;

/* Power on. priority is that of the timer event; bus_hz and tsc_hz are not 0. */
void lapic_init(struct lapic *lapic, struct event_queue *queue, const struct lapic_config *config,
                const struct lapic_host *host, struct trace *trace);

/* INIT: registers to their reset values, but IA32_APIC_BASE and the APIC ID. SDM Vol. 3A, "Local
 * APIC State After It Receives an INIT-Deassert IPI" and "... After Power-Up or Reset".
 * lapic_ops.reset is RESET#. */
void lapic_init_reset(struct lapic *lapic);

/* ---- registers ---- */

/* Is the xAPIC page decoded? Then *base is its physical address. */
bool lapic_mmio_base(const struct lapic *lapic, paddr *base);

/* An access of this vCPU to the xAPIC page; offset 0-FFFh, width 1, 2, 4 or 8. Only aligned dwords
 * are defined. */
uint64_t lapic_mmio_read(struct lapic *lapic, uint32_t offset, unsigned width);
void lapic_mmio_write(struct lapic *lapic, uint32_t offset, unsigned width, uint64_t v);

/* MSRs 1Bh, 6E0h and 800h-8FFh. False: #GP(0), *v untouched; any other index is false too. */
bool lapic_msr_read(struct lapic *lapic, uint32_t msr, uint64_t *v);
bool lapic_msr_write(struct lapic *lapic, uint32_t msr, uint64_t v);

/* CR8 is TPR bits 7-4; v is 0-15. */
uint64_t lapic_cr8(const struct lapic *lapic);
void lapic_set_cr8(struct lapic *lapic, uint64_t v);

/* The guest's TSC jumped (WRMSR to IA32_TSC or IA32_TSC_ADJUST): recompute the deadline. */
void lapic_tsc_changed(struct lapic *lapic);

/* What firmware does on the boot processor: enable, LINT0 = ExtINT, LINT1 = NMI. MP specification,
 * "Virtual Wire Mode". */
void lapic_set_virtual_wire(struct lapic *lapic);

/* ---- towards the processor ---- */

/* The vector that may be delivered now (its class is above that of PPR), or -1. */
int lapic_highest_pending(const struct lapic *lapic);

/* The processor takes `vector`, just returned by lapic_highest_pending: IRR to ISR. */
void lapic_acknowledge(struct lapic *lapic, uint8_t vector);

/* An EOI from the processor that is not a write to the register: a hypercall. */
void lapic_end_interrupt(struct lapic *lapic);

/* If the guest was offered to end its interrupt without a write: see whether it has. Before anybody looks at ISR. */
void lapic_settle(struct lapic *lapic);

/* May INTR from the 8259A interrupt this processor? (APIC off, LINT0 as ExtINT, or an ExtINT
 * message waits.) */
bool lapic_accepts_extint(const struct lapic *lapic);

/* The processor has taken a vector from the 8259A. */
void lapic_extint_acknowledge(struct lapic *lapic);

/* Processor priority as of "Task and Processor Priorities". */
uint8_t lapic_ppr(const struct lapic *lapic);

/* Is the APIC software enable bit of the spurious vector register set? */
bool lapic_is_software_enabled(const struct lapic *lapic);

/* ---- from outside ---- */

/* Drive pin n: 0 is LINT0, 1 is LINT1. A listener for struct irq_line: opaque is the struct lapic.
 */
void lapic_set_lint(void *opaque, unsigned n, bool level);

/* Would pin n, when driven, do what IF = 0 does not hold back? */
bool lapic_lint_ignores_if(const struct lapic *lapic, unsigned n);

/* Raise the local performance monitoring or thermal interrupt through its LVT entry. */
void lapic_local_interrupt(struct lapic *lapic, enum lapic_lvt which);

/* Is m (shorthand included) addressed to this LAPIC? False if the APIC is globally disabled. */
bool lapic_matches(const struct lapic *lapic, const struct apic_message *m);

/* Take m, which matches. True if accepted (a software-disabled APIC refuses vectors). */
bool lapic_accept(struct lapic *lapic, const struct apic_message *m);
