/* SPDX-License-Identifier: MIT */
/* What CPUID says of a model in a state. */
#include "cpu/cpuid.h"

#include <string.h>

#include "base/endian.h"
#include "cpu/interp/fxsave.h"

#define KVM_SIGNATURE "KVMKVMKVM\0\0\0"
#define OWN_SIGNATURE "TraplineVMM\0"
#define MISC_ENABLE_LIMIT_CPUID BIT(22)
#define MISC_ENABLE_XD_DISABLE BIT(34)

/* KVM_FEATURE_*: Linux, Documentation/virt/kvm/x86/cpuid. */
#define KVM_FEATURES                                                                               \
    (1u << 0 | 1u << 1 | 1u << 3 | 1u << 24) /* CLOCKSOURCE NOP_IO_DELAY CLOCKSOURCE2 STABLE */
#define KVM_PV_FEATURES                                                                            \
    (1u << 5 | 1u << 6 | 1u << 7 | 1u << 9 | 1u << 11 | 1u << 13) /* STEAL_TIME PV_EOI PV_UNHALT PV_TLB_FLUSH PV_SEND_IPI PV_SCHED_YIELD */

static uint32_t chars(const char *s)
{
    return le32_load(s);
}

/* Bits that number n things: 0 for 1. */
static unsigned bits_for(unsigned n)
{
    unsigned bits = 0;
    while (1u << bits < n)
        bits++;
    return bits;
}

static struct cpuid_regs leaf_1(const struct cpu_model *m, const struct cpu *cpu, uint32_t apic_id)
{
    struct cpuid_regs r = {
        .eax = m->signature, .ecx = m->words[CPUID_1_ECX], .edx = m->words[CPUID_1_EDX]};
    uint32_t count = 1u << bits_for(m->cpus);
    bool tells_topology = m->max_leaf >= 4; /* before, each package had one processor */
    if (tells_topology)
        r.ebx = apic_id << 24 | (count > 255 ? 255 : count) << 16;
    if (cpu_model_has(m, CPUID_1_EDX, 19))
        r.ebx |= 8 << 8; /* CLFLUSH: 64-byte lines */
    if (tells_topology && m->cpus > 1)
        r.edx |= 1u << 28; /* HTT */
    if (cpu->cr4 & CR4_OSXSAVE)
        r.ecx |= 1u << 27;
    return r;
}

/* Deterministic Cache Parameters. */
static struct cpuid_regs leaf_4(const struct cpu_model *m, uint32_t subleaf)
{
    const struct cpu_cache *c = m->caches;
    for (uint32_t i = 0; i < subleaf && c->type; i++)
        c++;
    if (!c->type)
        return (struct cpuid_regs){0};
    uint32_t cores = (1u << bits_for(m->cpus)) - 1;
    uint32_t sharing = c->is_shared ? cores & 0xfff : 0;
    return (struct cpuid_regs){
        .eax = c->type | (uint32_t)c->level << 5 | 1u << 8 | sharing << 14 | (cores & 63) << 26,
        .ebx = 63 | (uint32_t)(c->ways - 1) << 22,
        .ecx = c->sets - 1u,
        .edx = c->level == 3 ? 2 : 0, /* inclusive */
    };
}

/*
 * Architectural Performance Monitoring: version 2. Of its events there are cycles, instructions and
 * reference cycles; EBX has a bit set for those that are not counted: last-level cache references
 * and misses, branches and mispredicted branches.
 */
static struct cpuid_regs leaf_a(const struct cpu_model *m)
{
    if (!cpu_model_has_pmu(m))
        return (struct cpuid_regs){0};
    return (struct cpuid_regs){
        .eax = 2 | PMU_GENERAL << 8 | PMU_WIDTH << 16 | 7 << 24,
        .ebx = 0x78,
        .edx = PMU_FIXED | PMU_WIDTH << 5,
    };
}

