/* SPDX-License-Identifier: MIT */
/*
 * The only place for compiler extensions. Everybody includes it; it owns nothing and declares no function.
 */
#pragma once

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define likely(x) __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)
#define ALWAYS_INLINE static inline __attribute__((always_inline))
#define NOINLINE __attribute__((noinline))
#define COLD __attribute__((cold, noinline))
#define UNUSED __attribute__((unused))
#define NODISCARD __attribute__((warn_unused_result))
#define PRINTF_LIKE(fmt, args) __attribute__((format(printf, fmt, args)))
#define FALLTHROUGH __attribute__((fallthrough))
#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define container_of(p, type, member) ((type *)(void *)((char *)(p) - offsetof(type, member)))

/* Chained handlers need sibling calls; below -O2 the build asks for the loop dispatcher (design section 6). */
#if defined(__OPTIMIZE__) && !defined(TRAPLINE_LOOP_DISPATCH)
#define HAVE_TAIL_CALLS 1
#else
#define HAVE_TAIL_CALLS 0
#endif

#define HOST_BIG_ENDIAN (__BYTE_ORDER__ == __ORDER_BIG_ENDIAN__)

/* 128-bit vectors for cpu/simd.h, one per lane type; lanes in the order of memory. Any host has them. */
typedef uint8_t vec_u8 __attribute__((vector_size(16)));
typedef uint16_t vec_u16 __attribute__((vector_size(16)));
typedef uint32_t vec_u32 __attribute__((vector_size(16)));
typedef uint64_t vec_u64 __attribute__((vector_size(16)));
typedef int8_t vec_i8 __attribute__((vector_size(16)));
typedef int16_t vec_i16 __attribute__((vector_size(16)));
typedef int32_t vec_i32 __attribute__((vector_size(16)));
typedef int64_t vec_i64 __attribute__((vector_size(16)));
/* Lanes of two vectors by constant indices, counted in the order of memory. */
#define vec_shuffle __builtin_shufflevector
