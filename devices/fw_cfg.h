/* SPDX-License-Identifier: MIT */
/*
 * QEMU's firmware configuration device: numbered blobs that firmware reads through a selector and a
 * data port, or by DMA. The board adds the blobs before the guest runs; they are owned copies and
 * configuration, not state. Written by the guest are only the selector, the offset and the DMA
 * address. (QEMU documentation, docs/specs/fw_cfg: "QEMU Firmware Configuration (fw_cfg) Device".)
 *
 * Ports: 510h W16 selector; 511h R8 data; 514h W32/W64 DMA address, big-endian (R: signature "QEMU
 * CFG").
 */
#pragma once

#include "devices/device.h"
#include "devices/dma.h"

enum fw_cfg_key {
    FW_CFG_SIGNATURE = 0x00,
    FW_CFG_ID = 0x01, /* bit 0 traditional interface, bit 1 DMA */
    FW_CFG_UUID = 0x02,
    FW_CFG_RAM_SIZE = 0x03,
    FW_CFG_NOGRAPHIC = 0x04,
    FW_CFG_NB_CPUS = 0x05,
    FW_CFG_MACHINE_ID = 0x06,
    FW_CFG_KERNEL_ADDR = 0x07,
    FW_CFG_KERNEL_SIZE = 0x08,
    FW_CFG_KERNEL_CMDLINE = 0x09,
    FW_CFG_INITRD_ADDR = 0x0A,
    FW_CFG_INITRD_SIZE = 0x0B,
    FW_CFG_BOOT_DEVICE = 0x0C,
    FW_CFG_NUMA = 0x0D,
    FW_CFG_BOOT_MENU = 0x0E,
    FW_CFG_MAX_CPUS = 0x0F,
    FW_CFG_KERNEL_ENTRY = 0x10,
    FW_CFG_KERNEL_DATA = 0x11,
    FW_CFG_INITRD_DATA = 0x12,
    FW_CFG_CMDLINE_ADDR = 0x13,
    FW_CFG_CMDLINE_SIZE = 0x14,
    FW_CFG_CMDLINE_DATA = 0x15,
    FW_CFG_SETUP_ADDR = 0x16,
    FW_CFG_SETUP_SIZE = 0x17,
    FW_CFG_SETUP_DATA = 0x18,
    FW_CFG_FILE_DIR = 0x19,
    FW_CFG_FILE_FIRST = 0x20,
    FW_CFG_FILE_SLOTS = 0x40,
    FW_CFG_KEYS = FW_CFG_FILE_FIRST + FW_CFG_FILE_SLOTS,
    FW_CFG_ARCH_LOCAL = 0x8000, /* x86: 0 ACPI, 1 SMBIOS, 2 IRQ 0 override, 3 E820, 4 HPET */
    FW_CFG_ARCH_KEYS = 8,
};

#define FW_CFG_NAME_SIZE 56 /* with the terminating zero */

/* clang-format off */
#define FW_CFG_STATE(ONE, ARR, S)                                              \
    ONE(S, uint16_t, key, "selected key")                                      \
    ONE(S, uint32_t, offset, "next byte of the selected item; may be past it") \
    ONE(S, uint64_t, dma_address, "FWCfgDmaAccess address as written so far")
/* clang-format on */
STATE_STRUCT(fw_cfg_state, FW_CFG_STATE);

struct fw_cfg_item {
    uint8_t *data; /* owned copy; NULL: no such key */
    uint32_t len;  /* bytes */
};

struct fw_cfg {
    struct fw_cfg_state s;                                    /* first: saved, hashed, shown */
    struct fw_cfg_item items[FW_CFG_KEYS + FW_CFG_ARCH_KEYS]; /* by key, then arch-local */
    unsigned files;                                           /* files in the directory */
    struct dma_space *dma;     /* borrowed; NULL: the DMA interface is absent */
    struct io_region selector; /* port 510h */
    struct io_region data;     /* port 511h */
    struct io_region dma_port; /* ports 514h-51Bh; disabled without DMA */
    struct trace *trace;       /* borrowed; may be NULL */
};

extern const struct device_ops fw_cfg_ops;

/* Signature and ID keys only. dma may be NULL. -ENOMEM. */
int fw_cfg_init(struct fw_cfg *f, struct dma_space *dma, struct trace *trace);
void fw_cfg_fini(struct fw_cfg *f);

/* Add or replace an item by key < FW_CFG_FILE_FIRST, or arch-local. Numbers are stored
 * little-endian. -EINVAL, -ENOMEM. */
int fw_cfg_add_bytes(struct fw_cfg *f, uint16_t key, const void *data, size_t len);
int fw_cfg_add_u16(struct fw_cfg *f, uint16_t key, uint16_t v);
int fw_cfg_add_u32(struct fw_cfg *f, uint16_t key, uint32_t v);
int fw_cfg_add_u64(struct fw_cfg *f, uint16_t key, uint64_t v);
int fw_cfg_add_string(struct fw_cfg *f, uint16_t key, const char *s); /* with its zero */

/* Add a named file ("etc/e820"); the directory lists files in order of adding. -EINVAL, -ENOSPC,
 * -EEXIST, -ENOMEM. */
int fw_cfg_add_file(struct fw_cfg *f, const char *name, const void *data, size_t len);
