#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Compares the manuals with the program: all options, settings and keys must be in the pages, and be as the pages say.

Speaks TAP.  BUILD names the build folder (default: build); nothing is measured.
"""
import os
import pathlib
import re
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
TAUT = pathlib.Path(os.environ.get("BUILD", ROOT / "build")).resolve() / "taut"
PAGES = ["taut.1", "taut-run.1", "taut-measure.1", "taut-experiment.5"]
# Of argp, in every verb.
HELP_OPTIONS = {"-?", "--help", "--usage"}


class Skip(Exception):
    """The test cannot be made here."""


def run(*arguments):
    """Exit code, stdout, stderr of taut, with a state folder that is thrown away."""
    with tempfile.TemporaryDirectory() as state:
        done = subprocess.run([TAUT, *arguments], capture_output=True, text=True, timeout=120, check=False,
                              env={**os.environ, "TAUT_STATE": state, "LC_ALL": "C.UTF-8", "ARGP_HELP_FMT": "rmargin=500"})
    return done.returncode, done.stdout, done.stderr


def output(*arguments):
    code, out, err = run(*arguments)
    assert code == 0, f"taut {' '.join(arguments)} exits with {code}: {err.strip()}"
    return out


def source(page):
    return (ROOT / "man" / page).read_text(encoding="utf-8")


def flat(page):
    """The page's text without roff: no escapes, no macro names."""
    text = re.sub(r"^\.\\\".*$", "", source(page), flags=re.M)
    text = text.replace("\\%", "").replace("\\-", "-").replace("\\&", "")
    text = re.sub(r"^\.[A-Z][a-z] ", "", text, flags=re.M)
    return re.sub(r"\s+", " ", text)


def options_of(text):
    """Long and short options in the output of --help: only those that a line begins with."""
    found = set()
    for line in text.splitlines():
        match = re.match(r"\s+(-\S, )?(--[a-z][a-z0-9-]*)", line)
        if match:
            found.add(match[2])
            if match[1]:
                found.add(match[1].rstrip(", "))
    return found


def options_in(page):
    """The arguments of every Fl macro."""
    found = set()
    for line in source(page).splitlines():
        flag = False
        for word in line.split() if line.startswith(".") else []:
            word = word.removeprefix(".").replace("\\&", "")
            if re.fullmatch("[A-Z][a-z]", word):
                flag = word == "Fl"
            elif flag and re.search(r"[\w?]", word):
                found.add("-" + word)
    return found


def settings():
    """Key → (help, default) of `taut list settings`."""
    rows = {}
    for line in output("list", "settings").splitlines():
        match = re.fullmatch(r"(\S+)\s+(.*) \(default (\S+)\)", line)
        assert match, f"taut list settings: cannot read '{line}'"
        rows[match[1]] = (match[2], match[3])
    assert len(rows) > 20, f"taut list settings has {len(rows)} rows"
    return rows


def table():
    """Key → (default, values) of the table in taut-experiment(5)."""
    rows = re.findall(r"^\.It Cm (\S+) Ta (.*?) Ta (.*)$", source("taut-experiment.5"), flags=re.M)
    return {key: (default, values) for key, default, values in rows}


def verbs():
    found = re.findall(r"^  ([a-z]+) {2,}\S", output("--help"), flags=re.M)
    assert len(found) >= 5, f"taut --help shows {len(found)} verbs"
    return found


def same(what, got, wanted):
    assert got == wanted, f"{what}: missing {sorted(wanted - got)}, too many {sorted(got - wanted)}"


# --- the tests ------------------------------------------------------------------------------------


def pages_render_without_warnings():
    for page in PAGES:
        try:
            done = subprocess.run(["man", "--warnings", "-E", "UTF-8", "-l", "-Tutf8", "-Z", ROOT / "man" / page],
                                  capture_output=True, text=True, check=False,
                                  env={**os.environ, "LC_ALL": "C.UTF-8", "MANWIDTH": "80"})
        except FileNotFoundError:
            raise Skip("there is no man") from None
        assert done.returncode == 0 and not done.stderr, f"{page}: {done.stderr.strip()}"


