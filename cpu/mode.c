/* SPDX-License-Identifier: MIT */
#include "cpu/mode.h"

#include "cpu/vcpu.h"

/* Limit 4 GiB - 1, and every access that a data segment can be asked for is allowed. */
static bool is_whole(const struct cpu *cpu, unsigned seg)
{
    uint32_t attr = cpu->seg_attr[seg];
    if (cpu->seg_limit[seg] != UINT32_MAX || (attr & ATTR_UNUSABLE))
        return false;
    if (seg == SEG_CS)
        return true;
    return (attr & (ATTR_CODE | ATTR_DC | ATTR_RW | ATTR_P | ATTR_S)) == (ATTR_RW | ATTR_P | ATTR_S);
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

uint32_t mode_word(const struct cpu *cpu)
{
    uint32_t mode = segment_bits(cpu);
    bool user = cpu->cpl == 3;
    mode |= cpu->cr0 & CR0_PE ? MODE_PE : 0;
    mode |= cpu->rflags & F_VM ? MODE_VM : 0;
    mode |= user ? MODE_USER : 0;
    mode |= cpu->cr0 & CR0_EM ? MODE_EM : 0;
    mode |= cpu->cr0 & CR0_TS ? MODE_TS : 0;
    mode |= cpu->cr0 & CR0_MP ? MODE_MP : 0;
    mode |= cpu->cr4 & CR4_OSFXSR ? MODE_OSFXSR : 0;
    mode |= (cpu->cr4 & CR4_OSXSAVE) && (cpu->xcr0 & 6) == 6 ? MODE_AVX : 0;
    mode |= user && (cpu->cr0 & CR0_AM) && (cpu->rflags & F_AC) ? MODE_ALIGN : 0;
    mode |= cpu->rflags & F_TF ? MODE_TF : 0;
    mode |= cpu->dr[7] & 0xff ? MODE_BREAK : 0;
    mode |= cpu->efer & EFER_LMA ? MODE_LMA : 0;
    return mode;
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

void cpu_update_mode(struct vcpu *vcpu)
{
    struct cpu *cpu = &vcpu->arch;
    uint32_t keep = vcpu->run.mode & MODE_POLICY;
    uint32_t mode = mode_word(cpu) | keep;
    vcpu->run.mode = mode;
    vcpu->run.la_mask = mode_code(mode) == DECODE_64 ? UINT64_MAX : UINT32_MAX;
    update_bases(vcpu);
    struct privilege as = {.user = cpu->cpl == 3, .ac = cpu->rflags & F_AC};
    mmu_set_mode(&vcpu->run.mmu, mode);
    mmu_set_privilege(&vcpu->run.mmu, as, mode & (MODE_ALIGN | MODE_BREAK));
    if (unlikely(vcpu->run.pmu.is_user != (cpu->cpl != 0)))
        pmu_cpl_changed(vcpu);
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
    fast[SEG_FS_BIASED] = fast[SEG_FS] + SEG_BIAS;
    fast[SEG_GS_BIASED] = fast[SEG_GS] + SEG_BIAS;
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
