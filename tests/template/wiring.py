"""How the parts hang together: functions, queues, schedules, alarms, parameters."""

import json
import re
import tomllib

from access import granted
from evaluate import ACCOUNT, REQUIRED, ROOT
from logbook import in_code, metrics
from runner import check, expect, listed, same

FUNCTIONS = {"FanOut": "fan-out", "Worker": "worker", "Reconcile": "reconcile"}
# Nested, and deployed by itself where the archive has an account of its own; what it is then given besides.
ALONE = {"infra/archive.yaml"}
FOREIGN = {"WriterAccountId", "WriterRoleArns"}
# What only the local program reads.
LOCAL = {"GRAPH_CLIENT_SECRET", "GRAPH_CERTIFICATE_FILE"}
# Lambda's limit for all names and values together.
ENVIRONMENT_BYTES = 4096


def variables():
    """The program's own table of variables, with their defaults on Lambda."""
    text = (ROOT / "shared/settings/src/variables.rs").read_text()
    table = text[text.index("\nvariables! {") :]
    return dict(re.findall(r'^    ([A-Z_]+)(?: = "([^"]*)")?', table, re.M))


def environment(stack, function):
    return stack.resources[function]["Properties"]["Environment"]["Variables"]


@check
def functions(templates):
    """Each function is a crate of that name, on the runtime and the architecture that were chosen, with JSON logs kept as asked."""
    stack = templates.stack(Architecture="x86_64", LogRetentionDays=7)
    same(set(stack.of_type("AWS::Lambda::Function")), set(FUNCTIONS))
    for name, binary in FUNCTIONS.items():
        written = templates.written["template.yaml"]["Resources"][name]
        same(written["Metadata"], {"BuildMethod": "rust-cargolambda", "BuildProperties": {"Binary": binary}}, name)
        same(written["Properties"]["CodeUri"], f"functions/{binary}", name)
        expect(f'name = "{binary}"' in (ROOT / "functions" / binary / "Cargo.toml").read_text(), "no crate", binary)
        function = stack.resources[name]["Properties"]
        same((function["Runtime"], function["Handler"], function["Architectures"]),
             ("provided.al2023", "bootstrap", ["x86_64"]), name)
        same(function["Role"], f"arn:aws:iam::{ACCOUNT}:role/the-stack-{binary}", name)
        same(function["Timeout"], 900, name)
        same(function["LoggingConfig"], {"LogGroup": f"{name}Logs", "LogFormat": "JSON", "ApplicationLogLevel": "INFO"}, name)
        same(stack.resources[f"{name}Logs"]["Properties"]["RetentionInDays"], 7, name)


@check
def environments(templates):
    """Every variable of the program is set, none that it does not know, and with its own default; no fault when all are long."""
    table = variables()
    expect("GRAPH_TENANT_ID" in table and table["OVERLAP_HOURS"] == "72", "the table of variables was not understood")
    stack = templates.stack()
    everything = {}
    for name in FUNCTIONS:
        everything |= environment(stack, name)
    same(set(everything) - {"SSL_CERT_FILE"}, set(table) - LOCAL, "the variables")
    same(everything["SSL_CERT_FILE"], "/etc/pki/tls/certs/ca-bundle.crt")
    expect("SSL_CERT_FILE" not in environment(templates.stack(Emulated="true"), "Worker"), "an emulator's host has its own")
    for name, default in table.items():
        if default and name in everything:
            same(str(everything[name]), default, name)
    same([everything[name] for name in ("ARCHIVE_BUCKET", "STATE_BUCKET", "WORK_QUEUE_URL")],
         ["ArchiveBucket", "StateBucket", "https://sqs/WorkQueue"])
    longest = {}
    for name, body in templates.written["template.yaml"]["Parameters"].items():
        if body["Type"] == "String" and "MaxLength" in body:
            longest[name] = "x" * body["MaxLength"]
    full = environment(templates.stack(**longest), "FanOut")
    # Some 600 bytes for ARNs, names and addresses that have no bound of their own.
    size = sum(len(name) + len(str(value)) for name, value in full.items()) + 600
    expect(size <= ENVIRONMENT_BYTES, "the environment may need", size, "bytes")


