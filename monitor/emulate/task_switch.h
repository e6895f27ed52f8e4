/* SPDX-License-Identifier: MIT */
/*
 * Hardware task switching (SDM Vol. 3A, "Task Switching"). Called for far CALL and JMP to a TSS or
 * task gate, for IRET with NT set, and for events through a task gate. Does not exist in IA-32e
 * mode: callers raise #GP there.
 */
#pragma once

#include "monitor/emulate/emulate.h"

enum task_kind {
    TASK_JMP,        /* far JMP */
    TASK_CALL,       /* far CALL: nested */
    TASK_IRET,       /* back to the task in the back link; sel is not used */
    TASK_GATE_EVENT, /* interrupt or exception: nested */
};

struct task_request {
    uint8_t kind;        /* enum task_kind */
    uint16_t sel;        /* of the new TSS */
    uint32_t ext;        /* EXT bit of faults on the way */
    uint64_t rip;        /* saved in the old TSS */
    uint64_t rflags;     /* saved in the old TSS */
    bool has_error_code; /* push error_code on the new task's stack */
    uint32_t error_code; /* of the event */
};

/*
 * Switch. True: arch is the new task's, RIP included; cpu_update_mmu was called. False: run.fault,
 * and arch is either untouched (before the commit point) or the new task's, RIP included (after
 * it).
 */
bool task_switch(struct vcpu *vcpu, const struct task_request *r);
