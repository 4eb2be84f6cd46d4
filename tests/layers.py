#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks that modules include one another only as the diagram of CONTRIBUTING.md draws it.

The diagram has one line for each folder of src/: what it is for, and behind the arrow the modules that it may use.
`base` and `spec` are open to every module from which they can be reached.  Any other include needs an arrow of its
own, also when the header comes in through the header of a third module: what a file sees is what it depends on.

A module shows one header, of its own name.  The few others that may be included from outside stand in PUBLIC.
"""
import pathlib
import re
import sys

OPEN = {"base", "spec"}
# hist.h: the static agent links nothing else of stat.  The headers of wire: a codec each.
PUBLIC = {"stat": {"hist.h"}, "spec": {"plan.h", "tool.h"}, "net": {"xdp.h"},
          "wire": {"base64.h", "boot_document.h", "condition.h", "job.h", "lines.h", "record.h"}}

ARROW_LINE = re.compile(r"^src/(\w+)/\s.*?►\s*([\w ]+)$")
MODULE_LINE = re.compile(r"^src/(\w+)/\s")
INCLUDE = re.compile(r'^\s*#\s*include\s+"([^"]+)"', re.M)


def arrows_read(text):
    arrows = {}
    for line in text.splitlines():
        if MODULE_LINE.match(line):
            drawn = ARROW_LINE.match(line)
            arrows[MODULE_LINE.match(line)[1]] = set(drawn[2].split()) if drawn else set()
    return arrows


def below(arrows, module):
    seen = set()
    todo = list(arrows[module])
    while todo:
        other = todo.pop()
        if other not in seen:
            seen.add(other)
            todo += arrows.get(other, ())
    return seen


class Tree:
    def __init__(self, src, arrows):
        self.src = src
        self.arrows = arrows
        self.may = {module: arrows[module] | (OPEN & below(arrows, module)) for module in arrows}
        self.bad = []
        self.checked = 0
        self.seen = {}

    def includes(self, path):
        """The headers of the tree that a file names, in order."""
        if path not in self.seen:
            places = [path.parent, self.src] + [self.src / module for module in sorted(OPEN | {"stat", "sys", "wire"})]
            found = []
            for name in INCLUDE.findall(path.read_text(encoding="utf-8")):
                header = next((place / name for place in places if (place / name).is_file()), None)
                if header:
                    found.append(header.resolve())
            self.seen[path] = found
        return self.seen[path]

    def check(self, path):
        module = path.parent.name
        if module not in self.arrows:
            self.bad.append(f"{path}: the diagram has no line for src/{module}/")
            return
        told = set()
        todo = [(header, []) for header in self.includes(path)]
        done = set()
        while todo:
            header, way = todo.pop(0)
            if header in done:
                continue
            done.add(header)
            other = header.parent.name
            through = "".join(f" (through {step.parent.name}/{step.name})" for step in way[-1:])
            if not way:
                self.checked += 1
                if other != module and header.name != f"{other}.h" and header.name not in PUBLIC.get(other, ()):
                    self.bad.append(f"{path}: {other}/{header.name} is private")
            if other != module and other not in self.may[module] and other not in told:
                told.add(other)
                self.bad.append(f"{path}: {module} has no arrow to {other}: {header.name}{through}")
            todo += [(further, way + [header]) for further in self.includes(header)]


def main():
    here = pathlib.Path(__file__).resolve().parent.parent
    src = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else here / "src").resolve()
    drawing = pathlib.Path(sys.argv[2] if len(sys.argv) > 2 else here / "CONTRIBUTING.md")
    arrows = arrows_read(drawing.read_text(encoding="utf-8"))
    bad = [f"{drawing}: {module} has an arrow to {other}, which has no line" for module in arrows
           for other in sorted(arrows[module] - set(arrows))]
    bad += [f"{drawing}: the arrows lead from {module} back to it" for module in arrows if module in below(arrows, module)]
    bad += [f"{drawing}: there is no folder src/{module}/" for module in arrows if not (src / module).is_dir()]
    tree = Tree(src, arrows)
    for path in sorted(src.glob("*/*.[ch]")):
        tree.check(path)
    bad += tree.bad
    print("\n".join(bad) if bad else f"layers: {tree.checked} includes, all as drawn")
    return 1 if bad or not tree.checked else 0


sys.exit(main())
