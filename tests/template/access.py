"""Who may do what: roles, policies, buckets, key."""

from evaluate import ACCOUNT, TENANT
from runner import check, expect, listed, same

SECRET = f"arn:aws:secretsmanager:eu-central-1:{ACCOUNT}:secret:graph-AbCdEf"
KEY = f"arn:aws:kms:eu-central-1:{ACCOUNT}:key/1234"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/break-glass"
BOUNDARY = f"arn:aws:iam::{ACCOUNT}:policy/boundary"

A, S = "arn:aws:s3:::ArchiveBucket", "arn:aws:s3:::StateBucket"
WORK, FAILED = (f"arn:aws:sqs:eu-central-1:{ACCOUNT}:{name}" for name in ("WorkQueue", "FailedInvocations"))


def logs(name):
    return {(action, f"arn:aws:logs:eu-central-1:{ACCOUNT}:log-group:{name}:*") for action in
            ("logs:CreateLogStream", "logs:PutLogEvents")}


def reads(*keys):
    return {("s3:GetObject", f"{A}/{key}") for key in keys}


def writes(*keys):
    return {("s3:PutObject", f"{A}/{key}") for key in keys}


def state(what):
    return {("s3:ListBucket", S), *(("s3:" + verb, f"{S}/state/tenant_id={TENANT}/{what}=*") for verb in
                                    ("GetObject", "PutObject"))}


# The roles of the functions, which join subnets if there are any.
ASKERS = ("FanOutRole", "WorkerRole", "ReconcileRole")
SUBNETS = {"SubnetIds": "subnet-0a1b2c3d,subnet-0a1b2c3e", "SecurityGroupIds": "sg-0a1b2c3d"}
LEDGER, INTERACTIONS, QUARANTINE = (f"{part}/tenant_id={TENANT}/*" for part in ("ledger", "interactions", "quarantine"))
IDENTITY = {("sts:GetWebIdentityToken", "*")}
USE_KEY = {("kms:Decrypt", KEY), ("kms:GenerateDataKey", KEY)}

# All that a role may do, with a federated credential and without a key.
LEAST = {
    "FanOutRole": logs("FanOutLogs") | {("s3:ListBucket", A), ("sqs:SendMessage", WORK), ("sqs:SendMessage", FAILED)}
    | reads("archive.json", "runs/*", LEDGER)
    | writes("archive.json", "runs/*/roster.jsonl.zst", "runs/*/run.json") | IDENTITY,
    "WorkerRole": logs("WorkerLogs") | {("s3:ListBucket", A)} | state("user_id")
    | reads("archive.json", "runs/*/run.json", "runs/*/receipts/*", INTERACTIONS, QUARANTINE)
    | writes("runs/*/receipts/*", INTERACTIONS, QUARANTINE)
    | {("s3:PutObjectLegalHold", f"{A}/{key}") for key in (INTERACTIONS, QUARANTINE)}
    | {("sqs:" + verb, WORK) for verb in ("DeleteMessage", "GetQueueAttributes", "ReceiveMessage", "SendMessage")}
    | IDENTITY,
    "ReconcileRole": logs("ReconcileLogs") | {("s3:ListBucket", A)} | state("run_id")
    | reads("archive.json", "runs/*", LEDGER, INTERACTIONS)
    | writes("runs/*/users.jsonl.zst", "runs/*/report.json", LEDGER)
    | {("sqs:GetQueueAttributes", WORK), ("sqs:SendMessage", WORK), ("sqs:SendMessage", FAILED)}
    | {("events:PutEvents", f"arn:aws:events:eu-central-1:{ACCOUNT}:event-bus/default")},
    "SchedulerRole": {("sqs:SendMessage", FAILED)} | {
        ("lambda:InvokeFunction", f"arn:aws:lambda:eu-central-1:{ACCOUNT}:function:{name}") for name in
        ("FanOut", "Reconcile")},
}


def statements(stack, role):
    """The statements of a role: its own, and those of the policies attached to it."""
    own = stack.of_type("AWS::IAM::Role")[role]["Properties"]
    documents = [policy["PolicyDocument"] for policy in own.get("Policies", [])]
    for policy in stack.of_type("AWS::IAM::Policy").values():
        if own["RoleName"] in policy["Properties"]["Roles"]:
            documents.append(policy["Properties"]["PolicyDocument"])
    return [statement for document in documents for statement in listed(document["Statement"])]


