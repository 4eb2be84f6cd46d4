# SPDX-License-Identifier: GPL-3.0-or-later
"""What people read is what was looked at.

tests/data/words holds reports of stored runs as they appear on terminals of several widths and as Markdown.
TAUT_GOLDENS=1 writes them anew; then look at what has changed.
"""
import fcntl
import os
import pty
import shutil
import struct
import subprocess
import termios

from tap import SOURCE, TAUT, Taut, check, main, test

WORDS = SOURCE / "tests" / "data" / "words"
WIDTHS = (60, 80, 120)
VERBS = {"report-1": ("report", "1"), "report-3": ("report", "3"), "compare": ("compare", "1", "2"), "list": ("list",)}


def copied(taut):
    """The stored runs of an earlier version, in a folder of this test."""
    path = taut.folder / "old.db"
    shutil.copy(SOURCE / "tests" / "data" / "archive" / "schema-1.db", path)
    path.chmod(0o600)
    return str(path)


def shown(columns, *words):
    """What a terminal of so many columns gets."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
    child = subprocess.Popen([str(TAUT), *words], stdin=subprocess.DEVNULL, stdout=theirs,
                             stderr=subprocess.DEVNULL, env={**os.environ, "NO_COLOR": "1", "TERM": "xterm"})
    os.close(theirs)
    got = b""
    while True:
        try:
            piece = os.read(ours, 65536)
        except OSError:  # EIO: nobody has the terminal open any more
            break
        if not piece:
            break
        got += piece
    os.close(ours)
    check(child.wait() == 0, f"{words} ends with {child.returncode}")
    return got.decode().replace("\r\n", "\n")


def held(name, text):
    path = WORDS / f"{name}.txt"
    if os.environ.get("TAUT_GOLDENS"):
        WORDS.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    wanted = path.read_text(encoding="utf-8").splitlines()
    for number, (new, old) in enumerate(zip(text.splitlines() + [""] * len(wanted), wanted), 1):
        check(new == old, f"{path.name}:{number} is '{new}', not '{old}'")
    check(len(text.splitlines()) == len(wanted), f"{name} has {len(text.splitlines())} lines, not {len(wanted)}")


@test("reports, comparisons and lists look as they did, at every width, and fit it")
def _():
    with Taut() as taut:
        path = copied(taut)
        for name, words in VERBS.items():
            for columns in WIDTHS:
                text = shown(columns, *words, "--db", path)
                wide = [line for line in text.splitlines() if len(line) > columns]
                check(not wide, f"{name} at {columns} columns has lines of {[len(line) for line in wide]}: {wide[:2]}")
                held(f"{name}-{columns}", text)


@test("the answer is in the first ten lines, at every width")
def _():
    with Taut() as taut:
        path = copied(taut)
        for columns in WIDTHS:
            top = " ".join(shown(columns, "report", "1", "--db", path).split("\n")[:10])
            for word in ("container/oci/bridge/tcp_rr: ", "container/oci/bridge/tcp_stream: ", "as configured"):
                check(word in " ".join(top.split()), f"'{word}' is not in the first ten lines: {top}")


@test("Markdown of a stored run is as it was")
def _():
    with Taut() as taut:
        held("report-1-markdown", taut.run("report", "1", "--markdown", "--db", copied(taut)).wants(0).out)


main()
