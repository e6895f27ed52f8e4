/* SPDX-License-Identifier: MIT */
/* The rest of the board, as software looks for it: PCI, fw_cfg, ACPI tables, UART, RTC, keyboard
 * controller, PM timer, pc-testdev, and memory that is not there. */
#include "roms/lib/chips.h"

enum { PCI_ADDRESS = 0xCF8, PCI_DATA = 0xCFC, FW_CFG = 0x510, COM1 = 0x3F8 };

static uint32_t pci_read(unsigned device, unsigned function, unsigned reg)
{
    out32(PCI_ADDRESS, 0x80000000u | device << 11 | function << 8 | (reg & 0xFC));
    return in32(PCI_DATA);
}

static void pci(void)
{
    unsigned found = 0;
    check_equal("00:00.0 is the 82441FX", 0x12378086, pci_read(0, 0, 0));
    check_equal("of class host bridge", 0x0600, pci_read(0, 0, 8) >> 16);
    check_equal("00:01.0 is the PIIX3 ISA bridge", 0x70008086, pci_read(1, 0, 0));
    check("with more functions", pci_read(1, 0, 0xC) >> 16 & 0x80);
    check_equal("00:01.3 is the PIIX4 power management", 0x71138086, pci_read(1, 3, 0));
    for (unsigned d = 0; d < 32; d++)
        found += pci_read(d, 0, 0) != 0xFFFFFFFF;
    print("     %u PCI devices\n", found);
    check_equal("nobody answers with all ones", 0xFFFFFFFF, pci_read(31, 7, 0));
    out32(PCI_ADDRESS, 0x80000000u);
    check_equal("the data port by bytes", 0x86, in8(PCI_DATA));
    check_equal("by words", 0x1237, in16(PCI_DATA + 2));
    out32(PCI_ADDRESS, 0);
    check_equal("disabled it is no configuration space", 0xFFFFFFFF, in32(PCI_DATA));
}

static void fw_cfg_select(uint16_t key)
{
    out16(FW_CFG, key);
}

static uint32_t swap32(uint32_t v)
{
    return v >> 24 | (v >> 8 & 0xFF00) | (v << 8 & 0xFF0000) | v << 24;
}

static void fw_cfg(void)
{
    struct {
        uint32_t control, length;
        uint32_t address_high, address_low;
    } dma = {0};
    static uint8_t buffer[8];
    uint8_t text[4];
    uint32_t files = 0;
    fw_cfg_select(0);
    for (unsigned i = 0; i < 4; i++)
        text[i] = in8(FW_CFG + 1);
    check("signature QEMU", !memcmp(text, "QEMU", 4));
    fw_cfg_select(1);
    check("its ID says DMA", (in8(FW_CFG + 1) & 3) == 3);
    check_equal("the DMA signature, big-endian", 0x554D4551, in32(FW_CFG + 4)); /* "QEMU" */
    check_equal("and its lower half", 0x47464320, in32(FW_CFG + 8));            /* " CFG" */
    dma.control = swap32(0 << 16 | 8 | 2); /* select key 0, read */
    dma.length = swap32(4);
    dma.address_low = swap32((uint32_t)(reg_t)buffer);
    out32(FW_CFG + 4, 0);
    out32(FW_CFG + 8, swap32((uint32_t)(reg_t)&dma));
    check_equal("a DMA read ends without error", 0, *(volatile uint32_t *)&dma.control);
    check("and brings the signature", !memcmp(buffer, "QEMU\0\0\0\0", 8));
    fw_cfg_select(0x19);
    for (unsigned i = 0; i < 4; i++)
        files = files << 8 | in8(FW_CFG + 1);
    check("the directory has files", files > 0 && files < 64);
    print("     %u files\n", files);
}

static bool sums_to_zero(const volatile uint8_t *p, uint32_t n)
{
    uint8_t sum = 0;
    for (uint32_t i = 0; i < n; i++)
        sum = (uint8_t)(sum + p[i]);
    return sum == 0;
}

