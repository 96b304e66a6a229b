"""Runs the questions for Athena on the archive: read as Athena's SQL and rewritten to DuckDB's by sqlglot, over the same tables.

This shows that they parse and find what is true. It does not show that Athena takes them: nobody has run them there yet.
"""

from collections import Counter

import sqlglot

import truth as by
from questions import FOLDER, compare

NOBODY = "00000000-0000-0000-0000-000000000000"
TABLES = """
create view segment_line as select line, tenant_id, created_month, user_id, segment as "$path" from record
  where created_month <> 'unknown' and json_valid(line);
create view segment_line_unknown as select line, tenant_id, user_id, segment as "$path" from record
  where created_month = 'unknown' and json_valid(line);
create view run_line as select line, file as "$path" from lines_of('/runs/*/users.jsonl.zst')
  union all select line, file from lines_of('/runs/*/roster.jsonl.zst')
  union all select line, file from texts_of('/runs/*/run.json')
  union all select line, file from texts_of('/runs/*/report.json');
"""


def of(truth, user):
    """The truth of one custodian."""
    mine = object.__new__(by.Truth)
    mine.__dict__.update(truth.__dict__)
    for name in ("items", "latest", "prompts", "answers"):
        setattr(mine, name, [item for item in getattr(truth, name) if item.user == user])
    mine.upn = dict.fromkeys(truth.upn, user)
    return mine


def asked(truth, _):
    answers = {}
    for item in truth.answers:
        answers.setdefault(item.request, []).append(item)
    return [(item.created, answer and answer.created, item.app, item.text, answer and answer.text) for item in truth.prompts
            if item.created.year == 2026 for answer in (answers.get(item.request) if item.request else None) or [None]]


def licences(truth, facts):
    """Whoever no run has shown anything of in its days: the archive of one look has one such run."""
    shown = {item.user for item in truth.items if item.created and facts.window[0] < item.created <= facts.window[1]}
    return [(user["upn"], None) for name, user in truth.users.items() if user["licensed"] and name not in shown]


def by_request(truth, _):
    """Athena pairs by requests alone; without one an item is in no turn."""
    both = {item.request for item in truth.prompts} & {item.request for item in truth.answers}
    return [(item.user, item.session, item.app, item.created, "no answer" if item.role == "prompt" else "no prompt", item.text)
            for item in truth.prompts + truth.answers if item.request and item.request not in both]


def latency(truth, _):
    """How many were answered: Athena's percentiles are about right, so they are not compared."""
    final = {item.request for item in truth.answers if item.text != "Searching…"} - {None}
    return Counter(item.app for item in truth.prompts if item.request in final).items()


def without(column, rows):
    return [row[:column] + row[column + 1:] for row in rows]


# What each is to find of a custodian, and which columns are compared: of members that are there twice Athena takes the first.
EXPECTED = {
    "01": (asked, None), "02": (by.words_in_prompts, None), "03": (by.prompts_by_month, None), "04": (licences, None),
    "05": (lambda truth, facts: [(run, "true", *rest) for run, _, *rest in by.is_it_complete(truth, facts)], None), "06": (by.gaps, None),
    "07": (lambda truth, facts: without(1, by.cited_documents(truth, facts)), None), "08": (by.what_was_open, None),
    "09": (latency, (0, 1)), "10": (by_request, None),
    "11": (lambda truth, facts: [(*row[:4], tuple(etag or "" for etag in row[4])) for row in by.several_texts(truth, facts)], None),
    "12": (by.how_late, (0, 2)),
}


def complete(name):
    _, over, body = (FOLDER / "athena" / f"{name}.sql").read_text().split("\n", 2)
    return (FOLDER / "athena" / f"{over.removeprefix('-- over ')}.sql").read_text() + body


def check(views, truth, facts):
    """Asked of whoever has most to say, and of somebody whose items are hostile."""
    views.run(TABLES)
    sizes = Counter(item.user for item in truth.prompts)
    hostile = next(item.user for item in truth.items if item.id == "1790000000000")
    for user in (max(sizes, key=lambda user: (sizes[user], user)), hostile):
        mine = of(truth, user)
        for path in sorted((FOLDER / "athena").glob("[0-9]*.sql")):
            (query,) = sqlglot.transpile(complete(path.stem), read="athena", write="duckdb")
            expected, columns = EXPECTED[path.stem[:2]]
            # Licences, runs and gaps are everybody's.
            rows = expected(truth if "from run_line" in complete(path.stem) else mine, facts)
            compare(path.stem, *([tuple(row[at] for at in columns or range(len(row))) for row in some]
                                 for some in (views.run(query.replace(NOBODY, user)), rows)))
    print(f"  the questions for Athena, rewritten for DuckDB: {len(EXPECTED)}, of two custodians")
