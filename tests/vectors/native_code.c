/* SPDX-License-Identifier: MIT */
/*
 * All moves to and from memory here are RIP-relative and change no flag, so that the last register
 * and the flags can be loaded and the first one saved. native_page+x is offset x of
 * struct native_data.
 */
#include "tests/vectors/native_code.h"

/* clang-format off */
__asm__(
    ".pushsection .text\n"
    ".balign 64\n"
    ".globl native_code_begin, native_code_end, native_code_enter, native_code_land, native_code_abort\n"
    ".set native_page, native_code_begin + 4096\n"
    "native_code_begin:\n"

    "native_code_enter:\n"
    "    push %rbx\n push %rbp\n push %r12\n push %r13\n push %r14\n push %r15\n"
    "    mov %rsp, native_page+0xb8(%rip)\n"
    "    mov native_page+0xd4(%rip), %eax\n xor %edx, %edx\n"
    "    xrstor64 native_page+0x200(%rip)\n"
    "    mov native_page+0xd0(%rip), %eax\n"
    "    cmp $1, %eax\n je 1f\n ja 2f\n"
    /* 64-bit code: bases, no selectors */
    "    mov native_page+0xa8(%rip), %rax\n wrfsbase %rax\n"
    "    mov native_page+0xb0(%rip), %rax\n wrgsbase %rax\n"
    "    pushq native_page+0x80(%rip)\n popfq\n"
    "    mov native_page+0x40(%rip), %r8\n mov native_page+0x48(%rip), %r9\n"
    "    mov native_page+0x50(%rip), %r10\n mov native_page+0x58(%rip), %r11\n"
    "    mov native_page+0x60(%rip), %r12\n mov native_page+0x68(%rip), %r13\n"
    "    mov native_page+0x70(%rip), %r14\n mov native_page+0x78(%rip), %r15\n"
    "    mov native_page+0x00(%rip), %rax\n mov native_page+0x08(%rip), %rcx\n"
    "    mov native_page+0x10(%rip), %rdx\n mov native_page+0x18(%rip), %rbx\n"
    "    mov native_page+0x28(%rip), %rbp\n mov native_page+0x30(%rip), %rsi\n"
    "    mov native_page+0x38(%rip), %rdi\n mov native_page+0x20(%rip), %rsp\n"
    "    jmp *native_page+0x88(%rip)\n"
    /* segmented */
    "2:  mov native_page+0x96(%rip), %es\n mov native_page+0x9a(%rip), %ss\n"
    "    mov native_page+0x9c(%rip), %ds\n mov native_page+0x9e(%rip), %fs\n"
    "    mov native_page+0xa0(%rip), %gs\n"
    /* 32-bit code: the upper registers can't be seen */
    "1:  xor %r8d, %r8d\n mov %r8, %r9\n mov %r8, %r10\n mov %r8, %r11\n"
    "    mov %r8, %r12\n mov %r8, %r13\n mov %r8, %r14\n mov %r8, %r15\n"
    "    pushq native_page+0x80(%rip)\n popfq\n"
    "    mov native_page+0x00(%rip), %rax\n mov native_page+0x08(%rip), %rcx\n"
    "    mov native_page+0x10(%rip), %rdx\n mov native_page+0x18(%rip), %rbx\n"
    "    mov native_page+0x28(%rip), %rbp\n mov native_page+0x30(%rip), %rsi\n"
    "    mov native_page+0x38(%rip), %rdi\n mov native_page+0x20(%rip), %rsp\n"
    "    ljmp *native_page+0x90(%rip)\n"

    "native_code_land:\n"
    "    mov %rax, native_page+0x100(%rip)\n mov %rcx, native_page+0x108(%rip)\n"
    "    mov %rdx, native_page+0x110(%rip)\n mov %rbx, native_page+0x118(%rip)\n"
    "    mov %rsp, native_page+0x120(%rip)\n mov %rbp, native_page+0x128(%rip)\n"
    "    mov %rsi, native_page+0x130(%rip)\n mov %rdi, native_page+0x138(%rip)\n"
    "    mov %r8, native_page+0x140(%rip)\n mov %r9, native_page+0x148(%rip)\n"
    "    mov %r10, native_page+0x150(%rip)\n mov %r11, native_page+0x158(%rip)\n"
    "    mov %r12, native_page+0x160(%rip)\n mov %r13, native_page+0x168(%rip)\n"
    "    mov %r14, native_page+0x170(%rip)\n mov %r15, native_page+0x178(%rip)\n"
    "    mov native_page+0xb8(%rip), %rsp\n"
    "    pushfq\n popq native_page+0x180(%rip)\n"
    "    pushq $0x202\n popfq\n"
    "    rdfsbase %rax\n mov %rax, native_page+0x188(%rip)\n"
    "    rdgsbase %rax\n mov %rax, native_page+0x190(%rip)\n"
    "    mov native_page+0xd0(%rip), %eax\n test %eax, %eax\n jz 4f\n"
    "    mov %es, native_page+0x198(%rip)\n mov %ss, native_page+0x19c(%rip)\n"
    "    mov %ds, native_page+0x19e(%rip)\n mov %fs, native_page+0x1a0(%rip)\n"
    "    mov %gs, native_page+0x1a2(%rip)\n"
    "    mov $0x2b, %eax\n mov %eax, %es\n mov %eax, %ss\n mov %eax, %ds\n"
    "    xor %eax, %eax\n mov %eax, %fs\n mov %eax, %gs\n"
    "4:  mov native_page+0xc0(%rip), %rax\n wrfsbase %rax\n"
    "    mov native_page+0xc8(%rip), %rax\n wrgsbase %rax\n"
    "    mov native_page+0xd4(%rip), %eax\n xor %edx, %edx\n"
    "    xsave64 native_page+0x600(%rip)\n"
    "    test $4, %al\n jz 5f\n vzeroupper\n"
    "5:  fninit\n ldmxcsr native_page+0xd8(%rip)\n"
    "native_code_abort:\n"
    "    pop %r15\n pop %r14\n pop %r13\n pop %r12\n pop %rbp\n pop %rbx\n ret\n"
    "native_code_end:\n"
    ".popsection\n");
/* clang-format on */
