/* SPDX-License-Identifier: MIT */
/* The instructions returns.c looks at, with nothing around them. */
        .text
        .globl  go_iretq, go_iretd, go_iretw, go_lretq, go_lretl, go_lretq16, iretq_insn
        .globl  outer_probe, outer_call, outer_ud, outer_hole, inner_probe, outer_far, go_ds, go_es, go_fs, go_gs

/* void go_xxx(reg_t image): the argument becomes the stack pointer, and that is returned from. */
go_iretq:
        mov     %rdi, %rsp
        mov     go_ds, %ds
        mov     go_es, %es
        mov     go_fs, %fs
        mov     go_gs, %gs
iretq_insn:
        iretq
go_iretd:
        mov     %rdi, %rsp
        iretl
go_iretw:
        mov     %rdi, %rsp
        iretw
go_lretq:
        mov     %rdi, %rsp
        lretq
go_lretl:
        mov     %rdi, %rsp
        lretl
go_lretq16:
        mov     %rdi, %rsp
        lretq   $16

/* Outer code: AX, CX, DX, BX are DS, ES, FS, GS. The bytes mean the same in compatibility mode. */
outer_probe:
        mov     %ds, %eax
        mov     %es, %ecx
        mov     %fs, %edx
        mov     %gs, %ebx
        int     $0x30
outer_call:
        rex.w lcall *outer_far
        int     $0x30
outer_ud:
        ud2
outer_hole:
        mov     %rsp, %rax
        push    %rax
        int     $0x30
inner_probe:
        mov     %ss, %eax
        int     $0x31
        .section .data
        .balign 16
outer_far:
        .quad   0xBADBAD, 0
go_ds:  .quad   0
go_es:  .quad   0
go_fs:  .quad   0
go_gs:  .quad   0
        .section .note.GNU-stack, "", @progbits
