/* SPDX-License-Identifier: MIT */
#include "cpu/debug.h"

enum { DR7_RW_EXECUTE = 0, DR7_RW_WRITE = 1, DR7_RW_IO = 2, DR7_RW_ACCESS = 3 };

static bool is_enabled(uint64_t dr7, unsigned i)
{
    return dr7 >> (2 * i) & 3;
}

static unsigned rw_field(uint64_t dr7, unsigned i)
{
    return dr7 >> (16 + 4 * i) & 3;
}

/* LEN field: 00 1 byte, 01 2, 11 4, 10 8. */
static unsigned len_field(uint64_t dr7, unsigned i)
{
    static const uint8_t bytes[4] = {1, 2, 8, 4};
    return bytes[dr7 >> (18 + 4 * i) & 3];
}

uint64_t debug_insn_match(const struct cpu *cpu, laddr la)
{
    uint64_t match = 0;
    for (unsigned i = 0; i < 4; i++)
        if (is_enabled(cpu->dr[7], i) && rw_field(cpu->dr[7], i) == DR7_RW_EXECUTE && cpu->dr[i] == la)
            match |= BIT(i);
    return match;
}

static bool overlaps(const struct cpu *cpu, unsigned i, uint64_t at, size_t len)
{
    uint64_t size = len_field(cpu->dr[7], i);
    uint64_t start = cpu->dr[i] & ~(size - 1);
    return at < start + size && start < at + len;
}

void debug_data_access(struct vcpu *vcpu, laddr la, size_t len, bool is_write)
{
    struct cpu *cpu = &vcpu->arch;
    uint64_t match = 0;
    for (unsigned i = 0; i < 4; i++) {
        unsigned rw = rw_field(cpu->dr[7], i);
        bool kind = rw == DR7_RW_ACCESS || (rw == DR7_RW_WRITE && is_write);
        if (is_enabled(cpu->dr[7], i) && kind && overlaps(cpu, i, la, len))
            match |= BIT(i);
    }
    if (match) {
        cpu->pending_db |= match;
        cpu_request_break(vcpu);
    }
}

uint64_t debug_io_match(const struct cpu *cpu, uint16_t port, unsigned size)
{
    uint64_t match = 0;
    for (unsigned i = 0; i < 4; i++)
        if (is_enabled(cpu->dr[7], i) && rw_field(cpu->dr[7], i) == DR7_RW_IO &&
            overlaps(cpu, i, port, size))
            match |= BIT(i);
    return match;
}
