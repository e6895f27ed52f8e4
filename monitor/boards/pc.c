/* SPDX-License-Identifier: MIT */
#include "monitor/boards/pc.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "monitor/boards/pc_boot.h"
#include "monitor/boards/pc_parts.h"
#include "monitor/emulate_host.h"
#include "monitor/scheduler.h"

/* ---- interrupt lines: ISA interrupts are wired-or of several sources and go to both controllers ---- */

static void isa_drive(struct pc *pc, unsigned irq)
{
    bool level = pc->router.s.sources[irq] != 0;
    if (irq == 0 || irq == 8) {
        unsigned source = hpet_is_legacy(&pc->hpet) ? SOURCE_HPET : SOURCE_CHIP;
        level = pc->router.s.sources[irq] & (BIT(source) | BIT(SOURCE_TEST));
    }
    trace_point(&pc->vm->machine->trace, TRACE_irq, NULL, irq, level, 0, 0);
    pic_set_irq(&pc->pic, irq, level);
    ioapic_set_irq(&pc->ioapic, irq == 0 ? 2 : irq, level);
}

/* Input n of the router: source << 8 | ISA interrupt. */
static void router_set(void *opaque, unsigned n, bool level)
{
    struct pc *pc = opaque;
    unsigned irq = n & 0xff, source = n >> 8;
    uint32_t *sources = &pc->router.s.sources[irq];
    *sources = level ? *sources | (1u << source) : *sources & ~(1u << source);
    isa_drive(pc, irq);
}

static struct irq_line isa_line(struct pc *pc, enum irq_source source, unsigned irq)
{
    return (struct irq_line){.set = router_set, .opaque = pc, .n = (unsigned)source << 8 | irq};
}

static void hpet_legacy_changed(void *opaque, unsigned n, bool level)
{
    (void)n;
    (void)level;
    isa_drive(opaque, 0);
    isa_drive(opaque, 8);
}

/* Global interrupt n of pc-testdev: ISA below 16, IOAPIC pins above. */
static void testdev_irq(void *opaque, unsigned n, bool level)
{
    struct pc *pc = opaque;
    if (n < 16)
        router_set(pc, SOURCE_TEST << 8 | n, level);
    else
        ioapic_set_irq(&pc->ioapic, n, level);
}

static void router_reset(void *dev)
{
    memset(&((struct irq_router *)dev)->s, 0, sizeof(struct irq_router_state));
}

static int router_after_load(void *dev, struct err *err)
{
    (void)dev;
    (void)err;
    return 0;
}

static const struct device_ops router_ops = {
    .name = "isa-irqs",
    .doc = "wired-or of the sources of each ISA interrupt",
    .size = sizeof(struct irq_router),
    .fields = irq_router_state_fields,
    .version = 1,
    .reset = router_reset,
    .after_load = router_after_load,
};

/* ---- wires between chips and the machine ---- */

static void intr_changed(void *opaque, unsigned n, bool level)
{
    struct pc *pc = opaque;
    (void)n;
    lapic_set_lint(&pc->lapics[0], 0, level);
    monitor_vcpu_kick(&pc->vm->vcpus[0]);
}

static void power_off(void *opaque)
{
    machine_stop(opaque, STOP_POWER_OFF, 0);
}

static void debug_leave(void *opaque, uint32_t code)
{
    machine_stop(opaque, STOP_DEBUG_EXIT, code);
}

static void request_reset(void *opaque)
{
    struct machine *m = opaque;
    m->reset_requested = true;
    if (m->running)
        cpu_request_break(m->running->vcpu);
}

/* IGNNE# reaches the processors whose FERR# is asserted; each drops it when its error is gone. */
static void assert_ignne(void *opaque)
{
    const struct vm *vm = opaque;
    for (unsigned i = 0; i < vm->vcpu_count; i++)
        cpu_ignore_x87_error(vm->vcpus[i].vcpu);
}

static void piix3_reset_wire(void *opaque, bool is_hard)
{
    (void)is_hard;
    request_reset(opaque);
}

static void msi(void *opaque, uint16_t requester, uint64_t addr, uint32_t data)
{
    struct pc *pc = opaque;
    (void)requester;
    struct apic_message m = apic_message_from_msi(addr, data);
    apic_bus_deliver(&pc->apic_bus, &m);
}