def granted(stack, role):
    pairs = set()
    for statement in statements(stack, role):
        expect(set(statement) <= {"Sid", "Effect", "Action", "Resource", "Condition"}, role, "has a statement of another form")
        same(statement["Effect"], "Allow", role)
        pairs |= {(action, resource) for action in listed(statement["Action"]) for resource in listed(statement["Resource"])}
    return pairs


def difference(found, expected):
    return f"more than expected: {sorted(found - expected)}; less: {sorted(expected - found)}"


@check
def least_privilege(templates):
    """Each role may do exactly what is listed, and no more."""
    stack = templates.stack(CreateKmsKey="false")
    same(set(stack.of_type("AWS::IAM::Role")), set(LEAST), "the roles")
    for role, expected in LEAST.items():
        found = granted(stack, role)
        expect(found == expected, role, difference(found, expected))


@check
def secrets_and_keys_only_if_there_are(templates):
    """A role may read a secret, use a key or mint a token only where that is configured."""
    for role in ("FanOutRole", "WorkerRole"):
        least = LEAST[role] - IDENTITY
        given = {"CreateKmsKey": "false", "GraphCredential": "client-secret", "GraphSecretArn": SECRET}
        read = {("secretsmanager:GetSecretValue", SECRET)}
        for parameters, expected in (
            (given, least | read),
            ({**given, "GraphSecretKmsKeyArn": KEY}, least | read | {("kms:Decrypt", KEY)}),
            ({"KmsKeyArn": KEY}, LEAST[role] | USE_KEY),
            # A secret that is given and not used is not read.
            ({**given, "GraphCredential": "federated"}, LEAST[role]),
        ):
            found = granted(templates.stack(**parameters), role)
            expect(found == expected, role, difference(found, expected))
    created = granted(templates.stack(), "ReconcileRole")
    expect(len(created) == len(LEAST["ReconcileRole"]) + 2, "reconcile uses the key that is created")


@check
def token_is_limited(templates):
    """The federated credential is limited to Entra's audience, to RS256 and to five minutes."""
    for cloud, audience in (("global", "api://AzureADTokenExchange"), ("us-gov-l4", "api://AzureADTokenExchangeUSGov"),
                            ("us-gov-l5", "api://AzureADTokenExchangeUSGov")):
        stack = templates.stack(GraphCloud=cloud)
        for role in ("FanOutRole", "WorkerRole"):
            (mint,) = [entry for entry in statements(stack, role) if entry["Action"] == "sts:GetWebIdentityToken"]
            same(mint["Condition"], {
                "ForAllValues:StringEquals": {"sts:IdentityTokenAudience": audience},
                "Null": {"sts:IdentityTokenAudience": "false"},
                "StringEquals": {"sts:SigningAlgorithm": "RS256"},
                "NumericLessThanEquals": {"sts:DurationSeconds": "300"},
            }, role)
        same(stack.outputs["FederatedAudience"], audience)


@check
def missing_objects_answer_404(templates):
    """Buckets are listed without a condition: with one, a missing object would answer 403."""
    stack = templates.stack()
    for role in ("FanOutRole", "WorkerRole", "ReconcileRole"):
        lists = [entry for entry in statements(stack, role) if "s3:ListBucket" in listed(entry["Action"])]
        expect(lists and not any("Condition" in entry for entry in lists), role)


