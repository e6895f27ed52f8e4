/* SPDX-License-Identifier: MIT */
/*
 * The board "pc": i440FX and PIIX3 with the chips of a PC/AT around them. Creates, wires and registers every chip; reads like
 * a schematic. Called by trapline.c. Owns the chips.
 */
#pragma once

#include "monitor/loader.h"
#include "monitor/machine.h"

#define PC_UARTS 4
#define PC_HIGH_RAM (UINT64_C(4) * GiB)
#define PC_LOW_RAM_MAX (UINT64_C(3) * GiB) /* RAM beyond this stands above 4 GiB */

struct pc_config {
    uint64_t memory;          /* -m, bytes */
    const struct cpu_model *model; /* borrowed during the call */
    uint64_t rtc_base;        /* seconds since 1970, UTC */
    const uint8_t *bios;      /* -bios image, or NULL */
    size_t bios_size;         /* bytes */
    struct boot_info boot;    /* -kernel, -initrd, -append; kernel.data NULL without. Blobs are borrowed for the board's life */
    uint16_t debug_exit_base; /* isa-debug-exit; 0: none */
    uint16_t debug_exit_size; /* its ports */
    bool has_testdev;         /* pc-testdev */
    bool (*serial_tx[PC_UARTS])(void *opaque, uint8_t byte); /* NULL: the UART is there, nobody listens */
    void *serial_opaque[PC_UARTS]; /* of serial_tx */
    unsigned uarts;           /* UARTs present, 0..4 */
    void (*debugcon)(void *opaque, uint8_t byte); /* NULL: discarded */
    void *debugcon_opaque;    /* of debugcon */
};

/* Build the board of m->vm: memory, chips, firmware tables, boot entry; vCPUs are ready to run. */
int pc_create(struct machine *m, const struct pc_config *config, struct err *err);

/* UART n as a sink of the one door; NULL if it is not there. */
struct uart *pc_uart(struct vm *vm, unsigned n);