@check
def the_work_queue(templates):
    """Large batches with a window, failures one by one, bounded concurrency, and no message twice at once."""
    for concurrency in (2, 7):
        stack = templates.stack(WorkerConcurrency=concurrency)
        (mapping,) = stack.of_type("AWS::Lambda::EventSourceMapping").values()
        mapping = mapping["Properties"]
        queue = stack.resources["WorkQueue"]["Properties"]
        worker = stack.resources["Worker"]["Properties"]
        same((mapping["FunctionName"], mapping["EventSourceArn"]),
             ("Worker", f"arn:aws:sqs:eu-central-1:{ACCOUNT}:WorkQueue"))
        expect(200 <= mapping["BatchSize"] <= 1000, "a batch has", mapping["BatchSize"])
        window = mapping["MaximumBatchingWindowInSeconds"]
        expect(1 <= window <= 60, "the window has", window, "seconds")
        same(mapping["FunctionResponseTypes"], ["ReportBatchItemFailures"])
        same(mapping["ScalingConfig"], {"MaximumConcurrency": concurrency})
        same(environment(stack, "Worker")["WORKER_CONCURRENCY"], concurrency, "the share of the budget")
        same(queue["VisibilityTimeout"], 6 * worker["Timeout"] + window, "visibility")
        same(worker.get("RecursiveLoop"), "Allow", "the worker sends to the queue that invokes it")
        redrive = queue["RedrivePolicy"]
        same(redrive["deadLetterTargetArn"], f"arn:aws:sqs:eu-central-1:{ACCOUNT}:DeadLetterQueue")
        expect(redrive["maxReceiveCount"] > 3, "a user must stand alone before it is given up")
        # Every reception of a message that kills its reader fits into the 23 hours of a run.
        expect(redrive["maxReceiveCount"] * queue["VisibilityTimeout"] < 23 * 3600, "a run ends before the dead letter")
        expect(queue["MessageRetentionPeriod"] > 24 * 3600, "messages vanish before their run is closed")
    for name in ("FanOut", "Reconcile"):
        expect("RecursiveLoop" not in stack.resources[name]["Properties"], name, "needs no recursion")


@check
def queues(templates):
    """Queues are encrypted, and what failed is kept as long as SQS allows."""
    found = templates.stack().of_type("AWS::SQS::Queue")
    same(set(found), {"WorkQueue", "DeadLetterQueue", "FailedInvocations"})
    for name, queue in found.items():
        same(queue["Properties"]["SqsManagedSseEnabled"], True, name)
        if name != "WorkQueue":
            same(queue["Properties"]["MessageRetentionPeriod"], 1209600, name)


@check
def schedules(templates):
    """Four schedules, disabled at first, that hand over the scheduled time and lose nothing silently."""
    stack = templates.stack(ScheduleTimeZone="Europe/Berlin", LookbackHours=100)
    found = {name: schedule["Properties"] for name, schedule in stack.of_type("AWS::Scheduler::Schedule").items()}
    time = "<aws.scheduler.scheduled-time>"
    payloads = {
        "Daily": ("FanOut", {"scheduledTime": time}),
        "History": ("FanOut", {"scheduledTime": time, "history": True}),
        "Lookback": ("FanOut", {"scheduledTime": time, "lookbackHours": 100}),
        "CloseRuns": ("Reconcile", {}),
    }
    same(set(found), set(payloads))
    for name, schedule in found.items():
        function, payload = payloads[name]
        target = schedule["Target"]
        same(schedule["State"], "DISABLED", name)
        same(target["Arn"], f"arn:aws:lambda:eu-central-1:{ACCOUNT}:function:{function}", name)
        same(json.loads(target["Input"]), payload, name)
        same(target["RoleArn"], f"arn:aws:iam::{ACCOUNT}:role/the-stack-schedules", name)
        same(target["DeadLetterConfig"], {"Arn": f"arn:aws:sqs:eu-central-1:{ACCOUNT}:FailedInvocations"}, name)
        same(schedule["FlexibleTimeWindow"], {"Mode": "OFF"}, name)
        expect("RetryPolicy" in target, name)
        if schedule["ScheduleExpression"].startswith("cron"):
            same(schedule["ScheduleExpressionTimezone"], "Europe/Berlin", name)
    same(found["CloseRuns"]["ScheduleExpression"], "rate(15 minutes)")
    for schedule in templates.stack(ScheduleState="ENABLED").of_type("AWS::Scheduler::Schedule").values():
        same(schedule["Properties"]["State"], "ENABLED")


