/* SPDX-License-Identifier: MIT */
/* Linux documentation, "The Linux/x86 Boot Protocol" and "Zero Page"; offsets are those of their
 * tables. */
#include "monitor/load_bzimage.h"

#include <errno.h>
#include <string.h>

#include "base/endian.h"
#include "monitor/elf_load.h"
#include "monitor/payload.h"

/* The setup header, by offset in the file and in the zero page alike. */
enum {
    H_SETUP_SECTS = 0x1F1,
    H_VID_MODE = 0x1FA,
    H_BOOT_FLAG = 0x1FE,
    H_JUMP = 0x200,
    H_MAGIC = 0x202,
    H_VERSION = 0x206,
    H_TYPE_OF_LOADER = 0x210,
    H_LOADFLAGS = 0x211,
    H_CODE32_START = 0x214,
    H_RAMDISK_IMAGE = 0x218,
    H_RAMDISK_SIZE = 0x21C,
    H_HEAP_END_PTR = 0x224,
    H_CMD_LINE_PTR = 0x228,
    H_INITRD_ADDR_MAX = 0x22C,
    H_XLOADFLAGS = 0x236,
    H_CMDLINE_SIZE = 0x238,
    H_PAYLOAD_OFFSET = 0x248,
    H_PAYLOAD_LENGTH = 0x24C,
    H_PREF_ADDRESS = 0x258,
    H_INIT_SIZE = 0x260,
    H_END = 0x268,
};
/* The rest of the zero page. */
enum {
    Z_EXT_MEM_K = 0x002,
    Z_RSDP = 0x070,
    Z_EXT_RAMDISK_IMAGE = 0x0C0,
    Z_EXT_RAMDISK_SIZE = 0x0C4,
    Z_ALT_MEM_K = 0x1E0,
    Z_E820_ENTRIES = 0x1E8,
    Z_E820_TABLE = 0x2D0,
    Z_BYTES = 4096,
    E820_BYTES = 20,
};
enum { LOADED_HIGH = 0x01, CAN_USE_HEAP = 0x80, XLF_KERNEL_64 = 1, XLF_ABOVE_4G = 2 };
enum {
    CMDLINE_MAX_OLD = 255,
    SECTOR = 512,
    LOAD_AT = 0x100000,
    ENTRY_64 = 0x200,
    GPR_RSP = 4,
    GPR_RSI = 6
};

#define HDRS 0x53726448u               /* "HdrS" */
#define UNPACKED_MAX ((size_t)1 << 30) /* far above any kernel; a bomb stops here */

/* A bzImage taken apart. */
struct image {
    const struct boot_info *boot; /* borrowed */
    const uint8_t *file;          /* borrowed: boot->kernel */
    uint16_t version;             /* of the boot protocol */
    const uint8_t *code;          /* the protected-mode part */
    size_t code_size;             /* of it */
    paddr end;                    /* first byte above what the kernel uses while it starts */
    bool is_64;                   /* enter in 64-bit mode */
    paddr entry;                  /* where */
};

bool bzimage_recognises(const uint8_t *data, size_t size)
{
    return size >= H_END && le16_load(data + H_BOOT_FLAG) == 0xAA55 &&
           le32_load(data + H_MAGIC) == HDRS;
}

static uint32_t header32(const struct image *m, unsigned offset, uint16_t since)
{
    return m->version >= since ? le32_load(m->file + offset) : 0;
}

static int bad(const struct image *m, const char *what, struct err *err)
{
    err_set(err, EINVAL, "%s: %s", m->boot->kernel.name, what);
    err_hint(err, "-kernel wants a complete Linux bzImage (vmlinuz)");
    return -EINVAL;
}

/* Protocol 2.02 brought cmd_line_ptr; everything older is a museum piece with 16-bit ways of its
 * own. */
static int take_apart(struct image *m, struct err *err)
{
    unsigned sects = m->file[H_SETUP_SECTS] ? m->file[H_SETUP_SECTS] : 4;
    size_t setup = ((size_t)sects + 1) * SECTOR;
    m->version = le16_load(m->file + H_VERSION);
    if (m->version < 0x0202)
        return bad(m, "the boot protocol is older than 2.02", err);
    if (!(m->file[H_LOADFLAGS] & LOADED_HIGH))
        return bad(m, "it is a zImage, which wants to be loaded low", err);
    if (setup >= m->boot->kernel.size)
        return bad(m, "the file is cut off in its setup part", err);
    m->code = m->file + setup;
    m->code_size = m->boot->kernel.size - setup;
    return 0;
}

