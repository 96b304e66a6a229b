"""Holds the views against the crate `views`: one rule, two implementations, the same rows."""

import json
import re
import subprocess
from collections import Counter

from archive import item, sha256, stored

# What both say of a record.
COLUMNS = ["session_id", "id", "etag", "request_id", "role", "interaction_type", "app", "app_class", "conversation_type", "locale",
           "assistant_name", "text", "text_source", "body_type", "automatic_reason", "is_interim", "version_no", "is_latest",
           "mentions", "skipped_elements"]
LISTS = ["links", "contexts", "attachments"]


def micros(time):
    """A time as DuckDB keeps it, in microseconds."""
    if time is None:
        return None
    whole, _, fraction = time.removesuffix("Z").partition(".")
    return whole + "." + (fraction + "000000")[:6]


def crate(arranged, records):
    """Rows and turns by the crate, which is run by the command `arranged`; records are named by their hash."""
    done = subprocess.run(arranged, input="\n".join(records), text=True, capture_output=True, check=True)
    names = [sha256(record) for record in records]
    rows, turns = {}, []
    for line in map(json.loads, done.stdout.rstrip("\n").split("\n")):
        if "prompts" in line:
            turns.append({**line, **{side: [names[at - 1] for at in line[side]] for side in ("prompts", "answers")}})
        else:
            rows[names[line["line"] - 1]] = line
    return rows, turns


def sql_rows(views):
    times = "strftime(created_at, '%Y-%m-%dT%H:%M:%S.%f') as created_at"
    columns = ", ".join([*COLUMNS, *LISTS, "near_duplicate_of", "rule_version", "record_sha256", times])
    return {row["record_sha256"]: row for row in views.rows(f"select {columns} from interaction")}


def sql_turns(views):
    time = "strftime({0}, '%Y-%m-%dT%H:%M:%S.%f') as {0}"
    times = ", ".join(map(time.format, ("prompted_at", "answered_at")))
    return views.rows(f"select user_id, turn_id, paired_by, automatic_reason, prompts, answers, records, {times} from turn")


def differences(root, views, arranged):
    """What the two say differently, as (record or turn, column, SQL, crate), and what SQL leaves open: the records whose text it
    does not find and the crate does. Only what follows from those may differ too."""
    # Of rows that are equal in every order of the rules the crate takes the first and DuckDB the one of the smaller hash.
    readable = {line for (line,) in views.run("select line from record where json_valid(line)")}
    records = sorted((line for line in stored(root) if line in readable), key=sha256)
    rows, turns = crate(arranged, records)
    shown = sql_rows(views)
    assert rows.keys() == shown.keys(), "the two know other records"
    left_open = {name for name, sql in shown.items() if sql["text_source"] == "unparsed" != rows[name]["text_source"]}
    found = []
    for name, sql in shown.items():
        rust = rows[name]
        rust["created_at"] = micros(rust["created_at"])
        for column in LISTS:
            rust[column] = [{"type": entry["kind"], "name": entry["name"], "url": entry["url"]} for entry in rust[column]]
        near = rust["near_duplicate_line"]
        near = None if near is None else sha256(records[near - 1])
        rust["near_duplicate_of"] = None if near is None else rows[near]["id"]
        may_differ = set()
        if sql["text_source"] == "unparsed":
            may_differ.add("skipped_elements")
        if name in left_open:
            may_differ |= {"text", "text_source", "automatic_reason", "is_interim"}
        if name in left_open or near in left_open:
            may_differ.add("near_duplicate_of")
        for column in [*COLUMNS, *LISTS, "near_duplicate_of", "rule_version", "created_at"]:
            if sql[column] != rust[column] and not (column in may_differ and sql[column] in (None, False, "unparsed")):
                found.append((name, column, sql[column], rust[column]))
    mine = {tuple(turn["records"]): turn for turn in sql_turns(views)}
    theirs = {}
    for turn in turns:
        times = {column: micros(turn[column]) for column in ("prompted_at", "answered_at")}
        members = turn["prompts"] + turn["answers"]
        theirs[tuple(members)] = {**turn, **times, "records": members, "prompts": len(turn["prompts"]), "answers": len(turn["answers"])}
    for members in mine.keys() | theirs.keys():
        sql, rust = mine.get(members), theirs.get(members)
        if sql and rust and left_open.intersection(members):
            for column in ("automatic_reason", "answered_at"):
                sql[column] = rust[column] = None
        if sql != rust:
            found.append((members, "turn", sql, rust))
    return found, len(rows), len(turns), len(left_open)


def verbatim(root, views):
    """Every line is shown as it is stored, and is either a row or counted as unparsed."""
    lines = stored(root)
    assert lines, "an archive without interactions shows nothing"
    assert Counter(lines) == Counter(line for (line,) in views.run("select line from record"))
    unparsed = Counter(line for (line,) in views.run("select line from unparsed where file like 'interactions/%'"))
    shown = Counter(text for (text,) in views.run("select raw from interaction"))
    assert shown + Counter(map(item, unparsed.elements())) == Counter(map(item, lines))
    return len(lines), unparsed.total()


def joined(views, page):
    """The way from turns to interactions that a page shows leads from each turn to its own interactions, and to all of them."""
    (query,) = re.findall(r"```sql\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    found = Counter((row["user_id"], row["turn_id"], row["paired_by"], row["record_sha256"]) for row in views.rows(query))
    turns = sql_turns(views)
    assert turns and found == Counter((turn["user_id"], turn["turn_id"], turn["paired_by"], record) for turn in turns for record in turn["records"])
    return found.total()
