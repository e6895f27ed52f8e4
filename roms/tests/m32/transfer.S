/* SPDX-License-Identifier: MIT */
/* The instructions transfer.c looks at, with nothing around them. */
        .text
        .globl  go_iret, go_iretw, go_lret, go_lret8, go_lretw, go_segments
        .globl  outer_probe, outer_call, outer_jump, outer_ud, outer_int, inner_probe, outer_end
        .globl  iret_insn, iretw_insn, lret_insn, far_target, outer_params, go_params

/* void go_xxx(reg_t image): the argument becomes the stack pointer, and that is returned from. */
go_iret:
        mov     4(%esp), %esp
iret_insn:
        iret
go_iretw:
        mov     4(%esp), %esp
iretw_insn:
        iretw
go_lret:
        mov     4(%esp), %esp
lret_insn:
        lret
go_lret8:
        mov     4(%esp), %esp
        lret    $8
go_lretw:
        mov     4(%esp), %esp
        lretw

/* The same by IRET with data segments from go_ds, go_es, go_fs, go_gs. */
go_segments:
        mov     4(%esp), %esp
        mov     go_es, %es
        mov     go_fs, %fs
        mov     go_gs, %gs
        mov     go_ds, %ds
        iret

/* What runs at the outer level. */
outer_probe:
        int     $0x30
outer_params:                           /* 31 parameters, the first pushed is 31 */
        mov     $31, %ecx
1:      push    %ecx
        loop    1b
outer_call:
        lcall   *%ss:far_target
outer_end:
        int     $0x30
outer_jump:
        ljmp    *%ss:far_target
outer_ud:
        ud2
outer_int:
        int     $0x40
        int     $0x30

/* What gates lead to: vector 31h shows the stack. On a page boundary, for bases. */
        .balign 4096
inner_probe:
        int     $0x31
        hlt
        .section .data
        .globl  go_ds, go_es, go_fs, go_gs
        .balign 4
far_target:
        .long   0, 0
go_ds:  .long   0
go_es:  .long   0
go_fs:  .long   0
go_gs:  .long   0
        .section .note.GNU-stack, "", @progbits