static void hpet_msi(void *opaque, paddr addr, uint32_t data)
{
    msi(opaque, 0, addr, data);
}

static void a20_changed(void *opaque, unsigned n, bool level)
{
    struct vm *vm = opaque;
    (void)n;
    mmu_vm_set_a20(vm->mmu, level);
}

static void flush_page(void *opaque, paddr page)
{
    struct vm *vm = opaque;
    mmu_vm_drop_page(vm->mmu, page);
}

static void pm_moved(void *opaque, uint16_t base, bool is_decoded)
{
    struct pc *pc = opaque;
    pc->acpi_pm.pm.base = base;
    pc->acpi_pm.pm.enabled = is_decoded;
}

/* PAM areas hold the same bytes as ROM and as RAM (the board copies the firmware there), so only writes need switching. */
static void pam(void *opaque, paddr base, uint64_t size, bool reads_ram, bool writes_ram)
{
    struct pc *pc = opaque;
    (void)reads_ram;
    if (!pc->has_bios)
        return;
    for (paddr page = base; page < base + size; page += PAGE_SIZE) {
        if (writes_ram)
            physmem_clear_state(pc->vm->pm, page, PAGE_ROM);
        else
            physmem_set_state(pc->vm->pm, page, PAGE_ROM);
    }
}

/* ---- LAPICs ---- */

static bool lapic_sends(void *opaque, const struct apic_message *m)
{
    struct monitor_vcpu *mv = opaque;
    struct pc *pc = pc_of(mv->vm);
    scheduler_sent_ipi(mv->vm->machine);
    cpu_request_break(mv->vcpu);
    return apic_bus_deliver(&pc->apic_bus, m);
}

static void lapic_pending(void *opaque)
{
    monitor_vcpu_kick(opaque);
}

static void lapic_nmi(void *opaque)
{
    struct monitor_vcpu *mv = opaque;
    mv->vcpu->arch.nmi_pending = true;
    monitor_vcpu_kick(mv);
}

static void lapic_wants_init(void *opaque)
{
    struct monitor_vcpu *mv = opaque;
    mv->vcpu->arch.init_pending = true;
    monitor_vcpu_kick(mv);
}

static void lapic_sipi(void *opaque, uint8_t vector)
{
    struct monitor_vcpu *mv = opaque;
    if (mv->vcpu->arch.activity != ACTIVITY_WAIT_SIPI && !mv->vcpu->arch.init_pending)
        return;
    mv->s.sipi_pending = true;
    mv->s.sipi_vector = vector;
    monitor_vcpu_kick(mv);
}

static void lapic_eoi_broadcast(void *opaque, uint8_t vector)
{
    struct monitor_vcpu *mv = opaque;
    struct pc *pc = pc_of(mv->vm);
    ioapic_eoi(&pc->ioapic, vector);
}

static uint64_t lapic_tsc(void *opaque, vtime now)
{
    return tsc_at(opaque, now);
}

static vtime lapic_tsc_when(void *opaque, uint64_t tsc)
{
    return tsc_when(opaque, tsc);
}

static void add_lapics(struct pc *pc)
{
    struct vm *vm = pc->vm;
    for (unsigned i = 0; i < vm->vcpu_count; i++) {
        struct monitor_vcpu *mv = &vm->vcpus[i];
        const struct lapic_config config = {
            .apic_id = i,
            .is_bsp = i == 0,
            .is_absent = !cpu_model_has(&vm->model, CPUID_1_EDX, 9),
            .has_x2apic = cpu_model_has(&vm->model, CPUID_1_ECX, 21),
            .has_deadline = cpu_model_has(&vm->model, CPUID_1_ECX, 24),
            .phys_bits = vm->model.phys_bits,
            .bus_hz = APIC_BUS_HZ,
            .tsc_hz = vm->machine->s.tsc_hz,
        };
        const struct lapic_host host = {
            .opaque = mv,
            .send = lapic_sends,
            .interrupt_pending = lapic_pending,
            .nmi = lapic_nmi,
            .init = lapic_wants_init,
            .sipi = lapic_sipi,
            .eoi_broadcast = lapic_eoi_broadcast,
            .tsc = lapic_tsc,
            .tsc_when = lapic_tsc_when,
            .offer_eoi = pv_offer_eoi,
            .take_eoi = pv_take_eoi,
        };
        char name[24];
        snprintf(name, sizeof(name), "lapic%u", i);
        lapic_init(&pc->lapics[i], &vm->machine->events, &config, &host, &vm->machine->trace);
        mv->lapic = &pc->lapics[i];
        apic_bus_add(&pc->apic_bus, &pc->lapics[i]);
        vm_add_device(vm, &lapic_ops, &pc->lapics[i], name);
    }
}

