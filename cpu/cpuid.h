/* SPDX-License-Identifier: MIT */
/*
 * CPU models and what CPUID says of them, from models.def and cpuid.def. The command line parses
 * `-cpu` into a struct cpu_model; the monitor completes it (vCPUs, TSC rate) and fills
 * vcpu->run.features from it; monitor/emulate executes CPUID and checks CR4, XCR0 and MSRs by it.
 * Plain data in its holder's storage. Nothing of the host's CPU ever enters.
 */
#pragma once

#include "base/err.h"
#include "cpu/vcpu.h"

#define GATE_NONE FEATURE_COUNT /* cpuid.def: it gates no instruction */

/* The feature words: which register of which leaf. */
enum cpuid_word {
    CPUID_1_EDX,
    CPUID_1_ECX,
    CPUID_6_EAX,
    CPUID_7_EBX,
    CPUID_7_ECX,
    CPUID_7_EDX,
    CPUID_71_EAX, /* leaf 7, sub-leaf 1 */
    CPUID_72_EDX, /* leaf 7, sub-leaf 2 */
    CPUID_D1_EAX, /* leaf 0DH, sub-leaf 1 */
    CPUID_81_ECX, /* 80000001H */
    CPUID_81_EDX, /* 80000001H */
    CPUID_80000007_EDX,
    CPUID_NOWHERE, /* no leaf tells of it */
    CPUID_WORDS
};

/* A cache of leaf 4; 64-byte lines. type 0 ends the table. */
struct cpu_cache {
    uint8_t type;   /* 1 data, 2 instruction, 3 unified */
    uint8_t level;  /* 1-3 */
    uint8_t ways;   /* associativity */
    uint16_t sets;  /* number of them */
    bool is_shared; /* by all cores */
};

struct cpu_model {
    const char *name;               /* "max" */
    const char *brand;              /* processor brand string, at most 47 characters */
    uint32_t signature;             /* 01H:EAX, also EDX after reset */
    uint32_t max_leaf;              /* 0H:EAX */
    uint32_t max_extended;          /* 80000000H:EAX; 0: no such leaf */
    uint32_t leaf2[3];              /* 02H: EAX, EBX, EDX */
    uint32_t l2;                    /* 80000006H:ECX */
    const struct cpu_cache *caches; /* of leaf 4 */
    uint8_t phys_bits;              /* physical address width */
    uint32_t words[CPUID_WORDS];    /* feature bits */
    bool kvm;                       /* the KVM leaf at 40000000H */
    bool pv;                        /* hypercalls are offered, and KVM's leaf tells of them; the machine's to set */
    unsigned cpus;       /* logical processors in the one package; set by cpu_model_set_machine */
    uint64_t tsc_hz;     /* exact TSC rate; the same */
    uint64_t crystal_hz; /* core crystal: the APIC timer's clock; the same */
};

/*
 * Parse the argument of -cpu: NAME[,+feature][,-feature][,feature=on|off][,kvm=on|off], in order:
 * a feature brings those that it needs and takes those that need it. 0 or
 * -EINVAL with *err, which names the nearest name when one is unknown. m is complete but for
 * cpu_model_set_machine, whose values it gets 1 vCPU and 1 GHz for.
 */
int cpu_model_parse(const char *text, struct cpu_model *m, struct err *err);

/* The same on the heap: 0 and *out, or negative errno and *err. */
int cpu_model_create(const char *text, struct cpu_model **out, struct err *err);
void cpu_model_destroy(struct cpu_model *m); /* NULL is fine */

/* cpus > 0; tsc_hz a multiple of crystal_hz, both > 0 and below 2^32. */
void cpu_model_set_machine(struct cpu_model *m, unsigned cpus, uint64_t tsc_hz,
                           uint64_t crystal_hz);

/* What the decoder lets through: fills features[FEATURE_COUNT]. */
void cpu_model_gates(const struct cpu_model *m, bool *features);

/* What a vCPU that is about to be reset has of the model: gates, address width, page sizes. */
void cpu_model_apply(const struct cpu_model *m, struct vcpu *vcpu);

/* 01H:EAX, which EDX holds after reset. */
uint32_t cpu_model_signature(const struct cpu_model *m);

bool cpu_model_has(const struct cpu_model *m, enum cpuid_word word, unsigned bit);
bool cpu_model_has_pmu(const struct cpu_model *m);  /* CPUID.01H:ECX.PDCM and leaf 0AH */
uint64_t cpu_model_cr4(const struct cpu_model *m);  /* bits of CR4 that may be set */
uint64_t cpu_model_efer(const struct cpu_model *m); /* bits of EFER that may be written */
uint64_t cpu_model_xcr0(const struct cpu_model *m); /* bits of XCR0 that may be set */

struct cpuid_regs {
    uint32_t eax, ebx, ecx, edx; /* as CPUID leaves them */
};

/*
 * CPUID of leaf and sub-leaf.  SDM Vol. 2A, "CPUID".
 *   cpu      for what follows the machine's state: CR4.OSXSAVE, XCR0, IA32_MISC_ENABLE
 *   apic_id  initial x2APIC ID of this vCPU
 * Leaves above the maximum answer as the highest basic leaf does on Intel.
 */
struct cpuid_regs cpuid_query(const struct cpu_model *m, const struct cpu *cpu, uint32_t apic_id,
                              uint32_t leaf, uint32_t subleaf);

/* The models and features for `-cpu help`: NULL past the last. doc may be NULL. */
const char *cpu_model_name(unsigned i, const char **doc);
const char *cpu_feature_name(unsigned i, const char **doc, bool *is_executed);
