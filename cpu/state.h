/* SPDX-License-Identifier: MIT */
/*
 * Architectural state of one vCPU: all that a program on it can observe, nothing else. Saved, hashed and shown from the
 * field list. The engines keep some of it elsewhere while they run (lazy flags, RIP as block + offset: struct run in
 * vcpu.h); at rest this struct is complete.
 */
#pragma once

#include "base/fields.h"

/* clang-format off */
#define CPU_STATE(ONE, ARR, S)                                                                                        \
    ARR(S, uint64_t, gpr, 16,        "RAX RCX RDX RBX RSP RBP RSI RDI R8-R15")                                        \
    ONE(S, uint64_t, rip,            "RIP of the next instruction (EIP, IP zero-extended)")                           \
    ONE(S, uint64_t, rflags,         "RFLAGS; bit 1 is always 1")                                                     \
    ARR(S, uint16_t, seg_sel, 8,     "selectors of ES CS SS DS FS GS LDTR TR")                                        \
    ARR(S, uint64_t, seg_base, 8,    "descriptor caches: base")                                                       \
    ARR(S, uint32_t, seg_limit, 8,   "descriptor caches: limit in bytes, G applied")                                  \
    ARR(S, uint32_t, seg_attr, 8,    "descriptor caches: type 3:0, S 4, DPL 6:5, P 7, AVL 12, L 13, D/B 14, G 15, unusable 16") \
    ONE(S, uint64_t, gdtr_base,      "GDTR base")                                                                     \
    ONE(S, uint16_t, gdtr_limit,     "GDTR limit")                                                                    \
    ONE(S, uint64_t, idtr_base,      "IDTR base")                                                                     \
    ONE(S, uint16_t, idtr_limit,     "IDTR limit")                                                                    \
    ONE(S, uint8_t,  cpl,            "current privilege level (SS.DPL)")                                              \
    ONE(S, uint64_t, cr0,            "CR0")                                                                           \
    ONE(S, uint64_t, cr2,            "CR2: page-fault linear address")                                                \
    ONE(S, uint64_t, cr3,            "CR3")                                                                           \
    ONE(S, uint64_t, cr4,            "CR4")                                                                           \
    ARR(S, uint64_t, pdpte, 4,       "PDPTE registers (PAE paging)")                                                  \
    ARR(S, uint64_t, dr, 8,          "DR0-DR3, DR6, DR7 (4 and 5 unused)")                                            \
    ONE(S, uint64_t, xcr0,           "XCR0")                                                                          \
    ONE(S, uint64_t, efer,           "IA32_EFER")                                                                     \
    ONE(S, uint64_t, star,           "IA32_STAR")                                                                     \
    ONE(S, uint64_t, lstar,          "IA32_LSTAR")                                                                    \
    ONE(S, uint64_t, cstar,          "IA32_CSTAR")                                                                    \
    ONE(S, uint64_t, fmask,          "IA32_FMASK")                                                                    \
    ONE(S, uint64_t, kernel_gs_base, "IA32_KERNEL_GS_BASE")                                                           \
    ONE(S, uint64_t, tsc_aux,        "IA32_TSC_AUX")                                                                  \
    ONE(S, uint64_t, tsc_offset,     "TSC - vtime in TSC ticks (mod 2^64)")                                           \
    ONE(S, uint64_t, tsc_adjust,     "IA32_TSC_ADJUST")                                                               \
    ONE(S, uint64_t, sysenter_cs,    "IA32_SYSENTER_CS")                                                              \
    ONE(S, uint64_t, sysenter_esp,   "IA32_SYSENTER_ESP")                                                             \
    ONE(S, uint64_t, sysenter_eip,   "IA32_SYSENTER_EIP")                                                             \
    ONE(S, uint64_t, pat,            "IA32_PAT")                                                                      \
    ONE(S, uint64_t, misc_enable,    "IA32_MISC_ENABLE")                                                              \
    ONE(S, uint64_t, spec_ctrl,      "IA32_SPEC_CTRL")                                                                \
    ONE(S, uint64_t, xss,            "IA32_XSS")                                                                      \
    ONE(S, uint64_t, mtrr_def_type,  "IA32_MTRR_DEF_TYPE")                                                            \
    ARR(S, uint64_t, mtrr_fixed, 11, "IA32_MTRR_FIX64K_00000 ... FIX4K_F8000")                                        \
    ARR(S, uint64_t, mtrr_var, 16,   "IA32_MTRR_PHYSBASE0, PHYSMASK0, ... 7")                                         \
    ONE(S, uint64_t, mcg_status,     "IA32_MCG_STATUS")                                                               \
    ONE(S, uint64_t, mcg_ctl,        "IA32_MCG_CTL")                                                                  \
    ARR(S, uint64_t, mc_bank, 40,    "IA32_MC0_CTL, STATUS, ADDR, MISC, ... of 10 banks")                             \
    ONE(S, uint64_t, debugctl,       "IA32_DEBUGCTL")                                                                 \
    ARR(S, uint64_t, perf_counter, 7, "IA32_PMC0-3, IA32_FIXED_CTR0-2: 48 bits, counted up to here")                 \
    ARR(S, uint64_t, perf_eventsel, 4, "IA32_PERFEVTSEL0-3")                                                          \
    ONE(S, uint64_t, perf_fixed_ctrl, "IA32_FIXED_CTR_CTRL")                                                          \
    ONE(S, uint64_t, perf_global_ctrl, "IA32_PERF_GLOBAL_CTRL")                                                       \
    ONE(S, uint64_t, perf_global_status, "IA32_PERF_GLOBAL_STATUS")                                                   \
    ONE(S, uint64_t, kvm_wall_clock, "MSR_KVM_WALL_CLOCK_NEW as written")                                             \
    ONE(S, uint64_t, kvm_system_time, "MSR_KVM_SYSTEM_TIME_NEW as written")                                           \
    ONE(S, uint32_t, kvm_time_version, "version field of the kvmclock page last written")                             \
    ARR(S, uint64_t, fp_mant, 8,     "x87 R0-R7 (physical): significand; MM0-MM7 alias ST by TOP = 0")                \
    ARR(S, uint16_t, fp_se, 8,       "x87 R0-R7: sign and exponent")                                                  \
    ONE(S, uint16_t, fcw,            "x87 control word")                                                              \
    ONE(S, uint16_t, fsw,            "x87 status word, TOP included")                                                 \
    ONE(S, uint8_t,  ftw,            "x87 abridged tags, bit i: R(i) (physical) is not empty")                        \
    ONE(S, uint16_t, fop,            "x87 last opcode, 11 bits")                                                      \
    ONE(S, uint64_t, fip,            "x87 last instruction pointer")                                                  \
    ONE(S, uint64_t, fdp,            "x87 last data pointer")                                                         \
    ONE(S, uint16_t, fcs,            "x87 last instruction's CS")                                                     \
    ONE(S, uint16_t, fds,            "x87 last operand's segment")                                                    \
    ONE(S, bool,     ignne,          "IGNNE# is asserted: with CR0.NE = 0 a pending x87 exception does not stop the processor")                    \
    ONE(S, uint32_t, mxcsr,          "MXCSR")                                                                         \
    ARR(S, uint64_t, ymm, 64,        "YMM0-YMM15: quadwords 0-3 of each, low first; XMM n is ymm[4n], ymm[4n + 1]")   \
    ONE(S, uint32_t, pkru,           "PKRU")                                                                          \
    ONE(S, uint8_t,  activity,       "0 active, 1 HLT, 2 shutdown, 3 wait-for-SIPI (SDM Vol. 3C, activity state)")    \
    ONE(S, uint8_t,  int_shadow,     "instruction boundary shadow: 0 none, 1 by STI, 2 by MOV SS or POP SS")          \
    ONE(S, bool,     nmi_blocked,    "NMIs are blocked until IRET")                                                   \
    ONE(S, bool,     nmi_pending,    "an NMI is latched")                                                             \
    ONE(S, bool,     init_pending,   "an INIT is latched")                                                            \
    ONE(S, bool,     extint_pending, "level of the INTR wire from the 8259A")                                         \
    ONE(S, uint64_t, pending_db,     "DR6 bits of a debug trap to be delivered at the next boundary")                 \
    ONE(S, uint64_t, ticks,          "ticks executed by this vCPU (design section 4)")                                \
    ONE(S, uint64_t, retired,        "instructions retired: ticks less REP extras less deliveries")
