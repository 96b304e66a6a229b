"""Who reads, who deletes, how long evidence stays: the policies asked with requests, and the rest of infra/custody.yaml."""

from access import A, KEY, ROLE, SECRET, bucket_policy, statements
from evaluate import ACCOUNT, TENANT
from iam import Request, allowed
from runner import check, expect, listed, same

OTHER = "444455556666"
ADMIN = f"arn:aws:iam::{ACCOUNT}:role/admin"
ANYTHING = {"Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
SEGMENT = f"{A}/interactions/tenant_id={TENANT}/created_month=2026-11/user_id={TENANT}/segment-000001.jsonl.zst"
RUN = f"{A}/runs/20261124T030000Z"
ENTRY = f"{A}/ledger/tenant_id={TENANT}/entry-000001.json"
TOMBSTONE = f"{A}/erased/tenant_id={TENANT}/user_id={TENANT}.json"
HOLD = f"{A}/holds/tenant_id={TENANT}/user_id={TENANT}/entry-000001.json"
PAGE = f"{A}/quarantine/tenant_id={TENANT}/user_id={TENANT}/page-1.zst"
STATE = "arn:aws:s3:::StateBucket"
CHECKPOINT = f"{STATE}/state/tenant_id={TENANT}/user_id={TENANT}.json"
QUEUE = f"arn:aws:sqs:eu-central-1:{ACCOUNT}:WorkQueue"
OWN_KEY = f"arn:aws:kms:eu-central-1:{ACCOUNT}:key/Key"
NEW = {"s3__if-none-match": "*"}
ON, OFF = ({"s3__object-lock-legal-hold": value} for value in ("ON", "OFF"))
THROUGH_S3 = {"kms__ViaService": "s3.eu-central-1.amazonaws.com"}


def arn_of(stack, role):
    properties = stack.of_type("AWS::IAM::Role")[role]["Properties"]
    return f"arn:aws:iam::{ACCOUNT}:role{properties['Path']}{properties['RoleName']}"


class World:
    """A stack, and who there is to ask it."""

    def __init__(self, stack):
        self.stack = stack
        self.people = {"admin": (ADMIN, [ANYTHING])}
        for role in stack.of_type("AWS::IAM::Role"):
            self.people[role] = (arn_of(stack, role), [{"Statement": statements(stack, role)}])
        for name, policy in stack.of_type("AWS::IAM::ManagedPolicy").items():
            self.people[name] = (f"arn:aws:iam::{ACCOUNT}:role/{name}", [policy["Properties"]["PolicyDocument"]])

    def resource_policy(self, resource):
        if resource.startswith("arn:aws:kms"):
            found = self.stack.of_type("AWS::KMS::Key")
            return found["Key"]["Properties"]["KeyPolicy"] if found else None
        if resource.startswith("arn:aws:s3"):
            bucket = resource.split(":::")[1].split("/")[0]
            found = self.stack.of_type("AWS::S3::BucketPolicy").get(f"{bucket}Policy")
            return found and found["Properties"]["PolicyDocument"]
        if resource.startswith("arn:aws:sqs"):
            return self.stack.of_type("AWS::SQS::QueuePolicy")[resource.split(":")[-1] + "Policy"]["Properties"]["PolicyDocument"]
        return None

    def may(self, who, action, resource, boundary=None, **context):
        principal, identity = self.people[who]
        request = Request(principal, action, resource, **context)
        return allowed(request, identity, boundary, self.resource_policy(resource))

    def expect(self, rows):
        for who, action, resource, context, truth in rows:
            expect(self.may(who, action, resource, **context) == truth, who, "may" if not truth else "may not", action, resource, context)


@check
def the_evaluator_knows_iam(_):
    """The evaluator of policies denies first, asks both sides of another account, and guesses nothing."""
    own, other = f"arn:aws:iam::{ACCOUNT}:role/a", f"arn:aws:iam::{OTHER}:role/a"
    def document(effect="Allow", principal=None, action="s3:GetObject", **condition):
        statement = {"Effect": effect, "Action": action, "Resource": f"{A}/*"}
        if principal:
            statement["Principal"] = principal
        return {"Statement": [{**statement, "Condition": condition} if condition else statement]}
    def ask(principal, identity, action="s3:GetObject", **rest):
        return allowed(Request(principal, action, f"{A}/k"), identity, **rest)
    account = {"AWS": f"arn:aws:iam::{OTHER}:root"}
    for found, truth in (
        (ask(own, []), False),
        (ask(own, [document()]), True),
        (ask(own, [document()], action="s3:GetObjectAcl"), False),
        (ask(own, [document(action="s3:Get*")]), True),
        (ask(own, [document(), document("Deny")]), False),
        (ask(own, [document()], boundary=document(action="s3:PutObject")), False),
        (ask(own, [document()], boundary=document()), True),
        (ask(own, [document()], resource=document("Deny", "*")), False),
        (ask(own, [document()], resource=document("Deny", "*", ArnNotEquals={"aws:PrincipalArn": own})), True),
        (ask(own, [], resource=document(principal={"AWS": own})), True),
        (ask(own, [document(Null={"s3:if-none-match": "true"})]), True),
        (ask(own, [document(StringEquals={"aws:SourceVpc": "v"})]), False),
        (ask(other, [document()], owner=ACCOUNT), False),
        (ask(other, [document()], resource=document(principal=account), owner=ACCOUNT), True),
        (ask(other, [], resource=document(principal=account), owner=ACCOUNT), False),
        (ask(own, [document()], resource=document(principal=account), owner=OTHER), False),
        # Without a word in the key's policy no IAM policy counts.
        (allowed(Request(own, "kms:Decrypt", OWN_KEY), [ANYTHING], resource={"Statement": []}), False),
    ):
        same(found, truth)
    for unknown in ("NumericEquals", "ForAnyValue:StringEquals"):
        try:
            guessed = ask(own, [document(**{unknown: {"a": "b"}})])
        except KeyError:
            continue
        raise AssertionError(f"{unknown} is answered by {guessed}")


@check
def requests_of_the_functions(templates):
    """Each function may do its part of the job, on its own objects only, and none may overwrite, delete or speak in the clear."""
    world = World(templates.stack())
    token = {"sts__IdentityTokenAudience": "api://AzureADTokenExchange", "sts__SigningAlgorithm": "RS256", "sts__DurationSeconds": "300"}
    world.expect([
        ("WorkerRole", "s3:PutObject", SEGMENT, NEW, True),
        ("WorkerRole", "s3:PutObject", SEGMENT, {}, False),
        ("WorkerRole", "s3:PutObject", SEGMENT, {**NEW, "aws__SecureTransport": "false"}, False),
        ("WorkerRole", "s3:PutObject", CHECKPOINT, {}, True),
        ("WorkerRole", "s3:DeleteObject", CHECKPOINT, {}, False),
        ("WorkerRole", "s3:DeleteObject", SEGMENT, {}, False),
        ("WorkerRole", "s3:PutObject", ENTRY, NEW, False),
        ("WorkerRole", "s3:GetObject", f"{RUN}/roster.jsonl.zst", {}, False),
        ("WorkerRole", "s3:PutObjectLegalHold", SEGMENT, ON, True),
        ("WorkerRole", "s3:PutObjectLegalHold", PAGE, ON, True),
        ("WorkerRole", "s3:PutObjectLegalHold", SEGMENT, OFF, False),
        ("WorkerRole", "s3:PutObjectLegalHold", f"{RUN}/receipts/a-1.jsonl.zst", ON, False),
        ("WorkerRole", "s3:PutObject", HOLD, NEW, False),
        ("WorkerRole", "sqs:ReceiveMessage", QUEUE, {}, True),
        ("WorkerRole", "sqs:ReceiveMessage", QUEUE, {"aws__SecureTransport": "false"}, False),
        ("WorkerRole", "kms:GenerateDataKey", OWN_KEY, THROUGH_S3, True),
        ("WorkerRole", "kms:Decrypt", OWN_KEY, {}, False),
        ("WorkerRole", "sts:GetWebIdentityToken", "*", token, True),
        ("WorkerRole", "sts:GetWebIdentityToken", "*", {**token, "sts__IdentityTokenAudience": "api://elsewhere"}, False),
        ("WorkerRole", "sts:GetWebIdentityToken", "*", {**token, "sts__IdentityTokenAudience": []}, False),
        ("WorkerRole", "sts:GetWebIdentityToken", "*", {**token, "sts__SigningAlgorithm": "ES384"}, False),
        ("WorkerRole", "sts:GetWebIdentityToken", "*", {**token, "sts__DurationSeconds": "3600"}, False),
        ("FanOutRole", "s3:PutObject", f"{RUN}/roster.jsonl.zst", NEW, True),
        ("FanOutRole", "s3:PutObject", f"{RUN}/report.json", NEW, False),
        ("FanOutRole", "s3:GetObject", SEGMENT, {}, False),
        ("FanOutRole", "s3:PutObjectLegalHold", SEGMENT, ON, False),
        ("FanOutRole", "sqs:SendMessage", QUEUE, {}, True),
        ("FanOutRole", "sqs:ReceiveMessage", QUEUE, {}, False),
        ("ReconcileRole", "s3:PutObject", ENTRY, NEW, True),
        ("ReconcileRole", "s3:PutObject", ENTRY, {}, False),
        ("ReconcileRole", "s3:PutObject", SEGMENT, NEW, False),
        ("ReconcileRole", "s3:PutObjectLegalHold", SEGMENT, ON, False),
        ("ReconcileRole", "s3:PutObject", CHECKPOINT, {}, False),
        ("ReconcileRole", "sts:GetWebIdentityToken", "*", token, False),
    ])
    tight = {"Statement": [{"Effect": "Allow", "Action": ["s3:*", "kms:*"], "Resource": "*"}]}
    expect(world.may("WorkerRole", "s3:PutObject", SEGMENT, boundary=tight, **NEW), "the boundary allows it")
    expect(not world.may("WorkerRole", "sqs:ReceiveMessage", QUEUE, boundary=tight), "the boundary does not")
    secret = World(templates.stack(GraphCredential="client-secret", GraphSecretArn=SECRET, GraphSecretKmsKeyArn=KEY))
    for who, truth in (("FanOutRole", True), ("WorkerRole", True), ("ReconcileRole", False)):
        same(secret.may(who, "secretsmanager:GetSecretValue", SECRET), truth, who)


@check
def requests_of_people(templates):
    """Readers read their part, an administrator neither overwrites nor deletes, and who breaks the glass deletes and reads nothing."""
    world = World(templates.stack(BreakGlassTrustedArn=ADMIN))
    world.expect([
        ("EvidenceReader", "s3:GetObject", f"{RUN}/report.json", {}, True),
        ("EvidenceReader", "s3:GetObject", f"{RUN}/receipts/a-1.jsonl.zst", {}, True),
        ("EvidenceReader", "s3:GetObject", ENTRY, {}, True),
        ("EvidenceReader", "s3:GetObject", TOMBSTONE, {}, True),
        ("EvidenceReader", "s3:GetObject", HOLD, {}, True),
        ("EvidenceReader", "s3:PutObjectLegalHold", SEGMENT, OFF, False),
        ("EvidenceReader", "s3:GetObject", f"{RUN}/roster.jsonl.zst", {}, False),
        ("EvidenceReader", "s3:GetObject", SEGMENT, {}, False),
        ("EvidenceReader", "s3:GetObject", PAGE, {}, False),
        ("EvidenceReader", "s3:ListBucketVersions", A, {}, True),
        ("EvidenceReader", "s3:GetBucketVersioning", A, {}, True),
        ("EvidenceReader", "s3:GetObjectRetention", SEGMENT, {}, True),
        ("EvidenceReader", "s3:GetObjectLegalHold", ENTRY, {}, True),
        ("EvidenceReader", "s3:PutObjectRetention", SEGMENT, {}, False),
        ("EvidenceReader", "kms:Decrypt", OWN_KEY, THROUGH_S3, True),
        ("EvidenceReader", "kms:Decrypt", OWN_KEY, {}, False),
        ("ContentReader", "s3:GetObject", SEGMENT, {}, True),
        ("ContentReader", "s3:GetObject", SEGMENT, {"aws__SecureTransport": "false"}, False),
        ("ContentReader", "s3:PutObject", SEGMENT, NEW, False),
        ("ContentReader", "s3:GetObject", f"{RUN}/roster.jsonl.zst", {}, False),
        ("ContentReader", "kms:Decrypt", OWN_KEY, THROUGH_S3, True),
        *(("Custodian", "s3:PutObjectLegalHold", key, context, True) for key in (SEGMENT, PAGE) for context in (ON, OFF)),
        ("Custodian", "s3:GetObjectLegalHold", SEGMENT, {}, True),
        ("Custodian", "s3:GetBucketObjectLockConfiguration", A, {}, True),
        ("Custodian", "s3:ListBucketVersions", A, {}, True),
        ("Custodian", "s3:PutObject", HOLD, NEW, True),
        ("Custodian", "s3:PutObject", HOLD, {}, False),
        ("Custodian", "s3:GetObject", HOLD, {}, True),
        ("Custodian", "s3:GetObject", f"{A}/archive.json", {}, True),
        ("Custodian", "s3:GetObject", SEGMENT, {}, False),
        ("Custodian", "s3:GetObject", PAGE, {}, False),
        ("Custodian", "s3:GetObject", f"{RUN}/roster.jsonl.zst", {}, False),
        ("Custodian", "s3:PutObject", SEGMENT, NEW, False),
        ("Custodian", "s3:PutObject", TOMBSTONE, NEW, False),
        ("Custodian", "s3:DeleteObjectVersion", SEGMENT, {}, False),
        ("Custodian", "s3:PutObjectRetention", SEGMENT, {}, False),
        ("Custodian", "kms:GenerateDataKey", OWN_KEY, THROUGH_S3, True),
        ("Custodian", "kms:Decrypt", OWN_KEY, {}, False),
        ("admin", "s3:PutObject", SEGMENT, {}, False),
        ("admin", "s3:PutObject", SEGMENT, NEW, True),
        ("admin", "s3:DeleteObject", SEGMENT, {}, False),
        ("admin", "s3:DeleteObjectVersion", ENTRY, {}, False),
        ("admin", "kms:Decrypt", OWN_KEY, {}, False),
        ("admin", "kms:Encrypt", OWN_KEY, THROUGH_S3, False),
        ("admin", "kms:CreateGrant", OWN_KEY, {}, False),
        ("admin", "kms:PutKeyPolicy", OWN_KEY, {}, True),
        ("admin", "kms:DisableKey", OWN_KEY, {}, False),
        ("admin", "kms:ScheduleKeyDeletion", OWN_KEY, {}, False),
        ("BreakGlassRole", "s3:DeleteObjectVersion", SEGMENT, {}, True),
        ("BreakGlassRole", "s3:BypassGovernanceRetention", SEGMENT, {}, True),
        *(("BreakGlassRole", f"s3:{verb}", HOLD, {}, False) for verb in ("BypassGovernanceRetention", "DeleteObject", "DeleteObjectVersion")),
        ("BreakGlassRole", "s3:GetObject", SEGMENT, {}, False),
        ("BreakGlassRole", "s3:PutObject", SEGMENT, NEW, False),
        ("BreakGlassRole", "s3:GetObject", f"{A}/archive.json", {}, True),
        ("BreakGlassRole", "s3:GetObject", f"{RUN}/roster.jsonl.zst", {}, False),
        ("BreakGlassRole", "s3:PutObject", TOMBSTONE, NEW, True),
        ("BreakGlassRole", "s3:PutObject", TOMBSTONE, {}, False),
        ("BreakGlassRole", "s3:GetObjectRetention", SEGMENT, {}, True),
        ("BreakGlassRole", "s3:GetObjectLegalHold", SEGMENT, {}, True),
        ("BreakGlassRole", "s3:PutObjectRetention", SEGMENT, {}, False),
        ("BreakGlassRole", "s3:PutObjectLegalHold", SEGMENT, OFF, False),
        ("BreakGlassRole", "s3:ListBucketVersions", STATE, {}, True),
        ("BreakGlassRole", "s3:DeleteObjectVersion", CHECKPOINT, {}, True),
        ("BreakGlassRole", "s3:GetObject", CHECKPOINT, {}, False),
        ("BreakGlassRole", "kms:ScheduleKeyDeletion", OWN_KEY, {}, True),
        ("BreakGlassRole", "kms:GenerateDataKey", OWN_KEY, THROUGH_S3, True),
        ("BreakGlassRole", "kms:Decrypt", OWN_KEY, {}, False),
    ])
    named = World(templates.stack(EvidenceReaderSeesNames="true"))
    expect(named.may("EvidenceReader", "s3:GetObject", f"{RUN}/roster.jsonl.zst"), "names are to be seen")
    expect(not named.may("EvidenceReader", "s3:GetObject", SEGMENT), "content is not")
    # A role of theirs deletes no more of who is held than ours.
    theirs = World(templates.stack(BreakGlassRoleArn=ROLE))
    theirs.people["named"] = (ROLE, [ANYTHING])
    theirs.expect([("named", "s3:DeleteObjectVersion", SEGMENT, {}, True), ("named", "s3:DeleteObjectVersion", HOLD, {}, False)])
    # Nobody is exempt where nobody was named.
    nobody = World(templates.stack())
    nobody.people["root"] = (f"arn:aws:iam::{ACCOUNT}:root", [ANYTHING])
    nobody.people["named"] = (ROLE, [ANYTHING])
    for who in ("admin", "root", "named"):
        for action, resource in (("s3:DeleteObjectVersion", SEGMENT), ("kms:ScheduleKeyDeletion", OWN_KEY)):
            expect(not nobody.may(who, action, resource), who, "may", action)


@check
def key_administrator(templates):
    """Where one role administers the key nobody else does, it neither uses nor deletes the key, and who breaks the glass still may."""
    world = World(templates.stack(KeyAdministratorArn=ROLE, BreakGlassTrustedArn=ADMIN))
    world.people["administrator"] = (ROLE, [ANYTHING])
    world.expect([
        ("administrator", "kms:PutKeyPolicy", OWN_KEY, {}, True),
        ("administrator", "kms:EnableKeyRotation", OWN_KEY, {}, True),
        ("administrator", "kms:Decrypt", OWN_KEY, {}, False),
        ("administrator", "kms:CreateGrant", OWN_KEY, {}, False),
        ("administrator", "kms:DisableKey", OWN_KEY, {}, False),
        ("administrator", "kms:ScheduleKeyDeletion", OWN_KEY, {}, False),
        ("admin", "kms:PutKeyPolicy", OWN_KEY, {}, False),
        ("admin", "kms:ScheduleKeyDeletion", OWN_KEY, {}, False),
        ("BreakGlassRole", "kms:ScheduleKeyDeletion", OWN_KEY, {}, True),
        ("BreakGlassRole", "kms:PutKeyPolicy", OWN_KEY, {}, False),
        ("WorkerRole", "kms:GenerateDataKey", OWN_KEY, THROUGH_S3, True),
    ])
    nobody = World(templates.stack(KeyAdministratorArn=ROLE))
    nobody.people["administrator"] = (ROLE, [ANYTHING])
    expect(not nobody.may("administrator", "kms:ScheduleKeyDeletion", OWN_KEY), "the administrator deletes the key")


@check
def break_glass(templates):
    """The role that may delete is the one given, or one that is made for whom it was trusted to, or none."""
    for parameters, made, exempt in (
        ({}, False, None),
        ({"BreakGlassRoleArn": ROLE}, False, ROLE),
        ({"BreakGlassRoleArn": ROLE, "BreakGlassTrustedArn": ADMIN}, False, ROLE),
        ({"BreakGlassTrustedArn": ADMIN, "RolePath": "/team/"}, True, f"arn:aws:iam::{ACCOUNT}:role/team/the-stack-break-glass"),
    ):
        stack = templates.stack(**parameters)
        role = stack.of_type("AWS::IAM::Role").get("BreakGlassRole")
        same(role is not None, made, parameters)
        condition = bucket_policy(stack)["DeleteNothing"].get("Condition")
        same(condition, exempt and {"ArnNotEquals": {"aws:PrincipalArn": exempt}}, parameters)
        same(stack.outputs["BreakGlassRole"], exempt or "none")
        if made:
            same(exempt, arn_of(stack, "BreakGlassRole"), "the name in the bucket's policy")
            same(role["Properties"]["MaxSessionDuration"], 3600)


@check
def another_account(templates):
    """An archive in another account takes the functions named as its writers, and nobody else of their account."""
    writers = [f"arn:aws:iam::{OTHER}:role/the-stack-{name}" for name in ("fan-out", "worker", "reconcile")]
    stack = templates.alone("infra/archive.yaml", WriterAccountId=OTHER, WriterRoleArns=",".join(writers))
    bucket = stack.resources["ArchiveBucketPolicy"]["Properties"]["PolicyDocument"]
    state = stack.resources["StateBucketPolicy"]["Properties"]["PolicyDocument"]
    key = stack.resources["Key"]["Properties"]["KeyPolicy"]
    least = [{"Statement": statements(templates.stack(ArchiveBucketName="ArchiveBucket", StateBucketName="StateBucket", KmsKeyArn=OWN_KEY), "WorkerRole")}]
    stranger = f"arn:aws:iam::{OTHER}:role/stranger"
    for who, identity, action, resource, policy, context, truth in (
        (writers[1], least, "s3:PutObject", SEGMENT, bucket, NEW, True),
        (writers[1], least, "s3:PutObject", SEGMENT, bucket, {}, False),
        (writers[1], least, "s3:PutObjectLegalHold", SEGMENT, bucket, ON, True),
        (writers[1], least, "s3:PutObjectLegalHold", SEGMENT, bucket, OFF, False),
        # Whatever its own account lets it do.
        (writers[1], [ANYTHING], "s3:PutObjectLegalHold", PAGE, bucket, ON, True),
        (writers[1], [ANYTHING], "s3:PutObjectLegalHold", SEGMENT, bucket, OFF, False),
        (writers[1], [ANYTHING], "s3:PutObjectLegalHold", HOLD, bucket, ON, False),
        (writers[1], [ANYTHING], "s3:DeleteObject", SEGMENT, bucket, {}, False),
        (writers[1], least, "s3:ListBucket", A, bucket, {}, True),
        (writers[1], least, "s3:PutObject", CHECKPOINT, state, {}, True),
        (writers[1], least, "kms:GenerateDataKey", OWN_KEY, key, THROUGH_S3, True),
        (writers[1], least, "kms:GenerateDataKey", OWN_KEY, key, {}, False),
        (stranger, [ANYTHING], "s3:GetObject", SEGMENT, bucket, {}, False),
        (stranger, [ANYTHING], "s3:PutObjectLegalHold", SEGMENT, bucket, ON, False),
        (stranger, [ANYTHING], "s3:GetObject", CHECKPOINT, state, {}, False),
        (stranger, [ANYTHING], "kms:Decrypt", OWN_KEY, key, THROUGH_S3, False),
        (stranger, [ANYTHING], "kms:PutKeyPolicy", OWN_KEY, key, {}, False),
    ):
        found = allowed(Request(who, action, resource, **context), identity, resource=policy, owner=ACCOUNT)
        expect(found == truth, who, "may" if not truth else "may not", action, resource, context)
    at_home = templates.stack()
    for policy in at_home.of_type("AWS::S3::BucketPolicy").values():
        expect(all(entry["Effect"] == "Deny" for entry in policy["Properties"]["PolicyDocument"]["Statement"]), "lets somebody in")
    same(at_home.outputs["WriterRoleArns"].split(","), [arn_of(at_home, role) for role in ("FanOutRole", "WorkerRole", "ReconcileRole")])


@check
def retention(templates):
    """Content, receipts and old checkpoints expire together when asked to; the ledger, tombstones and what makes it an archive never do."""
    for bucket in templates.stack().of_type("AWS::S3::Bucket").values():
        expect("LifecycleConfiguration" not in bucket["Properties"], "something expires that nobody asked for")
    stack = templates.stack(RetentionDays=400, ArchivePrefix="copilot/")
    rules = {name: bucket["Properties"]["LifecycleConfiguration"]["Rules"] for name, bucket in stack.of_type("AWS::S3::Bucket").items()}
    expires = {name: {rule["Prefix"]: rule["ExpirationInDays"] for rule in found if "ExpirationInDays" in rule} for name, found in rules.items()}
    same(expires, {
        "ArchiveBucket": {f"copilot/{part}/": 400 for part in ("interactions", "quarantine", "runs")},
        "StateBucket": {"copilot/state/": 400},
    })
    for rule in rules["ArchiveBucket"]:
        same(rule["Status"], "Enabled")
        if "ExpirationInDays" in rule:
            # The version behind the delete marker goes too, else nothing is gone.
            same(rule["NoncurrentVersionExpiration"], {"NoncurrentDays": 1}, rule["Id"])
    for function in ("FanOut", "Worker", "Reconcile"):
        same(stack.resources[function]["Properties"]["Environment"]["Variables"]["RETENTION_DAYS"], 400, function)
    for name in ("ledger/", "archive.json", "erased/", "holds/", "README.txt", "duckdb.sql"):
        expect(not any(f"copilot/{name}".startswith(prefix) for prefix in expires["ArchiveBucket"]), name, "expires")


@check
def trail(templates):
    """The trail names who reads content, deletes, holds and lets go, where it is asked for, and leaves out what the functions write."""
    expect(not templates.stack().of_type("AWS::CloudTrail::Trail"), "a trail that nobody asked for")
    (found,) = templates.stack(ReadTrailBucketName="theirs", ArchivePrefix="copilot/").of_type("AWS::CloudTrail::Trail").values()
    properties = found["Properties"]
    same((properties["S3BucketName"], properties["IsLogging"], properties["EnableLogFileValidation"]), ("theirs", True, True))
    reads, deletes = ({entry["Field"]: entry for entry in selector["FieldSelectors"]} for selector in properties["AdvancedEventSelectors"])
    same(reads["readOnly"]["Equals"], ["true"])
    same(reads["resources.ARN"]["StartsWith"], [f"{A}/copilot/{part}/" for part in ("interactions", "quarantine")])
    same(deletes["eventName"]["Equals"], ["DeleteObject", "DeleteObjects", "PutObjectLegalHold"])
    for fields in (reads, deletes):
        same((fields["eventCategory"]["Equals"], fields["resources.type"]["Equals"]), (["Data"], ["AWS::S3::Object"]))
    same(listed(deletes["resources.ARN"]["StartsWith"]), [f"{A}/"])
