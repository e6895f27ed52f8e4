/* SPDX-License-Identifier: MIT */
/*
 * 8086 programs for vme.c, copied to 7000h and run as segment 700h. Each ends with HLT, which is #GP
 * in virtual-8086 mode: registers and flags are then in the frame.
 */
        .text
        .globl  v86_enter, v86_iret
v86_enter:                              /* void v86_enter(reg_t image); EDX is v86_edx */
        mov     v86_edx, %edx
        mov     4(%esp), %esp
v86_iret:
        iret
        .globl  pvi_cli, pvi_sti, pvi_pushf, pvi_end
pvi_cli:
        cli
        hlt
pvi_sti:
        sti
        hlt
pvi_pushf:
        pushf
        pop     %eax
        hlt
pvi_end:

        .section .data
        .globl  v86_code, v86_code_end, v86_edx
        .balign 4
v86_edx:
        .long   0
        .code16
        .balign 16
        .macro  PROGRAM name
        .globl  \name
\name:
        .endm
v86_code:
PROGRAM v86_hlt
        hlt
PROGRAM v86_int
        int     $0x60
        hlt
PROGRAM v86_cd3
        .byte   0xCD, 3
        hlt
PROGRAM v86_int3
        int3
        hlt
PROGRAM v86_into
        mov     $0x7F, %al
        inc     %al
        into
        hlt
PROGRAM v86_handler                     /* AX, BX, CX: IP, CS, FLAGS as pushed */
        mov     %sp, %bp
        mov     (%bp), %ax
        mov     2(%bp), %bx
        mov     4(%bp), %cx
PROGRAM v86_handler_hlt
        hlt
PROGRAM v86_cli
        cli
        hlt
PROGRAM v86_sti
        sti
        hlt
PROGRAM v86_pushf
        pushf
        pop     %ax
        hlt
PROGRAM v86_pushfl
        pushfl
        hlt
PROGRAM v86_popf                        /* DX: the flags */
        push    %dx
        popf
        hlt
PROGRAM v86_popfl
        pushl   %edx
v86_popfl_insn:
        popfl
        hlt
PROGRAM v86_do_iret                     /* DX: the flags */
        push    %dx
        push    %cs
        push    $1f - v86_code
v86_iret_insn:
        iret
1:      hlt
PROGRAM v86_iretl
        iretl
PROGRAM v86_in8
        in      %dx, %al
        hlt
PROGRAM v86_in16
        in      %dx, %ax
        hlt
PROGRAM v86_in32
        in      %dx, %eax
        hlt
PROGRAM v86_insb
        insb
        hlt
PROGRAM v86_word
        mov     $0xFFFF, %bx
v86_word_insn:
        mov     (%bx), %ax
        hlt
PROGRAM v86_stack_word
        mov     $0xFFFF, %bp
v86_stack_word_insn:
        mov     (%bp), %ax
        hlt
PROGRAM v86_wide
        mov     $0x10000, %ebx
v86_wide_insn:
        mov     (%ebx), %al
        hlt
        .globl  v86_popfl_insn, v86_iret_insn, v86_word_insn, v86_stack_word_insn, v86_wide_insn
PROGRAM v86_privileged                  /* each 8 bytes: #GP(0) */
        lgdt    0
        .balign 8, 0xF4
        lidt    0
        .balign 8, 0xF4
        lmsw    %ax
        .balign 8, 0xF4
        clts
        .balign 8, 0xF4
        mov     %cr0, %eax
        .balign 8, 0xF4
        mov     %eax, %cr3
        .balign 8, 0xF4
        mov     %dr7, %eax
        .balign 8, 0xF4
        wbinvd
        .balign 8, 0xF4
        invlpg  0
        .balign 8, 0xF4
        rdmsr
        .balign 8, 0xF4
PROGRAM v86_unknown                     /* #UD */
        lldt    %ax
        .balign 8, 0xF4
        ltr     %ax
        .balign 8, 0xF4
        sldt    %ax
        .balign 8, 0xF4
        str     %ax
        .balign 8, 0xF4
        lar     %ax, %bx
        .balign 8, 0xF4
        lsl     %ax, %bx
        .balign 8, 0xF4
        verr    %ax
        .balign 8, 0xF4
        verw    %ax
        .balign 8, 0xF4
        arpl    %ax, %bx
        .balign 8, 0xF4
PROGRAM v86_allowed                     /* nothing happens */
        smsw    %ax
        .balign 8, 0xF4
        sgdt    0x800
        .balign 8, 0xF4
        sidt    0x800
        .balign 8, 0xF4
PROGRAM v86_allowed_end
v86_code_end:
        .section .note.GNU-stack, "", @progbits