/* ---- the chips ---- */

static void add_interrupt_controllers(struct pc *pc)
{
    struct vm *vm = pc->vm;
    struct trace *trace = &vm->machine->trace;
    vm_add_device(vm, &router_ops, &pc->router, "isa-irqs");
    pic_init(&pc->pic, trace);
    pc->pic.intr = (struct irq_line){.set = intr_changed, .opaque = pc};
    io_space_add(&vm->pio, &pc->pic.master);
    io_space_add(&vm->pio, &pc->pic.slave);
    io_space_add(&vm->pio, &pc->pic.elcr);
    vm_add_device(vm, &pic_ops, &pc->pic, "pic");
    ioapic_init(&pc->ioapic, trace);
    pc->ioapic.deliver = apic_bus_deliver;
    pc->ioapic.deliver_opaque = &pc->apic_bus;
    io_space_add(&vm->mmio, &pc->ioapic.mmio);
    vm_add_device(vm, &ioapic_ops, &pc->ioapic, "ioapic");
    add_lapics(pc);
}

static void add_timers(struct pc *pc, const struct pc_config *config)
{
    struct vm *vm = pc->vm;
    struct event_queue *q = &vm->machine->events;
    struct trace *trace = &vm->machine->trace;
    pit_init(&pc->pit, q, trace);
    pc->pit.irq = isa_line(pc, SOURCE_CHIP, 0);
    io_space_add(&vm->pio, &pc->pit.ports);
    io_space_add(&vm->pio, &pc->pit.port_61);
    vm_add_device(vm, &pit_ops, &pc->pit, "pit");
    rtc_init(&pc->rtc, q, config->rtc_base, trace);
    pc->rtc.irq = isa_line(pc, SOURCE_CHIP, 8);
    io_space_add(&vm->pio, &pc->rtc.ports);
    vm_add_device(vm, &rtc_ops, &pc->rtc, "rtc");
    hpet_init(&pc->hpet, q, trace);
    for (unsigned pin = 16; pin < HPET_PINS; pin++)
        pc->hpet.pin[pin] = (struct irq_line){.set = ioapic_set_irq, .opaque = &pc->ioapic, .n = pin};
    pc->hpet.legacy[0] = isa_line(pc, SOURCE_HPET, 0);
    pc->hpet.legacy[1] = isa_line(pc, SOURCE_HPET, 8);
    pc->hpet.legacy_enable = (struct irq_line){.set = hpet_legacy_changed, .opaque = pc};
    pc->hpet.msi = hpet_msi;
    pc->hpet.msi_opaque = pc;
    io_space_add(&vm->mmio, &pc->hpet.mmio);
    vm_add_device(vm, &hpet_ops, &pc->hpet, "hpet");
    acpi_pm_init(&pc->acpi_pm, q, ACPI_PM_DEFAULT_BASE, trace);
    pc->acpi_pm.sci = isa_line(pc, SOURCE_CHIP, ACPI_SCI_IRQ);
    pc->acpi_pm.power_off = power_off;
    pc->acpi_pm.opaque = vm->machine;
    pc->acpi_pm.starts_in_acpi_mode = !pc->has_bios;
    acpi_pm_ops.reset(&pc->acpi_pm);
    io_space_add(&vm->pio, &pc->acpi_pm.pm);
    io_space_add(&vm->pio, &pc->acpi_pm.gpe);
    io_space_add(&vm->pio, &pc->acpi_pm.apm);
    vm_add_device(vm, &acpi_pm_ops, &pc->acpi_pm, "acpi-pm");
}

