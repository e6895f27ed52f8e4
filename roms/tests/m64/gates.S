/* SPDX-License-Identifier: MIT */
/* What the 64-bit call gate of gates.c leads to; RETF with REX.W as the gate pushed 64-bit words. */
        .text
        .globl  gate64_target
gate64_target:
        mov     %rsp, gate64_rsp
        xor     %eax, %eax
        mov     %cs, %eax
        mov     %rax, gate64_cs
        mov     %ss, %eax
        mov     %rax, gate64_ss
        lretq
        .section .data
        .globl  gate64_rsp, gate64_cs, gate64_ss
        .balign 8
gate64_rsp:
        .quad   0
gate64_cs:
        .quad   0
gate64_ss:
        .quad   0
        .section .note.GNU-stack, "", @progbits
