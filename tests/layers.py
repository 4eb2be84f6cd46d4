#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks that a room includes only its own headers and those of the rooms below it.

The arrows are those of CONTRIBUTING.md; a room also sees what the rooms that it may use can see.  tune, target and
engine never see each other.
"""
import pathlib
import re
import sys

ARROWS = {
    "base": [],
    "stat": ["base"],
    "sys": ["base"],
    "spec": ["base"],
    "wire": ["spec", "stat"],
    "net": ["sys"],
    "store": ["wire", "stat"],
    "engine": ["wire", "sys", "stat"],
    "tune": ["wire", "net", "sys"],
    "boot": ["wire", "sys"],
    "target": ["boot", "wire", "net", "sys"],
    "agent": ["engine", "tune", "wire", "net", "sys"],
    "site": ["tune", "target", "boot", "wire", "stat"],
    "run": ["site", "store", "stat"],
    "report": ["store", "stat"],
    "cli": ["report", "run", "tune", "target", "boot", "store"],
}
# The one public header of each room; hist.h stands alone because the static agent links nothing else of stat.
PUBLIC = {room: {f"{room}.h"} for room in ARROWS}
PUBLIC["stat"].add("hist.h")
PUBLIC["wire"].add("base64.h")
PUBLIC["wire"].add("lines.h")


def below(room):
    seen = set()
    todo = list(ARROWS[room])
    while todo:
        other = todo.pop()
        if other not in seen:
            seen.add(other)
            todo += ARROWS[other]
    return seen


def main():
    src = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else "src")
    headers = {path.name: path.parent.name for path in src.glob("*/*.h")}
    bad = []
    checked = 0
    for path in sorted(src.glob("*/*.[ch]")):
        room = path.parent.name
        if room not in ARROWS:
            bad.append(f"{path}: room '{room}' has no arrows in {sys.argv[0]}")
            continue
        allowed = below(room)
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            match = re.match(r'\s*#\s*include\s+"([^"]+)"', line)
            if not match:
                continue
            checked += 1
            name = pathlib.Path(match[1]).name
            other = pathlib.Path(match[1]).parent.name or headers.get(name)
            if other is None or other == room:
                continue
            if other not in allowed:
                bad.append(f"{path}:{number}: {room} must not include {match[1]}")
            elif name not in PUBLIC[other]:
                bad.append(f"{path}:{number}: {match[1]} is private to {other}")
    print("\n".join(bad) if bad else f"layers: {checked} includes, all downwards")
    return 1 if bad or not checked else 0


sys.exit(main())