static void add_pci(struct pc *pc)
{
    struct vm *vm = pc->vm;
    pci_init(&pc->pci, &vm->machine->trace);
    io_space_add(&vm->pio, &pc->pci.address);
    io_space_add(&vm->pio, &pc->pci.data);
    vm_add_device(vm, &pci_ops, &pc->pci, "pci");
    pc->i440fx.pam = pam;
    pc->i440fx.opaque = pc;
    i440fx_init(&pc->i440fx);
    pc->i440fx.pam = pam;
    pc->i440fx.opaque = pc;
    pci_attach(&pc->pci, &pc->i440fx.pci, 0, 0);
    vm_add_device(vm, &i440fx_ops, &pc->i440fx, "i440fx");
    piix3_init(&pc->piix3);
    pc->piix3.reset = piix3_reset_wire;
    pc->piix3.reset_opaque = vm->machine;
    pc->piix3.ignne = assert_ignne;
    pc->piix3.ignne_opaque = vm;
    for (unsigned irq = 0; irq < 16; irq++)
        pc->piix3.irq[irq] = isa_line(pc, SOURCE_PIRQ, irq);
    for (unsigned n = 0; n < 4; n++)
        pc->pci.pirq[n] = (struct irq_line){.set = piix3_set_pirq, .opaque = &pc->piix3, .n = n};
    io_space_add(&vm->pio, &pc->piix3.reset_control);
    io_space_add(&vm->pio, &pc->piix3.coprocessor);
    pci_attach(&pc->pci, &pc->piix3.pci, 1, 0);
    vm_add_device(vm, &piix3_ops, &pc->piix3, "piix3");
    piix3_pm_init(&pc->piix3_pm);
    pc->piix3_pm.moved = pm_moved;
    pc->piix3_pm.moved_opaque = pc;
    pci_attach(&pc->pci, &pc->piix3_pm.pci, 1, 3);
    vm_add_device(vm, &piix3_pm_ops, &pc->piix3_pm, "piix4-pm");
    if (!pc->has_bios)
        piix3_pm_enable(&pc->piix3_pm, ACPI_PM_DEFAULT_BASE);
}

static const struct {
    uint16_t base; /* first port */
    uint8_t irq;   /* ISA interrupt */
} com[PC_UARTS] = {{0x3f8, 4}, {0x2f8, 3}, {0x3e8, 4}, {0x2e8, 3}};

static void add_uarts(struct pc *pc, const struct pc_config *config)
{
    struct vm *vm = pc->vm;
    pc->uarts = config->uarts <= PC_UARTS ? config->uarts : PC_UARTS;
    for (unsigned i = 0; i < pc->uarts; i++) {
        struct uart *u = &pc->uart[i];
        char name[24];
        snprintf(name, sizeof(name), "uart%u", i);
        uart_init(u, &vm->machine->events, &vm->machine->trace, com[i].base);
        u->irq = isa_line(pc, i < 2 ? SOURCE_CHIP : SOURCE_COM34, com[i].irq);
        u->tx = config->serial_tx[i];
        u->tx_opaque = config->serial_opaque[i];
        io_space_add(&vm->pio, &u->io);
        vm_add_device(vm, &uart_ops, u, name);
    }
}

static void add_small_chips(struct pc *pc, const struct pc_config *config)
{
    struct vm *vm = pc->vm;
    struct trace *trace = &vm->machine->trace;
    i8042_init(&pc->i8042, trace);
    pc->i8042.kbd_irq = isa_line(pc, SOURCE_CHIP, 1);
    pc->i8042.aux_irq = isa_line(pc, SOURCE_CHIP, 12);
    pc->i8042.reset_cpu = request_reset;
    pc->i8042.reset_opaque = vm->machine;
    pc->i8042.a20 = (struct irq_line){.set = a20_changed, .opaque = vm};
    io_space_add(&vm->pio, &pc->i8042.data);
    io_space_add(&vm->pio, &pc->i8042.control);
    io_space_add(&vm->pio, &pc->i8042.port_a);
    vm_add_device(vm, &i8042_ops, &pc->i8042, "i8042");
    debug_ports_init(&pc->debug_ports, trace);
    pc->debug_ports.put = config->debugcon;
    pc->debug_ports.put_opaque = config->debugcon_opaque;
    io_space_add(&vm->pio, &pc->debug_ports.console);
    io_space_add(&vm->pio, &pc->debug_ports.e9);
    io_space_add(&vm->pio, &pc->debug_ports.post);
    vm_add_device(vm, &debug_ports_ops, &pc->debug_ports, "debug-ports");
}

