/* SPDX-License-Identifier: MIT */
/*
 * FNSTENV, FLDENV, FNSAVE, FRSTOR: the environment in its four formats. SDM Vol. 1, "Saving the x87
 * FPU's State with FSTENV/FNSTENV and FSAVE/FNSAVE", and the figures there. Real mode and
 * virtual-8086 mode keep linear addresses.
 */
#include "cpu/interp/x87.h"

#include "cpu/segment.h"

enum { ENV16_SIZE = 14, ENV32_SIZE = 28, REGS_SIZE = 80 };

static bool is_real_format(const struct vcpu *vcpu)
{
    return (vcpu->run.mode & (MODE_PE | MODE_VM)) != MODE_PE;
}

static unsigned env_size(const struct rec *rec)
{
    return rec->imm & X87_ENV32 ? ENV32_SIZE : ENV16_SIZE;
}

/* ---- tags ---- */

/* The two bits that the full tag word has for a register: 0 valid, 1 zero, 2 special, 3 empty. */
static unsigned full_tag(const struct cpu *cpu, unsigned r)
{
    unsigned exponent = cpu->fp_se[r] & 0x7fff;
    if (!(cpu->ftw >> r & 1))
        return 3;
    if (exponent == 0 && cpu->fp_mant[r] == 0)
        return 1;
    return exponent == 0 || exponent == 0x7fff || !(cpu->fp_mant[r] >> 63) ? 2 : 0;
}

static uint16_t tag_word(const struct cpu *cpu)
{
    unsigned tags = 0;
    for (unsigned r = 0; r < 8; r++)
        tags |= full_tag(cpu, r) << 2 * r;
    return (uint16_t)tags;
}

/* Only empty or not is kept: the rest is found again from the contents. */
static void set_tag_word(struct cpu *cpu, unsigned tags)
{
    cpu->ftw = 0;
    for (unsigned r = 0; r < 8; r++)
        if ((tags >> 2 * r & 3) != 3)
            cpu->ftw |= (uint8_t)(1u << r);
}

/* ---- formats ---- */

/* A pointer as real mode keeps it. */
static uint32_t real_pointer(uint16_t sel, uint64_t offset)
{
    return ((uint32_t)sel << 4) + (uint32_t)offset;
}

static void put_pointers32(const struct vcpu *vcpu, uint8_t *buf)
{
    const struct cpu *cpu = &vcpu->arch;
    if (is_real_format(vcpu)) {
        uint32_t ip = real_pointer(cpu->fcs, cpu->fip), dp = real_pointer(cpu->fds, cpu->fdp);
        le32_store(buf + 12, 0xffff0000 | ip);
        le32_store(buf + 16, (ip >> 16) << 12 | cpu->fop);
        le32_store(buf + 20, 0xffff0000 | dp);
        le32_store(buf + 24, (dp >> 16) << 12);
    } else {
        le32_store(buf + 12, (uint32_t)cpu->fip);
        le32_store(buf + 16, cpu->fcs | (uint32_t)cpu->fop << 16);
        le32_store(buf + 20, (uint32_t)cpu->fdp);
        le32_store(buf + 24, 0xffff0000 | cpu->fds);
    }
}

static void put_pointers16(const struct vcpu *vcpu, uint8_t *buf)
{
    const struct cpu *cpu = &vcpu->arch;
    if (is_real_format(vcpu)) {
        uint32_t ip = real_pointer(cpu->fcs, cpu->fip), dp = real_pointer(cpu->fds, cpu->fdp);
        le16_store(buf + 6, (uint16_t)ip);
        le16_store(buf + 8, (uint16_t)((ip >> 16) << 12 | cpu->fop));
        le16_store(buf + 10, (uint16_t)dp);
        le16_store(buf + 12, (uint16_t)((dp >> 16) << 12));
    } else {
        le16_store(buf + 6, (uint16_t)cpu->fip);
        le16_store(buf + 8, cpu->fcs);
        le16_store(buf + 10, (uint16_t)cpu->fdp);
        le16_store(buf + 12, cpu->fds);
    }
}

/* Reserved halves of the 32-bit format are ones. */
static void put_env(const struct vcpu *vcpu, const struct rec *rec, uint8_t *buf)
{
    const struct cpu *cpu = &vcpu->arch;
    if (rec->imm & X87_ENV32) {
        le32_store(buf, 0xffff0000 | cpu->fcw);
        le32_store(buf + 4, 0xffff0000 | cpu->fsw);
        le32_store(buf + 8, 0xffff0000 | tag_word(cpu));
        put_pointers32(vcpu, buf);
    } else {
        le16_store(buf, cpu->fcw);
        le16_store(buf + 2, cpu->fsw);
        le16_store(buf + 4, tag_word(cpu));
        put_pointers16(vcpu, buf);
    }
}

