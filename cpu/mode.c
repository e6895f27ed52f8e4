/* SPDX-License-Identifier: MIT */
#include "cpu/mode.h"

#include "cpu/vcpu.h"

/* Limit 4 GiB - 1, and every access that a data segment can be asked for is allowed. */
static bool is_whole(const struct cpu *cpu, unsigned seg)
{
    const uint32_t kind = ATTR_CODE | ATTR_DC | ATTR_RW | ATTR_P | ATTR_S, data = ATTR_RW | ATTR_P | ATTR_S;
    uint32_t mask = ATTR_UNUSABLE | (seg == SEG_CS ? 0 : kind), wanted = seg == SEG_CS ? 0 : data;
    return cpu->seg_limit[seg] == UINT32_MAX && (cpu->seg_attr[seg] & mask) == wanted;
}

/* The same, and base 0. */
static bool is_flat(const struct cpu *cpu, unsigned seg)
{
    return cpu->seg_base[seg] == 0 && is_whole(cpu, seg);
}

static uint32_t segment_bits(const struct cpu *cpu)
{
    uint32_t mode = 0;
    uint32_t cs = cpu->seg_attr[SEG_CS];
    if ((cpu->efer & EFER_LMA) && (cs & ATTR_L))
        return DECODE_64 | MODE_FLAT_ALL;
    mode |= cs & ATTR_DB ? DECODE_32 : DECODE_16;
    mode |= cpu->seg_attr[SEG_SS] & ATTR_DB ? MODE_STACK32 : 0;
    mode |= is_flat(cpu, SEG_CS) ? MODE_FLAT_CS : 0;
    mode |= is_flat(cpu, SEG_SS) ? MODE_FLAT_SS : 0;
    mode |= is_flat(cpu, SEG_DS) ? MODE_FLAT_DS : 0;
    mode |= is_flat(cpu, SEG_ES) ? MODE_FLAT_ES : 0;
    return mode;
}

#define MODE_PRIVILEGE (MODE_VM | MODE_USER | MODE_ALIGN | MODE_TF)

static uint32_t privilege_bits(const struct cpu *cpu)
{
    uint32_t mode = 0;
    bool user = cpu->cpl == 3;
    mode |= cpu->rflags & F_VM ? MODE_VM : 0;
    mode |= user ? MODE_USER : 0;
    mode |= user && (cpu->cr0 & CR0_AM) && (cpu->rflags & F_AC) ? MODE_ALIGN : 0;
    mode |= cpu->rflags & F_TF ? MODE_TF : 0;
    return mode;
}

/* What control and debug registers decide. */
static uint32_t control_bits(const struct cpu *cpu)
{
    uint32_t mode = 0;
    mode |= cpu->cr0 & CR0_PE ? MODE_PE : 0;
    mode |= cpu->cr0 & CR0_EM ? MODE_EM : 0;
    mode |= cpu->cr0 & CR0_TS ? MODE_TS : 0;
    mode |= cpu->cr0 & CR0_MP ? MODE_MP : 0;
    mode |= cpu->cr4 & CR4_OSFXSR ? MODE_OSFXSR : 0;
    mode |= (cpu->cr4 & CR4_OSXSAVE) && (cpu->xcr0 & 6) == 6 ? MODE_AVX : 0;
    mode |= cpu->dr[7] & 0xff ? MODE_BREAK : 0;
    mode |= cpu->efer & EFER_LMA ? MODE_LMA : 0;
    return mode;
}

uint32_t mode_word(const struct cpu *cpu)
{
    return segment_bits(cpu) | privilege_bits(cpu) | control_bits(cpu);
}

static void update_bases(struct vcpu *vcpu)
{
    uint64_t *fast = vcpu->run.seg_base_fast;
    bool is_64 = mode_code(vcpu->run.mode) == DECODE_64;
    for (unsigned seg = 0; seg <= SEG_GS; seg++)
        fast[seg] = is_64 && seg <= SEG_DS ? 0 : vcpu->arch.seg_base[seg];
    for (unsigned seg = 0; seg <= SEG_GS && !is_64; seg++)
        vcpu->run.seg_whole[seg] = is_whole(&vcpu->arch, seg);
    fast[SEG_ZERO] = fast[SEG_ZERO_SS] = 0;
    fast[SEG_ZERO_BIASED] = SEG_BIAS;
    fast[SEG_FS_BIASED] = fast[SEG_FS] + SEG_BIAS;
    fast[SEG_GS_BIASED] = fast[SEG_GS] + SEG_BIAS;
}

/* The view of memory, and who counts, follow the mode word and CPL. */
static void update_privilege(struct vcpu *vcpu)
{
    const struct cpu *cpu = &vcpu->arch;
    uint32_t mode = vcpu->run.mode;
    struct privilege as = {.user = cpu->cpl == 3, .ac = cpu->rflags & F_AC};
    mmu_set_mode(&vcpu->run.mmu, mode, as, mode & (MODE_ALIGN | MODE_BREAK));
    if (unlikely(vcpu->run.pmu.is_user != (cpu->cpl != 0)))
        pmu_cpl_changed(vcpu);
}

void cpu_update_mode(struct vcpu *vcpu)
{
    uint32_t mode = mode_word(&vcpu->arch) | (vcpu->run.mode & MODE_POLICY);
    vcpu->run.mode = mode;
    vcpu->run.la_mask = mode_code(mode) == DECODE_64 ? UINT64_MAX : UINT32_MAX;
    update_bases(vcpu);
    update_privilege(vcpu);
}