static int check_cmdline(const struct image *m, struct err *err)
{
    uint32_t max = header32(m, H_CMDLINE_SIZE, 0x0206);
    size_t len = strlen(m->boot->cmdline);
    if (!max)
        max = CMDLINE_MAX_OLD;
    if (max > LOADER_AREA_END - LOADER_STRINGS - 1)
        max = LOADER_AREA_END - LOADER_STRINGS - 1;
    if (len <= max)
        return 0;
    return err_set(err, EINVAL, "the kernel command line has %zu bytes; this kernel takes %u", len,
                   max);
}

/* ---- the kernel ---- */

/* Where the unpacked kernel needs RAM from the preferred address on ("init_size"). */
static paddr runtime_end(const struct image *m)
{
    return m->version >= 0x020A
               ? le64_load(m->file + H_PREF_ADDRESS) + le32_load(m->file + H_INIT_SIZE)
               : 0;
}

static void progress(void *opaque, const char *what, uint64_t done, uint64_t total)
{
    const struct boot_info *boot = opaque;
    if (boot->progress)
        boot->progress(boot->progress_opaque, what, done, total);
}

static int load_vmlinux(struct image *m, const struct blob *vmlinux, struct physmem *pm,
                        struct err *err)
{
    struct elf_info info;
    int r = elf_inspect(vmlinux, &info, err);
    paddr end = runtime_end(m);
    if (r)
        return r;
    m->is_64 = info.is_x86_64 && info.is_64;
    m->entry = info.entry;
    m->end = info.high > end ? info.high : end;
    if (!loader_is_ram(m->boot, info.low, m->end - info.low))
        return loader_too_small(m->boot, "kernel", m->end, err);
    return elf_load_segments(m->boot, vmlinux, pm, err);
}

/* Unpack on the host and load the vmlinux that comes out. */
static int load_payload(struct image *m, struct physmem *pm, struct err *err)
{
    uint32_t offset = header32(m, H_PAYLOAD_OFFSET, 0x0208),
             length = header32(m, H_PAYLOAD_LENGTH, 0x0208);
    struct payload_progress report = {.report = progress, .opaque = (void *)(uintptr_t)m->boot};
    struct blob vmlinux = {.name = m->boot->kernel.name};
    struct unpacked out;
    int r;
    if (offset > m->code_size || length > m->code_size - offset)
        return bad(m, "the file is cut off in the compressed kernel", err);
    r = payload_unpack(m->code + offset, length, UNPACKED_MAX, &report, &out, err);
    if (r)
        return r;
    vmlinux.data = out.data;
    vmlinux.size = out.size;
    r = load_vmlinux(m, &vmlinux, pm, err);
    payload_free(&out, m->boot->pieces);
    return r;
}

/* The kernel's own stub moves and unpacks itself; "64-bit BOOT PROTOCOL": its 64-bit entry is 200h
 * further. */
static int load_stub(struct image *m, struct physmem *pm, struct err *err)
{
    paddr end = runtime_end(m),
          stub_end = LOAD_AT + m->code_size + header32(m, H_INIT_SIZE, 0x020A);
    m->is_64 = m->version >= 0x020C && (le16_load(m->file + H_XLOADFLAGS) & XLF_KERNEL_64);
    m->entry = m->is_64 ? LOAD_AT + ENTRY_64 : LOAD_AT;
    m->end = end > stub_end ? end : stub_end;
    if (!loader_is_ram(m->boot, LOAD_AT, m->end - LOAD_AT))
        return loader_too_small(m->boot, "kernel", m->end, err);
    return loader_put(pm, LOAD_AT, m->code, m->code_size, "kernel", err);
}

/* A payload that the host does not know (LZO, or none said) is left to the stub. */
static bool host_can_unpack(const struct image *m)
{
    uint32_t offset = header32(m, H_PAYLOAD_OFFSET, 0x0208),
             length = header32(m, H_PAYLOAD_LENGTH, 0x0208);
    const char *format;
    if (!offset || !length)
        return false;
    if (offset >= m->code_size || length > m->code_size - offset)
        return true; /* cut off: load_payload says so */
    format = payload_format(m->code + offset, length);
    return format && strcmp(format, "lzo") != 0;
}

/* ---- initrd and zero page ---- */

