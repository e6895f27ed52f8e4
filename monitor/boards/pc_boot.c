/* SPDX-License-Identifier: MIT */
#include "monitor/boards/pc_boot.h"

#include <errno.h>
#include <stdlib.h>

#include "base/endian.h"
#include "monitor/acpi_tables.h"
#include "monitor/boards/pc_bios_data.h"
#include "monitor/boards/pc_parts.h"
#include "monitor/emulate_host.h"

#define EBDA_BASE UINT64_C(0x9fc00)
#define ACPI_BASE UINT64_C(0xe0000)
#define FIRMWARE_SHADOW (128 * KiB) /* of the firmware image, below 1 MiB */

/* ---- the memory map ---- */

static void map_add(struct pc *pc, paddr base, uint64_t size, uint32_t type)
{
    if (size)
        pc->e820[pc->e820_count++] = (struct e820_entry){base, size, type};
}

static void make_e820(struct pc *pc, uint64_t memory)
{
    map_add(pc, 0, EBDA_BASE, E820_RAM);
    map_add(pc, EBDA_BASE, 640 * KiB - EBDA_BASE, E820_RESERVED);
    map_add(pc, ACPI_BASE, MiB - ACPI_BASE, E820_RESERVED);
    map_add(pc, MiB, pc->low_ram - MiB, E820_RAM);
    map_add(pc, UINT64_C(0xfec00000), 0x1400000, E820_RESERVED);
    map_add(pc, PC_HIGH_RAM, memory - pc->low_ram, E820_RAM);
}

/* Sizes as AT firmware and SeaBIOS read them ("CMOS RAM bytes": 15h-18h, 30h-31h, 34h-35h, 5Bh-5Dh, 5Fh). */
static void set_cmos(struct pc *pc)
{
    uint64_t high = 0;
    uint64_t kib = pc->low_ram / KiB - 1024, extended = kib > 0xffff ? 0xffff : kib;
    uint64_t above_16 = pc->low_ram > 16 * MiB ? (pc->low_ram - 16 * MiB) / (64 * KiB) : 0;
    for (unsigned i = 0; i < pc->e820_count; i++)
        if (pc->e820[i].base >= PC_HIGH_RAM && pc->e820[i].type == E820_RAM)
            high = pc->e820[i].size / (64 * KiB);
    rtc_cmos_set(&pc->rtc, 0x14, 0x06); /* equipment: FPU, PS/2 mouse */
    rtc_cmos_set(&pc->rtc, 0x15, 640 & 0xff);
    rtc_cmos_set(&pc->rtc, 0x16, 640 >> 8);
    for (uint8_t at = 0x17; at <= 0x30; at = (uint8_t)(at + 0x19)) {
        rtc_cmos_set(&pc->rtc, at, (uint8_t)extended);
        rtc_cmos_set(&pc->rtc, (uint8_t)(at + 1), (uint8_t)(extended >> 8));
    }
    rtc_cmos_set(&pc->rtc, 0x34, (uint8_t)above_16);
    rtc_cmos_set(&pc->rtc, 0x35, (uint8_t)(above_16 >> 8));
    rtc_cmos_set(&pc->rtc, 0x5b, (uint8_t)high);
    rtc_cmos_set(&pc->rtc, 0x5c, (uint8_t)(high >> 8));
    rtc_cmos_set(&pc->rtc, 0x5d, (uint8_t)(high >> 16));
    rtc_cmos_set(&pc->rtc, 0x5f, (uint8_t)(pc->vm->vcpu_count - 1));
}

/* ---- what firmware asks for ---- */

static int add_e820_file(struct pc *pc)
{
    uint8_t table[E820_MAX * 20];
    unsigned n = 0;
    for (unsigned i = 0; i < pc->e820_count; i++) {
        if (pc->e820[i].type != E820_RAM && pc->e820[i].base < PC_HIGH_RAM)
            continue;
        le64_store(table + n, pc->e820[i].base);
        le64_store(table + n + 8, pc->e820[i].size);
        le32_store(table + n + 16, pc->e820[i].type);
        n += 20;
    }
    return fw_cfg_add_file(&pc->fw_cfg, "etc/e820", table, n);
}

/* How long firmware waits before it tries anew, in ms: for ever (QEMU's -boot reboot-timeout=-1). */
static const uint8_t boot_fail_wait[4] = {0xff, 0xff, 0xff, 0xff};

