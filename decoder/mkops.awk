# SPDX-License-Identifier: MIT
# Print decoder/op.h: one enumerator per distinct name in insn.def, in order of first appearance, and the same names
# as a list macro; and how many rows there are.
BEGIN {
    print "/* SPDX-License-Identifier: MIT */"
    print "/* Generated from decoder/insn.def by decoder/mkops.awk: do not edit. */"
    print "#pragma once"
    print ""
    print "enum op {"
    print "    OP_INVALID,"
    list = "#define DECODER_OPS(X)"
}
/^INSN\(/ {
    rows++
    name = $0
    sub(/^INSN\( */, "", name)
    sub(/[ ,].*/, "", name)
    if (!(name in seen)) {
        seen[name] = 1
        print "    OP_" name ","
        list = list " \\\n    X(" name ")"
    }
}
END {
    print "    OP_COUNT"
    print "};"
    print ""
    print list
    print ""
    print "#define INSN_ROWS " rows
}
