/* SPDX-License-Identifier: MIT */
/*
 * From the loader's 32-bit protected mode to guest_start(): stays there (compiled with -m32), or
 * goes on to 64-bit mode (-m64) by SDM Vol. 3A, "Initializing IA-32e Mode". The other CPUs come from
 * real mode by the trampoline at the end, which smp.c copies below 1 MiB.
 */
        .section .boot.header, "a"
        .balign 4
        .long   0x1BADB002              /* Multiboot header: magic, flags, checksum */
        .long   3                       /* modules on page boundaries, memory information */
        .long   -(0x1BADB002 + 3)

/* The PVH entry point for loaders that know no Multiboot; the entry state is the same but for EAX. */
        .section .note.pvh, "a", @note
        .balign 4
        .long   4, 4, 18                /* name size, value size, XEN_ELFNOTE_PHYS32_ENTRY */
        .ascii  "Xen\0"
        .long   boot_entry

        .section .boot, "ax"
        .code32
        .globl  boot_entry
boot_entry:
        cli
        cld
        movl    %eax, boot_magic
        movl    %ebx, boot_info
        movl    $boot_stack_top, %esp
        lgdt    boot_gdtr
        movl    $0x10, %eax
        movl    %eax, %ds
        movl    %eax, %es
        movl    %eax, %ss
        xorl    %eax, %eax
        movl    %eax, %fs
        movl    %eax, %gs
#ifdef __x86_64__
        call    make_page_tables
        call    enable_long_mode
        ljmp    $0x18, $1f
        .code64
1:      movl    $boot_stack_top, %esp   /* the upper half becomes zero */
        xorl    %ebp, %ebp
        call    guest_start
        .code32

/* PML4 -> PDPT -> 4 page directories of 2 MiB pages: the first 4 GiB one to one, P RW US PS. */
make_page_tables:
        movl    $boot_pdpt + 7, boot_pml4
        movl    $boot_pd + 7, %eax
        movl    $boot_pdpt, %edi
        movl    $4, %ecx
1:      movl    %eax, (%edi)
        addl    $4096, %eax
        addl    $8, %edi
        loop    1b
        movl    $0x87, %eax
        movl    $boot_pd, %edi
        movl    $2048, %ecx
1:      movl    %eax, (%edi)
        addl    $0x200000, %eax
        addl    $8, %edi
        loop    1b
        ret

enable_long_mode:
        movl    $0x20, %eax             /* CR4.PAE */
        movl    %eax, %cr4
        movl    $boot_pml4, %eax
        movl    %eax, %cr3
        movl    $0xC0000080, %ecx       /* IA32_EFER */
        rdmsr
        orl     $0x901, %eax            /* LME, NXE, SCE */
        wrmsr
        movl    $0x80010031, %eax       /* PG WP NE ET PE */
        movl    %eax, %cr0
        ret
#else
        ljmp    $0x08, $1f
1:      movl    $0x00000031, %eax       /* NE ET PE */
        movl    %eax, %cr0
        xorl    %ebp, %ebp
        call    guest_start
#endif

/* Another CPU, in 32-bit protected mode on the boot GDT: a number and a stack of its own. */
        .globl  ap_entry32
ap_entry32:
        movl    $0x10, %eax
        movl    %eax, %ds
        movl    %eax, %es
        movl    %eax, %ss
        movl    $1, %ebx
        lock xaddl %ebx, ap_next        /* EBX: 1, 2, ... */
        movl    %ebx, %esp
        shll    $13, %esp
        addl    $ap_stacks, %esp        /* CPU n: from ap_stacks + n * 8 KiB downwards */
#ifdef __x86_64__
        call    enable_long_mode
        ljmp    $0x18, $1f
        .code64
1:      movl    %esp, %esp
        movl    %ebx, %edi
        call    ap_start
        .code32
#else
        movl    $0x00000031, %eax
        movl    %eax, %cr0
        pushl   %ebx
        call    ap_start
#endif

/* Copied to a page below 1 MiB: addresses are relative to CS = the page's paragraph. */
        .section .rodata
        .globl  ap_trampoline, ap_trampoline_end
        .code16
ap_trampoline:
        cli
        movw    %cs, %ax
        movw    %ax, %ds
        lgdtl   ap_gdtr - ap_trampoline
        movl    $0x11, %eax
        movl    %eax, %cr0
        ljmpl   $0x08, $ap_entry32
        .balign 8
ap_gdtr:
        .word   boot_gdt_end - boot_gdt - 1
        .long   boot_gdt
ap_trampoline_end:

        .section .data
        .balign 8
boot_gdt:
        .quad   0
        .quad   0x00CF9B000000FFFF      /* 08h: 32-bit code */
        .quad   0x00CF93000000FFFF      /* 10h: data */
        .quad   0x00AF9B000000FFFF      /* 18h: 64-bit code */
boot_gdt_end:
boot_gdtr:
        .word   boot_gdt_end - boot_gdt - 1
        .long   boot_gdt
        .globl  ap_next
        .balign 4
ap_next:
        .long   1

        .section .bss
        .balign 4096
boot_pml4:
        .skip   4096
boot_pdpt:
        .skip   4096
boot_pd:
        .skip   4 * 4096
        .skip   16384
        .globl  boot_stack_top
boot_stack_top:
        .globl  ap_stacks
ap_stacks:
        .skip   16 * 8192
        .globl  boot_magic, boot_info
boot_magic:
        .skip   4
boot_info:
        .skip   4
        .section .note.GNU-stack, "", @progbits
