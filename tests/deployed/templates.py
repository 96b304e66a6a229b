"""The templates as they are written, and without one of their statements."""

import copy
import dataclasses
import os
import pathlib
import shutil
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/template"))

from evaluate import read  # noqa: E402
from processes import expect  # noqa: E402

__all__ = ["ROOT", "read"]

# An action that is valid in every kind of policy and that nothing here needs.
UNUSED = "sts:TagSession"


def functions(templates):
    """The folder of each function's code and the binary that belongs there, by logical id."""
    found = {}
    for name, resource in templates["template.yaml"]["Resources"].items():
        if resource["Type"] == "AWS::Serverless::Function":
            found[name] = (resource["Properties"]["CodeUri"], resource["Metadata"]["BuildProperties"]["Binary"])
    return found


def lay_out(templates, folder):
    """A folder that is to `sam deploy` what a checkout is after `sam build`: the templates, and binaries where the code is."""
    published = templates["template.yaml"]["Metadata"]["AWS::ServerlessRepo::Application"]
    for path in [*templates, "samconfig.toml", published["LicenseUrl"], published["ReadmeUrl"]]:
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / path, target)
    binaries = pathlib.Path(os.environ["FUNCTIONS_DIR"]).resolve()
    for code, binary in functions(templates).values():
        target = folder / code / "bootstrap"
        target.parent.mkdir(parents=True)
        expect((binaries / binary).is_file(), f"no {binary} in {binaries}: FUNCTIONS_DIR has to be what tests/functions prints")
        # Debug information is most of a binary, and would be packed and unpacked for nothing.
        subprocess.run(["strip", "-o", target, binaries / binary], check=True)


@dataclasses.dataclass(frozen=True)
class Statement:
    """A statement that allows something, and where it stands."""

    name: str
    template: str
    place: tuple
    actions: tuple


def statements(templates):
    """Every statement that allows something, in the order of the templates."""
    found = []
    for path, template in templates.items():
        for logical_id, resource in template["Resources"].items():
            for place, statement in allowing(resource, ()):
                sid = statement.get("Sid") or statement["Action"]
                place = ("Resources", logical_id, *place)
                found.append(Statement(f"{logical_id}/{sid}", path, place, tuple(texts(statement["Action"]))))
    names = [statement.name for statement in found]
    twice = sorted({name for name in names if names.count(name) > 1})
    expect(not twice, "statements of the same name:", twice)
    return found


def allowing(node, place):
    if isinstance(node, dict):
        if node.get("Effect") == "Allow":
            yield place, node
        else:
            for key, value in node.items():
                yield from allowing(value, (*place, key))
    elif isinstance(node, list):
        for index, value in enumerate(node):
            yield from allowing(value, (*place, index))


def texts(node):
    """Every text below a node, whatever the conditions."""
    if isinstance(node, str):
        yield node
    else:
        for value in node.values() if isinstance(node, dict) else node:
            yield from texts(value)


def without(templates, removed):
    """The templates without these statements. One that is alone in its policy stays and allows nothing that is needed."""
    templates = copy.deepcopy(templates)
    for statement in removed:
        *way, last = statement.place
        parent = templates[statement.template]
        for step in way:
            parent = parent[step]
        if way[-1] == "Statement" and sum(isinstance(other, dict) and "Effect" in other for other in parent) == 1:
            parent[last]["Action"] = UNUSED
        else:
            parent[last] = {"Ref": "AWS::NoValue"}
    return templates
