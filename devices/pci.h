/* SPDX-License-Identifier: MIT */
/*
 * PCI bus 0: configuration mechanism #1 (ports CF8h, CFCh), configuration spaces with write masks,
 * base address registers that move io_regions, and INTx wires. A function embeds struct
 * pci_function and keeps its 256 bytes of configuration space in its own field list; the board
 * attaches it to a slot. PCI Local Bus Specification 3.0, chapter 6 "Configuration Space" and
 * section 3.2.2.3.2 "Software Generation of Configuration Transactions".
 */
#pragma once

#include "devices/device.h"

#define PCI_CONFIG_SIZE 256
#define PCI_BARS 6
#define PCI_DEVFN(slot, function) ((uint8_t)((slot) << 3 | (function)))

/* Offsets in the header ("Configuration Space Header"). */
enum {
    PCI_VENDOR_ID = 0x00,
    PCI_DEVICE_ID = 0x02,
    PCI_COMMAND = 0x04,
    PCI_STATUS = 0x06,
    PCI_REVISION = 0x08,
    PCI_CLASS = 0x09, /* programming interface, sub-class, base class */
    PCI_HEADER_TYPE = 0x0E,
    PCI_BAR0 = 0x10,
    PCI_SUBSYSTEM_VENDOR = 0x2C,
    PCI_SUBSYSTEM_ID = 0x2E,
    PCI_CAPABILITIES = 0x34,
    PCI_INTERRUPT_LINE = 0x3C,
    PCI_INTERRUPT_PIN = 0x3D,
};

enum {
    PCI_COMMAND_IO = 1,
    PCI_COMMAND_MEMORY = 2,
    PCI_COMMAND_MASTER = 4,
    PCI_COMMAND_INTX_OFF = 0x400
};
enum { PCI_STATUS_INTERRUPT = 0x08, PCI_STATUS_CAPABILITIES = 0x10 };
enum { PCI_BAR_IO = 1, PCI_BAR_64 = 4, PCI_BAR_PREFETCH = 8 };

/* Put this in the function's field list. */
#define PCI_CONFIG_FIELD(ONE, ARR, S)                                                              \
    ARR(S, uint8_t, config, PCI_CONFIG_SIZE, "PCI configuration space")

struct pci;

struct pci_bar {
    struct io_region *region; /* borrowed: moved and enabled by this BAR; NULL: no BAR */
    uint8_t flags;            /* PCI_BAR_*: the low bits that software reads */
};

struct pci_function {
    uint8_t *config;                /* borrowed: PCI_CONFIG_SIZE bytes in the owner's state */
    uint8_t reset[PCI_CONFIG_SIZE]; /* value of each byte after reset */
    uint8_t wmask[PCI_CONFIG_SIZE]; /* bits that software can write */
    uint8_t w1c[PCI_CONFIG_SIZE];   /* bits that writing 1 clears */
    struct pci_bar bars[PCI_BARS];  /* base address registers */
    struct pci *bus;                /* borrowed; set by pci_attach */
    uint8_t devfn;                  /* device << 3 | function; set by pci_attach */
    uint8_t cap_next;               /* where the next capability goes; 0: none yet */
    /* Bytes [offset, offset + width) were written and masked; may be NULL. */
    void (*written)(void *opaque, unsigned offset, unsigned width);
    void *opaque; /* of written */
};

/* clang-format off */
#define PCI_STATE(ONE, ARR, S)                                                        \
    ONE(S, uint32_t, address, "CONFIG_ADDRESS, port CF8h")                            \
    ARR(S, uint32_t, intx, 32, "asserted INTx of each device: bit 4 * function + pin")
/* clang-format on */
STATE_STRUCT(pci_state, PCI_STATE);

struct pci {
    struct pci_state s;                  /* first: saved, hashed, shown */
    struct pci_function *functions[256]; /* by devfn; borrowed; NULL: empty */
    struct irq_line pirq[4];  /* wiring: PIRQA#-PIRQD# of the south bridge, true: asserted */
    struct io_region address; /* ports CF8h-CFBh */
    struct io_region data;    /* ports CFCh-CFFh */
    struct trace *trace;      /* borrowed; may be NULL */
};

extern const struct device_ops pci_ops;

/* An empty bus 0. */
void pci_init(struct pci *p, struct trace *trace);

/*
 * Prepare a function: identity and the writable bits every type 0 header has. class_code is base <<
 * 16 | sub << 8 | interface. The owner then sets more of reset[], wmask[] and bars, and calls
 * pci_function_reset from its own reset.
 */
void pci_function_init(struct pci_function *f, uint8_t *config, uint16_t vendor, uint16_t device,
                       uint32_t class_code, uint8_t revision);

/* Base address register n decodes region (its size a power of two: >= 4 for I/O, >= 16 for memory).
 */
void pci_function_bar(struct pci_function *f, unsigned n, struct io_region *region, uint8_t flags);

/* Reserve a capability of len bytes and link it in; returns its offset, or 0 when it does not fit.
 */
uint8_t pci_function_capability(struct pci_function *f, uint8_t id, unsigned len);

/* Set reset values (32-bit, little-endian) and write mask at an offset. */
void pci_function_set(struct pci_function *f, unsigned offset, unsigned width, uint32_t reset,
                      uint32_t wmask);

/* config := reset values; BARs stop decoding. */
void pci_function_reset(struct pci_function *f);

/* After a load of the owner's state: BARs decode where config says. -EINVAL if a read-only bit
 * differs from reset. */
int pci_function_after_load(struct pci_function *f, struct err *err);

/* Configuration accesses of 1, 2 or 4 bytes within one dword; what mechanism #1 does, for boards
 * and tests too. */
uint32_t pci_config_read(const struct pci_function *f, unsigned offset, unsigned width);
void pci_config_write(struct pci_function *f, unsigned offset, unsigned width, uint32_t v);

/* Plug f into the bus. The place must be empty. */
void pci_attach(struct pci *p, struct pci_function *f, unsigned slot, unsigned function);

/* Drive the function's interrupt pin (register 3Dh) and its Interrupt Status bit; wires of a PIRQ
 * are ORed. */
void pci_set_irq(struct pci_function *f, bool level);
