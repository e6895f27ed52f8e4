/* SPDX-License-Identifier: MIT */
/* The kernel's side of syscall.c: note what the CPU set up, change RAX, go back. */
        .text
        .globl  syscall_target, sysenter_target
syscall_target:
        mov     %rcx, syscall_rcx
        mov     %r11, syscall_r11
        mov     %rsp, syscall_rsp
        mov     $kernel_stack_top, %rsp
        push    %rax
        pushf
        popq    syscall_flags
        xor     %eax, %eax
        mov     %cs, %eax
        mov     %rax, syscall_cs
        mov     %ss, %eax
        mov     %rax, syscall_ss
        pop     %rax
        inc     %rax
        mov     syscall_rsp, %rsp
        sysretq

sysenter_target:
        mov     %rsp, sysenter_rsp
        push    %rax
        pushf
        popq    sysenter_flags
        xor     %eax, %eax
        mov     %cs, %eax
        mov     %rax, sysenter_cs
        pop     %rax
        add     $2, %rax
        sysexitq                        /* to RDX, with RSP = RCX */

        .section .bss
        .balign 16
        .skip   512
kernel_stack_top:
        .globl  syscall_rcx, syscall_r11, syscall_flags, syscall_cs, syscall_ss, syscall_rsp
        .globl  sysenter_flags, sysenter_cs, sysenter_rsp
syscall_rcx:
        .skip   8
syscall_r11:
        .skip   8
syscall_flags:
        .skip   8
syscall_cs:
        .skip   8
syscall_ss:
        .skip   8
syscall_rsp:
        .skip   8
sysenter_flags:
        .skip   8
sysenter_cs:
        .skip   8
sysenter_rsp:
        .skip   8
        .section .note.GNU-stack, "", @progbits
