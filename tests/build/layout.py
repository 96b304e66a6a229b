"""Puts the binaries of a finished `sam build` into one folder by their names: layout.py BUILD FOLDER"""

import pathlib
import shutil
import sys

from samtranslator.yaml_helper import yaml_parse


def main(build, folder):
    build, folder = pathlib.Path(build), pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
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
