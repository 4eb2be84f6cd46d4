# SPDX-License-Identifier: GPL-3.0-or-later
"""Small experiments, and what is stored of them."""
import csv
import io
import sqlite3

from tap import check_equal

TINY = """
name: tiny
blocks: {blocks}
trial: {{ transactions: 600, max_duration: 1s, warmup: 20ms }}
cells: [{{workload: tcp_rr}}, {{workload: udp_rr}}]
arms: {{stock: {{}}, small: {{request: 64}}}}
"""
TINY_TRIALS = 4  # a block


def tiny(taut, blocks=2, name="tiny.yaml"):
    return taut.write(name, TINY.format(blocks=blocks))


def trials(taut, run="last"):
    """The stored trials of a run, as (block, cell, arm)."""
    rows = csv.DictReader(io.StringIO(taut.run("export", run, "--csv").wants(0).out, newline=""))
    check_equal(sorted(set(rows.fieldnames)), sorted(rows.fieldnames), "columns, each once")
    return [(int(r["block"]), r["cell"], r["arm"]) for r in rows]


def database_is_sound(path):
    with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as db:
        return db.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
