/* SPDX-License-Identifier: MIT */
/*
 * Who owns an exit, and which slot each sensitive instruction goes through (design section 3). The
 * monitor asks for the slots when it creates a vCPU and when a policy changes; the dispatcher asks
 * the stack for the owner of an exit. Const tables only; a stack is plain data in its holder's
 * storage. Never runs guest code.
 */
#pragma once

#include "cpu/vcpu.h"
#include "monitor/pv/pv.h"

/* -virt */
enum policy {
    POLICY_BT,      /* every sensitive instruction goes through its slot */
    POLICY_CLASSIC, /* only privileged ones trap */
    POLICY_HVM,     /* by a control block */
    POLICY_PV,      /* as bt, with hypercalls */
    POLICY_COUNT
};

/* A policy with its sub-options, as machines are created with. */
struct policy_config {
    enum policy policy;
    struct pv_config pv; /* of POLICY_PV */
    uint8_t ring;         /* classic: of the guest's ring 0, 1 or 3 */
    bool emulates_faults; /* classic: cpu/real.h */
};

/*
 * Why the guest stopped running by itself: SDM Vol. 3C, "VMX Basic Exit Reasons", with its numbers;
 * then what hardware has no exit for and we trap all the same.
 */
/* clang-format off */
#define EXIT_REASONS(X)                                                   \
    X(EXCEPTION_NMI,      0,   "exception or NMI")                        \
    X(EXTERNAL_INTERRUPT, 1,   "external interrupt")                      \
    X(TRIPLE_FAULT,       2,   "triple fault")                            \
    X(INIT,               3,   "INIT signal")                             \
    X(SIPI,               4,   "start-up IPI")                            \
    X(INTERRUPT_WINDOW,   7,   "interrupt window")                        \
    X(NMI_WINDOW,         8,   "NMI window")                              \
    X(TASK_SWITCH,        9,   "task switch")                             \
    X(CPUID,              10,  "CPUID")                                   \
    X(GETSEC,             11,  "GETSEC")                                  \
    X(HLT,                12,  "HLT")                                     \
    X(INVD,               13,  "INVD")                                    \
    X(INVLPG,             14,  "INVLPG")                                  \
    X(RDPMC,              15,  "RDPMC")                                   \
    X(RDTSC,              16,  "RDTSC")                                   \
    X(RSM,                17,  "RSM")                                     \
    X(VMCALL,             18,  "VMCALL")                                  \
    X(CR_ACCESS,          28,  "control-register access")                 \
    X(MOV_DR,             29,  "MOV DR")                                  \
    X(IO_INSTRUCTION,     30,  "I/O instruction")                         \
    X(RDMSR,              31,  "RDMSR")                                   \
    X(WRMSR,              32,  "WRMSR")                                   \
    X(MWAIT,              36,  "MWAIT")                                   \
    X(MONITOR_TRAP_FLAG,  37,  "monitor trap flag")                       \
    X(MONITOR,            39,  "MONITOR")                                 \
    X(PAUSE,              40,  "PAUSE")                                   \
    X(MACHINE_CHECK,      41,  "machine-check event during VM entry")     \
    X(TPR_BELOW_THRESHOLD, 43, "TPR below threshold")                     \
    X(APIC_ACCESS,        44,  "APIC access")                             \
    X(VIRTUALIZED_EOI,    45,  "virtualized EOI")                         \
    X(GDTR_IDTR_ACCESS,   46,  "access to GDTR or IDTR")                  \
    X(LDTR_TR_ACCESS,     47,  "access to LDTR or TR")                    \
    X(EPT_VIOLATION,      48,  "EPT violation")                           \
    X(EPT_MISCONFIGURATION, 49, "EPT misconfiguration")                   \
    X(RDTSCP,             51,  "RDTSCP")                                  \
    X(PREEMPTION_TIMER,   52,  "VMX-preemption timer expired")            \
    X(WBINVD,             54,  "WBINVD or WBNOINVD")                      \
    X(XSETBV,             55,  "XSETBV")                                  \
    X(APIC_WRITE,         56,  "APIC write")                              \
    X(RDRAND,             57,  "RDRAND")                                  \
    X(INVPCID,            58,  "INVPCID")                                 \
    X(RDSEED,             61,  "RDSEED")                                  \
    X(XSAVES,             63,  "XSAVES")                                  \
    X(XRSTORS,            64,  "XRSTORS")                                 \
    X(FLAGS,              128, "privileged flag (PUSHF POPF CLI STI CLAC STAC)") \
    X(SEGMENT_LOAD,       129, "segment register access")                 \
    X(SEGMENT_BASE,       130, "FS or GS base access")                    \
    X(DESCRIPTOR_QUERY,   131, "descriptor query (LAR LSL VERR VERW ARPL)") \
    X(FAR_TRANSFER,       132, "far CALL, JMP or RET")                    \
    X(SOFTWARE_INTERRUPT, 133, "INT n, INT3, INTO, INT1")                 \
    X(IRET,               134, "IRET")                                    \
    X(SYSCALL,            135, "SYSCALL, SYSRET, SYSENTER, SYSEXIT")      \
    X(XGETBV,             136, "XGETBV")                                  \
    X(PKRU,               137, "RDPKRU, WRPKRU")                          \
    X(RDPID,              138, "RDPID")
/* clang-format on */

enum exit_reason {
#define X(name, number, text) REASON_##name = (number),
    EXIT_REASONS(X)
#undef X
        EXIT_REASON_COUNT = 139
};

/* Text for `-d exits`; NULL for a number that is no reason of ours. */
const char *exit_reason_name(unsigned reason);

/* The reason an op is counted under. REASON_EXCEPTION_NMI for an op that has no emulator. */
enum exit_reason policy_exit_reason(unsigned op, const struct insn *in);

/*
 * What a row of the instruction table is after Popek and Goldberg, in protected mode with IOPL 0, as kernels run their programs:
 * "privileged", "conditionally privileged", "sensitive, unprivileged", "innocuous".
 */
const char *policy_class(unsigned row);

/* Slots by op, OP_COUNT of them; exec is NULL where the op runs by itself. NULL: a policy that is
 * not built yet. pv has those of bt: what VMCALL means is the CPU model's to say. */
const struct sens_ops *policy_slots(enum policy policy);
const char *policy_name(enum policy policy);

/* ---- the policy stack ---- */

enum exit_owner {
    OWNER_MONITOR, /* monitor/emulate gives the meaning */
    OWNER_GUEST,   /* reflected into the guest as an exception */
    OWNER_NESTED,  /* a guest hypervisor: struct exit goes to L1 */
};

struct policy_table {
    const char *name;                 /* "bt" */
    uint8_t owner[EXIT_REASON_COUNT]; /* enum exit_owner by reason */
};

#define POLICY_DEPTH 4

struct policy_stack {
    const struct policy_table *table[POLICY_DEPTH]; /* [0] is ours; the top is asked first */
    unsigned depth;                                 /* tables in use, at least 1 */
};

void policy_stack_init(struct policy_stack *stack, enum policy policy);

/* The owner of an exit: the topmost table that does not leave it to the one below (OWNER_MONITOR)
 * decides. */
enum exit_owner policy_owner(const struct policy_stack *stack, enum exit_reason reason);
