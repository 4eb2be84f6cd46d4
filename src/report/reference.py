#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
# Turns published boxes into reference_data.c: reference.py OUT FILE…
#
# A file is CSV with a header line, after lines "# KEY: TEXT" that say where the figures are from.
import csv
import json
import pathlib
import sys

UNITS = {"Mb/s": 1e6, "us": 1e3}
QUANTITIES = {"throughput": "REFERENCE_THROUGHPUT", "mean": "REFERENCE_MEAN", "single": "REFERENCE_SINGLE"}
FIGURES = ("min", "q1", "median", "q3", "max")


def text(value):
    return json.dumps(value, ensure_ascii=False)


def read(path):
    lines = path.read_text(encoding="utf-8").splitlines()
    about = dict(line[2:].split(": ", 1) for line in lines if line.startswith("# "))
    return about, list(csv.DictReader(line for line in lines if not line.startswith("#")))


with open(sys.argv[1], "w", encoding="utf-8") as out:
    out.write('#include "reference.h"\n')
    sets = []
    for path in map(pathlib.Path, sys.argv[2:]):
        about, rows = read(path)
        out.write(f"\nstatic const struct reference_row {path.stem}[] = {{\n")
        for row in rows:
            box = [float(row[key]) for key in FIGURES]
            assert box == sorted(box), f"{path}: {row}"
            numbers = ", ".join(repr(value * UNITS[row["unit"]]) for value in box)
            words = ", ".join(text(row[key]) for key in ("workload", "target", "attachment", "arm"))
            out.write(f"\t{{{words}, {QUANTITIES[row['quantity']]}, {{{numbers}}}}},\n")
        out.write("};\n")
        sets.append(f"\t{{{text(path.stem)}, {text(about['title'])}, {text(about['setting'])}, {text(about['boxes'])},\n"
                    f"\t\t{about['line_rate_bps']}, {about['mtu']}, {about['moderation_ns']}, {path.stem}, {len(rows)}}},\n")
    out.write("\nconst struct reference reference_sets[] = {\n" + "".join(sets) + "};\n")
    out.write(f"const size_t reference_sets_n = {len(sets)};\n")