static int load_initrd(const struct image *m, struct physmem *pm, uint8_t *zero, struct err *err)
{
    const struct blob *initrd = &m->boot->initrd;
    uint64_t max = header32(m, H_INITRD_ADDR_MAX, 0x0203);
    bool above_4g = m->version >= 0x020C && (le16_load(m->file + H_XLOADFLAGS) & XLF_ABOVE_4G);
    paddr at;
    if (!initrd->size)
        return 0;
    at = loader_place_high(m->boot, initrd->size, m->end, (max ? max : 0x37FFFFFF) + 1);
    if (!at && above_4g && m->is_64)
        at = loader_place_high(m->boot, initrd->size, m->end, UINT64_MAX);
    if (!at)
        return loader_too_small(m->boot, "kernel with its initrd", m->end + initrd->size, err);
    le32_store(zero + H_RAMDISK_IMAGE, (uint32_t)at);
    le32_store(zero + Z_EXT_RAMDISK_IMAGE, (uint32_t)(at >> 32));
    le32_store(zero + H_RAMDISK_SIZE, (uint32_t)initrd->size);
    le32_store(zero + Z_EXT_RAMDISK_SIZE, (uint32_t)((uint64_t)initrd->size >> 32));
    return loader_put(pm, at, initrd->data, initrd->size, "initrd", err);
}

static void describe_memory(const struct boot_info *boot, uint8_t *zero)
{
    uint64_t above_1m = boot->low_ram_end > MiB ? (boot->low_ram_end - MiB) / KiB : 0;
    le16_store(zero + Z_EXT_MEM_K, above_1m < 0xFC00 ? (uint16_t)above_1m : 0xFC00);
    le32_store(zero + Z_ALT_MEM_K, (uint32_t)above_1m);
    zero[Z_E820_ENTRIES] = (uint8_t)boot->e820_count;
    for (unsigned i = 0; i < boot->e820_count; i++) {
        uint8_t *e = zero + Z_E820_TABLE + i * E820_BYTES;
        le64_store(e, boot->e820[i].base);
        le64_store(e + 8, boot->e820[i].size);
        le32_store(e + 16, boot->e820[i].type);
    }
}

/*
 * Zero everything, then copy the setup header, whose end is given by the jump at its beginning
 * ("64-bit BOOT PROTOCOL"). The sentinel, 1EFh, stays 0: nothing else in the page is left over from
 * a sloppy loader.
 */
static void fill_zero_page(const struct image *m, uint8_t *zero)
{
    unsigned end = H_MAGIC + m->file[H_JUMP + 1];
    if (end > H_END + 0x28) /* up to where the next field of the zero page, 290h, begins */
        end = H_END + 0x28;
    if (end > m->boot->kernel.size)
        end = (unsigned)m->boot->kernel.size;
    memcpy(zero + H_SETUP_SECTS, m->file + H_SETUP_SECTS, end - H_SETUP_SECTS);
    zero[H_TYPE_OF_LOADER] = 0xFF; /* no assigned id */
    zero[H_LOADFLAGS] |= LOADED_HIGH | CAN_USE_HEAP;
    le16_store(zero + H_HEAP_END_PTR, 0xFE00);
    le16_store(zero + H_VID_MODE, 0xFFFF); /* "normal" */
    le32_store(zero + H_CODE32_START, LOAD_AT);
    le32_store(zero + H_CMD_LINE_PTR, LOADER_STRINGS);
    le32_store(zero + H_RAMDISK_IMAGE, 0);
    le32_store(zero + H_RAMDISK_SIZE, 0);
    le64_store(zero + Z_RSDP, m->boot->rsdp);
    describe_memory(m->boot, zero);
}

static int load_information(const struct image *m, struct physmem *pm, struct entry_state *entry,
                            struct err *err)
{
    uint8_t zero[Z_BYTES] = {0};
    int r;
    fill_zero_page(m, zero);
    r = load_initrd(m, pm, zero, err);
    if (!r)
        r = loader_put(pm, LOADER_STRINGS, m->boot->cmdline, strlen(m->boot->cmdline) + 1,
                       "command line", err);
    if (!r)
        r = loader_put(pm, LOADER_INFO, zero, sizeof(zero), "zero page", err);
    if (!r)
        r = loader_flat_gdt(pm, entry, m->is_64, err);
    if (!r && m->is_64)
        r = loader_identity_map(pm, entry, err);
    entry->mode = m->is_64 ? ENTRY_LONG64 : ENTRY_PROT32;
    entry->rip = m->entry;
    entry->gpr[GPR_RSP] = LOADER_STACK;
    entry->gpr[GPR_RSI] = LOADER_INFO;
    return r;
}

int bzimage_load(const struct boot_info *boot, struct physmem *pm, struct entry_state *entry,
                 struct err *err)
{
    struct image m = {.boot = boot, .file = boot->kernel.data};
    int r = take_apart(&m, err);
    if (!r)
        r = check_cmdline(&m, err);
    if (!r && !boot->own_decompressor && host_can_unpack(&m))
        r = load_payload(&m, pm, err);
    else if (!r)
        r = load_stub(&m, pm, err);
    return r ? r : load_information(&m, pm, entry, err);
}