/* Real formats hold no selector: the linear address becomes the offset. */
static void get_pointers32(struct vcpu *vcpu, const uint8_t *buf)
{
    struct cpu *cpu = &vcpu->arch;
    if (is_real_format(vcpu)) {
        cpu->fip = le16_load(buf + 12) | (le32_load(buf + 16) >> 12 & 0xffff) << 16;
        cpu->fdp = le16_load(buf + 20) | (le32_load(buf + 24) >> 12 & 0xffff) << 16;
        cpu->fop = le16_load(buf + 16) & X87_FOP;
        cpu->fcs = cpu->fds = 0;
    } else {
        cpu->fip = le32_load(buf + 12);
        cpu->fcs = le16_load(buf + 16);
        cpu->fop = le16_load(buf + 18) & X87_FOP;
        cpu->fdp = le32_load(buf + 20);
        cpu->fds = le16_load(buf + 24);
    }
}

/* The 16-bit protected format has no opcode: FOP becomes 0. */
static void get_pointers16(struct vcpu *vcpu, const uint8_t *buf)
{
    struct cpu *cpu = &vcpu->arch;
    if (is_real_format(vcpu)) {
        cpu->fip = le16_load(buf + 6) | (uint32_t)(le16_load(buf + 8) >> 12) << 16;
        cpu->fdp = le16_load(buf + 10) | (uint32_t)(le16_load(buf + 12) >> 12) << 16;
        cpu->fop = le16_load(buf + 8) & X87_FOP;
        cpu->fcs = cpu->fds = 0;
    } else {
        cpu->fip = le16_load(buf + 6);
        cpu->fcs = le16_load(buf + 8);
        cpu->fdp = le16_load(buf + 10);
        cpu->fds = le16_load(buf + 12);
        cpu->fop = 0;
    }
}

static void get_env(struct vcpu *vcpu, const struct rec *rec, const uint8_t *buf)
{
    bool is_wide = rec->imm & X87_ENV32;
    x87_set_fcw(vcpu, le16_load(buf));
    vcpu->arch.fsw = le16_load(buf + (is_wide ? 4 : 2));
    set_tag_word(&vcpu->arch, le16_load(buf + (is_wide ? 8 : 4)));
    if (is_wide)
        get_pointers32(vcpu, buf);
    else
        get_pointers16(vcpu, buf);
    x87_summarize(vcpu);
}

/* ---- instructions ---- */

/* FNSTENV: then all exceptions are masked. */
static NOINLINE bool store_env(struct vcpu *vcpu, const struct rec *rec)
{
    uint8_t buf[ENV32_SIZE];
    struct linear at = x87_la(vcpu, rec, env_size(rec), ACCESS_WRITE);
    put_env(vcpu, rec, buf);
    if (!at.ok || !mem_write_bytes(vcpu, rec, at.la, buf, env_size(rec)))
        return false;
    vcpu->arch.fcw |= FSW_EXCEPTIONS;
    x87_summarize(vcpu);
    return true;
}

static NOINLINE bool load_env(struct vcpu *vcpu, const struct rec *rec)
{
    uint8_t buf[ENV32_SIZE];
    struct linear at = x87_la(vcpu, rec, env_size(rec), ACCESS_READ);
    if (!at.ok || !mem_read_bytes(vcpu, rec, at.la, buf, env_size(rec)))
        return false;
    get_env(vcpu, rec, buf);
    return true;
}

/* FNSAVE: the environment, ST(0) to ST(7) in that order, then as FNINIT. */
static NOINLINE bool save(struct vcpu *vcpu, const struct rec *rec)
{
    uint8_t buf[ENV32_SIZE + REGS_SIZE];
    unsigned env = env_size(rec);
    struct linear at = x87_la(vcpu, rec, env + REGS_SIZE, ACCESS_WRITE);
    put_env(vcpu, rec, buf);
    for (unsigned i = 0; i < 8; i++) {
        struct f80 v = st_get(vcpu, i);
        le64_store(buf + env + 10 * i, v.mant);
        le16_store(buf + env + 10 * i + 8, v.se);
    }
    if (!at.ok || !mem_write_bytes(vcpu, rec, at.la, buf, env + REGS_SIZE))
        return false;
    x87_init(vcpu);
    return true;
}

static NOINLINE bool restore(struct vcpu *vcpu, const struct rec *rec)
{
    uint8_t buf[ENV32_SIZE + REGS_SIZE];
    unsigned env = env_size(rec);
    struct linear at = x87_la(vcpu, rec, env + REGS_SIZE, ACCESS_READ);
    if (!at.ok || !mem_read_bytes(vcpu, rec, at.la, buf, env + REGS_SIZE))
        return false;
    get_env(vcpu, rec, buf);
    for (unsigned i = 0; i < 8; i++) {
        unsigned r = st_reg(vcpu, i);
        vcpu->arch.fp_mant[r] = le64_load(buf + env + 10 * i);
        vcpu->arch.fp_se[r] = le16_load(buf + env + 10 * i + 8);
    }
    return true;
}

X87_EXEC_NOWAIT(fnstenv, store_env)
X87_EXEC(fldenv, load_env)
X87_EXEC_NOWAIT(fnsave, save)
X87_EXEC(frstor, restore)

const struct x87_row x87_env_rows[] = {
    {OP_FNSTENV, NULL, exec_fnstenv, 0, 0}, {OP_FLDENV, NULL, exec_fldenv, 0, 0},
    {OP_FNSAVE, NULL, exec_fnsave, 0, 0},   {OP_FRSTOR, NULL, exec_frstor, 0, 0},
    {OP_INVALID, NULL, NULL, 0, 0},
};
