/* SPDX-License-Identifier: MIT */
/* Code that somebody else changes: another CPU, with and without its help, and a bus master. Run
 * with -smp 2. SDM Vol. 3A, "Handling Self- and Cross-Modifying Code" asks the CPU that runs the
 * code to serialize; on this machine every write is seen by the next instruction of everybody. */
#include "roms/lib/chips.h"
#include "roms/lib/smp.h"

enum { IPI_VECTOR = 0x62, ROUNDS = 400, FW_CFG = 0x510 };

static uint8_t code[2 * GUEST_PAGE] __attribute__((aligned(4096)));
static volatile uint32_t go, done, result, ipis, spun;

typedef uint32_t (*code_fn)(void);

/* MOV EAX, imm32; RET at `at`. Where the immediate is. */
static volatile uint32_t *put_mov(uint8_t *at, uint32_t v)
{
    at[0] = 0xB8;
    memcpy(at + 1, &v, 4);
    at[5] = 0xC3;
    return (volatile uint32_t *)(void *)(at + 1);
}

static uint32_t call(const uint8_t *at)
{
    return ((code_fn)(reg_t)at)();
}

static void on_ipi(struct frame *f)
{
    (void)f;
    cpuid(0, 0); /* serializes */
    ipis++;
    lapic_eoi();
}

static void runner(void *arg)
{
    for (uint32_t i = 1; i <= ROUNDS; i++) {
        while (go != i)
            pause();
        result = call(arg);
        done = i;
    }
}

static bool rounds(uint8_t *at, bool with_ipi)
{
    volatile uint32_t *imm = put_mov(at, 0);
    bool is_right = true;
    go = done = 0;
    smp_run(1, runner, at);
    for (uint32_t i = 1; i <= ROUNDS; i++) {
        *imm = i * 0x01000193;
        if (with_ipi)
            lapic_send(smp_apic_id(1), ICR_ASSERT | IPI_VECTOR);
        go = i;
        while (done != i)
            pause();
        is_right = is_right && result == i * 0x01000193;
    }
    smp_wait(1);
    return is_right;
}

static void let_interrupts_in(void *arg)
{
    (void)arg;
    sti();
}

/* The code itself is the loop, and ends when somebody changes it. */
static void spin(void *arg)
{
    spun = call(arg);
}

static void running_loop(void)
{
    bool is_right = true;
    for (unsigned i = 0; i < 20; i++) {
        /* 1: inc ecx; jmp 1b; mov eax, 99; ret. The displacement FCh becomes 0. */
        static const uint8_t text[] = {0xFF, 0xC1, 0xEB, 0xFC, 0xB8, 99, 0, 0, 0, 0xC3};
        memcpy(code + 64, text, sizeof(text));
        spun = 0;
        smp_run(1, spin, code + 64);
        delay_us(50);
        *(volatile uint8_t *)(code + 67) = 0;
        smp_wait(1);
        is_right = is_right && spun == 99;
    }
    check("a loop that runs on one CPU is ended by another's store", is_right);
}

static uint32_t swap32(uint32_t v)
{
    return v >> 24 | (v >> 8 & 0xFF00) | (v << 8 & 0xFF0000) | v << 24;
}

static struct {
    uint32_t control, length;
    uint32_t address_high, address_low;
} volatile dma __attribute__((aligned(16)));

/* fw_cfg writes its signature, "QEMU", to `at`. */
static void dma_signature(volatile void *at)
{
    dma.control = swap32(8 | 2);
    dma.length = swap32(4);
    dma.address_high = 0;
    dma.address_low = swap32((uint32_t)(reg_t)at);
    out32(FW_CFG + 4, 0);
    out32(FW_CFG + 8, swap32((uint32_t)(reg_t)&dma));
}

static void by_dma(void)
{
    volatile uint32_t *imm = put_mov(code + 128, 1);
    uint32_t v;
    bool is_right = true;
    for (unsigned i = 0; i < 50; i++) {
        *imm = i;
        is_right = is_right && call(code + 128) == i;
        dma_signature(imm);
        is_right = is_right && call(code + 128) == 0x554D4551;
    }
    check("a bus master writes over code", is_right);
    imm = put_mov(code + GUEST_PAGE - 3, 1);
    is_right = call(code + GUEST_PAGE - 3) == 1;
    dma_signature(imm);
    check("over an instruction that crosses pages",
          is_right && call(code + GUEST_PAGE - 3) == 0x554D4551);
    /* The OUT that starts the transfer stands right before the instruction it changes. */
    dma.control = swap32(8 | 2);
    dma.length = swap32(4);
    out32(FW_CFG + 4, 0);
    __asm__ volatile("movl $1f + 1, %%eax\n\tbswap %%eax\n\tmovl %%eax, %2\n\tmovl %3, %%eax\n\t"
                     "outl %%eax, %%dx\n1:\tmovl $5, %%ecx\n\tmovl $5, 1b + 1"
                     : "=&c"(v)
                     : "d"((uint16_t)(FW_CFG + 8)), "m"(dma.address_low),
                       "r"(swap32((uint32_t)(reg_t)&dma))
                     : "eax", "memory", "cc");
    check_equal("the very next instruction is changed", 0x554D4551, v);
}

int main(void)
{
    pic_off();
    lapic_enable();
    by_dma();
    if (!check("run with -smp 2", cpu_count() > 1) ||
        !check("the other CPU starts", smp_start() >= 1))
        return checks_result();
    trap_set(IPI_VECTOR, on_ipi);
    check("another CPU's store is seen without further ado", rounds(code, false));
    smp_run(1, let_interrupts_in, NULL);
    smp_wait(1);
    check("with an IPI and a serializing instruction", rounds(code, true));
    check_equal("every IPI came", ROUNDS, ipis);
    check("an instruction that crosses pages", rounds(code + GUEST_PAGE - 2, false));
    running_loop();
    return checks_result();
}
