/* SPDX-License-Identifier: MIT */
/* Fast system calls of fastcall.c. Everything lands by vector 31h, whose frame is looked at. */
        .text
        .globl  user_syscall, user_sysenter, user_show, kernel_show, fast_regs, sysret_insn
        .globl  go_sysretq, go_sysretl, go_sysexitq, go_sysexitl

/* void go_xxx(reg_t): RCX, R11, RDX from fast_regs. */
go_sysretq:
        mov     fast_regs, %rcx
        mov     fast_regs + 8, %r11
sysret_insn:
        sysretq
go_sysretl:
        mov     fast_regs, %rcx
        mov     fast_regs + 8, %r11
        sysretl
go_sysexitq:
        mov     fast_regs, %rcx
        mov     fast_regs + 16, %rdx
        sysexitq
go_sysexitl:
        mov     fast_regs, %rcx
        mov     fast_regs + 16, %rdx
        sysexitl

/* Outer code; the bytes mean the same in compatibility mode. */
user_show:
        int     $0x31
        nop
        nop
user_syscall:
        syscall
        int     $0x31
user_sysenter:
        sysenter
        int     $0x31

/* Where LSTAR and IA32_SYSENTER_EIP lead. */
kernel_show:
        int     $0x31

        .section .data
        .balign 8
fast_regs:
        .quad   0, 0, 0
        .section .note.GNU-stack, "", @progbits