static void add_optional_chips(struct pc *pc, const struct pc_config *config)
{
    struct vm *vm = pc->vm;
    if (config->debug_exit_size) {
        debug_exit_init(&pc->debug_exit, config->debug_exit_base, config->debug_exit_size);
        pc->debug_exit.leave = debug_leave;
        pc->debug_exit.leave_opaque = vm->machine;
        io_space_add(&vm->pio, &pc->debug_exit.io);
        vm_add_device(vm, &debug_exit_ops, &pc->debug_exit, "isa-debug-exit");
    }
    if (config->has_testdev) {
        pc_testdev_init(&pc->testdev);
        for (unsigned n = 0; n < PC_TESTDEV_IRQS; n++)
            pc->testdev.irq[n] = (struct irq_line){.set = testdev_irq, .opaque = pc, .n = n};
        pc->testdev.flush_page = flush_page;
        pc->testdev.flush_opaque = vm;
        io_space_add(&vm->pio, &pc->testdev.scratch);
        io_space_add(&vm->pio, &pc->testdev.flush);
        io_space_add(&vm->pio, &pc->testdev.irqs);
        io_space_add(&vm->mmio, &pc->testdev.iomem);
        vm_add_device(vm, &pc_testdev_ops, &pc->testdev, "pc-testdev");
    }
}

static int add_fw_cfg(struct pc *pc, struct err *err)
{
    struct vm *vm = pc->vm;
    pc->dma = (struct dma_space){.pm = vm->pm, .msi = msi, .msi_opaque = pc};
    if (fw_cfg_init(&pc->fw_cfg, &pc->dma, &vm->machine->trace) < 0)
        return err_set(err, ENOMEM, "out of memory");
    io_space_add(&vm->pio, &pc->fw_cfg.selector);
    io_space_add(&vm->pio, &pc->fw_cfg.data);
    io_space_add(&vm->pio, &pc->fw_cfg.dma_port);
    vm_add_device(vm, &fw_cfg_ops, &pc->fw_cfg, "fw-cfg");
    return 0;
}

/* ---- memory ---- */

static int add_ram(struct pc *pc, paddr gpa, uint64_t size, haddr hpa, struct err *err)
{
    return size ? physmem_add(pc->vm->pm, gpa, size, hpa, false, err) : 0;
}

/* RAM with the holes of a PC: the VGA window, and what is above 3 GiB moves above 4 GiB. */
static int add_memory(struct pc *pc, uint64_t size, struct err *err)
{
    haddr home;
    int rc = allocator_carve(&pc->vm->machine->memory, size, &home, err);
    if (rc < 0)
        return rc;
    pc->low_ram = size < PC_LOW_RAM_MAX ? size : PC_LOW_RAM_MAX;
    rc = add_ram(pc, 0, 640 * KiB, home, err);
    if (rc == 0)
        rc = add_ram(pc, 768 * KiB, pc->low_ram - 768 * KiB, home + 768 * KiB, err);
    if (rc == 0)
        rc = add_ram(pc, PC_HIGH_RAM, size - pc->low_ram, home + pc->low_ram, err);
    return rc;
}

/* -bios: a ROM that ends at 4 GiB; its last 128 KiB also below 1 MiB, where PAM write-protects them. */
static int add_bios(struct pc *pc, const uint8_t *image, size_t size, struct err *err)
{
    haddr home;
    if (size == 0 || size % (64 * KiB) != 0 || size > 16 * MiB) {
        err_set(err, EINVAL, "the firmware image has %zu bytes", size);
        err_hint(err, "-bios wants a multiple of 64 KiB, at most 16 MiB");
        return -EINVAL;
    }
    int rc = allocator_carve(&pc->vm->machine->memory, size, &home, err);
    if (rc == 0)
        rc = physmem_add(pc->vm->pm, 4 * GiB - size, size, home, true, err);
    if (rc < 0)
        return rc;
    pc->bios = image;
    pc->bios_size = size;
    pc->has_bios = true;
    return 0;
}