def every_verb_is_in_taut_1():
    documented = set(re.findall(r"^\.It Cm (\S+)", source("taut.1"), flags=re.M))
    missing = set(verbs()) - documented
    assert not missing, f"taut(1) has no {sorted(missing)}"


def options_of_run_are_those_of_taut_run_1():
    known = options_of(output("run", "--help"))
    same("taut-run(1)", options_in("taut-run.1"), known | HELP_OPTIONS)


def options_of_measure_are_those_of_taut_measure_1():
    known = options_of(output("measure", "--help"))
    same("taut-measure(1)", options_in("taut-measure.1"), known | HELP_OPTIONS)


def options_of_the_other_verbs_are_in_taut_1():
    known = {"-h", "--version", "--yes", "--dry-run"} | HELP_OPTIONS  # not shown; of the program; of run and measure
    for verb in set(verbs()) - {"run", "measure"}:
        known |= options_of(output(verb, "--help"))
    same("taut(1)", options_in("taut.1"), known)


def every_setting_is_an_option_of_measure():
    rows = settings()
    wanted = {"--" + key.replace("_", "-") for key in rows if key != "workload"}
    missing = wanted - options_in("taut-measure.1")
    assert not missing, f"taut-measure(1) has no {sorted(missing)}"


def settings_of_the_program_are_those_of_taut_experiment_5():
    same("taut-experiment(5)", set(table()), set(settings()))


def defaults_in_taut_experiment_5_are_those_of_the_program():
    rows, wrong = table(), []
    for key, (_, default) in settings().items():
        if key in rows and rows[key][0] != default:
            wrong.append(f"{key}: the page says {rows[key][0]}, the program {default}")
    assert not wrong, "; ".join(wrong)


def defaults_in_taut_measure_1_are_those_of_the_program():
    """Of items with a default that is a word or a number; what follows from other settings is told in a sentence."""
    text, wrong = source("taut-measure.1"), []
    for key, (_, default) in settings().items():
        if key == "workload" or default == "none":
            continue
        item = re.search(r"^\.It [^\n]*Fl -" + key.replace("_", "-") + r" Ns.*?(?=^\.It |^\.El)", text, flags=re.M | re.S)
        assert item, f"{key} has no item"
        told = re.search(r"Default:\s+(?:empty, )?([^\s,;]+?)[.,;]?(?=\s)", item[0])
        if not told or told[1] != default:
            wrong.append(f"{key}: the page says {told[1] if told else 'nothing'}, the program {default}")
    assert not wrong, "; ".join(wrong)


def ranges_in_taut_experiment_5_are_those_of_the_program():
    """The ends of every 'LOW to HIGH' are taken, and what lies beyond them is refused, by the parser of the program."""
    checked = 0
    units = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9}
    for key, (_, values) in table().items():
        match = re.match(r"(\d+)([a-zKMG]*) to (\d+)([a-zKMG]*)", values)
        if not match:
            continue
        time = match[4] in ("ms", "s", "m", "h")
        beyond = str(int(match[3]) * units[match[4]] + 1) + ("ns" if time else "")
        code, _, err = run("run", "quick", "--dry-run", "--set", f"{key}={beyond}")
        assert code == 2 and f"cannot set {key} to '{beyond}'" in err, f"{key}={beyond}: exit {code}, {err.strip()}"
        least = int(match[1]) * units[match[2]]
        if least > 0:
            below = str(least - 1) + ("ns" if time else "")
            code, _, err = run("run", "quick", "--dry-run", "--set", f"{key}={below}")
            assert code == 2 and f"cannot set {key}" in err, f"{key}={below}: exit {code}, {err.strip()}"
        for end in (match[1] + match[2], match[3] + match[4]):
            _, _, err = run("run", "quick", "--dry-run", "--set", f"{key}={end}")
            assert f"cannot set {key}" not in err, f"{key}={end}: {err.strip()}"
        checked += 1
    assert checked >= 10, f"only {checked} ranges were found"


