/* SPDX-License-Identifier: MIT */
/* What the call gates of gates.c lead to, and the two sides of a task switch. */
        .text
        .globl  gate_target, gate_call_two, task_entry
/* At CPL 0 on the stack of the TSS: EIP, CS, parameters 2, ESP, SS. */
gate_target:
        mov     %esp, gate_esp
        mov     %cs, gate_cs
        mov     8(%esp), %eax
        mov     %eax, gate_params
        mov     12(%esp), %eax
        mov     %eax, gate_params + 4
        mov     %ss, gate_ss
        lret    $8

/* reg_t gate_call_two(reg_t sel): from CPL 3, with 11h and 22h; ESP must come back as it was. */
gate_call_two:
        push    %ebp
        mov     8(%esp), %eax
        mov     %esp, %ebp
        mov     %ax, gate_far + 4
        push    $0x11
        push    $0x22
        lcall   *gate_far
        mov     %ebp, %eax
        sub     %esp, %eax              /* 0: the gate's RET removed the parameters on both stacks */
        mov     %ebp, %esp
        pop     %ebp
        ret

/* Another task: count, and back by IRET through the link; the next call goes on behind it. */
task_entry:
        incl    task_count
        pushf
        pop     task_flags
        iret
        jmp     task_entry
        .section .data
        .globl  gate_esp, gate_cs, gate_ss, gate_params, gate_far, task_count, task_flags
        .balign 4
gate_far:
        .long   0, 0
gate_esp:
        .long   0
gate_cs:
        .long   0
gate_ss:
        .long   0
gate_params:
        .long   0, 0
task_count:
        .long   0
task_flags:
        .long   0
        .section .note.GNU-stack, "", @progbits
