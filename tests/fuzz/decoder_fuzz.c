/* SPDX-License-Identifier: MIT */
/* Any bytes, any mode: the decoder ends, reads no further than it may, and its answer is in range.
 * The first byte chooses the mode; the rest is decoded instruction after instruction, as a block
 * builder would. */
#include "decoder/insn.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
    if (!holds)
        abort();
}

static void check_insn(const struct insn *in)
{
    require(in->op != OP_INVALID && in->op < OP_COUNT);
    require(insn_row(in->row) != NULL && insn_row(in->row)->op == in->op);
    require(in->operand_count <= 4);
    require(in->base <= REG_RIP && in->index <= REG_NONE && in->scale <= 3 && in->seg <= SEG_GS);
    require((insn_flags_tested(in) & ~insn_row(in->row)->tested) == 0);
    for (unsigned i = 0; i < in->operand_count; i++)
        require(in->operands[i].kind != OPND_NONE && in->operands[i].reg < 16);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct decoder *d; /* read-only once made; making one per input would be all the work */
    struct insn in;
    if (d == NULL)
        d = decoder_create();
    if (d == NULL || size == 0)
        return 0;
    enum decode_mode mode = (enum decode_mode)(data[0] % 3);
    for (size_t at = 1; at < size;) {
        enum decode_result result = decoder_decode(d, mode, data + at, size - at, &in);
        if (result == DECODE_TRUNCATED) {
            require(size - at < INSN_MAX_LEN);
            break;
        }
        if (result == DECODE_OK)
            check_insn(&in);
        size_t len = result == DECODE_TOO_LONG ? 1 : in.len;
        require(len >= 1 && len <= INSN_MAX_LEN && len <= size - at);
        at += len;
    }
    return 0;
}
