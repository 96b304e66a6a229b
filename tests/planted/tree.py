"""The planted tree: a copy of the sources with every bug in it, each behind the one switch, built once."""

import json
import os
import pathlib
import re
import subprocess
import sys
import tomllib

HERE = pathlib.Path(__file__).parent
ROOT = HERE.parent.parent

# The switch lives in the crate that all others depend on.
SWITCH = "shared/domain/src/planted.rs"
SWITCH_HOME = "shared/domain/src/lib.rs"

# The suites whose tests are the universe: those in the crates' sources, and these of their `tests` folders.
PACKAGES = ["domain", "archive", "graph", "worker", "fan-out", "reconcile", "end-to-end"]
TESTS = ["format", "directory", "http", "interactions", "tokens", "handle", "suite", "faults", "hostile"]

# What differs in the copy's manifest.
MANIFEST = [
    # Another version, so that what is built of the copy lies beside what is built of the sources and neither replaces the other.
    ('version = "0.1.0"', 'version = "0.1.0-planted"'),
    # Thousands of tests are run: our own crates are optimised a little, and their dependencies are those of the sources.
    ("[profile.dev]\n", '[profile.dev.package."*"]\nopt-level = 0\n\n[profile.dev]\nopt-level = 1\n'),
]


class Stale(Exception):
    """A bug that can no longer be planted as it is written."""


def bugs():
    """The plants of each bug, by its name."""
    found = {}
    for file in sorted((HERE / "bugs").glob("*.toml")):
        for name, bug in tomllib.loads(file.read_text()).items():
            if name in found:
                raise Stale(f"{name} is planted twice")
            found[name] = bug["plant"]
    return found


def replace(sources, name, file, find, code):
    """Puts code in the place of what has to be there exactly once."""
    text = sources[file].decode() if file in sources else ""
    if text.count(find) != 1:
        raise Stale(f"{name}: {file} has {text.count(find)} times, not once:\n{find}")
    sources[file] = text.replace(find, code).encode()


def planted(sources, name, plants):
    """Plants one bug."""
    for plant in plants:
        replace(sources, name, plant["file"], plant["find"].rstrip("\n"), plant["code"].rstrip("\n"))
    if not any(f'planted::is("{name}")' in plant["code"] for plant in plants):
        raise Stale(f"{name} does not ask the switch for its own name")


def target():
    return pathlib.Path(os.environ.get("CARGO_TARGET_DIR") or ROOT / "target").absolute()


def write():
    """Writes the planted tree and answers where it lies. What has not changed keeps its time, so that little is built anew."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, check=True, capture_output=True, text=True,
    ).stdout.split("\0")
    sources = {name: (ROOT / name).read_bytes() for name in listed if name and (ROOT / name).is_file()}
    for name, plants in bugs().items():
        planted(sources, name, plants)
    sources[SWITCH] = (HERE / "switch.rs").read_bytes()
    sources[SWITCH_HOME] += b"\npub mod planted;\n"
    for find, code in MANIFEST:
        replace(sources, "the copy", "Cargo.toml", find, code)
    # Our own packages, which have no source, are of the copy's version in its lock file too.
    lock = sources["Cargo.lock"].decode()
    sources["Cargo.lock"] = re.sub(r'version = "0\.1\.0"\n(?!source)', 'version = "0.1.0-planted"\n', lock).encode()

    tree = target() / "planted-bugs"
    for old in tree.rglob("*"):
        if old.is_file() and str(old.relative_to(tree)) not in sources:
            old.unlink()
    for name, content in sources.items():
        path = tree / name
        if path.is_file() and path.read_bytes() == content:
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return tree


def holders(tree):
    """By folder of a package: the folders of all packages that its tests are built of. Only these can have a bug in them."""
    command = ["cargo", "metadata", "--format-version=1", "--no-deps"]
    packages = json.loads(subprocess.run(command, cwd=tree, check=True, stdout=subprocess.PIPE).stdout)["packages"]
    folder = {one["name"]: str(pathlib.Path(one["manifest_path"]).parent.relative_to(tree)) for one in packages}
    needs = {folder[one["name"]]: {folder[d["name"]] for d in one["dependencies"] if d["name"] in folder} for one in packages}

    def all_of(start):
        found, left = set(), [start]
        while left:
            one = left.pop()
            if one not in found:
                found.add(one)
                left += needs[one]
        return found

    return {one: all_of(one) for one in needs}


def build(tree):
    """Builds the tests. Answers each test program as (suite, path, the folder it runs in)."""
    command = ["cargo", "test", "--locked", "--no-run", "--message-format=json", "--lib"]
    command += [f"--package={package}" for package in PACKAGES] + [f"--test={name}" for name in TESTS]
    built = subprocess.run(
        command, cwd=tree, stdout=subprocess.PIPE, text=True,
        env={**os.environ, "CARGO_TARGET_DIR": str(target())},
    )
    messages = [json.loads(line) for line in built.stdout.splitlines()]
    if built.returncode != 0:
        # Warnings are for the sources' own checks.
        errors = [one["message"] for one in messages if one.get("message", {}).get("level") == "error"]
        print(*(error["rendered"] for error in errors), file=sys.stderr)
        sys.exit("the planted tree does not build: a bug is written against code that has changed")
    suites = []
    for message in messages:
        if message.get("executable") and message.get("profile", {}).get("test"):
            folder = pathlib.Path(message["manifest_path"]).parent
            name = message["target"]["name"]
            # A package's own tests carry its name, those of its `tests` folder theirs beside it.
            suite = folder.name if "lib" in message["target"]["kind"] else f"{folder.name} {name}"
            suites.append((suite, message["executable"], folder))
    # What takes longest first.
    return sorted(suites, key=lambda suite: (not suite[0].startswith("end-to-end"), suite))
