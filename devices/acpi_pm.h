/* SPDX-License-Identifier: MIT */
/*
 * ACPI fixed hardware in the shape of the PIIX4 power management function: PM1a event and control
 * blocks, the 3.579545 MHz PM timer, a GPE0 block, and the SMI command port that turns ACPI mode
 * on. The board connects SCI and the power-off callback. Owns its registers; never resets or stops
 * the machine by itself.
 */
#pragma once

#include "devices/device.h"

#define ACPI_PM_DEFAULT_BASE 0x600
#define ACPI_PM_HZ UINT64_C(3579545)
#define ACPI_PM_GPE0_BASE 0xafe0 /* PIIX4: GPSTS; 4 bytes: 2 status, 2 enable */
#define ACPI_PM_GPES 16

/* What the FADT says: offsets from base, and values for the SMI command port. */
enum {
    ACPI_PM1_STS = 0x00,
    ACPI_PM1_EN = 0x02,
    ACPI_PM1_CNT = 0x04,
    ACPI_PM_TMR = 0x08,
    ACPI_PM_SIZE = 0x40,
    ACPI_SMI_CMD = 0xb2,
    ACPI_ENABLE = 0xf1,
    ACPI_DISABLE = 0xf0,
    ACPI_SLP_TYP_S5 = 0, /* PIIX4: soft off; \_S5 is { 0, 0, 0, 0 } */
    ACPI_SCI_IRQ = 9,
};

/* PM1 status and enable bits: ACPI, "PM1 Event Grouping". */
enum {
    ACPI_TMR = 1 << 0,
    ACPI_BM = 1 << 4,
    ACPI_GBL = 1 << 5,
    ACPI_PWRBTN = 1 << 8,
    ACPI_SLPBTN = 1 << 9,
    ACPI_RTC = 1 << 10,
    ACPI_WAK = 1 << 15,
};

#define ACPI_PM_STATE(ONE, ARR, S)                                                                 \
    ONE(S, uint16_t, status, "PM1_STS but TMR_STS, which follows from tmr_cleared")                \
    ONE(S, uint16_t, enable, "PM1_EN")                                                             \
    ONE(S, uint16_t, control, "PM1_CNT")                                                           \
    ONE(S, uint64_t, tmr_cleared, "timer cycle at which TMR_STS was last cleared")                 \
    ONE(S, uint16_t, gpe_status, "GPE0_STS")                                                       \
    ONE(S, uint16_t, gpe_enable, "GPE0_EN")                                                        \
    ONE(S, uint8_t, apmc, "last byte written to the SMI command port")                             \
    ONE(S, uint8_t, apms, "SMI status byte, scratch")
STATE_STRUCT(acpi_pm_state, ACPI_PM_STATE);

struct acpi_pm {
    struct acpi_pm_state s;                     /* first: all the guest can observe */
    struct irq_line sci;                        /* wiring: IRQ 9, level; set by the board */
    void (*power_off)(void *opaque);            /* wiring: S5 was entered */
    void (*smi)(void *opaque, uint8_t command); /* wiring: SMI command for firmware; may be NULL */
    void *opaque;                               /* wiring: of power_off and smi */
    bool starts_in_acpi_mode;  /* wiring: SCI_EN after reset (direct boot, no SMM firmware) */
    struct event_queue *queue; /* wiring: borrowed */
    struct event overflow;     /* wiring: PM timer's top bit changes, if TMR_EN */
    struct trace *trace;       /* wiring: may be NULL */
    struct io_region pm;       /* base, 40h ports */
    struct io_region gpe;      /* AFE0h-AFE3h */
    struct io_region apm;      /* B2h-B3h */
};

extern const struct device_ops acpi_pm_ops;

/* Power on with the PM block at `base`. The board sets sci, power_off, smi and starts_in_acpi_mode,
 * then calls acpi_pm_ops.reset if it changed the last. */
void acpi_pm_init(struct acpi_pm *pm, struct event_queue *queue, uint16_t base,
                  struct trace *trace);

/* The user presses the power button: PWRBTN_STS. */
void acpi_pm_press_power_button(struct acpi_pm *pm);

/* The RTC alarm line, for RTC_STS. A listener for struct irq_line: opaque is the struct acpi_pm. */
void acpi_pm_set_rtc(void *opaque, unsigned n, bool level);

/* Raise general purpose event n, 0-15. A listener for struct irq_line; only a rising level counts.
 */
void acpi_pm_set_gpe(void *opaque, unsigned n, bool level);