def choices_in_taut_experiment_5_are_those_of_measure_help():
    text = output("measure", "--help")
    for key, (_, values) in table().items():
        match = re.search(r"--" + key.replace("_", "-") + r"(?:\[=|=)([a-z0-9_-]+(?:\|[a-z0-9_-]+)+)\]?\s", text)
        for choice in match[1].split("|") if match else []:
            assert re.search(r"\b" + re.escape(choice.split(":")[0]) + r"\b", values), f"{key}: '{choice}' is not in '{values}'"


def every_workload_profile_and_experiment_is_documented():
    for what, page in (("workloads", "taut-measure.1"), ("profiles", "taut-measure.1"), ("experiments", "taut-run.1")):
        for line in output("list", what).splitlines():
            name = line.split()[0]
            assert re.search(r"\bCm " + re.escape(name) + r"\b", source(page)), f"{page} has no {what[:-1]} '{name}'"


def every_exit_code_is_documented():
    header = (ROOT / "src/base/base.h").read_text(encoding="utf-8")
    enum = re.search(r"enum err_exit \{(.*?)\}", header, flags=re.S)
    codes = set(re.findall(r"= (\d+)", enum[1]))
    section = re.search(r"^\.Sh EXIT STATUS$(.*?)^\.Sh", source("taut.1"), flags=re.M | re.S)[1]
    same("EXIT STATUS of taut(1)", set(re.findall(r"^\.It (\d+)$", section, flags=re.M)), codes)
    for page in ("taut-run.1", "taut-measure.1"):
        section = re.search(r"^\.Sh EXIT STATUS$(.*?)^\.Sh", source(page), flags=re.M | re.S)[1]
        unknown = set(re.findall(r"^\.It (\d+)$", section, flags=re.M)) - codes
        assert not unknown, f"{page}: there are no exit codes {sorted(unknown)}"


def every_environment_variable_of_taut_is_in_taut_1():
    used = set()
    for path in (ROOT / "src").glob("*/*.c"):
        used |= set(re.findall(r'getenv\("([A-Z_]+)"\)', path.read_text(encoding="utf-8")))
    documented = set(re.findall(r"\bEv ([A-Z_]+)", source("taut.1")))
    missing = used - documented - {"HOME", "PATH"}
    assert not missing, f"taut(1) has no {sorted(missing)}"


def keys_of_the_json_documents_are_documented():
    """By the sources that write them, since nothing is measured here."""
    pages = {"json.c": "taut-run.1", "figures.c": "taut-run.1", "shape.c": "taut-run.1", "trial_json.c": "taut-measure.1",
             "../cli/verb_kernel.c": "taut.1"}
    missing = []
    for name, page in pages.items():
        text = (ROOT / "src/report" / name).read_text(encoding="utf-8")
        keys = set(re.findall(r'json_object_set_new\(\s*\w+,\s*"([^"]+)"', text))
        keys |= set(re.findall(r'^\t\{"([a-z_]+)", (?:NULL|"|\w)', text, flags=re.M))
        keys |= set(re.findall(r"FIELD\(\w+, struct during, (\w+)\)", text))
        missing += [f"{page}: {key}" for key in keys
                    if not re.search(r"(?<![\w.])" + re.escape(key) + r"(?![\w])", flat(page))]
    assert not missing, ", ".join(sorted(missing))


def the_experiment_shown_in_taut_experiment_5_is_quick():
    shown = re.search(r"^\.Bd -literal -offset indent\n(name: quick\n.*?)^\.Ed", source("taut-experiment.5"), flags=re.M | re.S)
    kept = (ROOT / "experiments/quick.yaml").read_text(encoding="utf-8")
    kept = re.sub(r"^#.*\n", "", kept, flags=re.M)
    words = [re.sub(r"\s+", "", text) for text in (shown[1], kept)]
    assert words[0] == words[1], f"shown {words[0]}, built in {words[1]}"


