#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks the words that users read: in the strings of the rooms that speak to them, and in the reports that
tests/data/words holds.

NEVER lists what must not be said, with what is said in its place.  BROKEN lists what no made sentence may hold: a
number that does not exist, a plural of one, a blank before a comma.
"""
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
ROOMS = ("cli", "doc", "report")

NEVER = {
    r"could miss": "what the interval excludes",
    r"(?<!not )(?<!not-)\bsteady\b": "settled, and in how many trials that was judged",
    r"are of the median change": "the typical change (Hodges-Lehmann)",
    r"\bsignificant": "the verdict, and the size of the change",
    r"\bproves?\b": "what was shown, and how sure that is",
    r"\bculprit": "owner, and only of what was seen",
}
BROKEN = {
    r"(?<![\d.,\w ])(?<!\d )1 (?:blocks|trials|cells|CPUs|times|families)\b": "a plural of one",
    r"\(null\)": "a text that is not there",
    r"(?<![\w-])-?nan\b|(?<![\w-])-?inf\b": "a number that is not there",
    r"\w ,": "a blank before a comma",
    r"\(\)": "nothing in brackets",
}
STRING = re.compile(r'"((?:[^"\\]|\\.)*)"')


def strings(path):
    """The literals of a file of C, each with the number of its line."""
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if line.lstrip().startswith(("#include", "*", "/*", "//")):
            continue
        for found in STRING.finditer(line):
            yield number, found[1]


def main():
    bad, seen = [], 0
    for room in ROOMS:
        for path in sorted((ROOT / "src" / room).glob("*.c")):
            for number, text in strings(path):
                seen += 1
                for pattern, instead in NEVER.items():
                    if re.search(pattern, text):
                        bad.append(f"{path.relative_to(ROOT)}:{number}: '{text}' (say: {instead})")
    for path in sorted((ROOT / "tests" / "data" / "words").glob("*.txt")):
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            seen += 1
            for pattern, instead in {**NEVER, **BROKEN}.items():
                if re.search(pattern, line):
                    bad.append(f"{path.relative_to(ROOT)}:{number}: '{line}' ({instead})")
    for line in bad:
        print(line)
    print(f"words: {seen} texts, {len(bad)} to be mended")
    return 1 if bad or not seen else 0


if __name__ == "__main__":
    sys.exit(main())