@check
def wildcards(templates):
    """No action holds a wildcard; of resources only keys below a bucket, a log group's streams, and the token."""
    for stack in (templates.stack(), templates.stack(KmsKeyArn=KEY, GraphCredential="certificate", GraphSecretArn=SECRET)):
        for role in stack.of_type("AWS::IAM::Role"):
            for action, resource in granted(stack, role):
                expect("*" not in action, role, action)
                allowed = resource.startswith(("arn:aws:s3:::ArchiveBucket/", "arn:aws:s3:::StateBucket/state/"))
                allowed |= resource.endswith("Logs:*") and resource.count("*") == 1
                expect("*" not in resource or allowed or action == "sts:GetWebIdentityToken", role, action, resource)
    everything = templates.stack(BreakGlassTrustedArn=ROLE, ArchivePrefix="copilot/", **SUBNETS)
    policies = {name: policy["Properties"]["PolicyDocument"] for name, policy in everything.of_type("AWS::IAM::ManagedPolicy").items()}
    policies["BreakGlassRole"] = {"Statement": statements(everything, "BreakGlassRole")}
    # Joining subnets cannot be limited to a resource, and is refused to the functions themselves.
    del policies["UseSubnets"]
    for name, document in policies.items():
        for statement in document["Statement"]:
            expect(not any("*" in action for action in listed(statement["Action"])), name, statement["Sid"])
            for resource in listed(statement["Resource"]):
                kept = resource.startswith((f"{A}/copilot/", f"{S}/copilot/state/"))
                expect("*" not in resource or kept, name, statement["Sid"], resource)


@check
def roles(templates):
    """Every role has a name from the stack, the path, the boundary if there is one, and no managed policy of AWS."""
    given = templates.stack(RolePath="/team/", PermissionsBoundaryArn=BOUNDARY, BreakGlassTrustedArn=ROLE)
    absent = templates.stack(BreakGlassTrustedArn=ROLE)
    networked = templates.stack(BreakGlassTrustedArn=ROLE, **SUBNETS)
    same(set(given.of_type("AWS::IAM::Role")), {*LEAST, "BreakGlassRole"})
    for name, role in given.of_type("AWS::IAM::Role").items():
        properties = role["Properties"]
        expect(properties.get("RoleName", "").startswith("the-stack-"), name, "has no fixed name")
        same((properties.get("Path"), properties.get("PermissionsBoundary")), ("/team/", BOUNDARY), name)
        # One of ours, and only where there are subnets: Lambda's own check of the role comes before policies made later.
        expect("ManagedPolicyArns" not in properties, name, "has a managed policy")
        joined = networked.of_type("AWS::IAM::Role")[name]["Properties"].get("ManagedPolicyArns")
        same(joined, [f"arn:aws:iam::{ACCOUNT}:policy/UseSubnets"] if name in ASKERS else None, name)
        expect("PermissionsBoundary" not in absent.of_type("AWS::IAM::Role")[name]["Properties"], name, "empty is not absent")
        (trust,) = properties["AssumeRolePolicyDocument"]["Statement"]
        principal = {"SchedulerRole": {"Service": "scheduler.amazonaws.com"}, "BreakGlassRole": {"AWS": ROLE}}
        principal = principal.get(name, {"Service": "lambda.amazonaws.com"})
        same((trust["Effect"], trust["Principal"], trust["Action"]), ("Allow", principal, "sts:AssumeRole"), name)
    same(given.outputs["FederatedSubjectWorker"], f"arn:aws:iam::{ACCOUNT}:role/team/the-stack-worker")
    same(given.outputs["FederatedSubjectFanOut"], f"arn:aws:iam::{ACCOUNT}:role/team/the-stack-fan-out")


def bucket_policy(stack, name="ArchiveBucketPolicy"):
    return {entry["Sid"]: entry for entry in stack.of_type("AWS::S3::BucketPolicy")[name]["Properties"]["PolicyDocument"]["Statement"]}


@check
def evidence_is_put_once(templates):
    """The archive bucket refuses every put that could overwrite, every delete but the break-glass role's, and any of who is held."""
    policy = bucket_policy(templates.stack())
    same(set(policy), {"PutOnce", "DeleteNothing", "KeepHolds", "TlsOnly"})
    for entry in policy.values():
        same((entry["Effect"], entry["Principal"]), ("Deny", "*"), entry["Sid"])
    once = policy["PutOnce"]
    same((once["Action"], once["Resource"]), ("s3:PutObject", f"{A}/*"))
    same(once["Condition"], {"Null": {"s3:if-none-match": "true"}})
    delete = policy["DeleteNothing"]
    same(set(delete["Action"]), {"s3:BypassGovernanceRetention", "s3:DeleteObject", "s3:DeleteObjectVersion"})
    same(delete["Resource"], f"{A}/*")
    expect("Condition" not in delete, "somebody may delete, though no break-glass role is given")
    given = bucket_policy(templates.stack(BreakGlassRoleArn=ROLE, ArchivePrefix="copilot/"))
    same(given["DeleteNothing"]["Condition"], {"ArnNotEquals": {"aws:PrincipalArn": ROLE}})
    keep = given["KeepHolds"]
    same((keep["Action"], keep["Resource"]), (delete["Action"], f"{A}/copilot/holds/*"))
    expect("Condition" not in keep, "somebody may delete who is held")
    same(set(bucket_policy(templates.stack(Emulated="true"))), {"DeleteNothing", "KeepHolds"}, "emulated")