def examples_in_taut_experiment_5_are_experiments():
    texts = re.findall(r"^\.Bd -literal -offset indent\n(name: .*?)^\.Ed", source("taut-experiment.5"), flags=re.M | re.S)
    if (os.cpu_count() or 1) < 2:
        raise Skip("they name CPU 1")
    assert len(texts) >= 3, f"only {len(texts)} examples were found"
    for text in texts:
        with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
            file.write(text)
            file.flush()
            code, _, err = run("run", file.name, "--dry-run")
        assert code in (0, 5), f"exit {code}: {err.strip()}\n{text}"  # 5: others work on this machine


def commands_in_the_readme_are_commands():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    known = {verb: options_of(output(verb, "--help")) for verb in verbs()}
    wrong = []
    shown = [part.strip() for line in re.findall(r"^ {4,}(?:sudo )?(taut .*)$", text, flags=re.M)
             for part in line.split("#")[0].split(";")]
    assert len(shown) >= 5, f"only {len(shown)} commands were found"
    for command in shown:
        words = command.split()
        if words[0] != "taut" or len(words) < 2 or words[1] not in known:
            wrong.append(f"'{command}'")
            continue
        wrong += [f"{word} in '{command}'" for word in words[2:]
                  if word.startswith("--") and word.split("=")[0] not in known[words[1]]]
    assert not wrong, "; ".join(wrong)


def links_of_the_readme_are_there():
    for name in ("README.md", "CONTRIBUTING.md"):
        text = (ROOT / name).read_text(encoding="utf-8")
        for target in re.findall(r"\]\(([^)#:]+)\)", text):
            assert (ROOT / target).exists(), f"{name}: there is no {target}"


def paths_in_contributing_are_there():
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    missing = [path for path in re.findall(r"`((?:src|tests|experiments|scripts|man|bench)/[\w./-]+)`", text)
               if not (ROOT / path).exists()]
    assert not missing, f"there is no {missing}"


TESTS = [
    pages_render_without_warnings,
    every_verb_is_in_taut_1,
    options_of_run_are_those_of_taut_run_1,
    options_of_measure_are_those_of_taut_measure_1,
    options_of_the_other_verbs_are_in_taut_1,
    every_setting_is_an_option_of_measure,
    settings_of_the_program_are_those_of_taut_experiment_5,
    defaults_in_taut_experiment_5_are_those_of_the_program,
    defaults_in_taut_measure_1_are_those_of_the_program,
    ranges_in_taut_experiment_5_are_those_of_the_program,
    choices_in_taut_experiment_5_are_those_of_measure_help,
    every_workload_profile_and_experiment_is_documented,
    every_exit_code_is_documented,
    every_environment_variable_of_taut_is_in_taut_1,
    keys_of_the_json_documents_are_documented,
    the_experiment_shown_in_taut_experiment_5_is_quick,
    examples_in_taut_experiment_5_are_experiments,
    commands_in_the_readme_are_commands,
    links_of_the_readme_are_there,
    paths_in_contributing_are_there,
]


def main():
    failed = 0
    print(f"1..{len(TESTS)}", flush=True)
    for number, test in enumerate(TESTS, 1):
        name = test.__name__.replace("_", " ")
        try:
            test()
        except Skip as reason:
            print(f"ok {number} - {name} # SKIP {reason}", flush=True)
            continue
        except (AssertionError, OSError, subprocess.SubprocessError, TypeError, KeyError) as problem:
            failed += 1
            print(f"not ok {number} - {name}")
            print("\n".join("  # " + line for line in str(problem).splitlines()), flush=True)
            continue
        print(f"ok {number} - {name}", flush=True)
    return 1 if failed else 0


sys.exit(main())
