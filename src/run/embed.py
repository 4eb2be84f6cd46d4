#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
# Turns experiment files into builtin.c: embed.py OUT FILE…
import json
import pathlib
import sys

with open(sys.argv[1], "w", encoding="utf-8") as out:
    out.write('#include "builtin.h"\n\n#include <stddef.h>\n\nconst struct builtin builtins[] = {\n')
    for path in map(pathlib.Path, sys.argv[2:]):
        text = path.read_text(encoding="utf-8")
        help_line = text.splitlines()[0].removeprefix("#").strip()
        lines = "\n\t\t".join(json.dumps(line, ensure_ascii=False) for line in text.splitlines(True))
        out.write(f'\t{{"{path.stem}", {json.dumps(help_line, ensure_ascii=False)},\n\t\t{lines}}},\n')
    out.write("\t{NULL, NULL, NULL},\n};\n")
