"""The document: what each bug is, and which tests find it."""

import re

from tree import ROOT

DOCUMENT = ROOT / "docs" / "PLANTED-BUGS.md"

SECTION = re.compile(r"^### `([a-z0-9-]+)`\n\n((?:.+\n)+)\n((?:\* .+\n(?:  .+\n)*)*)", re.MULTILINE)
SUITE = re.compile(r"^\* ([^:\n]+):((?: .+\n(?:  .+\n)*))", re.MULTILINE)
WIDTH = 120


class Stray(Exception):
    """Something that stands in the document and is of no bug."""


def read():
    """The tests named for each bug: by bug, by suite. What is not read of a section or a list is refused, not left out."""
    document, found = DOCUMENT.read_text(), {}
    for name, _, lists in SECTION.findall(document):
        if name in found:
            raise Stray(f"{DOCUMENT.name} has {name} twice")
        found[name] = {suite: set(re.findall(r"`([^`]+)`", tests)) for suite, tests in SUITE.findall(lists)}
        if stray := SUITE.sub("", lists).strip():
            raise Stray(f"{DOCUMENT.name}: {name} has a list that names no suite: {stray}")
    stray = [line for line in SECTION.sub("", document).splitlines() if line.startswith(("### ", "* "))]
    if stray:
        raise Stray(f"{DOCUMENT.name}: this is of no bug: {stray[0]}")
    return found


def listed(red):
    """The lists of one bug as they stand in the document."""
    text = ""
    for suite in sorted(suite for suite in red if red[suite]):
        line = f"* {suite}:"
        for n, test in enumerate(sorted(red[suite])):
            word = f" `{test}`" + ("," if n + 1 < len(red[suite]) else "")
            if len(line) + len(word) > WIDTH:
                text += line + "\n"
                line = " "
            line += word
        text += line + "\n"
    return text


def write(found):
    """Puts what turned red in the place of what was named."""
    def section(match):
        name, says, lists = match.groups()
        return f"### `{name}`\n\n{says}\n{listed(found[name]) if name in found else lists}"

    DOCUMENT.write_text(SECTION.sub(section, DOCUMENT.read_text()))
