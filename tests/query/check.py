"""Holds what DuckDB shows of an archive of the simulated tenant against the stored lines, the crate `views` and the truth."""

import json
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

import athena
import forms
import questions
import rules
from archive import Views, documents, lines
from truth import Truth

ROOT = Path(__file__).resolve().parents[2]
VIEWS = ROOT / "functions/local/src/texts/duckdb.sql"
PAGE = ROOT / "docs/VIEWS.md"
KEPT = ROOT / "tests/archives/v1"
# Any seed will do; of so many forms each is met often.
SEED, FORMS = 1, 2_000


def cargo(*arguments):
    """The program as a command."""
    return ["cargo", "run", "--quiet", "--locked", *arguments]


def write_truth(folder, forms_file):
    """The simulator writes the truth of its tenant, and its forms, before it says where it listens."""
    command = cargo("--package", "graph-simulator", "--", "--write-truth", folder, "--write-forms", forms_file)
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) as simulator:
        assert simulator.stdout.readline(), "the simulator did not start"
        simulator.terminate()
        simulator.stdout.read()


def runs(root, views):
    """The views of runs and people say what their files say."""
    rosters = {json.loads(line)["user_id"] for line in lines(root, "runs/*/roster.jsonl.zst")}
    assert {user for (user,) in views.run("select user_id from person")} == rosters
    entries = {entry["run_id"]: entry["n"] for entry in documents(root, "ledger/*/entry-*.json")}
    reports = [(run["run_id"], run["interactions"]["new"], sum(run["users"]["unavailable"].values()), entries[run["run_id"]])
               for run in documents(root, "runs/*/report.json")]
    assert sorted(views.run("select run_id, new, unavailable, ledger_n from run")) == sorted(reports)
    users = Counter((line["run_id"], line["class"]) for line in map(json.loads, lines(root, "runs/*/users.jsonl.zst")))
    assert {row[:2]: row[2] for row in views.run("select run_id, class, count(*) from run_user group by all")} == users


def one_rule(root, views):
    """The crate and SQL say the same of every record, but where SQL leaves a text open; how many of how many that are."""
    found, rows, turns, left_open = rules.differences(root, views, cargo("--package", "views", "--example", "arranged"))
    assert not found, f"{len(found)} differences between SQL and the crate: {found[:3]}"
    assert turns > 0
    return left_open, rows


def main(root):
    with tempfile.TemporaryDirectory() as folder:
        truth_folder, forms_file, forms_root = Path(folder, "truth"), Path(folder, "forms.jsonl"), Path(folder, "forms")
        write_truth(truth_folder, forms_file)
        truth = Truth(truth_folder)
        views = Views(root)
        assert Path(root, "duckdb.sql").read_text() == VIEWS.read_text(), "the archive has other views"
        stored, unparsed = rules.verbatim(root, views)
        assert unparsed == truth.unreadable > 0, "what DuckDB cannot parse is counted, and the simulator has some of it"
        runs(root, views)
        print(f"{stored} lines, {unparsed} of them unparsed: the views show what is stored")
        left_open, rows = one_rule(root, views)
        assert left_open == 0, f"{left_open} texts of the simulator are left open"
        print(f"{rows} rows and their turns are those of the crate, {rules.joined(views, PAGE)} of them in a turn that leads to them")
        simulated = forms.read(forms_file)
        forms.write(forms_root, simulated, SEED, FORMS, VIEWS.read_text())
        other = Views(forms_root)
        rules.verbatim(forms_root, other)
        wrong = forms.differences(simulated, other)
        assert simulated and not wrong, f"{len(wrong)} of {len(simulated)} forms are read otherwise than they were written: {wrong[:3]}"
        print(f"{len(simulated)} forms of the simulator are read as they were written")
        left_open, rows = one_rule(forms_root, other)
        # None would mean that the forms are too tame, many that SQL understands too little.
        assert 0 < left_open < rows // 10, f"{left_open} of {rows} are left open"
        print(f"{rows} forms: the same as the crate, and {left_open} that SQL says it does not understand")
        # The archive that is kept has what a good day has not: gaps, a run that was killed, an older version of the views.
        old = Views(KEPT, VIEWS)
        rules.verbatim(KEPT, old)
        runs(KEPT, old)
        left_open, rows = one_rule(KEPT, old)
        assert left_open == 0, f"{left_open} texts of the kept archive are left open"
        gaps = questions.gaps(old, questions.gaps_by_files(KEPT))
        print(f"{rows} rows of the kept archive, and {gaps} gaps, which are those of its files")
        # What a good day cannot have, a plan has: outages, licences taken and given back, who joins and leaves, ranges by hand.
        planted, read = Path(folder, "planted"), Path(folder, "read.jsonl")
        subprocess.run(cargo("--package", "end-to-end", "--example", "planted", "--", planted, read), cwd=ROOT, check=True)
        gaps = questions.gaps(Views(planted, VIEWS), questions.gaps_of_plan(read))
        print(f"{gaps} gaps of a planted history, which are those of the plan")
        by_user = Counter(item.user for item in truth.prompts)
        facts = questions.Facts(root, truth.upn[max(by_user, key=lambda user: (by_user[user], user))])
        questions.check(views, truth, facts)
        athena.check(views, truth, facts)


if __name__ == "__main__":
    main(sys.argv[1])
