"""Asks the questions of docs/questions and compares what they find with the truth."""

import json
from collections import Counter, defaultdict
from datetime import timedelta
from pathlib import Path

from archive import documents, lines, stored
from truth import QUESTIONS, is_readable, text, time

FOLDER = Path(__file__).resolve().parents[2] / "docs/questions"


def files(folder=FOLDER):
    """The questions by their name, in their order."""
    return {path.stem: path.read_text(encoding="utf-8") for path in sorted(folder.glob("[0-9]*.sql"))}


def title(script):
    return script.split("\n", 1)[0].removeprefix("-- ")


class Facts:
    """What the truth cannot know, because it depends on when was asked: windows and the times of fetching."""

    def __init__(self, root, custodian):
        self.custodian, self.gaps = custodian, gaps_by_files(root)
        runs = {run["run_id"]: run for run in documents(root, "runs/*/run.json")}
        self.newest_run = max(time(run["started_at"]) for run in runs.values())
        self.daily = max(name for name, run in runs.items() if run["kind"] == "daily")
        to = time(runs[self.daily]["to"])
        self.window = (to - timedelta(hours=runs[self.daily]["overlap_hours"]), to)
        self.hours, self.daily_items = defaultdict(list), Counter()
        for record in map(json.loads, stored(root)):
            value = record["interaction"]
            if not is_readable(value) or runs[record["run_id"]]["kind"] == "history":
                continue
            member = value.get if isinstance(value, dict) else lambda _: None
            app_class, created = text(member("appClass")), time(member("createdDateTime"))
            self.daily_items[app_class] += 1
            if created:
                self.hours[app_class].append((time(record["fetched_at"]) - created) / timedelta(hours=1))


def gaps_by_files(root):
    """The gaps between the windows of closed runs, from the users files."""
    names = {line["user_id"]: line["upn"] for line in map(json.loads, lines(root, "runs/*/roster.jsonl.zst"))}
    closed = {entry["run_id"] for entry in documents(root, "ledger/*/entry-*.json")}
    windows = defaultdict(list)
    for line in map(json.loads, lines(root, "runs/*/users.jsonl.zst")):
        if line["run_id"] in closed:
            windows[line["user_id"]] += [(time(window["from"]), time(window["to"])) for window in line["windows"]]
    found = []
    for user, read in windows.items():
        read.sort()
        end = None
        for begin, until in read:
            if end and begin > end:
                found.append((names[user], user, end, begin, read[0][0], max(until for _, until in read)))
            end = max(end or until, until)
    return found


def comparable(row):
    """Rows in one form: floating numbers are equal in nine digits, lists are tuples."""
    return tuple(f"{value:.9g}" if isinstance(value, float | int) and not isinstance(value, bool) else
                 tuple(value) if isinstance(value, list) else value for value in row)


def ask(views, script, custodian):
    return views.run(script.replace("adele@contoso.example", custodian))


def compare(name, found, expected):
    found, expected = (Counter(map(comparable, rows)) for rows in (found, expected))
    assert found == expected, f"{name}: only found {list((found - expected).items())[:3]}, not found {list((expected - found).items())[:3]}"


def gaps_of_plan(planted):
    """The gaps between the times that a plan says were read."""
    found = []
    for user in map(json.loads, planted.read_text(encoding="utf-8").splitlines()):
        read = [tuple(map(time, window)) for window in user["read"]]
        found += [(user["upn"], user["user_id"], before[1], after[0], read[0][0], read[-1][1]) for before, after in zip(read, read[1:])]
    return found


def gaps(views, expected):
    """Asks for the gaps alone; how many there are."""
    (script,) = [script for name, script in files().items() if name.endswith("gaps")]
    assert expected, "an archive with gaps is needed"
    compare("gaps", views.run(script), expected)
    return len(expected)


def check(views, truth, facts):
    """Every question finds what the truth says."""
    asked = files()
    assert len(asked) == len(QUESTIONS), "a question without an answer, or the other way round"
    for (name, script), expected in zip(asked.items(), QUESTIONS):
        assert name[3:].replace("-", "_") == expected.__name__, name
        rows = ask(views, script, facts.custodian)
        compare(name, rows, expected(truth, facts))
        print(f"  {title(script)}: {len(rows)} rows, as in the truth")
