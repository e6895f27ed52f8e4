/* SPDX-License-Identifier: MIT */
/* "QEMU Firmware Configuration (fw_cfg) Device". The ports are in fw_cfg.h. */
#include "devices/fw_cfg.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/endian.h"

enum { DMA_ERROR = 1, DMA_READ = 2, DMA_SKIP = 4, DMA_SELECT = 8, DMA_WRITE = 16 };
enum { ID_TRADITIONAL = 1, ID_DMA = 2, DIR_ENTRY = 64, DMA_CHUNK = 4096, DMA_ACCESS_SIZE = 16 };

#define DMA_SIGNATURE UINT64_C(0x51454D5520434647) /* "QEMU CFG" */

/* Place of a key in items[]; -1: there is none. */
static int index_of(uint16_t key)
{
    if (key < FW_CFG_KEYS)
        return key;
    if (key >= FW_CFG_ARCH_LOCAL && key < FW_CFG_ARCH_LOCAL + FW_CFG_ARCH_KEYS)
        return FW_CFG_KEYS + (key - FW_CFG_ARCH_LOCAL);
    return -1;
}

/* What is selected; an empty item for keys that are not there. */
static struct fw_cfg_item selected(const struct fw_cfg *f)
{
    int i = index_of(f->s.key);
    return i < 0 ? (struct fw_cfg_item){NULL, 0} : f->items[i];
}

static void select_key(struct fw_cfg *f, uint16_t key)
{
    f->s.key = key;
    f->s.offset = 0;
}

static void advance(struct fw_cfg *f, uint32_t n)
{
    f->s.offset = n > UINT32_MAX - f->s.offset ? UINT32_MAX : f->s.offset + n;
}

/* The next n bytes; past the end of the item they are zero. */
static void take(struct fw_cfg *f, uint8_t *out, uint32_t n)
{
    struct fw_cfg_item item = selected(f);
    uint32_t left = item.len > f->s.offset ? item.len - f->s.offset : 0;
    uint32_t have = n < left ? n : left;
    if (have)
        memcpy(out, item.data + f->s.offset, have);
    memset(out + have, 0, n - have);
    advance(f, n);
}

/* ---- selector and data ---- */

static void selector_write(void *opaque, uint64_t offset, unsigned width, uint64_t v)
{
    struct fw_cfg *f = opaque;
    if (width == 2 && offset == 0)
        select_key(f, (uint16_t)v);
}

static uint64_t data_read(void *opaque, uint64_t offset, unsigned width)
{
    struct fw_cfg *f = opaque;
    uint8_t byte;
    (void)offset, (void)width;
    take(f, &byte, 1);
    return byte;
}

/* ---- DMA ---- */

/* False when the guest named memory that is not RAM. */
static bool dma_copy_out(struct fw_cfg *f, uint64_t addr, uint32_t len)
{
    uint8_t buf[DMA_CHUNK];
    while (len) {
        uint32_t n = len < DMA_CHUNK ? len : DMA_CHUNK;
        take(f, buf, n);
        if (!dma_write(f->dma, addr, buf, n))
            return false;
        addr += n;
        len -= n;
    }
    return true;
}

/* One FWCfgDmaAccess: control, length, address, all big-endian; no item takes writes. */
static bool dma_transfer(struct fw_cfg *f, uint32_t control, uint32_t len, uint64_t addr)
{
    if (control & DMA_SELECT)
        select_key(f, (uint16_t)(control >> 16));
    if (control & DMA_READ)
        return dma_copy_out(f, addr, len);
    if (control & DMA_WRITE) {
        guest_error(f->trace, "fw_cfg", "DMA write to a read-only item");
        return false;
    }
    if (control & DMA_SKIP)
        advance(f, len);
    return true;
}

static void dma_start(struct fw_cfg *f)
{
    uint64_t at = f->s.dma_address;
    uint8_t access[DMA_ACCESS_SIZE], result[4];
    bool ok;
    f->s.dma_address = 0;
    if (!dma_read(f->dma, at, access, sizeof(access))) {
        guest_error(f->trace, "fw_cfg", "DMA access structure is not in RAM");
        return;
    }
    ok = dma_transfer(f, be32_load(access), be32_load(access + 4), be64_load(access + 8));
    be32_store(result, ok ? 0 : DMA_ERROR);
    (void)dma_write(f->dma, at, result, sizeof(result));
}

static uint64_t dma_port_read(void *opaque, uint64_t offset, unsigned width)
{
    uint8_t bytes[8];
    (void)opaque;
    le64_store(bytes, __builtin_bswap64(DMA_SIGNATURE));
    return le_load(bytes + offset, width);
}

/* The low half (offset 4), or all eight bytes at once, start the transfer. */
static void dma_port_write(void *opaque, uint64_t offset, unsigned width, uint64_t v)
{
    struct fw_cfg *f = opaque;
    if (width == 8) {
        f->s.dma_address = __builtin_bswap64(v);
        dma_start(f);
    } else if (offset == 0) {
        f->s.dma_address = (uint64_t)__builtin_bswap32((uint32_t)v) << 32;
    } else {
        f->s.dma_address |= __builtin_bswap32((uint32_t)v);
        dma_start(f);
    }
}

/* ---- contents ---- */

static int put_item(struct fw_cfg *f, int i, const void *data, size_t len)
{
    uint8_t *copy;
    if (len > UINT32_MAX)
        return -EINVAL;
    copy = malloc(len ? len : 1);
    if (!copy)
        return -ENOMEM;
    if (len)
        memcpy(copy, data, len);
    free(f->items[i].data);
    f->items[i] = (struct fw_cfg_item){.data = copy, .len = (uint32_t)len};
    return 0;
}

