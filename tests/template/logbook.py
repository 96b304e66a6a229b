"""What the functions log, as their source says it and as docs/LOGGING.md does."""

import re

from evaluate import ROOT
from runner import check, expect, same

# What stands on every line, from the subscriber and from Lambda's own invocation.
COMMON = {"timestamp", "level", "message", "target", "span", "spans", "_aws"}
# The local program logs to a screen, and its handlers are the functions'.
SOURCES = ("shared/*/src/**/*.rs", "functions/fan-out/src/**/*.rs", "functions/worker/src/**/*.rs", "functions/reconcile/src/**/*.rs")


def arguments(text, start):
    """The arguments of the macro whose parenthesis opens right before `start`."""
    depth, begin, found, at = 0, start, [], start
    while True:
        char = text[at]
        if char == '"':
            at = re.compile(r'"(?:[^"\\]|\\.)*"', re.S).match(text, at).end()
            continue
        if char in "([{":
            depth += 1
        elif char in ")]}":
            if depth == 0:
                break
            depth -= 1
        elif char == "," and depth == 0:
            found.append(text[begin:at].strip())
            begin = at + 1
        at += 1
    found.append(text[begin:at].strip())
    return [argument for argument in found if argument]


def said(source):
    """Each line that a source may log: its message, and the names of its fields."""
    # What stands in tests is not logged by the functions.
    source = source.split("#[cfg(test)]")[0]
    for macro in re.finditer(r"tracing::(?:\$level|debug|info|warn|error)!\(", source):
        message, fields = None, set()
        for argument in arguments(source, macro.end()):
            if argument.startswith('"'):
                message = re.sub(r"\\\n\s*", "", argument.strip('"'))
            elif not argument.startswith("target:"):
                # A metric is a field of its name.
                fields.add(re.match(r"(?:\{ Metric::|[%?]?\s*)(\w+)", argument).group(1))
        yield message, fields


def in_code():
    found = {}
    for pattern in SOURCES:
        for path in sorted(ROOT.glob(pattern)):
            for message, fields in said(path.read_text()):
                found.setdefault(message, set()).update(fields)
    return found


def metrics():
    """The functions' own metrics, in the source's order."""
    (variants,) = re.findall(r"pub enum Metric \{(.*?)\n\}", (ROOT / "shared/domain/src/metric.rs").read_text(), re.S)
    return re.findall(r"^    (\w+),$", variants, re.M)


def in_document():
    """The rows of the tables of docs/LOGGING.md whose first cell is a message in backquotes."""
    found = {}
    for row in (ROOT / "docs/LOGGING.md").read_text().splitlines():
        cells = [cell.strip() for cell in row.strip("|").split("|")]
        if row.startswith("| `") and len(cells) == 4:
            message, _, fields, _ = cells
            found.setdefault(message.strip("`"), set()).update(re.findall(r"`(\w+)`", fields))
    return found


@check
def the_log_is_documented(_):
    """docs/LOGGING.md has every line and every field that the functions' source has, and no other."""
    code, document = in_code(), in_document()
    expect(set(code) == set(document), "not in the document:", set(code) - set(document), "not in the source:", set(document) - set(code))
    for message, fields in code.items():
        same(document[message], fields, message)


@check
def the_metrics_are_documented(_):
    """Each metric is said by a line of the functions, and docs/LOGGING.md says of which."""
    of_lines = {}
    for message, fields in in_code().items():
        for metric in fields & set(metrics()):
            of_lines.setdefault(metric, set()).add(message)
    document = {}
    for row in (ROOT / "docs/LOGGING.md").read_text().splitlines():
        cells = [cell.strip() for cell in row.strip("|").split("|")]
        if row.startswith("| `") and len(cells) == 3 and cells[0].strip("`") in metrics():
            document[cells[0].strip("`")] = set(re.findall(r"`([^`]+)`", cells[1]))
    same(set(of_lines), set(metrics()), "the metrics that are said")
    same(document, of_lines)
