#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""`trapline trace` from outside: levels, filters, formats, and that nothing changes by looking.

  trace_test.py --trapline FILE --doc docs/trace.md --man FILE [TEST]...
"""
import csv
import json
import os
import re
import shlex
import shutil
import struct
import subprocess
import sys
import tempfile
import unittest
import xml.etree.ElementTree

import guests as g

TRAPLINE = DOC = MAN = None


def call(*words, status=0):
    p = subprocess.run(TRAPLINE + list(words), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=100)
    if p.returncode < 0 or (status is not None and p.returncode != status):
        raise AssertionError("%s: status %d, not %d\n%s" % (" ".join(words), p.returncode, status, p.stdout[-2000:] + p.stderr[-2000:]))
    return p.stdout if status == 0 else p.stderr


# cpuid; rdtsc; a call to a function that copies 64 bytes with REP MOVSB; a read of the local APIC's ID; pushf, cli, popf
CALL = b"\xe8\x02\x00\x00\x00" b"\xeb\x12" b"\xb9\x40\x00\x00\x00" b"\xbe\x00\x00\x10\x00" b"\xbf\x00\x00\x20\x00" b"\xf3\xa4\xc3"
APIC = b"\xa1\x20\x00\xe0\xfe"
MANY = b"\xbc\x00\x00\x30\x00" + b"\x31\xc0\x0f\xa2" + b"\x0f\x31" + CALL + b"\x90" + APIC + b"\x9c\xfa\x9d" + g.debug("hi") + g.POWER_OFF


def text_of(path):
    with open(path) as f:
        return f.read()


class Case(unittest.TestCase):
    def setUp(self):
        self.directory = tempfile.TemporaryDirectory()
        self.addCleanup(self.directory.cleanup)

    def path(self, name):
        return os.path.join(self.directory.name, name)

    def guest(self, code):
        path = self.path("guest")
        with open(path, "wb") as f:
            f.write(g.guest(code))
        return path

    def trace(self, *options, code=MANY, status=0):
        return call("trace", "-kernel", self.guest(code), *options, status=status)

    def rows(self, *options, code=MANY):
        return list(csv.DictReader(self.trace("-format", "csv", *options, code=code).splitlines()))


class Trace(Case):
    def test_every_instruction_has_its_tick(self):
        rows = self.rows("-level", "insns", "-limit", "40")
        ticks = 0
        for r in rows:
            if not r["kind"].startswith("mmio"):
                self.assertEqual(ticks, int(r["tick"]))
                ticks += int(r["ticks"])
        self.assertEqual("mov esp, 0x300000", rows[0]["text"])
        movs = [r for r in rows if r["name"] == "MOVS"]
        self.assertEqual([("64", "rcx 40 -> 0, rsi 100000 -> 100040, rdi 200000 -> 200040")], [(m["ticks"], m["changes"]) for m in movs])

    def test_sensitive_instructions_have_class_owner_and_changes(self):
        cpuid, cli = [[r for r in self.rows() if r["name"] == n][0] for n in ("CPUID", "CLI")]
        self.assertEqual(("exit", "CPUID", "sensitive, unprivileged", "mode", "monitor"),
                         tuple(cpuid[k] for k in ("kind", "reason", "class", "sensitivity", "owner")))
        self.assertIn("rdx 0 -> ", cpuid["changes"])
        self.assertEqual(("privileged", "control"), (cli["class"], cli["sensitivity"]))
        out = [r for r in self.rows() if r["name"] == "OUT" and r["address"] == "0xe9"]
        self.assertEqual(["0x68", "0x69"], [r["value"] for r in out])

    def test_exceptions_belong_to_the_guest(self):
        rows = self.rows("-level", "events", "-no-reboot", "-limit", "1", code=g.TRIPLE_FAULT)
        self.assertEqual(("#UD", "guest", "exception or NMI", "6"), tuple(rows[0][k] for k in ("name", "owner", "reason", "vector")))

    def test_device_accesses_by_memory_have_address_and_value(self):
        reads = [r for r in self.rows() if r["kind"] == "mmio-read"]
        self.assertEqual([("0xfee00020", "0x0", "mov eax, dword ptr [0xfee00020]")], [(r["address"], r["value"], r["text"]) for r in reads])

    def test_levels_contain_each_other(self):
        some = [{(r["tick"], r["name"]) for r in self.rows("-level", level) if r["kind"] != "run"}
                for level in ("none", "events", "exits", "blocks", "insns")]
        self.assertEqual(set(), some[0])
        for less, more in zip(some, some[1:]):
            self.assertLessEqual(less, more)
        self.assertIn("CALL_NEAR", {name for _, name in some[3]})

    def test_blocks_account_for_every_tick(self):
        rows = self.rows("-level", "blocks")
        at = 0
        for r in rows:
            if not r["kind"].startswith("mmio") and r["kind"] != "idle":
                self.assertEqual(at, int(r["tick"]), r)
                at += int(r["ticks"])

    def test_a_window_begins_and_ends_at_its_ticks(self):
        rows = self.rows("-level", "insns", "-from", "5", "-ticks", "7")
        self.assertEqual("5", rows[0]["tick"])
        self.assertEqual(7, sum(int(r["ticks"]) for r in rows))

    def test_filters(self):
        every = self.rows("-level", "insns")
        first = [r for r in every if int(r["rip"], 16) <= 0x100025]
        self.assertEqual(first, self.rows("-level", "insns", "-address", "0x100020-0x100025"))
        self.assertEqual({"CPUID"}, {r["name"] for r in self.rows("-reason", "CPUID")})
        self.assertEqual({"IN", "OUT"}, {r["name"] for r in self.rows("-reason", "I/O*")})
        self.assertEqual([], self.rows("-mode", "user"))
        self.assertEqual(every, self.rows("-level", "insns", "-mode", "kernel,prot", "-vcpu", "0"))
        self.assertEqual([], self.rows("-vcpu", "1"))

    def test_symbols(self):
        with open(self.path("map"), "w") as f:
            f.write("0000000000100020 T start\n0000000000100029 T work\n")
        rows = self.rows("-level", "insns", "-symbols", self.path("map"), "-symbol", "sta*")
        self.assertEqual({"start+0x0", "start+0x5", "start+0x7"}, {r["place"] for r in rows})
        self.assertEqual(rows, self.rows("-level", "insns", "-symbols", self.path("map"), "-address", "start"))

    def test_nothing_changes_by_looking(self):
        """The hash chain, exits and output of a run, at every level and in both engines."""
        code = g.PERIODIC_TIMER + g.repeat(300, b"\x0f\x31\x9c\x9d" + APIC + b"\xf3\xa4\xb9\x05\x00\x00\x00") + g.POWER_OFF
        code = b"\xbc\x00\x00\x30\x00\xbf\x00\x00\x20\x00\xbe\x00\x00\x10\x00" + code
        guest = self.guest(code)
        common = ["-kernel", guest, "-hash-every", "500", "-hash-file"]
        call("run", *common, self.path("untraced"), "-serial", "null")
        untraced = text_of(self.path("untraced"))
        self.assertGreater(untraced.count("\n"), 5)
        for level in ("events", "exits", "blocks", "insns"):
            traces = []
            for engine in ("interp", "jit,threshold=1", "auto"):
                if "jit" in engine and "no translator" in subprocess.run(TRAPLINE + ["run", "-engine", "jit", "-kernel", guest, "-serial", "null"],
                                                                       stderr=subprocess.PIPE, text=True).stderr:
                    continue
                traces.append(call("trace", *common, self.path("traced"), "-level", level, "-engine", engine, "-smp", "1"))
                self.assertEqual(untraced, text_of(self.path("traced")), (level, engine))
            self.assertEqual(1, len(set(traces)), level)
            call("trace", *common, self.path("traced"), "-level", level, "-from", "700", "-o", self.path("t.txt"), "-serial", "null")
            self.assertEqual(untraced, text_of(self.path("traced")), (level, "from 700"))


class Formats(Case):
    def test_chrome_is_json_and_its_events_are_in_order(self):
        for level in ("events", "exits", "blocks", "insns"):
            events = json.loads(self.trace("-format", "chrome", "-level", level))["traceEvents"]
            depth = {}
            last = 0
            for e in events:
                self.assertGreaterEqual(e["ts"], last)
                last = e["ts"]
                depth[e["tid"]] = depth.get(e["tid"], 0) + {"B": 1, "E": -1}.get(e["ph"], 0)
                self.assertGreaterEqual(depth[e["tid"]], 0)
                self.assertIn(e["ph"], "MBEX")
            self.assertEqual({0}, set(depth.values()))
        slices = [e for e in events if e["ph"] == "X"]
        self.assertIn("CPUID", [e["name"] for e in slices])
        self.assertIn({"name": "vCPU 0"}, [e.get("args") for e in events if e["name"] == "thread_name"])

    def test_csv_is_regular(self):
        lines = self.trace("-format", "csv", "-level", "insns").splitlines()
        self.assertEqual({26}, {len(r) for r in csv.reader(lines)})

    def test_hostile_names_stay_text(self):
        with open(self.path("map"), "wb") as f:
            f.write(b"0000000000100020 T </script><b>\"\\\xff\xfe\x01&,'x\n")
        json.loads(self.trace("-format", "chrome", "-symbols", self.path("map")))

    HOSTILE = b"0000000000100020 T </script><script>alert(1)</script><b>\"\\\xff\xfe\x01&,'x;y\n0000000000100029 T w]]>\n"

    def test_hostile_names_in_pages_and_pictures(self):
        with open(self.path("map"), "wb") as f:
            f.write(self.HOSTILE)
        self.trace("-symbols", self.path("map"), "-level", "blocks", "-o", self.path("t.html"), "-o", self.path("t.svg"),
                   "-o", self.path("t.folded"), "-o", self.path("t.csv"))
        for name in ("t.html", "t.svg"):
            text = text_of(self.path(name))
            self.assertNotIn("<script", text)
            self.assertIn("&lt;/script&gt;", text)
        xml.etree.ElementTree.parse(self.path("t.svg"))
        with open(self.path("t.folded"), "rb") as f:
            for line in f.read().splitlines():
                self.assertRegex(line, rb"^[^ ;]+(;[^ ;]+)* [0-9]+$")

    def test_stacks_add_up_to_the_ticks(self):
        """call a; call b: a function that calls another, twice."""
        leaf, middle = b"\x90\x90\xc3", b"\xe8\x06\x00\x00\x00\xe8\x01\x00\x00\x00\xc3"
        code = b"\xbc\x00\x00\x30\x00" + b"\xe8\x02\x00\x00\x00" + b"\xeb" + bytes([len(middle + leaf)]) + middle + leaf + g.POWER_OFF
        with open(self.path("map"), "w") as f:
            f.write("00100020 T start\n0010002c T middle\n00100037 T leaf\n0010003a T off\n")
        words = ["-symbols", self.path("map"), "-format", "folded"]
        for level in ("blocks", "insns"):
            folded = dict(s.rsplit(" ", 1) for s in self.trace(*words, "-level", level, code=code).splitlines())
            self.assertEqual("3", folded["kernel;start"])
            self.assertEqual("3", folded["kernel;start;middle"])
            self.assertEqual("6", folded["kernel;start;middle;leaf"])
        exits = self.trace(*words, "-weight", "exits", code=code)
        self.assertRegex(exits, r"^kernel;off [0-9]+\n$")

    def test_symbols_of_an_elf_file(self):
        """A table in 32 and in 64 bits, and files cut short."""
        for wide in (False, True):
            names = b"\0start\0.data\0"
            syms = [(0, 0, 0, 0), (1, 0x100020, 2, 1)]
            table = b"".join(struct.pack("<IBBHQQ", n, k, 0, s, v, 0) if wide else struct.pack("<IIIBBH", n, v, 0, k, 0, s) for n, v, k, s in syms)
            head = 64 if wide else 52
            at = head + len(names) + len(table)
            sections = [(0, 0, 0, 0), (2, head + len(names), len(table), 2), (3, head, len(names), 0)]
            form = "<IIQQQQIIQQ" if wide else "<IIIIIIIIII"
            rest = b"".join(struct.pack(form, 0, t, 0, 0, o, n, link, 0, 1, 0) for t, o, n, link in sections)
            ident = b"\x7fELF" + bytes([2 if wide else 1, 1, 1]) + bytes(9)
            if wide:
                header = ident + struct.pack("<HHIQQQIHHHHHH", 2, 62, 1, 0, 0, at, 0, 64, 0, 0, 64, 3, 0)
            else:
                header = ident + struct.pack("<HHIIIIIHHHHHH", 2, 3, 1, 0, 0, at, 0, 52, 0, 0, 40, 3, 0)
            image = header + names + table + rest
            for n in (len(image), len(image) - 1, head, 53):
                with open(self.path("elf"), "wb") as f:
                    f.write(image[:n])
                words = ["-symbols", self.path("elf"), "-limit", "1", "-level", "insns"]
                if n == len(image):
                    self.assertIn("start+0x0 ", self.trace(*words))
                else:
                    self.trace(*words, status=None)

    def test_a_file_is_whole_or_not_there(self):
        self.trace("-o", self.path("t.json"), "-o", self.path("t.csv"))
        json.loads(text_of(self.path("t.json")))
        self.assertEqual(["guest", "t.csv", "t.json"], sorted(os.listdir(self.directory.name)))
        said = self.trace("-o", self.path("no/t.json"), status=64)
        self.assertIn("cannot write", said)
        self.trace("-o", self.path("u.json"), "-symbol", "x", status=64)
        self.assertEqual(["guest", "t.csv", "t.json"], sorted(os.listdir(self.directory.name)))

    def test_bad_input_is_refused(self):
        for words, said in ((["-level", "insn"], "did you mean 'insns'"), (["-format", "cvs"], "did you mean 'csv'"),
                            (["-address", "0x20-0x10"], "no range"), (["-address", "main"], "no symbols"), (["-symbol", "main"], "no symbols"),
                            (["-mode", "ring0"], "no mode"), (["-ticks", "0"], "not a number"), (["-limit"], "wants an argument"),
                            (["-nographic"], "want standard output"), (["-levle", "exits"], "there is no option '-levle'"),
                            (["-format", "text", "-verify"], "runs two machines")):
            with self.subTest(words):
                self.assertIn(said, self.trace(*words, status=64))

    def test_a_full_disk_is_told(self):
        if os.path.exists("/dev/full"):
            self.assertIn("cannot write", self.trace("-o", "/dev/full", status=64))


CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


class Page(Case):
    """The report in a browser. Exit status 77, which CTest shows as skipped, where there is none."""

    def dom(self, path):
        words = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--user-data-dir=" + self.path("profile"),
                 "--enable-logging=stderr", "--v=0", "--dump-dom", "file://" + path]
        p = subprocess.run(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=200)
        said = [s for s in p.stderr.splitlines() if "CONSOLE" in s]
        self.assertEqual([], said)
        return p.stdout

    def test_report_shows_histogram_timeline_walks_and_flame_graph(self):
        self.trace("-level", "blocks", "-walk", "0x100020", "-o", self.path("report.html"))
        page = self.dom(self.path("report.html"))
        text = text_of(self.path("report.html"))
        for where in (page, text):
            self.assertRegex(where, r'(?s)<div id="histogram"><svg.*?CPUID.*?</div>')
            self.assertRegex(where, r'(?s)<svg id="timeline".*?<rect class="exits".*?</svg>')
            self.assertRegex(where, r'(?s)<svg class="walk".*?none paging.*?</svg>')
            self.assertRegex(where, r'<svg id="flame"')
        self.assertNotIn("http://", text.replace("http://www.w3.org/2000/svg", ""))
        self.assertEqual(text.count("<rect"), page.count("<rect"))

    def test_an_error_on_the_console_is_seen(self):
        """The check above can fail."""
        with open(self.path("bad.html"), "w") as f:
            f.write("<script>undefined_function()</script>")
        with self.assertRaises(AssertionError):
            self.dom(self.path("bad.html"))


class Diff(Case):
    def differ(self, *words, status):
        p = subprocess.run(TRAPLINE + ["diff"] + list(words), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                           text=True, timeout=200)
        self.assertEqual(status, p.returncode, p.stdout + p.stderr)
        return p.stdout + p.stderr

    def test_two_traces(self):
        for name, level in (("t.txt", "insns"), ("t.csv", "exits")):
            path = self.path(name)
            self.trace("-level", level, "-o", path)
            said = self.differ(path, path, status=0)
            self.assertRegex(said, r"^no difference in [1-9][0-9]* steps\n$")
            lines = text_of(path).splitlines()
            with open(self.path("other"), "w") as f:
                f.write("\n".join(lines[:10] + [lines[10] + "!"] + lines[11:]) + "\n")
            said = self.differ(path, self.path("other"), status=72)
            steps = 8 if name == "t.txt" else 9
            self.assertTrue(said.startswith("the first %d steps are the same; then:\n" % steps), said)
            self.assertIn("\nA %s\n" % lines[10], said)
            self.assertIn("\nB %s!\n" % lines[10], said)
            with open(self.path("short"), "w") as f:
                f.write("\n".join(lines[:10]) + "\n")
            self.assertIn("\nB ends here\n", self.differ(path, self.path("short"), status=72))

    def test_two_runs_part_at_the_instruction_that_sees_a_difference(self):
        code = g.repeat(5000, b"\x90" * 8) + b"\x31\xc9\xb8\x01\x00\x00\x00\x0f\xa2\x89\xd6" + g.HALT
        guest = self.guest(code)
        same = self.differ("-kernel", guest, "--", "-engine", "interp", "--", "-engine", "auto", status=0)
        self.assertRegex(same, r"^no difference in 5\d+ ticks: every processor is halted")
        said = self.differ("-kernel", guest, "--", "-cpu", "max", "--", "-cpu", "max,-avx2,-sse4.2", status=72)
        tick = 1 + 5000 * 10 + 2
        self.assertTrue(said.startswith("the first difference is at tick %d\n" % tick), said)
        self.assertEqual(2, len(re.findall(r"(?m)^ +%d .* cpuid ;" % tick, said)))
        self.assertRegex(said, r"(?m)^  cpu0.gpr\[1\] +A [0-9a-f]{16}  B [0-9a-f]{16}$")

    def test_two_runs_by_flow(self):
        code = g.repeat(3000, b"\x90" * 5) + b"\x31\xc9\xb8\x01\x00\x00\x00\x0f\xa2" + b"\xa9\x00\x00\x00\x00" + b"\xf7\xc1\x00\x00\x10\x00\x74\x01\x90\x90" + g.HALT
        guest = self.guest(code)
        said = self.differ("-by", "flow", "-kernel", guest, "--", "-cpu", "max", "--", "-cpu", "max,-sse4.2", status=72)
        tick = 1 + 3000 * 7 + 5
        self.assertTrue(said.startswith("the first difference is at tick %d\n" % tick), said)
        self.assertEqual("no difference", self.differ("-by", "flow", "-kernel", guest, "--", "-seed", "1", "--", "-seed", "2", status=0)[:13])
        self.assertIn("machine.prng", self.differ("-kernel", guest, "--", "-seed", "1", "--", "-seed", "2", status=72))

    def test_bad_input_is_refused(self):
        guest = self.guest(g.HALT)
        self.assertIn("wants two traces", self.differ(status=64))
        self.assertIn("cannot read", self.differ(self.path("a"), self.path("b"), status=64))
        self.assertIn("is no trace", self.differ(guest, guest, status=64))
        self.assertIn("-by takes state or flow", self.differ("-by", "luck", "--", "--", status=64))
        self.assertIn("of no use", self.differ("-kernel", guest, "--", "-save", "x", "--", status=64))
        self.assertIn("there is no option", self.differ("-kernel", guest, "--", "-x", "--", status=64))


class Doc(unittest.TestCase):
    def test_help_and_man_page_have_the_same_options(self):
        options = re.findall(r"(?m)^  -([\w-]+)", call("trace", "--help"))
        man = re.findall(r"(?m)^\.TP\n\.(?:BI|B) \\-([\w-]+)", text_of(MAN))
        self.assertEqual(options, man)


if __name__ == "__main__":
    args, rest = sys.argv[1:], [sys.argv[0]]
    while args:
        if args[0] == "--trapline":
            TRAPLINE, args = shlex.split(args[1]), args[2:]
        elif args[0] == "--doc":
            DOC, args = args[1], args[2:]
        elif args[0] == "--man":
            MAN, args = args[1], args[2:]
        else:
            rest.append(args.pop(0))
    if rest[1:] == ["Page"] and not CHROMIUM:
        print("skipped: there is no Chromium to open the report in")
        sys.exit(77)
    unittest.main(argv=rest)