int fw_cfg_add_bytes(struct fw_cfg *f, uint16_t key, const void *data, size_t len)
{
    int i = index_of(key);
    if (i < 0 || key == FW_CFG_FILE_DIR || (key >= FW_CFG_FILE_FIRST && key < FW_CFG_KEYS))
        return -EINVAL;
    return put_item(f, i, data, len);
}

static int add_number(struct fw_cfg *f, uint16_t key, uint64_t v, unsigned size)
{
    uint8_t bytes[8];
    le_store(bytes, v, size);
    return fw_cfg_add_bytes(f, key, bytes, size);
}

int fw_cfg_add_u16(struct fw_cfg *f, uint16_t key, uint16_t v)
{
    return add_number(f, key, v, 2);
}

int fw_cfg_add_u32(struct fw_cfg *f, uint16_t key, uint32_t v)
{
    return add_number(f, key, v, 4);
}

int fw_cfg_add_u64(struct fw_cfg *f, uint16_t key, uint64_t v)
{
    return add_number(f, key, v, 8);
}

int fw_cfg_add_string(struct fw_cfg *f, uint16_t key, const char *s)
{
    return fw_cfg_add_bytes(f, key, s, strlen(s) + 1);
}

static bool has_file(const struct fw_cfg *f, const char *name)
{
    const uint8_t *dir = f->items[FW_CFG_FILE_DIR].data;
    for (unsigned i = 0; i < f->files; i++)
        if (strcmp((const char *)dir + 4 + i * DIR_ENTRY + 8, name) == 0)
            return true;
    return false;
}

/* The directory: big-endian count, then {size, key, reserved, name}, rewritten with one entry more.
 */
static int extend_directory(struct fw_cfg *f, const char *name, uint32_t len)
{
    uint8_t dir[4 + FW_CFG_FILE_SLOTS * DIR_ENTRY];
    uint8_t *entry = dir + 4 + f->files * DIR_ENTRY;
    uint32_t key = FW_CFG_FILE_FIRST + f->files;
    memset(dir, 0, sizeof(dir));
    memcpy(dir, f->items[FW_CFG_FILE_DIR].data, f->items[FW_CFG_FILE_DIR].len);
    be32_store(dir, f->files + 1);
    be32_store(entry, len);
    be32_store(entry + 4, key << 16);
    memcpy(entry + 8, name, strlen(name));
    return put_item(f, FW_CFG_FILE_DIR, dir, 4 + (f->files + 1) * DIR_ENTRY);
}

int fw_cfg_add_file(struct fw_cfg *f, const char *name, const void *data, size_t len)
{
    int r;
    if (!*name || strlen(name) >= FW_CFG_NAME_SIZE)
        return -EINVAL;
    if (f->files == FW_CFG_FILE_SLOTS)
        return -ENOSPC;
    if (has_file(f, name))
        return -EEXIST;
    r = put_item(f, FW_CFG_FILE_FIRST + (int)f->files, data, len);
    if (!r)
        r = extend_directory(f, name, (uint32_t)len);
    if (!r)
        f->files++;
    return r;
}

/* ---- the device ---- */

static void fw_cfg_reset(void *dev)
{
    struct fw_cfg *f = dev;
    f->s = (struct fw_cfg_state){.key = 0};
}

/* Every value of the three fields is possible; a key without item reads zeros. */
static int fw_cfg_after_load(void *dev, struct err *err)
{
    (void)dev, (void)err;
    return 0;
}

static void fini(void *dev)
{
    fw_cfg_fini(dev);
}

void fw_cfg_fini(struct fw_cfg *f)
{
    for (unsigned i = 0; i < ARRAY_SIZE(f->items); i++) {
        free(f->items[i].data);
        f->items[i] = (struct fw_cfg_item){NULL, 0};
    }
    f->files = 0;
}

/* The data port lies inside the selector's word, so it has priority for bytes. */
static void init_ports(struct fw_cfg *f)
{
    f->selector = (struct io_region){.name = "fw_cfg-selector",
                                     .base = 0x510,
                                     .size = 2,
                                     .widths = W8 | W16,
                                     .write = selector_write,
                                     .opaque = f,
                                     .enabled = true};
    f->data = (struct io_region){.name = "fw_cfg-data",
                                 .base = 0x511,
                                 .size = 1,
                                 .widths = W8,
                                 .read = data_read,
                                 .opaque = f,
                                 .priority = 1,
                                 .enabled = true};
    f->dma_port = (struct io_region){.name = "fw_cfg-dma",
                                     .base = 0x514,
                                     .size = 8,
                                     .widths = W32 | W64,
                                     .read = dma_port_read,
                                     .write = dma_port_write,
                                     .opaque = f,
                                     .enabled = f->dma != NULL};
}

int fw_cfg_init(struct fw_cfg *f, struct dma_space *dma, struct trace *trace)
{
    static const uint8_t empty_directory[4] = {0, 0, 0, 0};
    int r;
    *f = (struct fw_cfg){.dma = dma, .trace = trace};
    init_ports(f);
    r = fw_cfg_add_bytes(f, FW_CFG_SIGNATURE, "QEMU", 4);
    if (!r)
        r = fw_cfg_add_u32(f, FW_CFG_ID, ID_TRADITIONAL | (dma ? ID_DMA : 0));
    if (!r)
        r = put_item(f, FW_CFG_FILE_DIR, empty_directory, sizeof(empty_directory));
    if (r)
        fw_cfg_fini(f);
    return r;
}

const struct device_ops fw_cfg_ops = {
    .name = "fw_cfg",
    .doc = "QEMU firmware configuration device",
    .size = sizeof(struct fw_cfg),
    .fields = fw_cfg_state_fields,
    .version = 1,
    .reset = fw_cfg_reset,
    .after_load = fw_cfg_after_load,
    .fini = fini,
};
