# SPDX-License-Identifier: MIT
"""Guests of a few bytes, as Multiboot 1 images: 32-bit protected mode, entered at 1 MiB.

guest(code) makes the image; the others are pieces of code, in machine language, to
be joined with +.
"""
import struct

BASE = 0x100000
HEADER = 32
MAGIC, ADDRESSES = 0x1BADB002, 1 << 16
COM1 = 0x3F8
LSR = COM1 + 5
PM1_CONTROL = 0x604


def guest(code):
    """The image: a header that says where it goes ("Multiboot Specification", "The address fields"), then the code."""
    end = BASE + HEADER + len(code)
    return struct.pack("<8I", MAGIC, ADDRESSES, -(MAGIC + ADDRESSES) & 0xFFFFFFFF, BASE, BASE, end, end,
                       BASE + HEADER) + code


def dx(port):
    return b"\x66\xba" + struct.pack("<H", port)            # mov dx, port


def wait_for(lsr_bit):
    return dx(LSR) + b"\xec\xa8" + bytes([lsr_bit]) + b"\x74\xfb"   # 1: in al, dx; test al, bit; jz 1b


def send_al():
    """The byte in AL to COM1. Changes AH and DX."""
    return b"\x88\xc4" + wait_for(0x20) + b"\x88\xe0" + dx(COM1) + b"\xee"


def say(text):
    return b"".join(b"\xb0" + bytes([c]) + send_al() for c in text.encode())


def say_unpolled(text):
    """At most 16 bytes into the transmitter's FIFO; they come out while the guest goes on."""
    return drain() + dx(COM1 + 2) + b"\xb0\x01\xee" + dx(COM1) + b"".join(b"\xb0" + bytes([c]) + b"\xee" for c in text.encode())


def debug(text):
    """To the debug console, which is always ready."""
    return b"".join(b"\xb0" + bytes([c]) + b"\xe6\xe9" for c in text.encode())  # mov al, c; out 0e9h, al


def drain():
    return wait_for(0x40)                                   # until the transmitter is empty


POWER_OFF = drain() + dx(PM1_CONTROL) + b"\x66\xb8\x00\x20\x66\xef"     # mov ax, SLP_EN; out dx, ax
RESET = drain() + b"\xb0\xfe\xe6\x64"                       # the keyboard controller's reset pulse
HALT = b"\xfa\xf4"                                          # cli; hlt
PERIODIC_TIMER = b"\xb0\x34\xe6\x43\xb0\xa9\xe6\x40\xb0\x04\xe6\x40"    # channel 0 of the 8254: mode 2, 1 ms
SPIN = b"\xeb\xfe"                                          # jmp .
TRIPLE_FAULT = b"\x0f\x01\x1d\x00\x00\x10\x00\x0f\x0b"      # lidt [a limit of B002h with a base of no gates]; ud2


def debug_exit(code):
    return drain() + b"\xb0" + bytes([code]) + b"\xe6\xf4"  # mov al, code; out 0f4h, al


def loop(body):
    """body again and again."""
    return body + b"\xe9" + struct.pack("<i", -len(body) - 5)


def repeat(times, body):
    """body so many times; it leaves EBX alone."""
    return b"\xbb" + struct.pack("<I", times) + body + b"\x4b\x0f\x85" + struct.pack("<i", -len(body) - 7)


def unless(byte, body):
    """body when AL is byte."""
    return b"\x3c" + bytes([byte]) + b"\x0f\x85" + struct.pack("<i", len(body)) + body    # cmp al, byte; jne over


def echo():
    """Each byte back, as it comes; power-off after a q."""
    get = wait_for(0x01) + dx(COM1) + b"\xec"               # in al, dx
    return loop(get + b"\x88\xc3" + send_al() + b"\x88\xd8" + unless(ord("q"), POWER_OFF))


def count():
    """Work that never ends and changes registers and memory: mov [0x200000 + ecx * 4], eax ..."""
    return loop(b"\x40\x89\xc1\x81\xe1\xff\x3f\x00\x00\x01\x04\x8d\x00\x00\x20\x00\x0f\x31\x01\xc3")