static int add_firmware_items(struct pc *pc, uint64_t memory)
{
    struct fw_cfg *f = &pc->fw_cfg;
    int rc = fw_cfg_add_u64(f, FW_CFG_RAM_SIZE, memory);
    if (rc == 0)
        rc = fw_cfg_add_u16(f, FW_CFG_NB_CPUS, (uint16_t)pc->vm->vcpu_count);
    if (rc == 0)
        rc = fw_cfg_add_u16(f, FW_CFG_MAX_CPUS, (uint16_t)pc->vm->vcpu_count);
    if (rc == 0)
        rc = fw_cfg_add_u16(f, FW_CFG_NOGRAPHIC, 1);
    if (rc == 0)
        rc = fw_cfg_add_u16(f, FW_CFG_BOOT_MENU, 0);
    if (rc == 0)
        rc = fw_cfg_add_file(f, "etc/boot-fail-wait", boot_fail_wait, sizeof(boot_fail_wait));
    return rc == 0 ? add_e820_file(pc) : rc;
}

/* ---- preparing ---- */

static int make_acpi(struct pc *pc)
{
    const struct acpi_config config = {
        .base = ACPI_BASE,
        .cpus = pc->vm->vcpu_count,
        .pm_base = ACPI_PM_DEFAULT_BASE,
        .low_ram = pc->low_ram,
        .uarts = pc->uarts,
    };
    return acpi_tables_build(&config, &pc->acpi, &pc->acpi_size);
}

static void load_bios_data(struct pc *pc)
{
    uint16_t com[PC_UARTS];
    for (unsigned i = 0; i < pc->uarts; i++)
        com[i] = (uint16_t)pc->uart[i].io.base;
    pc_bios_data_load(pc->vm->pm, EBDA_BASE, com, pc->uarts);
}

static int load_guest(struct pc *pc, struct err *err)
{
    pc->entry = (struct entry_state){.mode = ENTRY_RESET};
    if (pc->has_bios) {
        const uint8_t *tail = pc->bios + pc->bios_size;
        size_t shadow = pc->bios_size < FIRMWARE_SHADOW ? pc->bios_size : FIRMWARE_SHADOW;
        physmem_load(pc->vm->pm, 4 * GiB - pc->bios_size, pc->bios, pc->bios_size);
        physmem_load(pc->vm->pm, MiB - shadow, tail - shadow, shadow);
        return 0;
    }
    load_bios_data(pc);
    physmem_load(pc->vm->pm, ACPI_BASE, pc->acpi, pc->acpi_size);
    return loader_load(&pc->boot, pc->vm->pm, &pc->entry, err);
}

int pc_boot_prepare(struct pc *pc, const struct pc_config *config, struct err *err)
{
    if (!config->bios && !config->boot.kernel.data) {
        err_set(err, EINVAL, "there is nothing to boot");
        err_hint(err, "give a kernel with -kernel or firmware with -bios");
        return -EINVAL;
    }
    if (config->bios && config->boot.kernel.data) {
        err_set(err, EINVAL, "-bios and -kernel exclude each other");
        err_hint(err, "a kernel given by -kernel starts without firmware: leave one of the two out");
        return -EINVAL;
    }
    make_e820(pc, config->memory);
    if (add_firmware_items(pc, config->memory) < 0 || make_acpi(pc) < 0)
        return err_set(err, ENOMEM, "out of memory");
    pc->boot = config->boot;
    for (unsigned i = 0; i < pc->e820_count; i++)
        pc->boot.e820[i] = pc->e820[i];
    pc->boot.e820_count = pc->e820_count;
    pc->boot.low_ram_end = pc->low_ram;
    pc->boot.rsdp = ACPI_BASE;
    pc->boot.pieces = &pc->vm->machine->pieces;
    int rc = load_guest(pc, err);
    if (rc == 0)
        pc_apply_entry(pc);
    if (pc->boot.is_once) {
        pc->boot.kernel = pc->boot.initrd = (struct blob){.name = ""};
        pc->boot.module_count = 0;
    }
    return rc;
}

/* ---- starting vCPU 0 ---- */

static void flat_segment(struct cpu *cpu, unsigned seg, uint16_t sel, uint32_t attr)
{
    cpu->seg_sel[seg] = sel;
    cpu->seg_base[seg] = 0;
    cpu->seg_limit[seg] = UINT32_MAX;
    cpu->seg_attr[seg] = attr;
}