@check
def history_ends_before_the_next_daily_run(templates):
    """With the defaults, a history run is closed before the next daily run begins."""
    values = templates.stack().values
    hour = {name: int(re.fullmatch(r"cron\(0 (\d+) .*\)", values[name]).group(1)) for name in ("DailySchedule", "HistorySchedule")}
    between = (hour["DailySchedule"] - hour["HistorySchedule"]) % 24
    expect(values["HistoryHours"] + 1 < between, "only", between, "hours between them")


@check
def asynchronous_invocations(templates):
    """Whatever is invoked asynchronously is tried again within bounds, and reported when that does not help."""
    stack = templates.stack()
    found = {config["Properties"]["FunctionName"]: config["Properties"] for config in
             stack.of_type("AWS::Lambda::EventInvokeConfig").values()}
    same(set(found), {"FanOut", "Reconcile"})
    for name, config in found.items():
        same(config["DestinationConfig"]["OnFailure"], {"Destination": f"arn:aws:sqs:eu-central-1:{ACCOUNT}:FailedInvocations"}, name)
        expect(0 <= config["MaximumRetryAttempts"] <= 2 and config["MaximumEventAgeInSeconds"] <= 21600, name)


@check
def a_closed_run_is_told(templates):
    """What reconcile answers, and only that, becomes an event."""
    found = {config["Properties"]["FunctionName"]: config["Properties"]["DestinationConfig"].get("OnSuccess") for config in
             templates.stack().of_type("AWS::Lambda::EventInvokeConfig").values()}
    same(found, {"FanOut": None, "Reconcile": {"Destination": f"arn:aws:events:eu-central-1:{ACCOUNT}:event-bus/default"}})


@check
def alarms(templates):
    """Each alarm watches what it says, tells somebody if somebody is named, and has its chapter in OPERATIONS."""
    guide = (ROOT / "docs/OPERATIONS.md").read_text()
    topic = f"arn:aws:sns:eu-central-1:{ACCOUNT}:theirs"
    for parameters, actions in (({}, None), ({"AlarmTopicArn": topic}, [topic]), ({"AlarmEmail": "a@b.example"}, ["Topic"]),
                                ({"AlarmTopicArn": topic, "AlarmEmail": "a@b.example"}, [topic])):
        stack = templates.stack(ScheduleState="ENABLED", **parameters)
        found = {name: alarm["Properties"] for name, alarm in stack.of_type("AWS::CloudWatch::Alarm").items()}
        for name, alarm in found.items():
            same(alarm.get("AlarmActions"), actions, name)
            expect(f"### {name}\n" in guide, name, "is not in OPERATIONS")
        same(bool(stack.of_type("AWS::SNS::Topic")), actions == ["Topic"])
    watched = {name: (alarm["MetricName"], *(entry["Value"] for entry in alarm.get("Dimensions", []))) for name, alarm in found.items()}
    same(watched, {
        "DeadLetters": ("ApproximateNumberOfMessagesVisible", "DeadLetterQueue"),
        "FailedInvocations": ("ApproximateNumberOfMessagesVisible", "FailedInvocations"),
        "CredentialRefused": ("CredentialRefused",),
        "OldestUser": ("ApproximateAgeOfOldestMessage", "WorkQueue"),
        "RecursionDropped": ("RecursiveInvocationsDropped", "Worker"),
        "RunIncomplete": ("RunsIncomplete",),
        "NoDailyRun": ("DailyRunsClosed",),
    })
    namespace = {environment(stack, function)["METRIC_NAMESPACE"] for function in FUNCTIONS}
    same(namespace, {"CopilotArchive/the-stack"}, "the functions' metrics")
    for alarm in found.values():
        expect({alarm["Namespace"]} == namespace if alarm["MetricName"] in metrics() else alarm["Namespace"].startswith("AWS/"), alarm)
    same(found["NoDailyRun"]["TreatMissingData"], "breaching", "no run at all must alarm")
    expect("NoDailyRun" not in templates.stack().of_type("AWS::CloudWatch::Alarm"), "alarms before it is scheduled")


