"""Puts the binaries of a finished `sam build` into one folder by their names, and makes the build whole in itself, so that it
can be deployed from anywhere: layout.py BUILD FOLDER"""

import pathlib
import re
import shutil
import sys

from samtranslator.yaml_helper import yaml_parse

ROOT = pathlib.Path(__file__).parents[2]


def bring(build):
    """Copies into the build what lies outside: what the template's metadata names, and with what defaults it is deployed."""
    shutil.copy2(ROOT / "samconfig.toml", build)
    template = build / "template.yaml"

    def brought(named):
        path = build / named[2]
        if path.parent != build:
            shutil.copy2(path, build)
        return f"{named[1]}: {path.name}"

    template.write_text(re.sub(r"\b(LicenseUrl|ReadmeUrl): (\S+)", brought, template.read_text()))


def main(build, folder):
    build, folder = pathlib.Path(build), pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    bring(build)
    resources = yaml_parse((build / "template.yaml").read_text())["Resources"]
    for resource in resources.values():
        if resource["Type"] == "AWS::Serverless::Function":
            binary = build / resource["Properties"]["CodeUri"] / resource["Properties"].get("Handler", "bootstrap")
            # Replaced, not overwritten: a process may still run the former one.
            target = folder / resource["Metadata"]["BuildProperties"]["Binary"]
            target.unlink(missing_ok=True)
            shutil.copy2(binary, target)


if __name__ == "__main__":
    main(*sys.argv[1:])
