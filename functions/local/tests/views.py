"""Runs an archive's own duckdb.sql and holds the views against the stored lines.

    pip install duckdb zstandard
    cargo local --archive /tmp/views
    python functions/local/tests/views.py /tmp/views
"""

import collections
import glob
import io
import json
import os
import sys

import duckdb
import zstandard


def lines(pattern):
    for path in sorted(glob.glob(pattern)):
        with open(path, "rb") as file:
            text = zstandard.ZstdDecompressor().stream_reader(file, read_across_frames=True)
            yield from io.TextIOWrapper(text, encoding="utf-8", newline="\n")


def main(archive):
    os.chdir(archive)
    connection = duckdb.connect()
    connection.execute(open("duckdb.sql", encoding="utf-8").read())

    def rows(query):
        return connection.execute(query).fetchall()

    stored = [line.rstrip("\n") for line in lines("interactions/*/*/*/segment-*.jsonl.zst")]
    assert stored, "an archive without interactions shows nothing"
    # Verbatim: the same lines, whatever a JSON reader would think of them.
    assert collections.Counter(stored) == collections.Counter(line for (line,) in rows("select line from record"))
    # Nothing is dropped in silence: what is in no row of `interaction` is in `unparsed`.
    [(shown,)] = rows("select count(*) from interaction")
    [(unparsed,)] = rows("select count(*) from unparsed")
    assert shown + unparsed == len(stored), (shown, unparsed, len(stored))
    items = collections.Counter(line.split('"interaction":', 1)[1][:-1] for line in stored)
    raw = collections.Counter(text for (text,) in rows("select raw from interaction"))
    assert raw <= items and sum((items - raw).values()) == unparsed

    rosters = {json.loads(line)["user_id"] for line in lines("runs/*/roster.jsonl.zst")}
    assert {user for (user,) in rows("select user_id from person")} == rosters
    reports = [json.load(open(path, encoding="utf-8")) for path in sorted(glob.glob("runs/*/report.json"))]
    sums = [(r["run_id"], r["interactions"]["new"], sum(r["users"]["unavailable"].values())) for r in reports]
    assert sorted(rows("select run_id, new, unavailable from run")) == sorted(sums)
    users = collections.Counter(
        (line["run_id"], line["class"]) for line in map(json.loads, lines("runs/*/users.jsonl.zst"))
    )
    assert dict(((run, name), n) for run, name, n in rows("select run_id, class, count(*) from run_user group by all")) == users
    print(f"{len(stored)} lines, {shown} rows and {unparsed} unparsed: the views show what is stored")


if __name__ == "__main__":
    main(sys.argv[1])
