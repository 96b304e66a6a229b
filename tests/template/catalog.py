"""The optional stack for Athena: tables, workgroup, results, and the questions of docs/questions.

    python tests/template/catalog.py     writes the questions into infra/catalog.yaml
"""

import json
import re

from evaluate import ROOT, TENANT
from runner import check, expect, same

CATALOG = "infra/catalog.yaml"
QUESTIONS = ROOT / "docs/questions"
ASKED = {"ArchiveBucketName": "evidence", "ArchivePrefix": "copilot/", "GraphTenantId": TENANT}
KEY = "arn:aws:kms:eu-central-1:111122223333:key/1234"
MARK = "  # The questions as they stand in docs/questions/athena: written here by tests/template/catalog.py.\n"


def questions():
    """Title and text of every question, complete: what it is asked over goes before it."""
    found = {}
    for path in sorted((QUESTIONS / "athena").glob("[0-9]*.sql")):
        title, over, body = path.read_text().split("\n", 2)
        before = (path.parent / f"{over.removeprefix('-- over ')}.sql").read_text()
        found[path.stem] = (title.removeprefix("-- "), f"{title}\n{before}{body}".rstrip(";\n"))
    return found


def resource(name, title, text):
    body = "".join(f"        {line}\n" for line in text.split("\n"))
    return f"""  {"".join(part.capitalize() for part in re.split("-", "question-" + name))}:
    Type: AWS::Athena::NamedQuery
    Properties:
      Name: {json.dumps(title, ensure_ascii=False)}
      Database: !Ref Database
      WorkGroup: !Ref WorkGroup
      QueryString: |-
{body}"""


@check
def the_questions_are_pairs(_):
    """Every question stands for DuckDB and for Athena, under one name and one title."""
    pair = {path.stem: path.read_text().split("\n", 1)[0] for path in sorted(QUESTIONS.glob("[0-9]*.sql"))}
    same({name: f"-- {title}" for name, (title, _) in questions().items()}, pair)
    same([int(name[:2]) for name in pair], list(range(1, len(pair) + 1)), "numbers")


@check
def the_catalogue_asks_them(templates):
    """The stack has each question as it stands in docs/questions/athena, and those about interactions name a custodian."""
    found = {query["Properties"]["Name"]: query["Properties"] for query in
             templates.alone(CATALOG, **ASKED).of_type("AWS::Athena::NamedQuery").values()}
    same({name: query["QueryString"] for name, query in found.items()}, dict(questions().values()))
    for name, query in found.items():
        same((query["Database"], query["WorkGroup"]), ("Database", "WorkGroup"), name)
        for table in ("segment_line", "segment_line_unknown"):
            text = query["QueryString"]
            same(len(re.findall(rf"from {table}\n", text)), len(re.findall(rf"from {table}\n\s+where user_id in \(", text)), name)


@check
def the_catalogue_sees_the_archive(templates):
    """The tables lie over the archive's keys, one column a line, the custodian injected, and no month is left out."""
    stack = templates.alone(CATALOG, **ASKED)
    tables = {table["Properties"]["TableInput"]["Name"]: table["Properties"]["TableInput"] for table in stack.of_type("AWS::Glue::Table").values()}
    partitions = {name: [key["Name"] for key in table.get("PartitionKeys", [])] for name, table in tables.items()}
    same(partitions, {"segment_line": ["tenant_id", "created_month", "user_id"], "segment_line_unknown": ["tenant_id", "user_id"], "run_line": []})
    for name, table in tables.items():
        storage = table["StorageDescriptor"]
        same(storage["Columns"], [{"Name": "line", "Type": "string"}], name)
        same(storage["SerdeInfo"]["Parameters"]["field.delim"], "\x1f", name)
        same(storage["Location"], f"s3://evidence/copilot/{'runs' if name == 'run_line' else 'interactions'}/", name)
    # The keys of the format, with the partitions' names where their values stand.
    keys = re.search(r"^\| `(interactions/\S+/)segment", (ROOT / "docs/FORMAT.md").read_text(), re.M).group(1)
    keys = keys.replace("<T>", "${tenant_id}").replace("<M>", "${created_month}").replace("<U>", "${user_id}")
    for name, month in (("segment_line", "${created_month}"), ("segment_line_unknown", "unknown")):
        projected = tables[name]["Parameters"]
        same(projected["storage.location.template"], "s3://evidence/copilot/" + keys.replace("${created_month}", month), name)
        same((projected["projection.enabled"], projected["projection.user_id.type"]), ("true", "injected"), name)
        same((projected["projection.tenant_id.type"], projected["projection.tenant_id.values"]), ("enum", TENANT), name)
    months = tables["segment_line"]["Parameters"]
    same([months[f"projection.created_month.{what}"] for what in ("type", "format", "interval", "interval.unit")], ["date", "yyyy-MM", "1", "MONTHS"])
    begin = re.search(r'HISTORY_START = "(\d{4}-\d{2})-', (ROOT / "shared/settings/src/variables.rs").read_text()).group(1)
    same(months["projection.created_month.range"], f"{begin},NOW")


@check
def the_catalogue_is_bounded(templates):
    """Queries are stopped at a limit nobody can lift for himself; results are encrypted, private, and deleted after some days."""
    for key, encryption in (("", {"EncryptionOption": "SSE_S3"}), (KEY, {"EncryptionOption": "SSE_KMS", "KmsKey": KEY})):
        stack = templates.alone(CATALOG, **ASKED, KmsKeyArn=key, ScanLimitMegabytes=20, ResultDays=3)
        group = stack.resources["WorkGroup"]["Properties"]["WorkGroupConfiguration"]
        same((group["EnforceWorkGroupConfiguration"], int(group["BytesScannedCutoffPerQuery"])), (True, 20_000_000))
        same(group["ResultConfiguration"]["EncryptionConfiguration"], encryption)
        same(group["ResultConfiguration"]["OutputLocation"], "s3://Results/")
        results = stack.resources["Results"]["Properties"]
        (rule,) = results["BucketEncryption"]["ServerSideEncryptionConfiguration"]
        same(rule["ServerSideEncryptionByDefault"].get("KMSMasterKeyID"), key or None)
        same(set(results["PublicAccessBlockConfiguration"].values()), {True})
        (lifecycle,) = results["LifecycleConfiguration"]["Rules"]
        same((lifecycle["Status"], lifecycle["ExpirationInDays"]), ("Enabled", 3))
    kinds = {resource["Type"].split("::")[1] for resource in stack.resources.values()}
    expect(kinds <= {"S3", "Athena", "Glue"}, "the stack makes", kinds)


def write():
    path = ROOT / CATALOG
    before, _, rest = path.read_text().partition("Outputs:\n")
    before = before.partition(MARK)[0].rstrip("\n") + "\n\n"
    made = "\n".join(resource(name, *question) for name, question in questions().items())
    path.write_text(f"{before}{MARK}{made}\nOutputs:\n{rest}")


if __name__ == "__main__":
    write()
