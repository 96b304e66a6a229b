"""Embedded metric format as CloudWatch reads it, by the specification alone: what a log line makes it count.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html

Of a line that CloudWatch cannot read it makes no metric, and says so only in AWS/Logs EMFParsingErrors and EMFValidationErrors. So a
line that claims the format has to keep all of it.
"""

import json
import math
from datetime import datetime, timedelta, timezone

from runner import expect

LARGEST_LINE = 256 * 1024
MOST_METRICS = MOST_VALUES = 100
MOST_DIMENSIONS = 30
LONGEST_NAME = 1024
# What CloudWatch takes of a metric's name space and of its values.
LONGEST_NAMESPACE = 255
LARGEST_VALUE = 2.0**360
# How old a value may be when it arrives, and how far ahead of time.
OLDEST, NEWEST = timedelta(days=14), timedelta(hours=2)
UNITS = {
    "None", "Count", "Percent", "Seconds", "Microseconds", "Milliseconds",
    *(f"{scale}{of}".capitalize() + per for scale in ("", "kilo", "mega", "giga", "tera") for of in ("bytes", "bits") for per in ("", "/Second")),
    "Count/Second",
}


def named(text, longest, what):
    expect(isinstance(text, str) and 1 <= len(text) <= longest, what, repr(text))
    return text


def values(line, name):
    """The values of a metric, which stand at the top of the line: one number, or several."""
    expect(name in line, "the metric", name, "has no value")
    found = line[name] if isinstance(line[name], list) else [line[name]]
    expect(1 <= len(found) <= MOST_VALUES, name, "has", len(found), "values")
    for value in found:
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        expect(number and math.isfinite(value) and abs(value) <= LARGEST_VALUE, name, "is no number:", value)
    return found


def dimensions(line, names):
    """One set of dimensions: the names of members that are text."""
    expect(isinstance(names, list) and len(names) <= MOST_DIMENSIONS, "no set of dimensions:", names)
    for name in names:
        expect(isinstance(line.get(name), str) and line[name], "the dimension", name, "has no text")
    return tuple((name, line[name]) for name in names)


def metrics(text):
    """What CloudWatch counts of a line, as (namespace, name, dimensions) and its values; nothing of a line of another kind."""
    try:
        line = json.loads(text)
    except ValueError:
        return []
    if not isinstance(line, dict) or "_aws" not in line:
        return []
    expect(len(text.encode()) <= LARGEST_LINE and "\n" not in text, "the line is too long")
    about = line["_aws"]
    expect(isinstance(about, dict) and set(about) == {"Timestamp", "CloudWatchMetrics"}, "the metadata:", about)
    expect(type(about["Timestamp"]) is int, "the time is no whole number:", about["Timestamp"])
    age = datetime.fromisoformat(line["timestamp"]) - datetime.fromtimestamp(about["Timestamp"] / 1000, timezone.utc)
    expect(-NEWEST <= age <= OLDEST, "the time is", age, "before that of the line")
    directives = about["CloudWatchMetrics"]
    expect(isinstance(directives, list) and directives, "no metrics:", directives)
    found = []
    for directive in directives:
        expect(isinstance(directive, dict) and set(directive) == {"Namespace", "Dimensions", "Metrics"}, "a directive:", directive)
        namespace = named(directive["Namespace"], LONGEST_NAMESPACE, "no namespace:")
        expect(not namespace.startswith(("AWS/", ":")), "a namespace that is none of ours:", namespace)
        sets, declared = directive["Dimensions"], directive["Metrics"]
        expect(isinstance(sets, list) and sets, "no sets of dimensions:", sets)
        expect(isinstance(declared, list) and 1 <= len(declared) <= MOST_METRICS, "no metrics:", declared)
        for metric in declared:
            expect({"Name"} <= set(metric) <= {"Name", "Unit", "StorageResolution"}, "a metric:", metric)
            name = named(metric["Name"], LONGEST_NAME, "no name:")
            # Ours have none (docs/adr/0010-metrics-are-fields-of-log-lines.md).
            expect(metric.get("Unit", "None") in UNITS, name, "has the unit", metric.get("Unit"))
            expect(metric.get("StorageResolution", 60) in (1, 60), name, "has the resolution", metric.get("StorageResolution"))
            found += [((namespace, name, dimensions(line, names)), values(line, name)) for names in sets]
    return found
