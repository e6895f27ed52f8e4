/* SPDX-License-Identifier: MIT */
/*
 * Running a sensitive instruction on the real machine (cpu/real.h), for `-virt classic`. The meaning of the instruction is that of its
 * emulator, which acts on arch: arch shows the real machine for as long as the emulator runs, and is the virtual one again after,
 * with what the instruction did. Used by classic.c and, for the lookup in the monitor's tables, by descriptor.c.
 */
#pragma once

#include "monitor/emulate/descriptor.h"

/* What arch held before it showed the real machine; run.real points to it meanwhile. */
struct real_guest {
    uint16_t sel[8];      /* of all segment registers */
    uint64_t base[6];     /* of ES to GS; those of LDTR and TR stay */
    uint32_t limit[6];    /* the same */
    uint32_t attr[6];     /* the same */
    uint64_t gdtr_base;   /* GDTR */
    uint16_t gdtr_limit;  /* GDTR */
    uint64_t idtr_base;   /* IDTR */
    uint16_t idtr_limit;  /* IDTR */
    uint64_t cr0;         /* CR0 */
    uint64_t rflags;      /* the flags of the system are valid */
    uint8_t cpl;          /* virtual CPL */
    uint8_t real_cpl;     /* real CPL when it began */
    bool is_vm86;         /* the real machine is in virtual-8086 mode */
    bool nmi_blocked;     /* until an IRET that the monitor sees */
};

typedef enum sens_result emulator(struct vcpu *vcpu, const struct insn *in);

/* The registers of the real machine for a vCPU whose ring 0 runs in `ring`. */
void real_init(struct real *real, unsigned ring, bool emulates_faults);

/* Is the real machine in virtual-8086 mode? */
bool real_is_vm86(const struct vcpu *vcpu);

/* The real CPL. */
unsigned real_cpl(const struct vcpu *vcpu);

/*
 * Run `in` on the real machine. It does not enter the monitor, and is not counted as an exit, unless it raises an exception. That is the
 * result then; or, if the monitor emulates faults, what the virtual machine does.
 */
enum sens_result real_execute(struct vcpu *vcpu, const struct insn *in, emulator *exec);

/* `in` raises run.fault on the real machine: the result, as of real_execute. */
enum sens_result real_fault(struct vcpu *vcpu, const struct insn *in, emulator *exec);

/* descriptor_lookup in the monitor's tables. Beyond the guest's limit they are empty. */
enum lookup real_lookup(struct vcpu *vcpu, uint16_t sel, struct descriptor *d);

/* A descriptor of the guest's as the monitor's table has it. */
uint64_t real_descriptor(const struct real *real, uint64_t raw);
