#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""`trapline classify` from outside: help, formats, lists. docs_test.py runs the commands of docs/classify.md.

  classify_test.py --trapline FILE --man FILE [TEST]...
"""
import csv
import io
import json
import os
import re
import shlex
import subprocess
import sys
import tempfile
import unittest

TRAPLINE = MAN = None


def run(*words, status=0):
    p = subprocess.run(TRAPLINE + list(words), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if p.returncode != status:
        raise AssertionError("%s: status %d\n%s" % (" ".join(words), p.returncode, p.stdout + p.stderr))
    return p.stdout if status in (0, 72) else p.stderr


class Help(unittest.TestCase):
    def test_help_and_man_page_have_the_same_options(self):
        options = re.findall(r"(?m)^  -([\w-]+)", run("classify", "--help"))
        man = re.findall(r"(?m)^\.TP\n\.(?:BI|B) \\-([\w-]+)", open(MAN).read().replace("\\-vmm", "-vmm"))
        self.assertEqual(options, man)


class Formats(unittest.TestCase):
    QUICK = ["classify", "--states", "8"]

    def test_json_csv_and_markdown_have_the_same_forms(self):
        forms = json.loads(run(*self.QUICK, "--format", "json"))["forms"]
        rows = list(csv.DictReader(io.StringIO(run(*self.QUICK, "--format", "csv"))))
        lines = run(*self.QUICK, "--format=markdown").splitlines()
        self.assertEqual([f["form"] for f in forms], [r["form"] for r in rows])
        self.assertEqual(len(forms) + 2, len(lines))
        popf = [f for f in forms if f["name"] == "POPF"]
        self.assertEqual([f["theorem_1"] for f in popf], ["violation"])
        self.assertIn("IF", popf[0]["writes"].split(", "))

    def test_html_is_one_page(self):
        page = run(*self.QUICK, "--format", "html")
        self.assertTrue(page.startswith("<!DOCTYPE html>") and page.endswith("</html>\n"))
        self.assertNotIn("http", page)
        self.assertEqual(page.count("<tr"), page.count("</tr>"))

    def test_matrix_and_all(self):
        text = run(*self.QUICK, "--matrix", "--all")
        self.assertRegex(text, r"(?m)^PUSHF OP\(0x9c\) \(r_Fv\) +mode user, VIOLATION\n +reads IF, IOPL, AC, NT$")
        self.assertRegex(text, r"(?m)^LGDT OP_0F\(0x01, REG\(2\)\) \(r_Ms\) +[.]*ww[.]*$")


class Expect(unittest.TestCase):
    def check(self, text, status):
        with tempfile.NamedTemporaryFile("w", suffix=".txt") as f:
            f.write(text)
            f.flush()
            return run("classify", "--expect", f.name, status=status)

    def test_a_right_list_passes_and_a_wrong_one_is_explained(self):
        text = run("classify")
        names = re.findall(r"(?m)^  (\w+) .*/", text)
        self.assertEqual(24, len(names))
        self.check("# all\n" + "\n".join(names) + "\n", 0)
        said = self.check("\n".join(names[1:]) + "\nHLT\nPOPF location\n", 72)
        self.assertRegex(said, r"MOV: found, and not expected; witness prot32/pentium/\d+/")
        self.assertIn("HLT: expected, and not found", said)
        self.assertIn("POPF: expected location, found control mode", said)

    def test_bad_input_is_refused(self):
        self.assertIn("'nonsense' is no class", self.check("POPF nonsense\n", 64))
        self.assertIn("did you mean -matrix", run("classify", "--matrx", status=64))
        self.assertIn("did you mean 'html'", run("classify", "--format", "htm", status=64))
        self.assertIn("there is no mode", run("classify", "--mode", "real", status=64))
        self.assertIn("has no mode long64", run("classify", "--mode", "long64", status=64))
        self.assertIn("has not all of the variants", run("classify", "--variant", "umip", status=64))
        self.assertIn("a witness is", run("classify", "--witness", "prot32/pentium/1", status=64))


if __name__ == "__main__":
    args = sys.argv[1:]
    rest = [sys.argv[0]]
    while args:
        if args[0] == "--trapline":
            TRAPLINE = shlex.split(args[1])
            args = args[2:]
        elif args[0] == "--man":
            MAN = args[1]
            args = args[2:]
        else:
            rest.append(args.pop(0))
    unittest.main(argv=rest)
