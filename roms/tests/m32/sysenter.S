/* SPDX-License-Identifier: MIT */
/* The kernel's side of sysenter.c: note what the CPU set up, EAX + 2, back to EDX with ESP = ECX. */
        .text
        .globl  sysenter_target
sysenter_target:
        mov     %esp, sysenter_esp
        mov     %cs, sysenter_cs
        mov     %ss, sysenter_ss
        pushf
        popl    sysenter_flags
        add     $2, %eax
        sysexit
        .section .bss
        .balign 4
        .globl  sysenter_esp, sysenter_cs, sysenter_ss, sysenter_flags
sysenter_esp:
        .skip   4
sysenter_cs:
        .skip   4
sysenter_ss:
        .skip   4
sysenter_flags:
        .skip   4
        .section .note.GNU-stack, "", @progbits
