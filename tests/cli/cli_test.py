#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The command line from outside: bad input, ends and exit statuses, terminal, sockets, positions.

  cli_test.py --trapline FILE [--man FILE] [TEST]...
"""
import os
import pty
import platform
import re
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import termios
import time
import unittest
import xml.etree.ElementTree

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import guests as g

TRAPLINE = MAN = ""
SECONDS = 60                    # more than anything here takes, also under a sanitizer


class Case(unittest.TestCase):
    def setUp(self):
        self.dir = tempfile.TemporaryDirectory()
        self.addCleanup(self.dir.cleanup)

    def path(self, name):
        return os.path.join(self.dir.name, name)

    def file(self, name, content):
        with open(self.path(name), "wb") as f:
            f.write(content)
        return self.path(name)

    def guest(self, code):
        return self.file("guest", g.guest(code))

    def text(self, name):
        with open(self.path(name), "rb") as f:
            return f.read().decode()

    def run_it(self, *words, stdin=b""):
        return subprocess.run([TRAPLINE, *words], input=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              timeout=SECONDS, check=False)

    def boot(self, code, *words, stdin=b""):
        return self.run_it("run", "-m", "16", "-nographic", "-kernel", self.guest(code), *words, stdin=stdin)

    def ends(self, p, status, out=None):
        self.assertEqual((p.returncode, p.stderr.decode()), (status, ""))
        if out is not None:
            self.assertEqual(p.stdout.decode(), out)

    def fails(self, p, *parts, status=64):
        """One line of what and where, one with a hint; every part in them."""
        text = p.stderr.decode()
        self.assertEqual(p.returncode, status, text)
        self.assertRegex(text, r"\Atrapline: [^\n]+\n(hint: [^\n]+\n)?\Z")
        for part in parts:
            self.assertIn(part, text)


class Debugger(Case):
    def test_gdb_knows_the_names_of_translated_code(self):
        gdb = shutil.which("gdb")
        with open(TRAPLINE, "rb") as f:
            is_program = f.read(4) == b"\x7fELF"
        if not gdb or not is_program or platform.machine() != "x86_64":
            self.skipTest("there is no gdb, or nothing is translated")
        p = subprocess.run([gdb, "-nx", "-batch", "-ex", "break gdb_jit_destroy", "-ex", "run", "-ex", "info functions ^guest_",
                            "--args", TRAPLINE, "run", "-m", "16", "-nographic", "-kernel", self.guest(g.SPIN),
                            "-max-ticks", "1000", "-engine", "jit,threshold=1,gdb=on"],
                           stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=SECONDS, check=False)
        self.assertRegex(p.stdout.decode(), r"0x[0-9a-f]+ +guest_100020_at_100020")


class BadInput(Case):
    def test_unknown_option_names_the_nearest(self):
        self.fails(self.run_it("run", "-kernle", "x"), "'-kernle'", "-kernel")
        self.fails(self.run_it("run", "--max-tick", "5"), "'--max-tick'", "-max-ticks")

    def test_unknown_command_names_the_nearest(self):
        self.fails(self.run_it("rum"), "'rum'", "trapline run")

    def test_word_that_is_no_option(self):
        self.fails(self.run_it("run", "vmlinuz"), "'vmlinuz'", "-kernel")

    def test_missing_argument(self):
        self.fails(self.run_it("run", "-kernel"), "-kernel", "FILE")

    def test_argument_to_an_option_without(self):
        self.fails(self.run_it("run", "--no-reboot=1"), "-no-reboot")

    def test_nothing_to_run(self):
        self.fails(self.run_it("run"), "nothing to run", "-kernel")

    def test_initrd_without_kernel(self):
        bios = self.file("bios", bytes(65536))
        self.fails(self.run_it("run", "-bios", bios, "-initrd", bios), "-initrd", "-kernel")

    def test_bad_values(self):
        for words in (["-m", "12x"], ["-m", "0"], ["-m", "1"], ["-m", "99999999999999999999"], ["-smp", "0"],
                      ["-smp", "65"], ["-smp", "two"], ["-smp", "4,sockets=2"], ["-smp", "4,pcpus=2"], ["-machine", "q35"],
                      ["-scheduler", "quantum=99"], ["-scheduler", "pause=often"], ["-scheduler", "window=0"], ["-scheduler", "pause"],
                      ["-machine", "pc,accel=kvm"], ["-accel", "kvm"], ["-cpu", "unheard-of"],
                      ["-cpu", "max,+unheard-of"], ["-device", "e1001"], ["-device", "isa-debug-exit,iobase=70000"],
                      ["-device", "isa-debug-exit,colour=red"], ["-rtc", "base=yesterday"], ["-rtc", "base=2024-02-30"],
                      ["-serial", "tty"], ["-serial", "unix:"], ["-serial", "file:"], ["-debugcon", "mon:stdio"],
                      ["-display", "sdl"], ["-d", "everything"], ["-seed", "x"], ["-max-ticks", "0"],
                      ["-icount", "shift=99"], ["-virt", "hvm"], ["-virt", "pv=1"], ["-virt", "bt,time-step=5"], ["-virt", "pv,time-step=x"], ["-virt", "pv,revoke=timer"], ["-virt", "pv,revoke=clock@5"], ["-virt", "pv,revoke=@5"], ["-virt", ""], ["-mmu", "magic"], ["-mmu", "direct,tlb=17"], ["-mmu", "nested,format=big"], ["-mmu", "shadow,memory=1"],
                      ["-mmu", "direct,tags=maybe"], ["-mmu", "direct,unsync=3"], ["-mmu", "caches=off,shadow"],
                      ["-engine", "jit,perf=maybe"], ["-engine", "jit,gdb=yes"], ["-hash-every", "0"]):
            with self.subTest(words=words):
                self.fails(self.run_it("run", *words), words[0] + ": ")

    def test_options_that_want_each_other(self):
        self.fails(self.run_it("run", "-hash-file", "x"), "-hash-every")
        self.fails(self.run_it("run", "-save-at", "5"), "-save")

    def test_standard_input_for_two(self):
        self.fails(self.run_it("run", "-serial", "stdio", "-serial", "stdio"), "standard input")

    def test_five_serial_ports(self):
        self.fails(self.run_it("run", *["-serial", "null"] * 5), "-serial")

    def test_missing_files(self):
        for words, what in ((["-kernel", "/nowhere/k"], "kernel"), (["-bios", "/nowhere/b"], "firmware")):
            self.fails(self.run_it("run", *words), what, "/nowhere/", "No such file")
        self.fails(self.boot(g.SPIN, "-initrd", "/nowhere/m args"), "/nowhere/m", "No such file")
        self.fails(self.boot(g.SPIN, "-load", "/nowhere/s"), "/nowhere/s")

    def test_directory_as_kernel(self):
        self.fails(self.run_it("run", "-kernel", self.dir.name), "directory")

    def test_unreadable_kernel(self):
        if os.geteuid() == 0:
            self.skipTest("root reads everything")
        os.chmod(self.guest(g.SPIN), 0)
        self.fails(self.run_it("run", "-kernel", self.path("guest")), "Permission denied")

    def test_empty_kernel(self):
        self.fails(self.run_it("run", "-kernel", self.file("k", b"")), "empty", "/k'")

    def test_not_a_kernel(self):
        self.fails(self.run_it("run", "-kernel", self.file("k", b"#!/bin/sh\n" * 1000)), "k")

    def test_truncated_kernels(self):
        setup = bytearray(16384)
        setup[0x1F1] = 30                                   # setup sectors: more than there are
        setup[0x1FE:0x200] = b"\x55\xaa"
        setup[0x202:0x206] = b"HdrS"
        setup[0x206:0x208] = b"\x0f\x02"
        elf = b"\x7fELF\x01\x01\x01" + bytes(9) + b"\x02\x00\x03\x00\x01\x00\x00\x00" + bytes(8)
        image = g.guest(g.SPIN * 1000)
        for name, content in (("bzimage", bytes(setup)), ("elf", elf), ("multiboot", image[:100])):
            with self.subTest(name=name):
                self.fails(self.run_it("run", "-kernel", self.file(name, content)), name)

    def test_too_little_memory(self):
        code = g.SPIN + bytes(8 << 20)
        self.fails(self.run_it("run", "-m", "4", "-kernel", self.guest(code)), "memory")

    def test_bad_firmware_sizes(self):
        self.fails(self.run_it("run", "-bios", self.file("b", bytes(1000))), "64 KiB")

    def test_outputs_that_cannot_be_written(self):
        for words in (["-serial", "file:/nowhere/f"], ["-debugcon", "file:/nowhere/f"], ["-D", "/nowhere/f"],
                      ["-serial", "unix:/nowhere/f,server"], ["-hash-every", "5", "-hash-file", "/nowhere/f"]):
            with self.subTest(words=words):
                kernel = self.guest(g.SPIN)
                self.fails(self.run_it("run", "-m", "16", "-kernel", kernel, "-max-ticks", "9", *words), "/nowhere/f")

    def test_state_file_that_cannot_be_written(self):
        self.fails(self.boot(g.SPIN, "-max-ticks", "50", "-save", "/nowhere/s"), "/nowhere/s")

    def test_foreign_state_files(self):
        for content in (b"", b"hello", os.urandom(5000), bytes(5000)):
            self.fails(self.boot(g.SPIN, "-load", self.file("s", content)), "/s")

    def test_unknown_trace_point(self):
        self.fails(self.boot(g.SPIN, "-trace", "nonsense*"), "nonsense", "-trace help")

    def test_full_output_device(self):
        self.fails(self.boot(g.loop(g.say("x")), "-serial", "file:/dev/full"), "/dev/full", "No space")


class Ends(Case):
    EXIT = ["-device", "isa-debug-exit,iobase=0xf4,iosize=0x04"]

    def test_power_off_is_0(self):
        self.ends(self.boot(g.say("bye\n") + g.POWER_OFF + g.SPIN), 0, "bye\n")

    def test_debug_exit_is_odd(self):
        for code in (0, 1, 31, 127):
            self.ends(self.boot(g.debug_exit(code) + g.SPIN, *self.EXIT), code << 1 | 1)

    def test_reset_with_no_reboot_is_0(self):
        self.ends(self.boot(g.say("r") + g.RESET + g.HALT, "-no-reboot"), 0, "r")

    def test_reset_starts_again(self):
        again = g.say("r") + b"\xa1\x00\x00\x30\x00" + g.unless(0x55, g.POWER_OFF) + \
            b"\xc6\x05\x00\x00\x30\x00\x55" + g.RESET + g.SPIN
        self.ends(self.boot(again), 0, "rr")

    def test_triple_fault_is_66(self):
        p = self.boot(g.TRIPLE_FAULT, "-no-reboot")
        self.fails(p, "triple fault", "-d int", status=66)

    def test_dead_halt_is_70(self):
        self.fails(self.boot(g.HALT), "halted", status=70)
        self.fails(self.boot(g.HALT, stdin=b"more than a receiver takes" * 1000), "halted", status=70)

    def test_halt_waits_while_input_can_come(self):
        p = subprocess.Popen([TRAPLINE, "run", "-m", "16", "-nographic", "-kernel", self.guest(g.say("up") + g.HALT)],
                             stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.assertEqual(p.stdout.read(2), b"up")
        self.assertIsNone(p.poll())
        p.stdin.write(b"x")
        p.stdin.flush()
        self.assertIsNone(p.poll())
        p.communicate(timeout=SECONDS)              # closes its input
        self.assertEqual(p.returncode, 70)

    def test_halt_with_a_timer_says_its_last_words_and_waits(self):
        p = subprocess.Popen([TRAPLINE, "run", "-m", "16", "-nographic", "-kernel",
                              self.guest(g.PERIODIC_TIMER + g.say("up") + g.say_unpolled("last words") + g.HALT)],
                             stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.assertEqual(p.stdout.read(12), b"uplast words")
        self.assertIsNone(p.poll())
        _, err = p.communicate(timeout=SECONDS)     # closes its input
        self.assertEqual(p.returncode, 70)
        self.assertIn(b"halted", err)

    def test_tick_limit_is_68(self):
        self.fails(self.boot(g.SPIN, "-max-ticks", "100000"), "limit", "100000", status=68)

    def test_signal_ends_it_as_a_signal(self):
        p = subprocess.Popen([TRAPLINE, "run", "-m", "16", "-nographic", "-kernel", self.guest(g.say("up") + g.SPIN)],
                             stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        self.assertEqual(p.stdout.read(2), b"up")
        p.send_signal(signal.SIGTERM)
        self.assertEqual(p.wait(SECONDS), -signal.SIGTERM)
        p.stdout.close()

    def test_reader_of_output_goes_away(self):
        read, write = os.pipe()
        os.close(read)
        p = subprocess.run([TRAPLINE, "run", "-m", "16", "-nographic", "-kernel", self.guest(g.loop(g.say("x")))],
                           stdin=subprocess.DEVNULL, stdout=write, stderr=subprocess.PIPE, timeout=SECONDS, check=False)
        os.close(write)
        self.fails(p, "standard output")

    def test_without_verb_is_run(self):
        p = self.run_it("-m", "16", "-nographic", "-kernel", self.guest(g.POWER_OFF + g.SPIN))
        self.ends(p, 0, "")

    def test_help_and_version_succeed(self):
        for words in (["--help"], ["-h"], ["run", "--help"], ["--version"], ["run", "-version"], ["run", "-d", "help"],
                      ["run", "-trace", "help"]):
            p = self.run_it(*words)
            self.assertEqual((p.returncode, p.stderr), (0, b""))
            self.assertIn(b"trapline" if "help" not in words else b" ", p.stdout)

    def test_help_gives_every_exit_status(self):
        text = self.run_it("--help").stdout.decode()
        for status in (0, 64, 66, 68, 70):
            self.assertRegex(text, r"(?m)^  %d +\S" % status)


class Ports(Case):
    def test_piped_input_reaches_the_guest(self):
        self.ends(self.boot(g.echo(), stdin=b"hello q"), 0, "hello q")

    def test_output_survives_a_slow_reader(self):
        line = "0123456789" * 10
        text = line * 3000                                  # more than a pipe holds
        p = subprocess.Popen([TRAPLINE, "run", "-m", "16", "-serial", "null", "-debugcon", "stdio", "-kernel",
                              self.guest(g.repeat(3000, g.debug(line)) + g.POWER_OFF + g.SPIN)],
                             stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        time.sleep(0.3)
        out = p.stdout.read()
        p.stdout.close()
        self.assertEqual((p.wait(SECONDS), out.decode()), (0, text))

    def test_serial_and_debug_console_to_files(self):
        p = self.run_it("run", "-m", "16", "-kernel", self.guest(g.say("one\n") + g.debug("debug\n") + g.POWER_OFF + g.SPIN),
                        "-serial", "file:" + self.path("com1"), "-debugcon", "file:" + self.path("debug"))
        self.ends(p, 0, "")
        self.assertEqual((self.text("com1"), self.text("debug")), ("one\n", "debug\n"))

    def test_serial_null_and_none_are_silent(self):
        for where in ("null", "none"):
            code = g.debug("debug\n") + (g.say("x") if where == "null" else b"") + dx_power_off()
            p = self.run_it("run", "-m", "16", "-kernel", self.guest(code), "-serial", where, "-debugcon", "stdio")
            self.ends(p, 0, "debug\n")

    def test_socket_speaks_both_ways(self):
        path = self.path("socket")
        p = subprocess.Popen([TRAPLINE, "run", "-m", "16", "-kernel", self.guest(g.echo()), "-serial",
                              "unix:%s,server" % path], stderr=subprocess.PIPE, stdout=subprocess.PIPE)
        self.talk(self.connect(path), b"over the wire q")
        self.assertEqual(p.communicate(timeout=SECONDS)[0], b"")
        self.assertEqual(p.returncode, 0)
        self.assertFalse(os.path.exists(path))

    def test_socket_nowait_takes_a_peer_after_another(self):
        path = self.path("socket")
        p = subprocess.Popen([TRAPLINE, "run", "-m", "16", "-kernel", self.guest(g.echo()), "-serial",
                              "unix:%s,server,nowait" % path])
        first = self.connect(path)
        self.talk(first, b"first")
        self.talk(self.connect(path), b"second q")
        self.assertEqual(p.wait(SECONDS), 0)

    def connect(self, path):
        s = socket.socket(socket.AF_UNIX)
        self.addCleanup(s.close)
        s.settimeout(SECONDS)
        for _ in range(SECONDS * 20):
            try:
                s.connect(path)
                return s
            except (FileNotFoundError, ConnectionRefusedError):
                time.sleep(0.05)
        self.fail("no socket at " + path)

    def talk(self, s, text):
        s.sendall(text)
        got = b""
        while len(got) < len(text):
            more = s.recv(100)
            if not more:
                break
            got += more
        self.assertEqual(got, text)


def dx_power_off():
    """Power-off that looks at no UART."""
    return g.dx(g.PM1_CONTROL) + b"\x66\xb8\x00\x20\x66\xef" + g.SPIN


class Terminal(Case):
    def start(self, code, *words):
        """A run on a terminal of its own."""
        fd, terminal = pty.openpty()
        self.before = termios.tcgetattr(fd)  # before anybody else can change it
        pid = os.fork()
        if pid == 0:
            try:
                os.close(fd)
                os.login_tty(terminal)
                os.execv(TRAPLINE, [TRAPLINE, "run", "-m", "16", "-kernel", self.guest(code), *words])
            finally:
                os._exit(127)
        os.close(terminal)
        self.pid, self.fd = pid, fd
        self.addCleanup(os.close, fd)
        return fd

    def wait_for(self, text):
        got, end = b"", time.monotonic() + SECONDS
        while text not in got and time.monotonic() < end:
            if not select.select([self.fd], [], [], 1)[0]:
                continue
            try:
                got += os.read(self.fd, 4096)
            except OSError:
                break
        self.assertIn(text, got)
        return got

    def status(self):
        """How it ended, and that the terminal is as it was."""
        end = time.monotonic() + SECONDS
        while time.monotonic() < end:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.assertEqual(termios.tcgetattr(self.fd), self.before)
                return status
            if select.select([self.fd], [], [], 0.05)[0]:
                try:
                    os.read(self.fd, 4096)
                except OSError:
                    pass
        self.fail("it does not end")
        return None

    def wait_raw(self):
        for _ in range(SECONDS * 20):
            if self.is_raw():
                break
            time.sleep(0.05)

    def is_raw(self):
        return not termios.tcgetattr(self.fd)[3] & termios.ICANON

    def test_ctrl_a_x_leaves(self):
        self.start(g.say("up") + g.echo(), "-nographic")
        self.wait_for(b"up")
        self.assertTrue(self.is_raw())
        os.write(self.fd, b"\x01x")
        self.assertEqual(self.status(), 0)

    def test_ctrl_c_reaches_the_guest(self):
        self.start(g.say("up") + g.echo(), "-nographic")
        self.wait_for(b"up")
        os.write(self.fd, b"\x03")
        self.wait_for(b"\x03")
        os.write(self.fd, b"q")
        self.assertEqual(self.status(), 0)

    def test_ctrl_c_ends_a_plain_serial_port(self):
        self.start(g.say("up") + g.echo(), "-serial", "stdio")
        self.wait_for(b"up")
        os.write(self.fd, b"\x03")
        self.assertEqual(os.WTERMSIG(self.status()), signal.SIGINT)

    def test_keys(self):
        self.start(g.say("up") + g.echo(), "-nographic")
        self.wait_for(b"up")
        os.write(self.fd, b"\x01h")
        self.wait_for(b"Ctrl-A a")
        os.write(self.fd, b"\x01a|")
        self.wait_for(b"\x01|")
        os.write(self.fd, b"\x01t\n>")
        self.wait_for(b"[    0.")
        os.write(self.fd, b"q")
        self.assertEqual(self.status(), 0)

    def test_the_monitor_comes_and_goes(self):
        self.start(g.say("up") + g.echo(), "-nographic")
        self.wait_for(b"up")
        os.write(self.fd, b"\x01c")
        self.wait_for(b"(trapline) ")
        self.assertFalse(self.is_raw())
        os.write(self.fd, b"info status\n")
        self.wait_for(b"VM status: paused")
        os.write(self.fd, b"c\n")
        self.wait_raw()
        os.write(self.fd, b"again")
        self.wait_for(b"again")
        os.write(self.fd, b"\x01c")
        self.wait_for(b"(trapline) ")
        os.write(self.fd, b"q\n")
        self.assertEqual(self.status(), 0)

    def test_terminal_is_given_back_after_each_end(self):
        for code, status in ((g.HALT, 0), (g.TRIPLE_FAULT, 66), (g.debug_exit(1) + g.SPIN, 3)):
            self.start(g.say("up") + code, "-nographic", "-no-reboot", *Ends.EXIT)
            if code == g.HALT:                      # a person could still type: it waits
                self.wait_for(b"up")
                os.write(self.fd, b"\x01x")
            self.assertEqual(os.waitstatus_to_exitcode(self.status()), status)

    def test_terminal_is_given_back_after_signals(self):
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGABRT, signal.SIGSEGV):
            self.start(g.say("up") + g.SPIN, "-nographic")
            self.wait_for(b"up")
            os.kill(self.pid, number)
            self.assertEqual(os.WTERMSIG(self.status()), number)

    def test_stop_and_continue(self):
        self.start(g.say("up") + g.echo(), "-nographic")
        self.wait_for(b"up")
        os.kill(self.pid, signal.SIGTSTP)
        os.waitpid(self.pid, os.WUNTRACED)
        self.assertFalse(self.is_raw())
        os.kill(self.pid, signal.SIGCONT)
        self.wait_raw()
        os.write(self.fd, b"again")
        self.wait_for(b"again")
        self.assertTrue(self.is_raw())
        os.write(self.fd, b"q")
        self.assertEqual(self.status(), 0)


class Monitor(Case):
    def ask(self, *lines, words=(), code=None):
        p = self.run_it("monitor", "-m", "16", "-nographic", "-kernel", self.guest(code or g.say("up") + g.SPIN), *words,
                        stdin="\n".join(lines).encode() + b"\n")
        self.assertEqual((p.returncode, p.stderr.decode()), (0, ""))
        return p.stdout.decode()

    def test_a_feature_is_revoked(self):
        out = self.ask("info hypercalls", "hash", "revoke timer", "hash", "revoke clock", words=("-virt", "pv"))
        self.assertIn("HYPERCALL", out)
        self.assertIn("revoke takes a feature of -virt pv", out)
        before, after = re.findall(r"\b[0-9a-f]{32}\b", out)
        self.assertNotEqual(before, after)

    def test_positions(self):
        out = self.ask("info status", "step", "i status", "until 2000000", "info status", "until 5", "quit", "info status")
        self.assertIn("paused at tick 0, virtual time 0.000000000 s\n", out)
        self.assertIn("paused at tick 1,", out)
        self.assertIn("paused at tick 2000000, virtual time 0.002000000 s\n", out)
        self.assertIn("up", out)
        self.assertIn("until takes a position that is still to come", out)
        self.assertEqual(out.count("VM status"), 3)

    def test_a_stop_changes_nothing(self):
        hashes = [self.ask(*lines, "until 3000000", "hash").splitlines()[-1] for lines in ((), ("step 77", "info registers", "until 2000001"))]
        self.assertEqual(*(h[-32:] for h in hashes))
        self.assertRegex(hashes[0], r"\A(up)?[0-9a-f]{32}\Z")

    def test_breakpoints(self):
        spin = re.search(r"rip +(\w+)", self.ask("until 20000", "info registers")).group(1)
        names = self.file("map", ("%s T forever\n" % spin).encode())
        out = self.ask("break forever", "b 0x%s" % spin, "break 0x%s" % spin, "info breakpoints", "cont", "hash", "c", "info status",
                       "delete forever", "delete forever", "until 20000", "hash", "break nowhere", "break", words=("-symbols", names))
        self.assertEqual(out.count("there is a breakpoint at"), 2)
        self.assertEqual(out.count("%s forever\n" % spin), 3)
        self.assertEqual(out.count("CPU#0 is at a breakpoint: %s forever\n" % spin), 2)
        self.assertEqual(out.count("there is no breakpoint at"), 1)
        self.assertEqual(out.count("break takes a linear address, or a name"), 2)
        undisturbed = self.ask("until 20000", "hash").splitlines()[-1][-32:]
        self.assertIn(undisturbed, out)

    def test_registers_and_memory(self):
        out = self.ask("until 20000", "info registers", "xp 0x100000", "x 0x100000 2", "cpu 1", "cpu 0", "xp 0xffffffff00000000", "x")
        self.assertRegex(out, r"rip +0000000000\w{6} ")
        lines = [x for x in out.splitlines() if x.startswith("0000000000100000: 0x")]
        self.assertEqual(len(lines), 2)
        self.assertEqual(*lines)
        self.assertIn("0000000000100008: 0x", out)
        self.assertIn("x takes an address", out)

    def test_shadow_and_nested_tables(self):
        for kind, root in (("shadow", "PDPTE"), ("nested", "PML4E")):
            out = self.ask("until 20000", "info " + kind, "info paging", words=("-mmu", kind))
            self.assertIn("root at HPA 0x", out)
            self.assertRegex(out, r"\n%s +0000000000000000 " % root)
            self.assertRegex(out, r"(PTE|PDE) +\w{16} \w{16} P .*GPA 0x")
            self.assertRegex(out, r"%s: [1-9]\d* entries in use" % kind)
            self.assertIn("translation: %s\n" % kind, out)

    def test_trouble_is_named(self):
        out = self.ask("frob", "info", "step none", "log", "log nothing_*", "savevm", "savevm /nonexistent/x", "# a comment", "")
        self.assertIn("unknown command; help lists all\n", out)
        self.assertIn("info takes one of", out)
        self.assertIn("step takes a number", out)
        self.assertEqual(out.count("no trace point has such a name"), 2)
        self.assertIn("savevm takes a file", out)
        self.assertIn("/nonexistent/x", out)

    def test_a_saved_machine_goes_on(self):
        state = self.path("state")
        out = self.ask("until 20000", "savevm " + state, "until 40000", "hash")
        again = self.ask("info status", "until 40000", "hash", words=("-load", state))
        self.assertIn("paused at tick 20000", again)
        self.assertEqual(out.splitlines()[-1][-32:], again.splitlines()[-1][-32:])

    def test_the_end_of_the_guest_ends_it(self):
        p = self.run_it("monitor", "-m", "16", "-nographic", "-kernel", self.guest(g.debug_exit(1)), *Ends.EXIT, stdin=b"cont\ninfo status\n")
        self.assertEqual((p.returncode, p.stderr.decode()), (3, ""))
        self.assertNotIn("VM status", p.stdout.decode())


class Statistics(Case):
    SYMBOLS = b"0000000000100000 T start\n0000000000300000 t after\tmodule\n"

    def test_places_and_classes(self):
        p = self.run_it("stat", "-m", "16", "-nographic", "-kernel", self.guest(g.say("up") + g.debug_exit(1)), *Ends.EXIT, "-D",
                        self.path("log"), "-symbols", self.file("map", self.SYMBOLS))
        self.ends(p, 3, "up")
        log = self.text("log")
        self.assertRegex(log, r"EXIT +Samples")
        self.assertRegex(log, r"privileged \(kernel\) +[1-9]")
        self.assertRegex(log, r"\nstart\+0x[0-9a-f]+ +\d+ +[\d.]+%  kernel OUT +privileged\n")

    def test_interrupts_and_device_accesses_have_places_and_functions_sums(self):
        read = b"\xbe\x00\x00\xe0\xfe" + g.repeat(50, b"\x8b\x46\x20")   # mov esi, 0xfee00000; mov eax, [esi + 0x20], 50 times
        p = self.run_it("stat", "-m", "16", "-nographic", "-kernel", self.guest(read + g.debug_exit(1)), *Ends.EXIT, "-D", self.path("log"),
                        "-symbols", self.file("map", self.SYMBOLS))
        self.assertEqual(p.returncode, 3)
        log = self.text("log")
        self.assertRegex(log, r"\nstart\+0x2a +50 +[\d.]+%  kernel MMIO read +device access\n")
        self.assertRegex(log, r"\ndevice access \(kernel\) +50 ")
        total = int(re.search(r"\nFUNCTION .*\nstart +(\d+) +100.00%\n\(elsewhere\) +0 ", log)[1])
        places = re.findall(r"(?m)^start\+0x[0-9a-f]+ +(\d+) ", log)
        self.assertEqual(total, sum(map(int, places)))

    def test_the_most_frequent_comes_first(self):
        p = self.run_it("stat", "-m", "16", "-nographic", "-kernel", self.guest(g.say("0123456789") + g.debug_exit(1)), *Ends.EXIT,
                        "-D", self.path("log"), "-top", "2")
        self.assertEqual(p.returncode, 3)
        rows = self.text("log").split("PLACE")[1].splitlines()[1:]
        self.assertEqual(len(rows), 2)
        counts = [int(r.split()[1]) for r in rows]
        self.assertEqual(counts, sorted(counts, reverse=True))
        self.assertGreaterEqual(counts[0], 10)

    def test_both_engines_count_the_same(self):
        logs = []
        for engine in ("interp", "auto"):
            self.run_it("stat", "-engine", engine, "-m", "16", "-nographic", "-kernel", self.guest(g.say("up" * 50) + g.debug_exit(1)),
                        *Ends.EXIT, "-D", self.path("log"))
            logs.append(self.text("log"))
        self.assertEqual(*logs)

    def test_turns_add_up(self):
        p = self.boot(g.count(), "-smp", "2", "-d", "turns", "-D", self.path("log"), "-scheduler", "quantum=5000,pause=never", "-max-ticks", "100000")
        self.fails(p, "limit", status=68)
        log = self.text("log")
        self.assertIn("TURNS: a turn has 5000 ticks; PAUSE does not end it\n", log)
        self.assertRegex(log, r"\n0 +100000 +0  has the turn\n1 +0 +0  halted\nthe clock: 100000 ns, of them idle 0,")

    def test_bad_symbols_are_named(self):
        for content, where in ((b"0 T a\nnonsense\n", ":2"), (b"11112222333344445 T long\n", ":1"), (b"10 T\n", ":1")):
            self.fails(self.boot(g.HALT, "-symbols", self.file("map", content)), self.path("map") + where, "System.map")
        self.fails(self.boot(g.HALT, "-symbols", "/nonexistent"), "/nonexistent")


class Labs(Case):
    def test_the_list_and_what_is_not_in_it(self):
        self.assertIn("walks", self.run_it("lab").stdout.decode())
        self.fails(self.run_it("lab", "wlaks"), "wlaks", "lists all")
        self.fails(self.run_it("lab", "walks", "-cost", "ref=x"), "ref=x", "-cost ref=N")
        self.fails(self.run_it("lab", "walks", "-cost"), "-cost")

    def test_walks_counts_what_theory_says(self):
        p = self.run_it("lab", "walks", "-cost", "ref=1,exit=100")
        if b"without the guests" in p.stderr:
            self.skipTest("no gcc for x86")
        self.ends(p, 0)
        misses, changes, switches, tags, forks = re.split(r"^[A-E]\. ", p.stdout.decode(), flags=re.M)[1:]
        row = re.compile(r"^   (\d levels|PAE|no tags|PCIDs|tags) +(\S.*?)  +([\d. ]+)$", re.M)
        of = {(g, w): n.split() for g, w, n in row.findall(misses)}
        self.assertEqual(len(of), 19)
        self.assertEqual([of["4 levels", "nested, 4 levels"][0], of["2 levels", "nested, 2 levels"][0]], ["24.00", "8.00"])
        self.assertEqual([of["PAE", "nested, PAE"][0], of["PAE", "nested, PAE, APM"][0]], ["11.00", "15.00"])
        for n in of.values():
            self.assertEqual(n[0], n[1])
            self.assertEqual(n[2], "16384.00")
        for part, count in (changes, 19), (switches, 19), (tags, 9), (forks, 6):
            rows = row.findall(part)
            self.assertEqual(len(rows), count)
            for g, w, n in rows:
                self.assertAlmostEqual(float(n.split()[0]), float(n.split()[1]), delta=0.11, msg=g + w)
        self.assertIn("shadow                       85.00        85.00", forks)
        self.assertIn("nested, 4 levels            230.00       230.00         1.00", tags)

    def lab(self, *words):
        p = self.run_it("lab", *words)
        if b"without the guests" in p.stderr:
            self.skipTest("no gcc for x86")
        self.ends(p, 0)
        return p.stdout.decode()

    def lab_rows(self, text, groups):
        row = re.compile(r"^   (%s) +(\S.*?)  +([-\d. ]+)$" % groups, re.M)
        return {(g, w): [float(x) for x in n.split()] for g, w, n in row.findall(text)}

    def test_cli_counts_what_theory_says(self):
        of = self.lab_rows(self.lab("cli", "-cost", "exit=1000,decode=100,call=10,inline=1"), "a pair")
        exits = {w: n[:2] for (_, w), n in of.items()}
        self.assertEqual(exits["trap"], [2, 2])
        self.assertEqual(exits["hypercall"], [2, 2])
        self.assertIn(exits["translation"], ([0, 0], [2, 0]))       # the latter where there is no translator
        self.assertEqual([of["a pair", w][3] for w in ("trap", "hypercall")], [2200, 2020])
        if exits["translation"][0] == 0:
            self.assertEqual(of["a pair", "translation"][3], 2)

    def test_batching_is_one_kth(self):
        counts, host = re.split(r"^B\. ", self.lab("batching", "-cost", "exit=6400,decode=100,call=10"), flags=re.M)
        of = self.lab_rows(counts, "timer|MSR")
        self.assertEqual(len(of), 16)
        for (group, size), n in of.items():
            k = int(size[4:]) if size.startswith("k") else 1
            trap = group == "MSR" and size == "one by one"
            self.assertEqual(n[:2], [1 / k, 1 / k])
            self.assertEqual(n[3], 6400 / k + (100 if trap else 10))
        self.assertEqual(len(self.lab_rows(host, "timer|MSR")), 14)
        self.assertRegex(host, r"timer: H = \d+ ns, c = \d+")

    def test_clock_counts_what_theory_says(self):
        reads, steps = re.split(r"^B\. ", self.lab("clock", "-cost", "exit=1000,decode=0,call=0,tsc=0,insn=0"), flags=re.M)
        of = self.lab_rows(reads, "trap|call|page")
        self.assertEqual(len(of), 6)
        for (group, name), n in of.items():
            self.assertEqual(n[:2], [0, 0] if group == "page" else [1, 1], name)
            self.assertEqual(n[3], 1000 * n[0])
        of = self.lab_rows(steps, "steps of")
        self.assertEqual(len(of), 4)
        for n in of.values():
            self.assertEqual(n[0], n[1])

    def test_holes_are_where_theory_says(self):
        text = self.lab("holes")
        rows = re.findall(r"^   ([A-Z_]+) +(\S.*?)  +(\S+)  +(\S+)  +(\S+)  +(\S+)  +(hole|none) +(hole|none)$", text, flags=re.M)
        self.assertEqual(len(rows), 32)
        self.assertIn("32 questions, 0 not as theory predicts", text)
        for name, asked, bare, bt, ring_1, ring_3, theory, found in rows:
            self.assertEqual(bare, bt, name + asked)
            self.assertEqual(theory, found, name + asked)
            self.assertEqual(found == "none", ring_1 == bare and ring_3 == bare)
        holes = {r[0] for r in rows if r[7] == "hole"}
        self.assertEqual(holes, set("SGDT SIDT SLDT SMSW PUSHF POPF LAR LSL VERR VERW POP PUSH CALL JMP INT RET STR MOV "
                                    "IRET LDS LES LFS LGS LSS".split()))
        self.assertEqual({r[0] for r in rows} - holes, {"CLI", "STI", "MOV_CR"})

    def test_holes_as_a_page(self):
        self.lab("holes", "-html", self.path("holes"))
        page = re.sub(r"<!DOCTYPE html>|<meta[^>]*>", "", self.text("holes"))
        self.assertEqual(len(xml.etree.ElementTree.fromstring(page).findall(".//tbody/tr")), 32)

    def test_pages_of_labs_need_nothing_else(self):
        for name in ("cli", "batching", "clock"):
            self.lab(name, "-html", self.path(name))
            page = self.text(name)
            self.assertTrue(page.endswith("</body></html>\n"))
            self.assertIn("Cycles, by the model", page)
            self.assertNotIn("http", page)

    def test_costs_have_names(self):
        text = self.run_it("lab").stdout.decode()
        for word in ("ref", "exit", "decode", "call", "inline", "insn", "tsc"):
            self.assertRegex(text, r"(?m)^  %s +\d+  " % word)
            self.fails(self.run_it("lab", "cli", "-cost", word + "=x"), word + "=x")

    def test_locks_waste_what_theory_says(self):
        row = re.compile(r"^   (test-and-set|ticket) +(\S.*?)  +([\d.]+) +([\d.]+) +([\d.]+) +(\d+)(?: +[\d.]+)?$", re.M)
        text = self.lab("locks", "-cost", "exit=1000")
        parts = re.split(r"^(?:[A-C]\. |What it looks)", text, flags=re.M)[1:]
        for part, percent, least in zip(parts, (0.04, 0.06, 0.05), (60, 2, 0.1)):
            rows = row.findall(part)
            self.assertEqual(len(rows) % 5, 0)
            for lock, way, measured, predicted, _, _ in rows:
                self.assertAlmostEqual(float(measured), float(predicted), delta=max(least, percent * float(predicted)), msg=lock + way)
        tracks = re.findall(r"^ +vCPU \d ([=#!o.z]{84})$", parts[3], flags=re.M)
        self.assertEqual(len(tracks), 14)
        self.assertIn("!!!!!!!!!!", tracks[0] + tracks[1])
        host = re.compile(" +[\\d.]+$", re.M)
        self.assertNotRegex(text, " -\\d")
        self.assertEqual(host.sub("", text), host.sub("", self.lab("locks", "-cost", "exit=1000")))

    def test_shares_are_as_weights(self):
        text = self.lab("steal")
        row = re.compile(r"^   (\S.*?) +weight (\d), (\S.*?)  +([\d.]+) +([\d.]+) +([\d.]+) +\d+(?: +[\d.]+)?$", re.M)
        rows = row.findall(text.split("What it looks")[0].split("\nB. ")[0])
        self.assertEqual(len(rows), 20)
        for group, weight, wish, measured, predicted, waiting in rows:
            self.assertAlmostEqual(float(measured), float(predicted), delta=0.9, msg=(group, weight, wish))
            if wish == "busy":
                self.assertAlmostEqual(float(measured) + float(waiting), 100, delta=0.011)
        seen = row.findall(text.split("\nB. ")[1])
        self.assertEqual(len(seen), 20)
        for group, weight, wish, guest, counted, guessed in seen:   # told when it runs again: a few slices of 100 us later
            self.assertTrue(0 <= float(counted) - float(guest) <= 500, msg=(group, weight, wish))
            self.assertLessEqual(float(guessed), float(guest) + 100)
        self.assertGreaterEqual(sum(s[3] == s[4] for s in seen), 8)
        columns = list(zip(*re.findall(r"^ +weight \d, (?:busy|wants \d+ %) ([#. ]{84})$", text, flags=re.M)[:4]))
        self.assertTrue(all("".join(c).count("#") == 1 for c in columns))

    def test_pictures_of_turns_stand_alone(self):
        for lab in ("locks", "steal"):
            self.lab(lab, "-html", self.path(lab))
            root = xml.etree.ElementTree.fromstring(re.sub(r"<!DOCTYPE html>|<meta[^>]*>", "", self.text(lab)))
            self.assertGreater(len(root.findall(".//svg/rect[@class='cell']")), 60)
            self.assertGreaterEqual(len(root.findall(".//p[@class='legend']/span")), 3)

    def test_a_page_stands_alone(self):
        p = self.run_it("lab", "walks", "-html", self.path("walks.html"))
        if b"without the guests" in p.stderr:
            self.skipTest("no gcc for x86")
        self.ends(p, 0, self.path("walks.html") + "\n")
        page = self.text("walks.html")
        root = xml.etree.ElementTree.fromstring(re.sub(r"<!DOCTYPE html>|<meta[^>]*>", "", page))
        self.assertEqual(len(root.findall(".//svg/rect")), 72)
        self.assertEqual(len(root.findall(".//table/tbody/tr")), 72)
        self.assertNotRegex(page, "https?:|src=|@import|<script")
        self.fails(self.run_it("lab", "walks", "-html", "/nonexistent/x"), "/nonexistent/x")


class Positions(Case):
    N = "100000"

    def chain(self, name, *words, limit="1000000"):
        p = self.boot(g.count(), "-hash-every", self.N, "-hash-file", self.path(name), "-max-ticks", limit, *words)
        self.fails(p, "limit", status=68)
        return self.text(name)

    def test_chain_is_the_same_twice(self):
        first = self.chain("a")
        self.assertRegex(first, r"\A(\d+ \d+ [0-9a-f]{32}\n){10}\Z")
        self.assertEqual(first, self.chain("b"))
        self.assertEqual(first, self.chain("c", "-drop-caches", "7777"))

    def test_chain_depends_on_the_guest(self):
        self.assertNotEqual(self.chain("a"), self.chain("b", "-rtc", "base=5"))

    def test_saved_run_continues_the_chain(self):
        whole = self.chain("a")
        self.chain("b", "-save", self.path("s"), "-save-at", "432109")
        self.assertEqual(whole, self.text("b"))
        self.assertEqual(whole, self.chain("b", "-load", self.path("s")))

    def test_end_is_saved(self):
        whole = self.chain("a")
        self.chain("b", "-save", self.path("s"), limit="500001")
        self.assertEqual(whole, self.chain("b", "-load", self.path("s")))

    def test_save_position_that_is_never_reached(self):
        p = self.boot(g.POWER_OFF + g.SPIN, "-save", self.path("s"), "-save-at", "100000000")
        self.fails(p, "-save-at")

    def test_state_of_another_machine(self):
        self.chain("a", "-save", self.path("s"))
        for words in (["-m", "32"], ["-smp", "2"], ["-nodefaults"], ["-device", "pc-testdev"]):
            with self.subTest(words=words):
                self.fails(self.boot(g.count(), "-max-ticks", "2000000", *words, "-load", self.path("s")), "/s")

    def test_state_of_another_policy(self):
        self.chain("a", "-virt", "pv", "-save", self.path("s"))
        self.fails(self.boot(g.count(), "-max-ticks", "2000000", "-load", self.path("s")), "-virt pv", "-virt bt")
        self.fails(self.boot(g.count(), "-max-ticks", "2000000", "-virt", "pv", "-load", self.path("s")), "limit", status=68)

    def test_state_of_another_ring(self):
        self.chain("a", "-virt", "classic,ring=3", "-save", self.path("s"))
        self.fails(self.boot(g.count(), "-max-ticks", "2000000", "-load", self.path("s")), "-virt classic", "-virt bt")
        self.fails(self.boot(g.count(), "-max-ticks", "2000000", "-virt", "classic", "-load", self.path("s")),
                   "classic,ring=3,faults=reflect", "the same -virt")
        self.fails(self.boot(g.count(), "-max-ticks", "2000000", "-virt", "classic,ring=3", "-load", self.path("s")), "limit", status=68)

    def test_rings_and_faults_that_are_not(self):
        for virt in ("classic,ring=2", "classic,faults=ignore", "classic,ring", "bt,ring=1", "ring=1", "pv,faults=emulate"):
            self.fails(self.boot(g.count(), "-virt", virt), virt, "ring=1|3")
        self.fails(self.boot(g.count(), "-virt", "classic", "-mmu", "nested"), "nested", "-virt bt")

    def test_policy_that_the_guest_cannot_find(self):
        self.fails(self.boot(g.count(), "-virt", "pv", "-cpu", "max,-hypervisor"), "-virt pv", "+hypervisor")

    def test_truncated_state(self):
        self.chain("a", "-save", self.path("s"))
        with open(self.path("s"), "rb") as f:
            content = f.read()
        for size in (1, 20, len(content) // 2, len(content) - 1):
            self.fails(self.boot(g.count(), "-load", self.file("t", content[:size])), "/t")


class Inside(Case):
    def test_config_is_complete_and_repeats(self):
        words = ["run", "-m", "1G", "-virt", "pv", "-smp", "cpus=2", "-cpu", "max,kvm=off", "-append", "a b", "-kernel", "k",
                 "-scheduler", "quantum=5000,window=99", "--print-config"]
        p = self.run_it(*words)
        self.ends(p, 0)
        for line in ("machine pc", "virt pv", "memory 1024M", "smp 2", "cpu max,kvm=off", "append a b", "rtc 1704067200",
                     "quantum 5000", "pause loop", "pause-window 99"):
            self.assertIn(line + "\n", p.stdout.decode())
        self.assertEqual(p.stdout, self.run_it(*words).stdout)

    def test_exits_are_counted(self):
        p = self.boot(g.say("hi") + g.POWER_OFF + g.SPIN, "-d", "exits")
        self.assertEqual((p.returncode, p.stdout), (0, b"hi"))
        self.assertRegex(p.stderr.decode(), r"(?m)^OUT +\d+ +[\d.]+%$")

    def test_log_goes_to_a_file(self):
        p = self.boot(g.say("hi") + g.POWER_OFF + g.SPIN, "-d", "io,exits", "-D", self.path("log"))
        self.ends(p, 0, "hi")
        self.assertRegex(self.text("log"), r"(?m)^\d+ \d+\.\d{9} io_write port 3f8 width 1 <- 68$")
        self.assertRegex(self.text("log"), r"(?m)^OUT ")

    def test_man_page_and_help_have_the_same_options(self):
        if not MAN:
            self.skipTest("no --man")
        with open(MAN, encoding="utf-8") as f:
            text = f.read().replace("\\-", "-").split(".SH OPTIONS")[1].split(".SH KEYS")[0]
        man = re.findall(r"(?m)^\.(?:BI|B) -([\w-]+)", text)
        options = re.findall(r"(?m)^  -([\w-]+)", self.run_it("--help").stdout.decode())
        self.assertEqual(man, options)


if __name__ == "__main__":
    args = sys.argv[1:]
    while args and args[0].startswith("--"):
        if args[0] == "--trapline":
            TRAPLINE = os.path.abspath(args[1])
        elif args[0] == "--man":
            MAN = os.path.abspath(args[1])
        else:
            sys.exit(__doc__)
        args = args[2:]
    if not TRAPLINE:
        sys.exit(__doc__)
    unittest.main(argv=[sys.argv[0]] + args, verbosity=1)
