#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks that no file of src/ has more than 450 lines, and no function more than 60 between its braces."""
import pathlib
import sys

FILE_LINES = 450
FUNCTION_LINES = 60


def functions(lines):
    """(number of the first line, lines between the braces) of every function; the formatter puts both braces
    of a function, and of nothing else that has a body, alone at the beginning of a line."""
    begin = None
    for number, line in enumerate(lines, 1):
        if line == "{":
            begin = number
        elif line == "}" and begin:
            yield begin, number - begin - 1
            begin = None


def main():
    src = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).resolve().parent.parent / "src")
    bad = []
    longest = 0
    for path in sorted(src.glob("*/*.[ch]")):
        lines = path.read_text(encoding="utf-8").splitlines()
        if len(lines) > FILE_LINES:
            bad.append(f"{path}: {len(lines)} lines, more than {FILE_LINES}")
        for begin, length in functions(lines):
            longest = max(longest, length)
            if length > FUNCTION_LINES:
                bad.append(f"{path}:{begin}: a function of {length} lines, more than {FUNCTION_LINES}")
    print("\n".join(bad) if bad else f"sizes: the longest function has {longest} lines")
    return 1 if bad or not longest else 0


sys.exit(main())