@check
def dashboard(templates):
    """The dashboard is there if it is asked for, and shows metrics, queues and fields of the closing line that exist."""
    expect(not templates.stack().of_type("AWS::CloudWatch::Dashboard"), "three dollars that nobody asked for")
    stack = templates.stack(Dashboard="true")
    (board,) = stack.of_type("AWS::CloudWatch::Dashboard").values()
    body = json.loads(board["Properties"]["DashboardBody"])
    answer, proof, queues = (widget["properties"] for widget in body["widgets"])
    same({metric[0] for metric in answer["metrics"]}, {environment(stack, "Reconcile")["METRIC_NAMESPACE"]})
    # All of closed runs; that a credential is refused is what an alarm says.
    same([metric[1] for metric in answer["metrics"]], [metric for metric in metrics() if metric != "CredentialRefused"])
    same(answer["period"], 24 * 3600)
    source, *steps = (step.strip() for step in proof["query"].split("|"))
    same((source, steps[0]), ("SOURCE 'ReconcileLogs'", "filter message = 'run closed'"))
    shown = {name.strip() for name in steps[-1].removeprefix("display").split(",")}
    expect(shown <= in_code()["run closed"], "not in the closing line:", shown - in_code()["run closed"])
    same({metric[-1] for metric in queues["metrics"]}, {"WorkQueue", "DeadLetterQueue", "FailedInvocations"})
    same({properties["region"] for properties in (answer, proof, queues)}, {"eu-central-1"})


@check
def repository_metadata(templates):
    """What the Serverless Application Repository shows is true of this repository."""
    said = templates.written["template.yaml"]["Metadata"]["AWS::ServerlessRepo::Application"]
    workspace = tomllib.loads((ROOT / "Cargo.toml").read_text())["workspace"]["package"]
    same((said["SemanticVersion"], said["SpdxLicenseId"]), (workspace["version"], workspace["license"]))
    for name in ("LicenseUrl", "ReadmeUrl"):
        expect((ROOT / said[name]).is_file(), name, "names no file")
    expect(re.fullmatch(r"[A-Za-z0-9-]{1,140}", said["Name"]) and len(said["Description"]) <= 256 and len(said["Labels"]) <= 10, "beyond its limits")


@check
def parameters(templates):
    """Every parameter is described, bounded, in one group, and its default lies within its bounds."""
    template = templates.written["template.yaml"]
    grouped = [name for group in template["Metadata"]["AWS::CloudFormation::Interface"]["ParameterGroups"] for name in group["Parameters"]]
    same(sorted(grouped), sorted(template["Parameters"]), "grouped")
    # The root bounds what it passes down.
    passed_down = set(templates.nested()) - ALONE
    for path, written in templates.written.items():
        for name, body in written["Parameters"].items():
            expect(len(body.get("Description", "")) > 15, path, name, "is not described")
            expect(body["Type"] in ("String", "Number"), path, name, "has no type")
            if path in passed_down:
                continue
            bounded = "AllowedValues" in body or ("AllowedPattern" in body if body["Type"] == "String" else {"MinValue", "MaxValue"} <= set(body))
            expect(bounded, path, name, "has no bounds")
            if "Default" not in body:
                # A template that is deployed by itself asks for what it cannot know.
                expect(name in REQUIRED or path not in {"template.yaml", *ALONE}, path, name, "has no default")
                continue
            default = body["Default"]
            if "AllowedValues" in body:
                expect(default in body["AllowedValues"], path, name, "default")
            elif body["Type"] == "String":
                expect(re.fullmatch(body["AllowedPattern"], default), path, name, "default")
            else:
                expect(body["MinValue"] <= default <= body["MaxValue"], path, name, "default")
    same(template["Parameters"]["ScheduleState"]["Default"], "DISABLED")
    same(template["Parameters"]["Emulated"]["Default"], "false")


@check
def parameters_are_used(templates):
    """Every parameter does something, and the nested templates get every one of theirs, with the same bounds."""
    root = templates.written["template.yaml"]
    body = json.dumps({key: value for key, value in root.items() if key not in ("Parameters", "Metadata")})
    for name in root["Parameters"]:
        expect(f'"Ref": "{name}"' in body or f"${{{name}}}" in body, name, "is not used")
    bounds = ("AllowedValues", "AllowedPattern", "MinValue", "MaxValue", "MaxLength", "Default", "Type")
    for path, passed in templates.nested().items():
        declared = templates.written[path]["Parameters"]
        body = json.dumps({key: value for key, value in templates.written[path].items() if key != "Parameters"})
        for name in declared:
            expect(f'"Ref": "{name}"' in body or f"${{{name}}}" in body, path, name, "is not used")
        same(set(passed), set(declared) - FOREIGN, path)
        for name in set(declared) & set(root["Parameters"]):
            if path in ALONE:
                same({key: declared[name].get(key) for key in bounds}, {key: root["Parameters"][name].get(key) for key in bounds}, name)