/* Extended Topology: one thread a core, all cores in one package. */
static struct cpuid_regs leaf_b(const struct cpu_model *m, uint32_t apic_id, uint32_t subleaf)
{
    struct cpuid_regs r = {.ecx = subleaf & 0xff, .edx = apic_id};
    if (subleaf == 0) {
        r.ebx = 1;
        r.ecx |= 1 << 8; /* SMT */
    } else if (subleaf == 1) {
        r.eax = bits_for(m->cpus);
        r.ebx = m->cpus;
        r.ecx |= 2 << 8; /* core */
    }
    return r;
}

/*
 * Processor Extended State: x87 and SSE in the 512-byte legacy area and the 64-byte header, then
 * the others. Sizes are of what XCR0 (and IA32_XSS) enables now, and of all that XCR0 may enable.
 */
static struct cpuid_regs leaf_d(const struct cpu_model *m, const struct cpu *cpu, uint32_t subleaf)
{
    const uint32_t compacts = 1u << 1 | 1u << 3; /* XSAVEC, XSAVES */
    uint64_t known = cpu_model_xcr0(m);
    uint32_t bits = m->words[CPUID_D1_EAX];
    if (!cpu_model_has(m, CPUID_1_ECX, 26))
        return (struct cpuid_regs){0};
    if (subleaf == 0)
        return (struct cpuid_regs){.eax = (uint32_t)known,
                                   .ebx = xsave_size(cpu->xcr0, false),
                                   .ecx = xsave_size(known, false),
                                   .edx = (uint32_t)(known >> 32)};
    if (subleaf == 1)
        return (struct cpuid_regs){
            .eax = bits, .ebx = bits & compacts ? xsave_size(cpu->xcr0 | cpu->xss, true) : 0};
    if (subleaf >= 64 || !(known >> subleaf & 1))
        return (struct cpuid_regs){0};
    return (struct cpuid_regs){.eax = xsave_component(subleaf).size,
                               .ebx = xsave_component(subleaf).offset};
}

/* Time Stamp Counter and Nominal Core Crystal Clock: TSC = crystal * EBX / EAX. */
static struct cpuid_regs leaf_15(const struct cpu_model *m)
{
    return (struct cpuid_regs){
        .eax = 1, .ebx = (uint32_t)(m->tsc_hz / m->crystal_hz), .ecx = (uint32_t)m->crystal_hz};
}

static struct cpuid_regs leaf_16(const struct cpu_model *m)
{
    uint32_t mhz = (uint32_t)(m->tsc_hz / 1000000);
    return (struct cpuid_regs){.eax = mhz, .ebx = mhz, .ecx = (uint32_t)(m->crystal_hz / 1000000)};
}

/* Structured Extended Feature Flags: sub-leaves 0 to 2. */
static struct cpuid_regs leaf_7(const struct cpu_model *m, const struct cpu *cpu, uint32_t subleaf)
{
    uint32_t ospke = cpu->cr4 & CR4_PKE ? 1u << 4 : 0;
    if (subleaf == 0)
        return (struct cpuid_regs){.eax = 2,
                                   .ebx = m->words[CPUID_7_EBX],
                                   .ecx = m->words[CPUID_7_ECX] | ospke,
                                   .edx = m->words[CPUID_7_EDX]};
    if (subleaf == 1)
        return (struct cpuid_regs){.eax = m->words[CPUID_71_EAX]};
    return (struct cpuid_regs){.edx = subleaf == 2 ? m->words[CPUID_72_EDX] : 0};
}

static struct cpuid_regs basic_leaf(const struct cpu_model *m, const struct cpu *cpu,
                                    uint32_t apic_id, uint32_t leaf, uint32_t subleaf)
{
    bool is_limited = cpu->misc_enable & MISC_ENABLE_LIMIT_CPUID;
    switch (leaf) {
    case 0:
        return (struct cpuid_regs){.eax = is_limited && m->max_leaf > 2 ? 2 : m->max_leaf,
                                   .ebx = chars("Genu"),
                                   .edx = chars("ineI"),
                                   .ecx = chars("ntel")};
    case 1:
        return leaf_1(m, cpu, apic_id);
    case 2:
        return (struct cpuid_regs){.eax = m->leaf2[0], .ebx = m->leaf2[1], .edx = m->leaf2[2]};
    case 4:
        return leaf_4(m, subleaf);
    case 6:
        return (struct cpuid_regs){.eax = m->words[CPUID_6_EAX]};
    case 7:
        return leaf_7(m, cpu, subleaf);
    case 0xa:
        return leaf_a(m);
    case 0xb:
        return leaf_b(m, apic_id, subleaf);
    case 0xd:
        return leaf_d(m, cpu, subleaf);
    case 0x15:
        return leaf_15(m);
    case 0x16:
        return leaf_16(m);
    default:
        return (struct cpuid_regs){0};
    }
}