static void enter_protected(struct cpu *cpu, const struct entry_state *e)
{
    const uint32_t common = ATTR_P | ATTR_S | ATTR_G | ATTR_ACCESSED | ATTR_RW;
    bool is_64 = e->mode == ENTRY_LONG64;
    flat_segment(cpu, SEG_CS, e->cs, common | ATTR_CODE | (is_64 ? (uint32_t)ATTR_L : (uint32_t)ATTR_DB));
    for (unsigned seg = 0; seg < 6; seg++)
        if (seg != SEG_CS)
            flat_segment(cpu, seg, e->ds, common | ATTR_DB);
    cpu->gdtr_base = e->gdt_base;
    cpu->gdtr_limit = e->gdt_limit;
    cpu->cr0 = CR0_PE | CR0_ET | CR0_NE;
    if (is_64) {
        cpu->cr0 |= CR0_PG | CR0_WP;
        cpu->cr3 = e->cr3;
        cpu->cr4 = CR4_PAE;
        cpu->efer = EFER_LME | EFER_LMA;
    }
}

static void enter_real(struct cpu *cpu, const struct entry_state *e)
{
    for (unsigned seg = 0; seg < 6; seg++) {
        uint16_t sel = seg == SEG_CS ? e->cs : e->ds;
        cpu->seg_sel[seg] = sel;
        cpu->seg_base[seg] = (uint64_t)sel << 4;
    }
}

/*
 * Memory types as firmware leaves them: write-back by default, the VGA window and the 32-bit PCI hole uncached, ROM areas
 * write-protected (SDM Vol. 3A, "Memory Type Range Registers (MTRRs)"). Without it kernels give up on PAT.
 */
static void set_mtrrs(struct vcpu *vcpu)
{
    struct cpu *cpu = &vcpu->arch;
    const uint64_t write_back = UINT64_C(0x0606060606060606), write_protected = UINT64_C(0x0505050505050505);
    cpu->mtrr_def_type = BIT(11) | BIT(10) | 6;
    cpu->mtrr_fixed[0] = cpu->mtrr_fixed[1] = write_back;
    cpu->mtrr_fixed[2] = 0;
    for (unsigned i = 3; i < ARRAY_SIZE(cpu->mtrr_fixed); i++)
        cpu->mtrr_fixed[i] = write_protected;
    cpu->mtrr_var[0] = PC_LOW_RAM_MAX;
    cpu->mtrr_var[1] = (low_mask(vcpu->run.phys_bits) & ~(GiB - 1)) | BIT(11);
}

void pc_apply_entry(struct pc *pc)
{
    struct vm *vm = pc->vm;
    const struct entry_state *e = &pc->entry;
    struct vcpu *bsp = vm->vcpus[0].vcpu;
    for (unsigned i = 1; i < vm->vcpu_count; i++)
        vm->vcpus[i].vcpu->arch.activity = ACTIVITY_WAIT_SIPI;
    set_cmos(pc);
    for (unsigned i = 0; i < vm->vcpu_count && !pc->has_bios; i++)
        set_mtrrs(vm->vcpus[i].vcpu);
    if (!pc->has_bios)
        lapic_set_virtual_wire(&pc->lapics[0]);
    if (e->mode != ENTRY_RESET) {
        bsp->arch.rip = e->rip;
        for (unsigned r = 0; r < 16; r++)
            bsp->arch.gpr[r] = e->gpr[r];
    }
    if (e->mode == ENTRY_REAL)
        enter_real(&bsp->arch, e);
    else if (e->mode != ENTRY_RESET)
        enter_protected(&bsp->arch, e);
    cpu_update_mmu(bsp);
}

/* RESET# sets the TSC to 0 (SDM Vol. 3A, "Processor State After Reset"). */
static void start_tsc(struct monitor_vcpu *mv)
{
    mv->vcpu->arch.tsc_offset = 0;
    mv->vcpu->arch.tsc_offset = 0 - tsc_at(mv, machine_now(mv->vm->machine));
}

void pc_power_on(struct pc *pc)
{
    struct err err;
    for (unsigned i = 0; i < pc->vm->vcpu_count; i++) {
        struct monitor_vcpu *mv = &pc->vm->vcpus[i];
        cpu_reset(mv->vcpu, false, pc->vm->model.signature);
        mv->s = (struct monitor_vcpu_state){0};
        start_tsc(mv);
    }
    if (!pc->has_bios)
        piix3_pm_enable(&pc->piix3_pm, ACPI_PM_DEFAULT_BASE);
    if (load_guest(pc, &err) < 0)
        machine_stop(pc->vm->machine, STOP_RESET, 0);
    pc_apply_entry(pc);
}

void pc_boot_free(struct pc *pc)
{
    free(pc->acpi);
    pc->acpi = NULL;
}