/* ---- life ---- */

static void reset_devices(struct vm *vm)
{
    for (unsigned i = 0; i < vm->device_count; i++)
        vm->devices[i].ops->reset(vm->devices[i].self);
}

static void pc_reset(struct vm *vm)
{
    struct pc *pc = pc_of(vm);
    reset_devices(vm);
    pv_reset(vm);
    pc_power_on(pc);
}

static void pc_destroy(struct vm *vm)
{
    struct pc *pc = pc_of(vm);
    for (unsigned i = 0; i < vm->device_count; i++)
        if (vm->devices[i].ops->fini)
            vm->devices[i].ops->fini(vm->devices[i].self);
    pc_boot_free(pc);
    free(pc);
    vm->board = NULL;
}

static bool pc_intr(struct vm *vm)
{
    return pic_output(&pc_of(vm)->pic);
}

static uint8_t pc_intr_acknowledge(struct vm *vm)
{
    return pic_acknowledge(&pc_of(vm)->pic);
}

/* What drives LINT1 is not on this board: LINT0 of the boot processor, I/O APIC pins and HPET messages are. */
static bool pc_ignores_if(const struct vm *vm)
{
    const struct pc *pc = (const struct pc *)vm->board;
    return lapic_lint_ignores_if(&pc->lapics[0], 0) || ioapic_ignores_if(&pc->ioapic) ||
           hpet_ignores_if(&pc->hpet);
}

static bool pc_has_output(const struct vm *vm)
{
    const struct pc *pc = (const struct pc *)vm->board;
    bool has_output = false;
    for (unsigned i = 0; i < pc->uarts; i++)
        has_output = has_output || uart_has_output(&pc->uart[i]);
    return has_output;
}

/* A guest that writes its last words and powers off at once does not wait for the wire. */
static void pc_ended(struct vm *vm)
{
    struct pc *pc = pc_of(vm);
    for (unsigned i = 0; i < pc->uarts; i++)
        uart_drain(&pc->uart[i]);
}

static void pc_ferr(struct vm *vm)
{
    piix3_ferr(&pc_of(vm)->piix3);
}

static const struct board_ops pc_ops = {
    .reset = pc_reset,
    .destroy = pc_destroy,
    .intr = pc_intr,
    .intr_acknowledge = pc_intr_acknowledge,
    .ignores_if = pc_ignores_if,
    .ferr = pc_ferr,
    .has_output = pc_has_output,
    .ended = pc_ended,
};

struct uart *pc_uart(struct vm *vm, unsigned n)
{
    struct pc *pc = pc_of(vm);
    return n < pc->uarts ? &pc->uart[n] : NULL;
}

static int check_memory(uint64_t size, struct err *err)
{
    if (size >= 4 * MiB && size % MiB == 0 && size <= 512 * GiB)
        return 0;
    err_set(err, EINVAL, "%llu bytes of memory make no PC", (unsigned long long)size);
    err_hint(err, "-m takes whole MiB, from 4 to 524288");
    return -EINVAL;
}

int pc_create(struct machine *m, const struct pc_config *config, struct err *err)
{
    int rc = check_memory(config->memory, err);
    if (rc < 0)
        return rc;
    struct pc *pc = calloc(1, sizeof(*pc));
    if (!pc)
        return err_set(err, ENOMEM, "out of memory");
    pc->vm = m->vm;
    m->vm->board = (struct board *)pc;
    m->vm->board_ops = &pc_ops;
    rc = add_memory(pc, config->memory, err);
    if (rc == 0 && config->bios)
        rc = add_bios(pc, config->bios, config->bios_size, err);
    if (rc < 0)
        return rc;
    add_interrupt_controllers(pc);
    add_timers(pc, config);
    add_pci(pc);
    add_uarts(pc, config);
    add_small_chips(pc, config);
    add_optional_chips(pc, config);
    rc = add_fw_cfg(pc, err);
    return rc == 0 ? pc_boot_prepare(pc, config, err) : rc;
}
