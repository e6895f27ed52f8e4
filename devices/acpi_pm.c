/* SPDX-License-Identifier: MIT */
/*
 * ACPI fixed hardware. ACPI Specification, "ACPI Hardware Specification" (section names below are
 * of it), laid out as the PIIX4 does ("Power Management I/O Space Registers").
 *
 *   base+0  PM1_STS  w1c            AFE0h  GPE0_STS     w1c
 *   base+2  PM1_EN   rw             AFE2h  GPE0_EN      rw
 *   base+4  PM1_CNT  rw             B2h    SMI command  rw
 *   base+8  PM_TMR   ro, 24 bits    B3h    SMI status   rw
 *
 * TMR_STS is not kept: the top bit of the timer has changed if its value differs from the one at
 * tmr_cleared.
 */
#include "devices/acpi_pm.h"

#include <errno.h>

#include "devices/chip_clock.h"

enum {
    STATUS_BITS = ACPI_BM | ACPI_GBL | ACPI_PWRBTN | ACPI_SLPBTN | ACPI_RTC | ACPI_WAK,
    ENABLE_BITS = ACPI_TMR | ACPI_GBL | ACPI_PWRBTN | ACPI_SLPBTN | ACPI_RTC,
    CNT_SCI_EN = 1 << 0,
    CNT_BM_RLD = 1 << 1,
    CNT_SLP_TYP = 7 << 10,
    CNT_SLP_EN = 1 << 13,
    TMR_TOP_BIT = 23,
    TMR_MASK = 0xffffff,
};

/* ---- timer and SCI ---- */

static uint64_t timer_now(const struct acpi_pm *pm)
{
    return clock_cycles(ACPI_PM_HZ, event_now(pm->queue));
}

static uint16_t status_now(const struct acpi_pm *pm)
{
    bool has_toggled = timer_now(pm) >> TMR_TOP_BIT != pm->s.tmr_cleared >> TMR_TOP_BIT;
    return (uint16_t)(pm->s.status | (has_toggled ? ACPI_TMR : 0));
}

/* Drive SCI; wait for the timer's top bit if that would raise it. */
static void update(struct acpi_pm *pm)
{
    bool is_acpi = pm->s.control & CNT_SCI_EN;
    uint16_t status = status_now(pm);
    irq_set(&pm->sci, is_acpi && (status & pm->s.enable || pm->s.gpe_status & pm->s.gpe_enable));
    bool must_wait = is_acpi && pm->s.enable & ACPI_TMR && !(status & ACPI_TMR);
    uint64_t toggle = ((timer_now(pm) >> TMR_TOP_BIT) + 1) << TMR_TOP_BIT;
    event_arm(&pm->overflow, must_wait ? clock_when(ACPI_PM_HZ, toggle) : VTIME_NEVER);
}

static void overflow(void *opaque, UNUSED vtime now)
{
    update(opaque);
}

void acpi_pm_press_power_button(struct acpi_pm *pm)
{
    pm->s.status |= ACPI_PWRBTN;
    update(pm);
}

void acpi_pm_set_rtc(void *opaque, UNUSED unsigned n, bool level)
{
    struct acpi_pm *pm = opaque;
    if (!level)
        return;
    pm->s.status |= ACPI_RTC;
    update(pm);
}

void acpi_pm_set_gpe(void *opaque, unsigned n, bool level)
{
    struct acpi_pm *pm = opaque;
    if (!level || n >= ACPI_PM_GPES)
        return;
    pm->s.gpe_status |= (uint16_t)(1u << n);
    update(pm);
}

/* ---- PM1 block ---- */

/* The dword at offset & ~3. */
static uint32_t read_dword(const struct acpi_pm *pm, uint64_t offset)
{
    switch (offset & ~UINT64_C(3)) {
    case ACPI_PM1_STS:
        return status_now(pm) | (uint32_t)pm->s.enable << 16;
    case ACPI_PM1_CNT:
        return pm->s.control;
    case ACPI_PM_TMR:
        return timer_now(pm) & TMR_MASK;
    default:
        return 0;
    }
}

/* "Transitioning from the Working to the Soft Off State". */
static void enter_sleep(struct acpi_pm *pm)
{
    unsigned type = pm->s.control >> 10 & 7u;
    if (type != ACPI_SLP_TYP_S5)
        unimplemented(pm->trace, "acpi_pm", "sleep state other than S5");
    else if (pm->power_off)
        pm->power_off(pm->opaque);
}

/* Bits of one byte, 1 clears. */
static uint16_t clear_byte(uint16_t reg, unsigned shift, uint8_t v)
{
    return (uint16_t)(reg & ~(unsigned)(v << shift));
}

static uint16_t put_byte(uint16_t reg, unsigned shift, uint8_t v)
{
    return (uint16_t)((reg & ~(0xffu << shift)) | (unsigned)v << shift);
}