@check
def tls_only(templates):
    """Buckets and queues refuse what is not encrypted on its way."""
    stack = templates.stack()
    guarded = {}
    for kind in ("AWS::S3::BucketPolicy", "AWS::SQS::QueuePolicy"):
        for name, policy in stack.of_type(kind).items():
            document = policy["Properties"]["PolicyDocument"]
            (tls,) = [entry for entry in document["Statement"] if entry["Sid"] == "TlsOnly"]
            same((tls["Effect"], tls["Principal"]), ("Deny", "*"), name)
            same(tls["Condition"], {"Bool": {"aws:SecureTransport": "false"}}, name)
            (target,) = listed(policy["Properties"].get("Queues", policy["Properties"].get("Bucket")))
            guarded[target.removeprefix("https://sqs/")] = listed(tls["Resource"])
    expected = {name: [f"arn:aws:s3:::{name}", f"arn:aws:s3:::{name}/*"] for name in stack.of_type("AWS::S3::Bucket")}
    for name in stack.of_type("AWS::SQS::Queue"):
        expected[name] = [f"arn:aws:sqs:eu-central-1:{ACCOUNT}:{name}"]
    same(guarded, expected)


@check
def buckets(templates):
    """Both buckets are private and encrypted; the archive has versions and Object Lock from the first day."""
    for parameters, algorithm in (({}, "aws:kms"), ({"KmsKeyArn": KEY}, "aws:kms"), ({"CreateKmsKey": "false"}, "AES256")):
        found = templates.stack(**parameters).of_type("AWS::S3::Bucket")
        same(set(found), {"ArchiveBucket", "StateBucket"})
        for name, bucket in found.items():
            properties = bucket["Properties"]
            expect(all(properties["PublicAccessBlockConfiguration"].values()), name, "may become public")
            same(len(properties["PublicAccessBlockConfiguration"]), 4, name)
            same(properties["OwnershipControls"]["Rules"], [{"ObjectOwnership": "BucketOwnerEnforced"}], name)
            (rule,) = properties["BucketEncryption"]["ServerSideEncryptionConfiguration"]
            encryption = rule["ServerSideEncryptionByDefault"]
            same((encryption["SSEAlgorithm"], rule["BucketKeyEnabled"]), (algorithm, algorithm == "aws:kms"), name)
            same("KMSMasterKeyID" in encryption, algorithm == "aws:kms", name)
    archive = templates.stack().of_type("AWS::S3::Bucket")["ArchiveBucket"]["Properties"]
    same(archive["VersioningConfiguration"], {"Status": "Enabled"})
    same((archive["ObjectLockEnabled"], archive["ObjectLockConfiguration"]), (True, {"ObjectLockEnabled": "Enabled"}))
    locked = templates.stack(ObjectLockMode="GOVERNANCE", ObjectLockDays=30).of_type("AWS::S3::Bucket")["ArchiveBucket"]
    same(locked["Properties"]["ObjectLockConfiguration"]["Rule"], {"DefaultRetention": {"Mode": "GOVERNANCE", "Days": 30}})
    logged = templates.stack(AccessLogBucketName="the-logs").of_type("AWS::S3::Bucket")
    for name, bucket in logged.items():
        same(bucket["Properties"]["LoggingConfiguration"]["DestinationBucketName"], "the-logs", name)