static uint32_t load32(const volatile uint8_t *p)
{
    return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static volatile uint8_t *memory(reg_t at)
{
    __asm__("" : "+r"(at));
    return (volatile uint8_t *)at;
}

static void acpi(void)
{
    volatile uint8_t *rsdp = NULL, *rsdt;
    bool has_fadt = false, has_madt = false, sums = true;
    for (reg_t at = 0xE0000; at < 0x100000 && !rsdp; at += 16)
        if (!memcmp((const void *)memory(at), "RSD PTR ", 8))
            rsdp = memory(at);
    if (!check("an RSDP between E0000h and FFFFFh", rsdp != NULL))
        return;
    check("its checksum", sums_to_zero(rsdp, 20));
    rsdt = memory(load32(rsdp + 16));
    check("the RSDT",
          !memcmp((const void *)rsdt, "RSDT", 4) && sums_to_zero(rsdt, load32(rsdt + 4)));
    for (uint32_t at = 36; at + 4 <= load32(rsdt + 4); at += 4) {
        volatile uint8_t *t = memory(load32(rsdt + at));
        sums = sums && sums_to_zero(t, load32(t + 4));
        has_fadt = has_fadt || !memcmp((const void *)t, "FACP", 4);
        has_madt = has_madt || !memcmp((const void *)t, "APIC", 4);
    }
    check("every table's checksum", sums);
    check("FADT and MADT are there", has_fadt && has_madt);
}

static uint32_t load16(const volatile uint8_t *p)
{
    return p[0] | (uint32_t)p[1] << 8;
}

/* What a BIOS leaves behind: kernels and hypervisors read where base memory ends from there. */
static void bios_data(void)
{
    volatile uint8_t *bda = memory(0x400), *ebda = memory(load16(bda + 0xE) << 4);
    reg_t service = (load16(memory(0x15 * 4 + 2)) << 4) + load16(memory(0x15 * 4));
    check_equal("40:0 has the port of COM1", COM1, load16(bda));
    check("40:10 says there is an FPU", load16(bda + 0x10) & 2);
    check("40:E points below 640 KiB", ebda >= memory(0x80000) && ebda < memory(0xA0000));
    check_equal("40:13 ends base memory there", (reg_t)ebda, (reg_t)load16(bda + 0x13) << 10);
    check("the EBDA begins with its size", *ebda >= 1 && ebda + *ebda * 1024 <= memory(0xA0000));
    check("INT 15h leads into the ROM", service >= 0xC0000 && service < 0x110000);
    check_equal("FFFF:0 has a far jump", 0xEA, *memory(0xFFFF0));
    check_equal("F000:FFFE says PC/AT", 0xFC, *memory(0xFFFFE));
}

/* COM1 itself: nothing is printed while it is in loopback. */
static void uart(void)
{
    bool is_same = true, has_lines, has_scratch;
    print_flush();
    out8(COM1 + 4, 0x10);
    out8(COM1 + 2, 7); /* FIFOs on, both cleared */
    for (unsigned i = 0; i < 256; i += 15) {
        out8(COM1, (uint8_t)i);
        for (unsigned us = 0; !(in8(COM1 + 5) & 1) && us < 100; us++)
            delay_us(10);
        is_same = is_same && in8(COM1) == i;
    }
    out8(COM1 + 4, 0x10 | 3);
    has_lines = (in8(COM1 + 6) & 0xF0) == 0x30;
    out8(COM1 + 7, 0xA5);
    has_scratch = in8(COM1 + 7) == 0xA5;
    out8(COM1 + 4, 3);
    check("a UART hears itself in loopback", is_same);
    check("loopback: DTR is DSR, RTS is CTS", has_lines);
    check("its scratch register", has_scratch);
}

static volatile unsigned updates;

static void on_rtc(struct frame *f)
{
    (void)f;
    if (cmos_read(0x0C) & 0x10) /* UF */
        updates++;
    pic_eoi(8);
}

static void rtc(void)
{
    uint8_t before, after;
    trap_set(PIC_BASE + 8, on_rtc);
    pic_init();
    cmos_write(0x0B, cmos_read(0x0B) | 0x10); /* UIE: after each update, once a second */
    cmos_read(0x0C);
    pic_mask((uint16_t) ~(1u << 8 | 1u << 2));
    while (updates < 1)
        sti_hlt_cli();
    before = cmos_read(0);
    while (updates < 2)
        sti_hlt_cli();
    after = cmos_read(0);
    pic_off();
    cmos_write(0x0B, cmos_read(0x0B) & (uint8_t)~0x10u);
    check("seconds are BCD or binary below 60", before <= 0x59);
    check("the seconds go on, one by update-ended interrupt", after != before);
    cmos_write(0x70 & 0x7F, 0x5A); /* a byte of RAM nobody uses */
    check_equal("CMOS RAM keeps a byte", 0x5A, cmos_read(0x70 & 0x7F));
    check("memory size: 64 KiB blocks above 16 MiB", (cmos_read(0x34) | cmos_read(0x35) << 8) > 0);
}

static void testdev(void)
{
    volatile uint32_t *io = (volatile uint32_t *)memory(0xFF000000u);
    if (!testdev_is_present()) {
        skip("pc-testdev", "run with -device pc-testdev");
        return;
    }
    out32(0xE0, 0x12345678);
    check_equal("scratch port by doublewords", 0x12345678, in32(0xE0));
    check_equal("by bytes", 0x78, in8(0xE0));
    io[0] = 0xCAFEBABE;
    check_equal("its I/O memory", 0xCAFEBABE, io[0]);
    ((volatile uint8_t *)io)[1] = 0;
    check_equal("a byte of it", 0xCAFE00BE, io[0]);
}

static void nothing_there(void)
{
    volatile uint32_t *hole = (volatile uint32_t *)memory(0xD0000000u);
    check_equal("memory that is not there reads as ones", 0xFFFFFFFF, *hole);
    *hole = 0;
    check_equal("and forgets", 0xFFFFFFFF, *hole);
    check_equal("so do ports", 0xFF, in8(0x1F37));
    check_equal("16 bits of them", 0xFFFF, in16(0x1F36));
}

int main(void)
{
    pci();
    fw_cfg();
    acpi();
    bios_data();
    uart();
    rtc();
    check("the keyboard controller is idle", !(in8(0x64) & 2));
    testdev();
    nothing_there();
    return checks_result();
}
