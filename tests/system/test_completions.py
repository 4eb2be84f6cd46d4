# SPDX-License-Identifier: GPL-3.0-or-later
"""The shells' completions, run for real by each shell that is installed, and the words that they are made from.

A shell that is not there is skipped.  Nothing is measured.
"""
import os
import pty
import re
import select
import subprocess
import time

from tap import SOURCE, TAUT, Taut, check, check_equal, main, need_program, test

COMPLETIONS = SOURCE / "completions"


def words(taut, *verb):
    return taut.run(*verb, "--words").wants(0).out.splitlines()


def verbs(taut):
    return re.findall(r"^  ([a-z]+) {2,}\S", taut.run("--help").wants(0).out, flags=re.M)


def listed(taut, what):
    return {line.split()[0] for line in taut.run("list", what).wants(0).out.splitlines()}


@test("the words of taut are its verbs")
def _():
    with Taut() as taut:
        check_equal(set(words(taut)), {*verbs(taut), "--help", "--version"}, "taut --words")


@test("the words of every verb have each option of its help")
def _():
    with Taut() as taut:
        for verb in verbs(taut):
            text = taut.run(verb, "--help").wants(0).out
            shown = set(re.findall(r"^\s+(?:-\S, )?(--[a-z][a-z0-9-]*)", text, flags=re.M)) - {"--usage"}
            said = {word.split("=")[0] for word in words(taut, verb) if word.startswith("-")}
            check_equal(said, shown, f"options of taut {verb}")


@test("experiments, workloads, settings and choices are words")
def _():
    with Taut() as taut:
        missing = listed(taut, "experiments") - set(words(taut, "run"))
        check(not missing, f"taut run has no {missing}")
        missing = {f"--set={key}=" for key in listed(taut, "settings")} - set(words(taut, "run"))
        check(not missing, f"taut run has no {missing}")
        said = set(words(taut, "measure"))
        missing = listed(taut, "workloads") - said
        check(not missing, f"taut measure has no {missing}")
        check({"--clock=real", "--clock=exact"} <= said and "--clock=" not in said, f"--clock in {sorted(said)}")
        check({"fetch", "clean"} <= set(words(taut, "lab")), "the arguments of taut lab")
        check("knobs" in words(taut, "list"), "the arguments of taut list")


def environment(taut):
    return {**taut.environment, "PATH": f"{TAUT.parent}:{os.environ['PATH']}"}


# What bash sets for a completion function, from its own splitting of the line (at COMP_WORDBREAKS).
BASH = r"""
source "$1"
COMP_LINE=$2 COMP_POINT=${#2}
read -r -a COMP_WORDS <<<"${2//=/ = }"
[[ $2 == *' ' ]] && COMP_WORDS+=('')
COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
_taut taut
printf '%s\n' "${COMPREPLY[@]}"
"""


def bash(taut, line):
    done = subprocess.run(["bash", "--norc", "-c", BASH, "bash", COMPLETIONS / "taut.bash", line], env=environment(taut), cwd=taut.folder,
                          capture_output=True, text=True, timeout=60, check=False)
    check_equal(done.stderr, "", f"what bash says of '{line}'")
    return set(done.stdout.split())


@test("bash completes verbs, experiments, options, settings and choices")
def _():
    need_program("bash")
    with Taut() as taut:
        taut.write("mine.yaml", "name: mine\n")
        check_equal(bash(taut, "taut ru"), {"run"}, "taut ru")
        check_equal(bash(taut, "taut run qu"), {"quick"}, "taut run qu")
        check_equal(bash(taut, "taut run mi"), {"mine.yaml"}, "taut run mi")
        check_equal(bash(taut, "taut run quick --dry"), {"--dry-run"}, "--dry")
        check_equal(bash(taut, "taut run quick --set=cong"), {"congestion="}, "--set=cong")
        check_equal(bash(taut, "taut measure --clock=ex"), {"exact"}, "--clock=ex")
        check_equal(bash(taut, "taut lab f"), {"fetch"}, "taut lab f")


@test("bash itself completes a line with the Tab key")
def _():
    need_program("bash")
    with Taut() as taut:
        rc = taut.write("rc", f"source {COMPLETIONS / 'taut.bash'}\nPS1='ready> '\nbind 'set enable-bracketed-paste off'\n")
        check_typed(taut, ["bash", "--noprofile", "--rcfile", rc, "-i"])


@test("zsh completes a line with the Tab key")
def _():
    need_program("zsh")
    with Taut() as taut:
        taut.write(".zshrc", f"fpath=({COMPLETIONS} $fpath)\nautoload -Uz compinit\ncompinit -u -D\nPS1='ready> '\n")
        taut.environment["ZDOTDIR"] = str(taut.folder)
        check_typed(taut, ["zsh", "-d", "-i"])


@test("fish completes verbs, experiments and options")
def _():
    need_program("fish")
    with Taut() as taut:
        for line, wanted in (("taut ru", "run"), ("taut run qu", "quick"), ("taut run quick --dry", "--dry-run")):
            done = subprocess.run(["fish", "--no-config", "-c", f"source {COMPLETIONS / 'taut.fish'}; complete -C '{line}'"],
                                  env={**environment(taut), "HOME": str(taut.folder)}, capture_output=True, text=True, timeout=60,
                                  check=False)
            check(wanted in {row.split("\t")[0] for row in done.stdout.splitlines()}, f"{line}: {done.stdout!r} {done.stderr!r}")


def check_typed(taut, shell):
    """Types on a terminal of its own: after Tab the line must run as the whole one would."""
    screen, inside = pty.openpty()
    process = subprocess.Popen(shell, stdin=inside, stdout=inside, stderr=inside, env=environment(taut), cwd=taut.folder,
                               start_new_session=True)
    os.close(inside)
    try:
        until(screen, "ready> ")
        os.write(screen, b"taut measure --clo\t")
        until(screen, "--clock=")
        os.write(screen, b"ex\t")
        until(screen, "exact")
    finally:
        process.kill()
        process.wait()
        os.close(screen)


def until(screen, text):
    shown, end = "", time.monotonic() + 30
    while text not in shown:
        left = end - time.monotonic()
        check(left > 0 and select.select([screen], [], [], left)[0], f"no {text!r} on the terminal: {shown!r}")
        shown += os.read(screen, 4096).decode(errors="replace").replace("\a", "")
    return shown


main()
