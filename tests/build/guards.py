"""Checks what `sam build` made of the functions, and that each check can fail: guards.py BUDGET ARCHITECTURE...

The budget says how the functions were built, lean or release; all else is the same for both."""

import pathlib
import re
import struct
import subprocess
import sys
import tempfile
import zipfile

from starts import HERE, Unanswered, ends, invoke

ROOT = pathlib.Path(__file__).resolve().parents[2]

# The numbers of the ELF specification.
MACHINES = {"arm64": 183, "x86_64": 62}
# What the runtime provided.al2023 has.
GLIBC = (2, 34)
# The largest zip of a function, in kB: a cold start begins with loading it. Measured were 7,850 of a lean worker for x86_64; a
# release, with all unused code taken out by fat LTO, has to be smaller.
BUDGETS = {"lean": 9_000, "release": 7_850}

# As little as a function can be configured with, and an event that it answers without asking anybody.
TENANT = "5ac181d0-c896-435a-a745-ac948db1d59a"
AWS = {"WORK_QUEUE_URL": "https://sqs.eu-central-1.amazonaws.com/111122223333/work", "ARCHIVE_BUCKET": "archive"}
GRAPH = {"GRAPH_TENANT_ID": TENANT, "GRAPH_CLIENT_ID": TENANT, "GRAPH_CREDENTIAL": "federated"}
FUNCTIONS = {
    "fan-out": ({**AWS, **GRAPH}, {"surprise": 1}, ("error", "InvalidPayload")),
    "worker": ({**AWS, **GRAPH}, {"Records": []}, ("response", None)),
    "reconcile": ({**AWS, "GRAPH_TENANT_ID": TENANT}, {"surprise": 1}, ("error", "InvalidPayload")),
}
# How Rust ends a program whose main panicked, if it unwinds; one that aborts ends with a signal.
PANICKED = 101


def expect(truth, what):
    if not truth:
        raise AssertionError(what)


def is_for(binary, architecture):
    """is made for this processor"""
    head = binary.read_bytes()[:20]
    expect(head[:4] == b"\x7fELF", "it is no ELF file")
    machine = struct.unpack_from("<H", head, 18)[0]
    expect(machine == MACHINES[architecture], f"its machine is {machine}, not {MACHINES[architecture]}")


def glibc_of(binary):
    done = subprocess.run(["readelf", "--wide", "--version-info", binary], capture_output=True, text=True, check=True)
    return max((tuple(map(int, found.split("."))) for found in re.findall(r"Name: GLIBC_([0-9.]+)", done.stdout)), default=None)


def asks_for_no_newer_glibc(binary, limit=GLIBC):
    """asks for no newer glibc than the runtime has"""
    newest = glibc_of(binary)
    expect(newest is not None, "it asks for no glibc at all, so this check has read nothing")
    expect(newest <= limit, f"it asks for {newest}, the runtime has {limit}")


def zipped(binary):
    with tempfile.TemporaryFile() as file:
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.write(binary, "bootstrap")
        return file.tell()


def keeps_its_budget(size, budget):
    """its zip keeps its budget"""
    expect(size <= budget * 1000, f"{size / 1000:.0f} kB, allowed are {budget}")


def lists_its_faults(binary, architecture, configuration):
    """starts without configuration, and says all that it lacks"""
    kind, answer = invoke(binary, architecture, {}, {})
    expect((kind, answer.get("errorType")) == ("error", "InvalidConfiguration"), f"it answers {kind} {answer}")
    unsaid = [name for name in configuration if name not in answer["errorMessage"]]
    expect(not unsaid, f"it does not say that it lacks {unsaid}")


def answers(binary, architecture, configuration, event, expected):
    """answers an invocation"""
    kind, answer = invoke(binary, architecture, configuration, event)
    expect((kind, answer.get("errorType")) == expected, f"it answers {kind} {answer}")


def unwinds(binary, architecture):
    """unwinds when it panics, so that a panic is reported and the process lives"""
    # Without what Lambda sets, the runtime's own start panics.
    code = ends(binary, architecture, {})
    expect(code == PANICKED, f"it ends with {code}, not {PANICKED}")


class Score:
    def __init__(self):
        self.passed = self.failed = 0

    def run(self, what, check, *arguments):
        try:
            check(*arguments)
        except (AssertionError, Unanswered, OSError, subprocess.SubprocessError) as problem:
            self.failed += 1
            print(f"FAILED  {what} {check.__doc__}: {problem}")
            return
        self.passed += 1

    def sees(self, what, check, *arguments):
        """A check that does not fail here would not fail anywhere."""
        try:
            check(*arguments)
        except (AssertionError, Unanswered):
            self.passed += 1
        else:
            self.failed += 1
            print(f"FAILED  broken on purpose, {what}: not noticed that it {check.__doc__}")


def guard(score, binary, architecture, budget):
    configuration, event, expected = FUNCTIONS[binary.name]
    what = f"{architecture} {binary.name}"
    score.run(what, is_for, binary, architecture)
    score.run(what, asks_for_no_newer_glibc, binary)
    size = zipped(binary)
    score.run(what, keeps_its_budget, size, budget)
    score.run(what, lists_its_faults, binary, architecture, configuration)
    score.run(what, answers, binary, architecture, configuration, event, expected)
    score.run(what, unwinds, binary, architecture)
    newest = ".".join(map(str, glibc_of(binary) or []))
    print(f"{what}: zip {size / 1000:,.0f} kB of {budget:,}, glibc {newest}, starts, answers, unwinds")
    return size


def see_them_fail(score, binary, architecture, size):
    """Each check, against something that it has to refuse."""
    configuration, event, (kind, error) = FUNCTIONS[binary.name]
    other = next(name for name in MACHINES if name != architecture)
    score.sees("the wrong processor", is_for, binary, other)
    major, minor = glibc_of(binary)
    score.sees("an older runtime", asks_for_no_newer_glibc, binary, (major, minor - 1))
    score.sees("a smaller budget", keeps_its_budget, size, size // 1000 - 1)
    score.sees("another fault", lists_its_faults, binary, architecture, {**configuration, "NO_SUCH_VARIABLE": ""})
    score.sees("no configuration", answers, binary, architecture, {}, event, (kind, error))
    with tempfile.TemporaryDirectory() as folder:
        script = pathlib.Path(folder) / "bootstrap"
        script.write_text("#!/bin/sh\nkill -ABRT $$\n")
        script.chmod(0o755)
        score.sees("an abort", unwinds, script, HERE)
        score.sees("an abort", answers, script, HERE, configuration, event, (kind, error))
        score.sees("an abort", lists_its_faults, script, HERE, configuration)


def main(budget, *architectures):
    score = Score()
    for architecture in architectures:
        folder = ROOT / "target/functions" / architecture
        missing = [name for name in FUNCTIONS if not (folder / name).is_file()]
        if missing:
            sys.exit(f"{folder} has no {', '.join(missing)}: build them by tests/build/run {architecture}")
        for name in FUNCTIONS:
            size = guard(score, folder / name, architecture, BUDGETS[budget])
        see_them_fail(score, folder / name, architecture, size)
    print(f"{score.passed} passed, {score.failed} failed")
    return 1 if score.failed else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