@check
def key_policy(templates):
    """Whoever administers the key cannot use it, it is used through S3 only, and nobody deletes it."""
    policy = {entry["Sid"]: entry for entry in
              templates.stack().of_type("AWS::KMS::Key")["Key"]["Properties"]["KeyPolicy"]["Statement"]}
    same(set(policy), {"AdministrationByIamPolicies", "UseThroughS3ByIamPolicies", "KeepTheKey"})
    administration = set(policy["AdministrationByIamPolicies"]["Action"])
    expect("kms:PutKeyPolicy" in administration, "the key could never be changed")
    expect(not any("*" in action for action in administration), "a wildcard")
    expect(not administration & {"kms:Decrypt", "kms:Encrypt", "kms:GenerateDataKey", "kms:CreateGrant"}, "administrators may use it")
    use = policy["UseThroughS3ByIamPolicies"]
    same((set(use["Action"]), use["Condition"]),
         ({"kms:Decrypt", "kms:GenerateDataKey"}, {"StringEquals": {"kms:ViaService": "s3.eu-central-1.amazonaws.com"}}))
    keep = policy["KeepTheKey"]
    same((keep["Effect"], keep["Principal"], set(keep["Action"]), "Condition" in keep),
         ("Deny", "*", {"kms:DisableKey", "kms:ScheduleKeyDeletion"}, False))
    expect(not templates.stack(KmsKeyArn=KEY).of_type("AWS::KMS::Key"), "a key is created beside the one given")


@check
def what_outlives_the_stack(templates):
    """Buckets, their policies, the key and the readers' policies are retained, and nothing else is left behind by a deletion."""
    kept = {"AWS::S3::Bucket", "AWS::S3::BucketPolicy", "AWS::KMS::Key", "AWS::IAM::ManagedPolicy"}
    stack = templates.stack(BreakGlassTrustedArn=ROLE, ReadTrailBucketName="trail", Dashboard="true", AlarmEmail="a@b.example")
    found = set()
    for part in stack.stacks():
        for name, resource in part.resources.items():
            if resource["Type"] in kept:
                found.add(resource["Type"])
                same((resource.get("DeletionPolicy"), resource.get("UpdateReplacePolicy")), ("Retain", "Retain"), name)
            else:
                expect(resource.get("DeletionPolicy", "Delete") == "Delete", name, "is left behind")
    same(found, kept)


@check
def bring_your_own(templates):
    """Given buckets and a given key are used, and none is created."""
    stack = templates.stack(ArchiveBucketName="theirs", StateBucketName="their-state", KmsKeyArn=KEY)
    for kind in ("AWS::S3::Bucket", "AWS::S3::BucketPolicy", "AWS::KMS::Key"):
        same(stack.of_type(kind), {})
    same([stack.outputs[name] for name in ("ArchiveBucket", "StateBucket", "KmsKeyArn")], ["theirs", "their-state", KEY])
    expect(("s3:ListBucket", "arn:aws:s3:::theirs") in granted(stack, "WorkerRole"), "the worker may not list it")
    prefixed = templates.stack(ArchivePrefix="copilot/")
    expect(("s3:PutObject", f"{A}/copilot/{INTERACTIONS}") in granted(prefixed, "WorkerRole"), "the prefix is not in the policy")


@check
def subnets(templates):
    """In subnets, Lambda may join the functions to them and the functions may not; without, there is nothing of the kind."""
    for function in templates.stack().of_type("AWS::Lambda::Function").values():
        expect("VpcConfig" not in function["Properties"], "is in a network nobody named")
    expect("UseSubnets" not in templates.stack().resources, "rights for a network nobody named")
    stack = templates.stack(**SUBNETS)
    for function in stack.of_type("AWS::Lambda::Function").values():
        same(function["Properties"]["VpcConfig"], {"SubnetIds": SUBNETS["SubnetIds"].split(","), "SecurityGroupIds": ["sg-0a1b2c3d"]})
    join, refuse = stack.resources["UseSubnets"]["Properties"]["PolicyDocument"]["Statement"]
    same((join["Effect"], refuse["Effect"], refuse["Condition"]), ("Allow", "Deny", {"Null": {"lambda:SourceFunctionArn": "false"}}))
    same(join["Action"], refuse["Action"])
    # What Lambda documents that it needs.
    same(set(join["Action"]), {"ec2:" + action for action in (
        "AssignPrivateIpAddresses", "CreateNetworkInterface", "DeleteNetworkInterface", "DescribeNetworkInterfaces", "DescribeSubnets",
        "UnassignPrivateIpAddresses")})
