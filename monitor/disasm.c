/* SPDX-License-Identifier: MIT */
#include "monitor/disasm.h"

#include <capstone/capstone.h>
#include <inttypes.h>
#include <stdlib.h>

#include "base/compiler.h"

static const cs_mode modes[] = {[DECODE_16] = CS_MODE_16, [DECODE_32] = CS_MODE_32, [DECODE_64] = CS_MODE_64};

static void print_line(FILE *out, uint64_t address, const uint8_t *code, size_t n, const char *name,
                       const char *operands)
{
    fprintf(out, "  %12" PRIx64 ": ", address);
    for (size_t i = 0; i < n; i++)
        fprintf(out, "%02x", code[i]);
    fprintf(out, "%*s %s%s%s\n", n < 11 ? (int)(22 - 2 * n) : 0, "", name, *operands ? " " : "", operands);
}

void disasm_print(FILE *out, const uint8_t *code, size_t n, uint64_t address, enum decode_mode mode, unsigned most)
{
    csh capstone;
    if (cs_open(CS_ARCH_X86, modes[mode], &capstone) != CS_ERR_OK) {
        print_line(out, address, code, n, "", "");
        return;
    }
    cs_insn *in = cs_malloc(capstone);
    for (unsigned i = 0; in && n > 0 && i < most; i++) {
        const uint8_t *start = code;
        uint64_t at = address;
        if (cs_disasm_iter(capstone, &code, &n, &address, in)) {
            print_line(out, at, start, in->size, in->mnemonic, in->op_str);
        } else {
            print_line(out, at, start, 1, "?", "");
            code++;
            n--;
            address++;
        }
    }
    if (in)
        cs_free(in, 1);
    cs_close(&capstone);
}

/* ---- one at a time ---- */

struct disasm {
    csh capstone[ARRAY_SIZE(modes)]; /* by enum decode_mode; 0: not open */
    cs_insn *insn[ARRAY_SIZE(modes)];
};

struct disasm *disasm_create(void)
{
    struct disasm *d = calloc(1, sizeof(*d));
    for (unsigned i = 0; d && i < ARRAY_SIZE(modes); i++) {
        bool ok = cs_open(CS_ARCH_X86, modes[i], &d->capstone[i]) == CS_ERR_OK;
        if (ok)
            d->insn[i] = cs_malloc(d->capstone[i]);
        if (!d->insn[i]) {
            disasm_destroy(d);
            return NULL;
        }
    }
    return d;
}

void disasm_destroy(struct disasm *d)
{
    for (unsigned i = 0; d && i < ARRAY_SIZE(modes); i++) {
        if (d->insn[i])
            cs_free(d->insn[i], 1);
        if (d->capstone[i])
            cs_close(&d->capstone[i]);
    }
    free(d);
}

bool disasm_text(const struct disasm *d, enum decode_mode mode, const uint8_t *code, size_t n, uint64_t address, char *text, size_t size)
{
    cs_insn *in = d->insn[mode];
    if (!cs_disasm_iter(d->capstone[mode], &code, &n, &address, in))
        return false;
    snprintf(text, size, "%s%s%s", in->mnemonic, *in->op_str ? " " : "", in->op_str);
    return true;
}