static void write_byte(struct acpi_pm *pm, uint64_t offset, uint8_t v)
{
    unsigned shift = offset & 1 ? 8 : 0;
    switch (offset & ~UINT64_C(1)) {
    case ACPI_PM1_STS:
        pm->s.status = clear_byte(pm->s.status, shift, v);
        if (!shift && v & ACPI_TMR)
            pm->s.tmr_cleared = timer_now(pm);
        break;
    case ACPI_PM1_EN:
        pm->s.enable = put_byte(pm->s.enable, shift, v) & ENABLE_BITS;
        break;
    case ACPI_PM1_CNT: /* SCI_EN belongs to the firmware's side: "PM1 Control Grouping" */
        pm->s.control = (put_byte(pm->s.control, shift, v) & (CNT_BM_RLD | CNT_SLP_TYP)) |
                        (pm->s.control & CNT_SCI_EN);
        if (shift && v & CNT_SLP_EN >> 8)
            enter_sleep(pm);
        break;
    default:
        break;
    }
}

static uint64_t pm_read(void *opaque, uint64_t offset, unsigned width)
{
    uint32_t v = read_dword(opaque, offset) >> 8 * (offset & 3);
    return v & low_mask(8 * width);
}

static void pm_write(void *opaque, uint64_t offset, unsigned width, uint64_t v)
{
    struct acpi_pm *pm = opaque;
    for (unsigned i = 0; i < width; i++)
        write_byte(pm, offset + i, (uint8_t)(v >> 8 * i));
    update(pm);
}

/* ---- GPE0 block ---- */

static uint64_t gpe_read(void *opaque, uint64_t offset, UNUSED unsigned width)
{
    const struct acpi_pm *pm = opaque;
    uint16_t reg = offset & 2 ? pm->s.gpe_enable : pm->s.gpe_status;
    return offset & 1 ? reg >> 8 : reg & 0xff;
}

static void gpe_write(void *opaque, uint64_t offset, UNUSED unsigned width, uint64_t v)
{
    struct acpi_pm *pm = opaque;
    unsigned shift = offset & 1 ? 8 : 0;
    if (offset & 2)
        pm->s.gpe_enable = put_byte(pm->s.gpe_enable, shift, (uint8_t)v);
    else
        pm->s.gpe_status = clear_byte(pm->s.gpe_status, shift, (uint8_t)v);
    update(pm);
}

/* ---- SMI command port: PIIX4, "APMC", "APMS"; ACPI, "Legacy/ACPI Mode" ---- */

static uint64_t apm_read(void *opaque, uint64_t offset, UNUSED unsigned width)
{
    const struct acpi_pm *pm = opaque;
    return offset & 1 ? pm->s.apms : pm->s.apmc;
}

static void apm_write(void *opaque, uint64_t offset, UNUSED unsigned width, uint64_t v)
{
    struct acpi_pm *pm = opaque;
    if (offset & 1) {
        pm->s.apms = (uint8_t)v;
        return;
    }
    pm->s.apmc = (uint8_t)v;
    /* What the firmware's SMI handler would do, done by the chip: there need not be such firmware.
     */
    if (v == ACPI_ENABLE)
        pm->s.control |= CNT_SCI_EN;
    else if (v == ACPI_DISABLE)
        pm->s.control = (uint16_t)(pm->s.control & ~CNT_SCI_EN);
    update(pm);
    if (pm->smi)
        pm->smi(pm->opaque, (uint8_t)v);
}

/* ---- life ---- */

static void reset(void *opaque)
{
    struct acpi_pm *pm = opaque;
    pm->s = (struct acpi_pm_state){.control = pm->starts_in_acpi_mode ? CNT_SCI_EN : 0};
    pm->s.tmr_cleared = timer_now(pm);
    update(pm);
}

static int after_load(void *opaque, struct err *err)
{
    struct acpi_pm *pm = opaque;
    if (pm->s.status & ~STATUS_BITS || pm->s.enable & ~ENABLE_BITS ||
        pm->s.control & ~(CNT_SCI_EN | CNT_BM_RLD | CNT_SLP_TYP))
        return err_set(err, EINVAL, "ACPI PM: impossible register value");
    update(pm);
    return 0;
}

const struct device_ops acpi_pm_ops = {
    .name = "acpi_pm",
    .doc = "ACPI fixed hardware of the PIIX4",
    .size = sizeof(struct acpi_pm),
    .fields = acpi_pm_state_fields,
    .version = 1,
    .reset = reset,
    .after_load = after_load,
};

void acpi_pm_init(struct acpi_pm *pm, struct event_queue *queue, uint16_t base, struct trace *trace)
{
    *pm = (struct acpi_pm){.queue = queue, .trace = trace};
    event_register(queue, &pm->overflow, "acpi pm timer", 0, overflow, pm);
    pm->pm = (struct io_region){.name = "acpi pm",
                                .base = base,
                                .size = ACPI_PM_SIZE,
                                .widths = W8 | W16 | W32,
                                .read = pm_read,
                                .write = pm_write,
                                .opaque = pm,
                                .enabled = true};
    pm->gpe = (struct io_region){.name = "acpi gpe0",
                                 .base = ACPI_PM_GPE0_BASE,
                                 .size = 4,
                                 .widths = W8,
                                 .read = gpe_read,
                                 .write = gpe_write,
                                 .opaque = pm,
                                 .enabled = true};
    pm->apm = (struct io_region){.name = "smi command",
                                 .base = ACPI_SMI_CMD,
                                 .size = 2,
                                 .widths = W8,
                                 .read = apm_read,
                                 .write = apm_write,
                                 .opaque = pm,
                                 .enabled = true};
    reset(pm);
}