@check
def patterns(templates):
    """What a parameter should refuse is refused."""
    declared = templates.written["template.yaml"]["Parameters"]
    for name, good, bad in (
        ("GraphTenantId", ["5ac181d0-c896-435a-a745-ac948db1d59a"], ["", "contoso.com", "5AC181D0-C896-435A-A745-AC948DB1D59A"]),
        ("GraphSecretArn", ["", "arn:aws-us-gov:secretsmanager:us-gov-west-1:111122223333:secret:a/b-AbCdEf"], ["name", "s3cret"]),
        ("KmsKeyArn", ["", "arn:aws:kms:eu-central-1:111122223333:key/mrk-12"], ["alias/mine", "1234"]),
        ("SubnetIds", ["", "subnet-0a1b2c3d,subnet-0123456789abcdef0"], ["vpc-1", "subnet-0a1b2c3d,", "subnet-0a1b2c3d, subnet-0a1b2c3e"]),
        ("BreakGlassTrustedArn", ["", "arn:aws:iam::111122223333:role/a/b"], ["*", "arn:aws:iam::111122223333:root"]),
        ("RolePath", ["/", "/a/b/"], ["", "a/", "/a"]),
        ("PermissionsBoundaryArn", ["", "arn:aws:iam::aws:policy/PowerUserAccess"], ["PowerUserAccess"]),
        ("ArchivePrefix", ["", "copilot/"], ["a b", "a*", "a?"]),
        ("HistoryStart", ["2024-01-31T00:00:00Z"], ["2024-01-31", "2024-01-31T00:00:00"]),
        ("DailySchedule", ["cron(30 2 * * ? *)"], ["rate(1 day)", "0 1 * * *"]),
        ("IncludeGroups", ["", "5ac181d0-c896-435a-a745-ac948db1d59a,5ac181d0-c896-435a-a745-ac948db1d59b"], ["Sales", "a,b"]),
        ("GraphBaseUrl", ["", "http://127.0.0.1:9000", "https://graph.microsoft.us"], ["graph", "https://a/b", "ftp://a"]),
    ):
        pattern = declared[name]["AllowedPattern"]
        for value in good:
            expect(re.fullmatch(pattern, value), name, "refuses", repr(value))
        for value in bad:
            expect(not re.fullmatch(pattern, value), name, "takes", repr(value))


@check
def rules(templates):
    """A secret that is missing, a compliance lock not confirmed, half a network, half a writer: refused before anything is created."""
    secret = f"arn:aws:secretsmanager:eu-central-1:{ACCOUNT}:secret:graph-AbCdEf"
    for parameters, refused in (
        ({}, []),
        ({"GraphCredential": "client-secret"}, ["SecretGiven"]),
        ({"GraphCredential": "certificate"}, ["SecretGiven"]),
        ({"GraphCredential": "certificate", "GraphSecretArn": secret}, []),
        ({"ObjectLockMode": "COMPLIANCE"}, ["ComplianceConfirmed"]),
        ({"SubnetIds": "subnet-1"}, ["NetworkWhole"]),
        ({"SecurityGroupIds": "sg-1"}, ["NetworkWhole"]),
        ({"SubnetIds": "subnet-1", "SecurityGroupIds": "sg-1"}, []),
        ({"ObjectLockMode": "GOVERNANCE"}, []),
        ({"ObjectLockMode": "COMPLIANCE", "ObjectLockConfirmation": "cannot be undone"}, []),
    ):
        same(templates.stack(**parameters).refused(), refused, parameters)
    for parameters, refused in (({}, []), ({"WriterAccountId": ACCOUNT}, ["WritersWhole"]), ({"WriterRoleArns": "arn"}, ["WritersWhole"])):
        same(templates.alone("infra/archive.yaml", **parameters).refused(), refused, parameters)


