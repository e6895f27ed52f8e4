/* SPDX-License-Identifier: MIT */
/* Room for a vCPU. */
#include "cpu/vcpu.h"

#include <stdlib.h>
#include <string.h>

enum { LINE = 64 }; /* of the host's cache */

struct vcpu *vcpu_alloc(void)
{
    size_t size = VCPU_STACK + sizeof(struct vcpu) + LINE - 1;
    uint8_t *room = aligned_alloc(LINE, size - size % LINE);
    if (!room)
        return NULL;
    static_assert(VCPU_STACK % LINE == 0, "hot fields share a line");
    struct vcpu *vcpu = memset(room + VCPU_STACK, 0, sizeof(*vcpu));
    vcpu->run.jit_host_stack = room;
    return vcpu;
}

void vcpu_free(struct vcpu *vcpu)
{
    if (vcpu)
        free((uint8_t *)vcpu - VCPU_STACK);
}