static void bias_bases(uint64_t *fast)
{
    fast[SEG_FS_BIASED] = fast[SEG_FS] + SEG_BIAS;
    fast[SEG_GS_BIASED] = fast[SEG_GS] + SEG_BIAS;
}

/* 64-bit mode has no bases but two, and nothing of its segments is in the mode word. */
static void update_in_64(struct vcpu *vcpu)
{
    const struct cpu *cpu = &vcpu->arch;
    uint64_t *fast = vcpu->run.seg_base_fast;
    vcpu->run.mode = (vcpu->run.mode & ~(uint32_t)MODE_PRIVILEGE) | privilege_bits(cpu);
    fast[SEG_FS] = cpu->seg_base[SEG_FS];
    fast[SEG_GS] = cpu->seg_base[SEG_GS];
    bias_bases(fast);
}

/* Neither before nor now. */
static void update_outside_64(struct vcpu *vcpu)
{
    const struct cpu *cpu = &vcpu->arch;
    const uint32_t keep = ~(uint32_t)(MODE_SEGMENTS | MODE_PRIVILEGE);
    vcpu->run.mode = (vcpu->run.mode & keep) | segment_bits(cpu) | privilege_bits(cpu);
    for (unsigned seg = 0; seg <= SEG_GS; seg++) {
        vcpu->run.seg_base_fast[seg] = cpu->seg_base[seg];
        vcpu->run.seg_whole[seg] = is_whole(cpu, seg);
    }
    bias_bases(vcpu->run.seg_base_fast);
}

void cpu_update_transfer(struct vcpu *vcpu)
{
    const struct cpu *cpu = &vcpu->arch;
    bool is_64 = (cpu->efer & EFER_LMA) && (cpu->seg_attr[SEG_CS] & ATTR_L);
    if (unlikely(is_64 != (mode_code(vcpu->run.mode) == DECODE_64))) {
        cpu_update_mode(vcpu);
        return;
    }
    if (is_64)
        update_in_64(vcpu);
    else
        update_outside_64(vcpu);
    update_privilege(vcpu);
}

/* Is what the mode word says of segments as it was? */
static bool is_as_in_mode(const struct vcpu *vcpu, unsigned seg)
{
    uint32_t mode = vcpu->run.mode;
    if (seg >= SEG_FS || (seg != SEG_SS && mode_code(mode) == DECODE_64))
        return true;
    if (seg == SEG_DS)
        return is_flat(&vcpu->arch, seg) == !!(mode & MODE_FLAT_DS);
    if (seg == SEG_ES)
        return is_flat(&vcpu->arch, seg) == !!(mode & MODE_FLAT_ES);
    return segment_bits(&vcpu->arch) == (mode & MODE_SEGMENTS);
}

void cpu_update_segment(struct vcpu *vcpu, unsigned seg)
{
    const struct cpu *cpu = &vcpu->arch;
    uint64_t *fast = vcpu->run.seg_base_fast;
    bool is_64 = mode_code(vcpu->run.mode) == DECODE_64;
    if (!is_as_in_mode(vcpu, seg)) {
        cpu_update_mode(vcpu);
        return;
    }
    if (!is_64)
        vcpu->run.seg_whole[seg] = is_whole(cpu, seg);
    if (!is_64 || seg >= SEG_FS)
        fast[seg] = cpu->seg_base[seg];
    bias_bases(fast);
}

static enum mmu_format paging_format(const struct cpu *cpu)
{
    if (!(cpu->cr0 & CR0_PG))
        return MMU_OFF;
    if (cpu->efer & EFER_LMA)
        return MMU_LEVEL4;
    return cpu->cr4 & CR4_PAE ? MMU_PAE : MMU_LEGACY;
}

void cpu_update_mmu(struct vcpu *vcpu)
{
    const struct cpu *cpu = &vcpu->arch;
    struct mmu_ctx ctx = {
        .guest = {.format = (uint8_t)paging_format(cpu)},
        .nested = {.format = MMU_OFF},
        .wp = cpu->cr0 & CR0_WP,
        .pse = cpu->cr4 & CR4_PSE,
        .nxe = cpu->efer & EFER_NXE,
        .smep = cpu->cr4 & CR4_SMEP,
        .smap = cpu->cr4 & CR4_SMAP,
        .pge1g = vcpu->run.has_1g_pages,
        .maxphyaddr = vcpu->run.phys_bits,
    };
    switch (ctx.guest.format) {
    case MMU_LEGACY:
        ctx.guest.root = cpu->cr3 & 0xfffff000;
        ctx.maxphyaddr = vcpu->run.has_pse36 ? vcpu->run.phys_bits : 32;
        break;
    case MMU_PAE:
        for (int i = 0; i < 4; i++)
            ctx.guest.pdpte[i] = cpu->pdpte[i];
        ctx.guest.root = cpu->cr3 & 0xffffffe0; /* where they were loaded from */
        break;
    case MMU_LEVEL4:
        ctx.guest.root = cpu->cr3 & (low_mask(vcpu->run.phys_bits) & PAGE_MASK);
        ctx.pke = cpu->cr4 & CR4_PKE;
        break;
    default:
        break;
    }
    mmu_set_context(&vcpu->run.mmu, &ctx);
    mmu_set_pkru(&vcpu->run.mmu, cpu->pkru);
    cpu_update_mode(vcpu);
}
