/* SPDX-License-Identifier: MIT */
/*
 * IBM, "Personal System/2 and Personal Computer BIOS Interface Technical Reference": "Interrupts",
 * "BIOS Data Area", "Extended BIOS Data Area". Boot loaders may hand over a machine "as initialized
 * by the BIOS" (Multiboot Specification 0.6.96, "Machine state"), and kernels read it: where base
 * memory ends, which serial ports there are.
 *
 *   0:0      256 vectors, all to an IRET: no service is there, and none crashes who asks
 *   40:0     4 words  serial ports          40:1A  keyboard buffer: head, tail (empty)
 *   40:E     segment of the EBDA            40:80  keyboard buffer: begin, end
 *   40:10    equipment                      EBDA:0 its size in KiB
 *   40:13    KiB of base memory
 *   F000:FF40  the reset by port CF9h       F000:FF53  IRET
 *   F000:FFF0  jump to the reset            F000:FFFE  model FCh, PC/AT
 */
#include "monitor/boards/pc_bios_data.h"

#include "base/endian.h"

#define ROM_SEGMENT UINT32_C(0xf000)
#define ROM_BASE (ROM_SEGMENT << 4)

enum { VECTORS = 256, VECTOR_BYTES = 4, BDA = 0x400, BDA_BYTES = 0x100 };
enum {
    BDA_COM = 0x00,
    BDA_EBDA = 0x0e,
    BDA_EQUIPMENT = 0x10,
    BDA_BASE_KIB = 0x13,
    BDA_KEY_HEAD = 0x1a,
    BDA_KEY_TAIL = 0x1c,
    BDA_KEY_BEGIN = 0x80,
    BDA_KEY_END = 0x82
};
enum { KEYS_FIRST = 0x1e, KEYS_END = 0x3e };
enum { EQUIPMENT_FPU = 0x02, EQUIPMENT_MOUSE = 0x04, EQUIPMENT_COMS_SHIFT = 9 };
enum { ROM_RESET = 0xff40, ROM_IRET = 0xff53, ROM_START = 0xfff0, ROM_MODEL = 0xfffe };

/* MOV DX, CF9h; MOV AL, 6; OUT DX, AL; HLT; and round again. */
static const uint8_t reset_code[] = {0xba, 0xf9, 0x0c, 0xb0, 0x06, 0xee, 0xf4, 0xeb, 0xfd};
static const uint8_t jump_to_reset[] = {0xea, ROM_RESET & 0xff, ROM_RESET >> 8, 0x00, 0xf0};
static const uint8_t iret[] = {0xcf};
static const uint8_t model[] = {0xfc};

static void load_vectors(struct physmem *pm)
{
    uint8_t vectors[VECTORS * VECTOR_BYTES];
    for (size_t at = 0; at < sizeof(vectors); at += VECTOR_BYTES)
        le32_store(vectors + at, ROM_SEGMENT << 16 | ROM_IRET);
    physmem_load(pm, 0, vectors, sizeof(vectors));
}

static void load_bda(struct physmem *pm, paddr ebda, const uint16_t *com, unsigned coms)
{
    uint8_t bda[BDA_BYTES] = {0};
    for (unsigned i = 0; i < coms; i++)
        le16_store(bda + BDA_COM + 2 * i, com[i]);
    le16_store(bda + BDA_EBDA, (uint16_t)(ebda >> 4));
    le16_store(bda + BDA_EQUIPMENT,
               (uint16_t)(EQUIPMENT_FPU | EQUIPMENT_MOUSE | coms << EQUIPMENT_COMS_SHIFT));
    le16_store(bda + BDA_BASE_KIB, (uint16_t)(ebda / KiB));
    le16_store(bda + BDA_KEY_HEAD, KEYS_FIRST);
    le16_store(bda + BDA_KEY_TAIL, KEYS_FIRST);
    le16_store(bda + BDA_KEY_BEGIN, KEYS_FIRST);
    le16_store(bda + BDA_KEY_END, KEYS_END);
    physmem_load(pm, BDA, bda, sizeof(bda));
}

void pc_bios_data_load(struct physmem *pm, paddr ebda, const uint16_t *com, unsigned coms)
{
    const uint8_t ebda_kib = (uint8_t)((640 * KiB - ebda) / KiB);
    load_vectors(pm);
    load_bda(pm, ebda, com, coms);
    physmem_load(pm, ebda, &ebda_kib, sizeof(ebda_kib));
    physmem_load(pm, ROM_BASE + ROM_RESET, reset_code, sizeof(reset_code));
    physmem_load(pm, ROM_BASE + ROM_IRET, iret, sizeof(iret));
    physmem_load(pm, ROM_BASE + ROM_START, jump_to_reset, sizeof(jump_to_reset));
    physmem_load(pm, ROM_BASE + ROM_MODEL, model, sizeof(model));
}