@check
def names(templates):
    """Only roles have names: a second stack beside the first, or after one that was deleted, finds none taken."""
    fixed = ("BucketName", "QueueName", "FunctionName", "TopicName", "AlarmName", "Name", "AliasName", "PolicyName",
             "ManagedPolicyName", "TrailName", "DashboardName")
    everything = {"AlarmEmail": "a@b.example", "ScheduleState": "ENABLED", "Dashboard": "true", "ReadTrailBucketName": "trail"}
    for stack in templates.stack(**everything).stacks():
        for name, resource in stack.resources.items():
            if resource["Type"] in ("AWS::IAM::Policy", "AWS::Lambda::EventSourceMapping", "AWS::Lambda::EventInvokeConfig"):
                continue
            taken = [key for key in fixed if key in resource.get("Properties", {})]
            if resource["Type"] == "AWS::Logs::LogGroup" and "LogGroupName" in resource["Properties"]:
                taken.append("LogGroupName")
            expect(not taken, name, "has a fixed name", taken)


@check
def partitions(templates):
    """In another partition of AWS every ARN is of that partition."""
    stack = templates.stack("aws-us-gov", "us-gov-west-1", Dashboard="true", ReadTrailBucketName="trail",
                            BreakGlassTrustedArn="arn:aws-us-gov:iam::111122223333:role/a", SubnetIds="subnet-1", SecurityGroupIds="sg-1")
    for part in stack.stacks():
        text = json.dumps([part.resources, part.outputs])
        same(set(re.findall(r"arn:(aws[a-z-]*):", text)), {"aws-us-gov"} if "arn:" in text else set())


@check
def outputs(templates):
    """The outputs name what an operator needs, and their commands can be pasted."""
    stack = templates.stack()
    for name, function, payload in (("RunNow", "FanOut", {}), ("DryRun", "FanOut", {"dryRun": True}), ("CloseNow", "Reconcile", {})):
        command = stack.outputs[name]
        expect("\n" not in command, name)
        same(re.search(r"--function-name (\S+)", command).group(1), function, name)
        same(json.loads(re.search(r"--payload '([^']*)'", command).group(1)), payload, name)
        # A client that waits must not call a second time; one that does not wait need not.
        same("--invocation-type Event" in command, "AWS_MAX_ATTEMPTS=1" not in command, name)
    for name in ("WorkQueueUrl", "DeadLetterQueueUrl", "DeadLetterQueueArn", "FailedInvocationsUrl", "FanOutFunction", "WorkerFunction",
                 "ReconcileFunction", "WorkerSourceId", "ArchiveBucket", "StateBucket", "KmsKeyArn", "FederatedIssuer",
                 "FederatedSubjectFanOut", "FederatedSubjectWorker", "FederatedAudience", "EvidenceReaderPolicyArn", "ContentReaderPolicyArn",
                 "CustodianPolicyArn", "WriterRoleArns", "BreakGlassRole", "AuditCommand"):
        expect(stack.outputs.get(name), name, "is missing")
    for output in templates.written["template.yaml"]["Outputs"].values():
        expect(output.get("Description"), "an output is not described")


@check
def emulation_is_named(templates):
    """`Emulated` leaves out what emulators get wrong and grants two actions that only they know: nothing else differs."""
    real, emulated = templates.stack(), templates.stack(Emulated="true")
    gone = {name for part in real.stacks() for name in part.resources} - {name for part in emulated.stacks() for name in part.resources}
    same(gone, {"WorkQueuePolicy", "DeadLetterQueuePolicy", "FailedInvocationsPolicy", "StateBucketPolicy"})
    for role in real.of_type("AWS::IAM::Role"):
        more = {action for action, _ in granted(emulated, role) - granted(real, role)}
        expect(more <= {"sqs:SendMessageBatch", "sqs:DeleteMessageBatch"}, role, "may do more:", more)
        expect(granted(real, role) <= granted(emulated, role), role, "may do less")


@check
def deploy_configuration(_):
    """samconfig.toml deploys what the template needs."""
    deploy = tomllib.loads((ROOT / "samconfig.toml").read_text())["default"]["deploy"]["parameters"]
    expect("CAPABILITY_NAMED_IAM" in listed(deploy["capabilities"]), "roles have names")
    expect(deploy["resolve_s3"] and deploy["confirm_changeset"], "deploy")