/* clang-format on */

STATE_STRUCT(cpu, CPU_STATE);

enum activity { ACTIVITY_ACTIVE, ACTIVITY_HLT, ACTIVITY_SHUTDOWN, ACTIVITY_WAIT_SIPI };
enum int_shadow { SHADOW_NONE, SHADOW_STI, SHADOW_MOV_SS };

/* Bits of seg_attr (the VMX access-rights format, SDM Vol. 3C, "Guest Register State"). */
enum {
    ATTR_TYPE = 0xf,
    ATTR_ACCESSED = 1 << 0,
    ATTR_RW = 1 << 1,     /* data: writable; code: readable */
    ATTR_DC = 1 << 2,     /* data: expand-down; code: conforming */
    ATTR_CODE = 1 << 3,
    ATTR_S = 1 << 4,      /* code or data, not system */
    ATTR_DPL = 3 << 5,
    ATTR_P = 1 << 7,
    ATTR_AVL = 1 << 12,
    ATTR_L = 1 << 13,
    ATTR_DB = 1 << 14,
    ATTR_G = 1 << 15,
    ATTR_UNUSABLE = 1 << 16, /* a null selector is loaded */
};
#define ATTR_DPL_SHIFT 5

/* CR0, CR4, EFER. */
#define CR0_PE BIT(0)
#define CR0_MP BIT(1)
#define CR0_EM BIT(2)
#define CR0_TS BIT(3)
#define CR0_ET BIT(4)
#define CR0_NE BIT(5)
#define CR0_WP BIT(16)
#define CR0_AM BIT(18)
#define CR0_NW BIT(29)
#define CR0_CD BIT(30)
#define CR0_PG BIT(31)
#define CR4_VME BIT(0)
#define CR4_PVI BIT(1)
#define CR4_TSD BIT(2)
#define CR4_DE BIT(3)
#define CR4_PSE BIT(4)
#define CR4_PAE BIT(5)
#define CR4_MCE BIT(6)
#define CR4_PGE BIT(7)
#define CR4_PCE BIT(8)
#define CR4_OSFXSR BIT(9)
#define CR4_OSXMMEXCPT BIT(10)
#define CR4_UMIP BIT(11)
#define CR4_FSGSBASE BIT(16)
#define CR4_PCIDE BIT(17)
#define CR4_OSXSAVE BIT(18)
#define CR4_SMEP BIT(20)
#define CR4_SMAP BIT(21)
#define CR4_PKE BIT(22)
#define EFER_SCE BIT(0)
#define EFER_LME BIT(8)
#define EFER_LMA BIT(10)
#define EFER_NXE BIT(11)

#define CPU_MAXPHYADDR 40 /* largest physical address width of a model */

#define DR6_FIXED UINT64_C(0xffff0ff0) /* bits that read as 1 */
#define DR7_FIXED UINT64_C(0x400)
