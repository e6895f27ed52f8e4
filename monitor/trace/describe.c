/* SPDX-License-Identifier: MIT */
#include "monitor/trace/describe.h"

#include <string.h>

#include "cpu/mode.h"
#include "monitor/policy.h"

/* ---- code ---- */

/* Physical address of a byte to fetch: by the fetch array, where the engine has been, or else by the tables. */
static bool find_code(struct vcpu *vcpu, laddr la, paddr *pa)
{
    const struct vtlb_view *view = &vcpu->run.mmu.view;
    const struct vtlb_entry *e = vtlb_entry_at(view->fetch, view->fetch_mask, la);
    if (e->tag == (la & PAGE_MASK)) {
        *pa = la + e->addend;
        return true;
    }
    return mmu_peek(&vcpu->run.mmu, la, pa);
}

size_t describe_code(struct vcpu *vcpu, uint64_t rip, uint8_t *bytes, size_t most)
{
    size_t done = 0;
    while (done < most) {
        laddr la = (vcpu->run.seg_base_fast[SEG_CS] + rip + done) & vcpu->run.la_mask;
        size_t n = (size_t)(PAGE_SIZE - la % PAGE_SIZE);
        paddr pa;
        n = n < most - done ? n : most - done;
        if (!find_code(vcpu, la, &pa) || !physmem_is_ram(vcpu->run.pm, pa) || !physmem_read(vcpu->run.pm, pa, bytes + done, n))
            break;
        done += n;
    }
    return done;
}

bool describe_decode(const struct vcpu *vcpu, const uint8_t *bytes, size_t n, struct insn *in)
{
    return n > 0 && decoder_decode(vcpu->run.decoder, mode_code(vcpu->run.mode), bytes, n < INSN_MAX_LEN ? n : INSN_MAX_LEN, in) == DECODE_OK;
}

enum trapline_cpu_mode describe_mode(const struct cpu *cpu)
{
    uint32_t attr = cpu->seg_attr[SEG_CS];
    if (!(cpu->cr0 & CR0_PE))
        return TRAPLINE_MODE_REAL;
    if (cpu->rflags & F_VM)
        return TRAPLINE_MODE_VM86;
    if ((cpu->efer & EFER_LMA) && (attr & ATTR_L))
        return TRAPLINE_MODE_LONG64;
    return attr & ATTR_DB ? TRAPLINE_MODE_PROT32 : TRAPLINE_MODE_PROT16;
}

enum decode_mode describe_code_size(enum trapline_cpu_mode mode)
{
    return mode == TRAPLINE_MODE_LONG64 ? DECODE_64 : mode == TRAPLINE_MODE_PROT32 ? DECODE_32 : DECODE_16;
}

/* ---- instructions ---- */

enum trapline_flow describe_flow(unsigned op)
{
    switch (op) {
    case OP_JCC:
    case OP_LOOP:
    case OP_LOOPE:
    case OP_LOOPNE:
    case OP_JRCXZ:
    case OP_JMP_NEAR:
    case OP_JMP_NEAR_IND:
    case OP_JMP_FAR:
    case OP_JMP_FAR_IND:
        return TRAPLINE_FLOW_JUMP;
    case OP_CALL_NEAR:
    case OP_CALL_NEAR_IND:
    case OP_CALL_FAR:
    case OP_CALL_FAR_IND:
        return TRAPLINE_FLOW_CALL;
    case OP_RET_NEAR:
    case OP_RET_FAR:
        return TRAPLINE_FLOW_RETURN;
    case OP_INT:
    case OP_INT1:
    case OP_INT3:
    case OP_INTO:
    case OP_SYSCALL:
    case OP_SYSENTER:
        return TRAPLINE_FLOW_ENTER;
    case OP_IRET:
    case OP_SYSRET:
    case OP_SYSEXIT:
        return TRAPLINE_FLOW_LEAVE;
    default:
        return TRAPLINE_FLOW_NEXT;
    }
}

void describe_insn(struct trapline_step *s, const struct insn *in, bool is_taken)
{
    const struct insn_desc *d = insn_row(in->row);
    s->name = d->name;
    s->sensitivity = d->sensitivity;
    s->what = policy_class(in->row);
    s->flow = is_taken ? describe_flow(in->op) : TRAPLINE_FLOW_NEXT;
}

/* ---- what it was about ---- */

static void set_value(struct trapline_step *s, uint64_t address, uint64_t value, unsigned width)
{
    s->has_value = true;
    s->address = address;
    s->width = width;
    s->value = width < 8 ? value & low_mask(8 * width) : value;
}

static void describe_port(struct trapline_step *s, const struct insn *in, const struct cpu *before, uint64_t value)
{
    bool is_immediate = in->opcode < 0xec; /* E4-E7; EC-EF take DX */
    unsigned width = !(in->opcode & 1) ? 1 : in->opsize == 2 ? 2 : 4;
    set_value(s, is_immediate ? in->imm & 0xff : before->gpr[REG_RDX] & 0xffff, value, width);
}

static uint64_t edx_eax(const struct cpu *cpu)
{
    return cpu->gpr[REG_RDX] << 32 | (uint32_t)cpu->gpr[REG_RAX];
}

void describe_value(struct trapline_step *s, const struct insn *in, const struct cpu *before, const struct cpu *after)
{
    switch (in->op) {
    case OP_IN:
        describe_port(s, in, before, after->gpr[REG_RAX]);
        break;
    case OP_OUT:
        describe_port(s, in, before, before->gpr[REG_RAX]);
        break;
    case OP_RDMSR:
        set_value(s, (uint32_t)before->gpr[REG_RCX], edx_eax(after), 8);
        break;
    case OP_WRMSR:
        set_value(s, (uint32_t)before->gpr[REG_RCX], edx_eax(before), 8);
        break;
    default:
        break;
    }
}

/* ---- changes ---- */

static const char *field_name(const struct field *f, unsigned i, unsigned *count)
{
    static const char *const gpr[] = {"rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi",
                                      "r8",  "r9",  "r10", "r11", "r12", "r13", "r14", "r15"};
    static const char *const sel[] = {"es", "cs", "ss", "ds", "fs", "gs", "ldtr", "tr"};
    *count = 1;
    if (f->offset == offsetof(struct cpu, gpr))
        return gpr[i];
    if (f->offset == offsetof(struct cpu, seg_sel))
        return sel[i];
    *count = f->count;
    return f->name;
}

/* Where the run is, not what the instruction changed. */
static bool is_position(const struct field *f)
{
    return f->offset == offsetof(struct cpu, rip) || f->offset == offsetof(struct cpu, ticks) ||
           f->offset == offsetof(struct cpu, retired);
}

unsigned describe_changes(const struct cpu *before, const struct cpu *after, struct trapline_change *changes, unsigned most)
{
    unsigned n = 0;
    for (const struct field *f = cpu_fields; f->name; f++) {
        const uint8_t *a = (const uint8_t *)before + f->offset, *b = (const uint8_t *)after + f->offset;
        if (memcmp(a, b, (size_t)f->size * f->count) == 0 || is_position(f))
            continue;
        for (unsigned i = 0; i < f->count; i++) {
            uint64_t x = field_get(f, before, i), y = field_get(f, after, i);
            if (x == y)
                continue;
            if (n < most) {
                struct trapline_change *c = &changes[n];
                *c = (struct trapline_change){.index = i, .before = x, .after = y};
                c->name = field_name(f, i, &c->count);
            }
            n++;
        }
    }
    return n;
}