/* 80000002H-80000004H: 16 characters each, padded with zeros. */
static struct cpuid_regs brand_leaf(const struct cpu_model *m, uint32_t part)
{
    char s[48] = {0};
    memcpy(s, m->brand, strlen(m->brand) < 47 ? strlen(m->brand) : 47);
    const char *p = s + 16 * part;
    return (struct cpuid_regs){chars(p), chars(p + 4), chars(p + 8), chars(p + 12)};
}

static struct cpuid_regs extended_leaf(const struct cpu_model *m, const struct cpu *cpu,
                                       uint32_t leaf)
{
    uint32_t edx = m->words[CPUID_81_EDX];
    switch (leaf) {
    case 0x80000000:
        return (struct cpuid_regs){.eax = m->max_extended};
    case 0x80000001:
        if (cpu->misc_enable & MISC_ENABLE_XD_DISABLE)
            edx &= ~(1u << 20);
        if (!(cpu->efer & EFER_LMA) || !(cpu->seg_attr[SEG_CS] & ATTR_L))
            edx &= ~(1u << 11); /* "Bit 11: SYSCALL/SYSRET" is reported in 64-bit mode only */
        return (struct cpuid_regs){.ecx = m->words[CPUID_81_ECX], .edx = edx};
    case 0x80000002:
    case 0x80000003:
    case 0x80000004:
        return brand_leaf(m, leaf - 0x80000002);
    case 0x80000006:
        return (struct cpuid_regs){.ecx = m->l2};
    case 0x80000007:
        return (struct cpuid_regs){.edx = m->words[CPUID_80000007_EDX]};
    case 0x80000008:
        return (struct cpuid_regs){.eax = m->phys_bits | 48 << 8};
    default:
        return (struct cpuid_regs){0};
    }
}

static struct cpuid_regs hypervisor_leaf(const struct cpu_model *m, uint32_t leaf)
{
    const char *name = m->kvm ? KVM_SIGNATURE : OWN_SIGNATURE;
    uint32_t features = KVM_FEATURES | (m->pv ? KVM_PV_FEATURES : 0);
    switch (leaf) {
    case 0x40000000:
        return (struct cpuid_regs){0x40000010, chars(name), chars(name + 4), chars(name + 8)};
    case 0x40000001:
        return (struct cpuid_regs){.eax = m->kvm ? features : 0};
    case 0x40000010: /* VMware's timing leaf: TSC and APIC bus in kHz */
        return (struct cpuid_regs){.eax = (uint32_t)(m->tsc_hz / 1000),
                                   .ebx = (uint32_t)(m->crystal_hz / 1000)};
    default:
        return (struct cpuid_regs){0};
    }
}

struct cpuid_regs cpuid_query(const struct cpu_model *m, const struct cpu *cpu, uint32_t apic_id,
                              uint32_t leaf, uint32_t subleaf)
{
    bool has_hypervisor = cpu_model_has(m, CPUID_1_ECX, 31);
    if (leaf >= 0x80000000 && leaf <= m->max_extended)
        return extended_leaf(m, cpu, leaf);
    if (has_hypervisor && leaf >= 0x40000000 && leaf <= 0x4fffffff)
        return hypervisor_leaf(m, leaf);
    if (leaf > m->max_leaf)
        leaf = m->max_leaf;
    return basic_leaf(m, cpu, apic_id, leaf, subleaf);
}
