/* SPDX-License-Identifier: MIT */
/* The kernel's side of SYSCALL: RAX + 1.  The user's stack is kept; nothing here uses it. */
        .text
        .globl  syscall_entry
syscall_entry:
        inc     %rax
        sysretq
        .section .note.GNU-stack, "", @progbits
