/* SPDX-License-Identifier: MIT */
#include "monitor/disasm.h"

#include <capstone/capstone.h>
#include <inttypes.h>

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
    static const cs_mode modes[] = {[DECODE_16] = CS_MODE_16, [DECODE_32] = CS_MODE_32, [DECODE_64] = CS_MODE_64};
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
