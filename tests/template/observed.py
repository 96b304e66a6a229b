"""Holds the template and the documents against what the functions' real binaries did: their calls of AWS, their log lines,
their answers, as `cargo run -p lambda-harness --example record` writes them down."""

import json
import re
import sys

import emf
import logbook
from access import A, S, SECRET, WORK, granted
from combinations import COMBINATIONS
from evaluate import ROOT, Templates, read
from iam import like
from mutations import broken, resource, statement
from runner import expect, listed, same

ROLES = {"fan-out": "FanOutRole", "worker": "WorkerRole", "reconcile": "ReconcileRole"}
FUNCTIONS = {"fan-out": "FanOut", "worker": "Worker", "reconcile": "Reconcile"}
# What a role is asked for by Lambda, or by S3 in its name, and not by the function's own calls.
NOT_OWN = {"logs:CreateLogStream", "logs:PutLogEvents", "events:PutEvents", "kms:Decrypt", "kms:GenerateDataKey"}
BY_EVENT_SOURCE = {("WorkerRole", "sqs:ReceiveMessage"), ("WorkerRole", "sqs:GetQueueAttributes")}
BY_DESTINATION = {("FanOutRole", "sqs:SendMessage", "FailedInvocations"), ("ReconcileRole", "sqs:SendMessage", "FailedInvocations")}

# The alarms that each day must raise. The last is raised by a day on which no daily run is closed.
ALARMS = {
    "good days": set(),
    "bad day": {"DeadLetters", "RunIncomplete"},
    "long day": set(),
    "refused at the start": {"CredentialRefused", "FailedInvocations", "NoDailyRun"},
    "refused at work": {"CredentialRefused", "DeadLetters", "NoDailyRun"},
    "misconfigured": {"FailedInvocations", "NoDailyRun"},
    "nobody works": {"OldestUser", "NoDailyRun"},
}
# Lambda's own brake: no run without Lambda can set it off, and the template lets it off (checked in wiring.py).
NOT_HERE = {"RecursionDropped"}


# ---------------------------------------------------------------- rights


def needed(call):
    """The action and the resource of IAM that a recorded call asks for."""
    action, resource = call["action"], call["resource"]
    service = action.split(":")[0]
    if service == "s3":
        bucket, _, key = resource.partition("/")
        bucket = {"archive": A, "state": S}[bucket]
        return action, bucket if action == "s3:ListBucket" else f"{bucket}/{key}"
    return action, {"sqs": WORK, "secretsmanager": SECRET, "sts": "*"}[service]


def rights(record, templates):
    """Every call is granted, and every grant is called for: by a function itself, or as is written above."""
    federated = templates.stack(GraphTenantId=record["tenant_id"], CreateKmsKey="false")
    with_secret = templates.stack(GraphTenantId=record["tenant_id"], CreateKmsKey="false", **COMBINATIONS["client secret"])
    grants = {role: granted(federated, role) | granted(with_secret, role) for role in ROLES.values()}
    used = {role: set() for role in ROLES.values()}
    for scenario in record["scenarios"]:
        for call in scenario["calls"]:
            role = ROLES.get(call["function"])
            if role is None:
                continue
            action, resource = needed(call)
            by = {grant for grant in grants[role] if grant[0] == action and like(resource, grant[1])}
            expect(by, call["function"], "is not granted", action, resource)
            used[role] |= by
            # That a missing object is told from a forbidden one is what listing is granted for.
            if action == "s3:GetObject" and call["status"] == 404:
                used[role] |= {grant for grant in grants[role] if grant == ("s3:ListBucket", resource.split("/")[0])}
    idle = {(role, *grant) for role in grants for grant in grants[role] - used[role] if grant[0] not in NOT_OWN}
    idle = {(role, action, resource) for role, action, resource in idle if (role, action) not in BY_EVENT_SOURCE
            and (role, action, resource.split(":")[-1]) not in BY_DESTINATION}
    expect(not idle, "granted and never used:", sorted(idle))


# ---------------------------------------------------------------- alarms


def failures(scenario):
    """Invocations that failed: asynchronous ones end as messages, since each attempt fails alike."""
    return sum(said.startswith("Reported") for name in ("fan-out", "reconcile") for said in scenario["answers"][name])


def waiting(scenario):
    """Users that an open run waits for, by reconcile's last answer."""
    answers = [json.loads(said) for said in scenario["answers"]["reconcile"] if said.startswith("{")]
    return sum(run.get("waiting", 0) for run in answers[-1].get("runs", [])) if answers else 0


def counted(scenario, stack):
    """The values of each metric that CloudWatch makes of a scenario's lines, by namespace, name and dimensions."""
    found = {}
    for line in scenario["lines"]:
        variables = stack.resources[FUNCTIONS[line["function"]]]["Properties"]["Environment"]["Variables"]
        for metric, values in emf.metrics(line["text"]):
            same(metric[0], variables["METRIC_NAMESPACE"], "the namespace")
            found.setdefault(metric, []).extend(values)
    return found


STATISTICS = {"Sum": sum, "Maximum": max}


# With any of these CloudWatch would not ring as `rings` does: of another series of values, later, or for nobody.
DEAFENING = {"Unit", "DatapointsToAlarm", "ActionsEnabled"}


def measured(scenario, stack):
    """Each alarm, and the value of its metric as CloudWatch would have it after this scenario; `None` if it has none."""
    # A message that nobody receives grows old until SQS drops it.
    retention = stack.resources["WorkQueue"]["Properties"]["MessageRetentionPeriod"]
    values = {
        ("AWS/SQS", "ApproximateNumberOfMessagesVisible", (("QueueName", "DeadLetterQueue"),)): [scenario["dead_letters"]],
        ("AWS/SQS", "ApproximateNumberOfMessagesVisible", (("QueueName", "FailedInvocations"),)): [failures(scenario)],
        ("AWS/SQS", "ApproximateAgeOfOldestMessage", (("QueueName", "WorkQueue"),)): [retention if waiting(scenario) else 0],
    } | counted(scenario, stack)
    for name, alarm in stack.of_type("AWS::CloudWatch::Alarm").items():
        alarm = alarm["Properties"]
        expect(not DEAFENING & set(alarm), name, "has", DEAFENING & set(alarm))
        # A fault is said once: by the next period nothing is amiss again.
        expect(alarm["TreatMissingData"] == "breaching" or alarm["EvaluationPeriods"] == 1, name, "waits for a second fault")
        dimensions = tuple((entry["Name"], entry["Value"]) for entry in alarm.get("Dimensions", []))
        found = values.get((alarm["Namespace"], alarm["MetricName"], dimensions))
        yield name, alarm, found and STATISTICS[alarm["Statistic"]](found)


COMPARISONS = {"GreaterThanThreshold": lambda value, threshold: value > threshold, "LessThanThreshold": lambda value, threshold: value < threshold}


def rings(alarm, value):
    if value is None:
        return alarm["TreatMissingData"] == "breaching"
    return COMPARISONS[alarm["ComparisonOperator"]](value, alarm["Threshold"])


def alarms(record, templates):
    """A run with a fault emits the metric that crosses the threshold of the alarm for it and of no other; a good one none."""
    stack = templates.stack(ScheduleState="ENABLED")
    every = set(stack.of_type("AWS::CloudWatch::Alarm"))
    same(set().union(*ALARMS.values()) | NOT_HERE, every, "alarms that no scenario raises")
    same({scenario["name"] for scenario in record["scenarios"]}, set(ALARMS))
    for scenario in record["scenarios"]:
        found = {name for name, alarm, value in measured(scenario, stack) if rings(alarm, value)}
        same(found, ALARMS[scenario["name"]], scenario["name"])


def closed_runs(scenario):
    """What reconcile answered of each run that was closed."""
    answers = [json.loads(said) for said in scenario["answers"]["reconcile"] if said.startswith("{")]
    return {run["run_id"]: run for answer in answers for run in answer.get("runs", [answer]) if "ledger" in run}.values()


def values_of_closed_runs(record, templates):
    """What the dashboard shows of closed runs is what their reports say, and of an archive that lacks nothing what the tenant held."""
    stack = templates.stack()
    for scenario in record["scenarios"]:
        found = {name: sum(values) for (_, name, _), values in counted(scenario, stack).items() if name != "CredentialRefused"}
        closed = closed_runs(scenario)
        each = {
            "DailyRunsClosed": [1 for run in closed if run["kind"] == "daily"],
            "RunsIncomplete": [1 for run in closed if not run["complete"]],
            "UsersFailed": [run["users"]["failed"] for run in closed],
            "UsersMissing": [run["users"]["missing"] for run in closed],
            "InteractionsArchived": [run["interactions"]["new"] + run["interactions"]["recovered"] for run in closed],
        }
        # Of what did not happen and of runs that are open there is no value.
        same(found, {name: sum(values) for name, values in each.items() if values}, scenario["name"])
        if closed and "RunsIncomplete" not in found:
            same(found["InteractionsArchived"], scenario["items"], scenario["name"])


LEVELS = ["DEBUG", "INFO", "WARN", "ERROR"]


def lines_that_count_are_kept(record, templates):
    """No choice of LogLevel makes Lambda drop a line of which CloudWatch makes a metric."""
    allowed = templates.written["template.yaml"]["Parameters"]["LogLevel"]["AllowedValues"]
    lines = [json.loads(line["text"]) for scenario in record["scenarios"] for line in scenario["lines"] if emf.metrics(line["text"])]
    lowest = min(LEVELS.index(line["level"]) for line in lines)
    expect(all(LEVELS.index(level) <= lowest for level in allowed), "metrics are said at", LEVELS[lowest], "and LogLevel may be", allowed)


def alarms_in_time(_, templates):
    """Whoever is told of a waiting user has hours left before its run closes incomplete."""
    stack = templates.stack(ScheduleState="ENABLED")
    found = {name: alarm["Properties"] for name, alarm in stack.of_type("AWS::CloudWatch::Alarm").items()}
    (hours,) = re.findall(r"RUN_TIME: SignedDuration = SignedDuration::from_hours\((\d+)\)", (ROOT / "functions/fan-out/src/lib.rs").read_text())
    expect(found["OldestUser"]["Threshold"] <= (int(hours) - 2) * 3600, "rings when it is too late")
    silence = found["NoDailyRun"]["Period"] * found["NoDailyRun"]["EvaluationPeriods"]
    expect(silence > 24 * 3600, "rings every day")
    expect(silence <= 30 * 3600, "a whole day goes by unnoticed")


# ---------------------------------------------------------------- the event of a closed run


def fits(pattern, event):
    """Whether an event matches an EventBridge pattern of plain values, `exists` and nested members; lists match by any element."""
    for key, wanted in pattern.items():
        for entry in listed(event):
            value = entry.get(key) if isinstance(entry, dict) else None
            if isinstance(wanted, dict):
                if value is not None and fits(wanted, value):
                    break
            elif any(("exists" in want and (value is not None) == want["exists"]) if isinstance(want, dict) else value == want for want in wanted):
                break
        else:
            return False
    return True


def closed_run_event(record, _):
    """The pattern in OPERATIONS finds the answers that close a run, only those, and they hold counts and the ledger's head."""
    text = (ROOT / "docs/OPERATIONS.md").read_text()
    (block,) = re.findall(r"```json\n(\{[^`]*Lambda Function Invocation Result[^`]*)```", text)
    pattern = json.loads(block)
    closed = 0
    for scenario in record["scenarios"]:
        for said in scenario["answers"]["reconcile"]:
            answer = json.loads(said) if said.startswith("{") else {}
            event = {"source": "lambda", "detail-type": "Lambda Function Invocation Result - Success",
                     "detail": {"requestContext": {"functionArn": "<ReconcileFunction ARN>:$LATEST"}, "responsePayload": answer}}
            runs = answer.get("runs", [])
            found = any(run.get("ledger") for run in runs)
            same(fits(pattern, event), found, scenario["name"])
            closed += found
            for run in runs:
                if run.get("ledger"):
                    expect(run["ledger"]["n"] and re.fullmatch("[0-9a-f]{64}", run["ledger"]["sha256"]) and run["users"]["planned"], run)
    expect(closed, "no run was closed by who looks for what is open")


# ---------------------------------------------------------------- the log lines


def log_lines(record, _):
    """Every line that was logged, and every field of it, is in docs/LOGGING.md."""
    document = logbook.in_document()
    lines = [json.loads(line["text"]) for scenario in record["scenarios"] for line in scenario["lines"]]
    expect({"run closed", "user failed", "the invocation failed"} <= {line["message"] for line in lines}, "hardly anything was logged")
    for line in lines:
        expect(line["message"] in document, "not documented:", line["message"])
        more = set(line) - logbook.COMMON - document[line["message"]]
        expect(not more, line["message"], "has more fields:", more)


CHECKS = [rights, alarms, values_of_closed_runs, lines_that_count_are_kept, alarms_in_time, closed_run_event, log_lines]


# ---------------------------------------------------------------- checks of the checks


def a_right_too_few(t):
    statement(t, "WorkerRole", "ReadArchive")["Resource"].pop()


def a_right_too_many(t):
    statement(t, "FanOutRole", "WriteArchive")["Action"] = ["s3:PutObject", "s3:GetObjectTagging"]


def a_queue_for_the_wrong_one(t):
    statement(t, "ReconcileRole", "SendMissingUsers")["Resource"] = {"Fn::GetAtt": ["DeadLetterQueue", "Arn"]}


def an_alarm_on_nothing(t):
    resource(t, "CredentialRefused")["Properties"]["MetricName"] = "CredentialsRefused"


def an_alarm_on_every_run(t):
    resource(t, "RunIncomplete")["Properties"]["MetricName"] = "DailyRunsClosed"


def an_alarm_on_a_dimension(t):
    resource(t, "RunIncomplete")["Properties"]["Dimensions"] = [{"Name": "FunctionName", "Value": "Reconcile"}]


def another_namespace_for_alarms(t):
    resource(t, "Alarms")["Properties"]["Parameters"]["MetricNamespace"] = "CopilotArchive"


def another_namespace_for_functions(t):
    t["template.yaml"]["Globals"]["Function"]["Environment"]["Variables"]["METRIC_NAMESPACE"] = "CopilotArchive"


def silence_is_well(t):
    resource(t, "NoDailyRun")["Properties"]["TreatMissingData"] = "notBreaching"


def a_threshold_never_reached(t):
    resource(t, "DeadLetters")["Properties"]["Threshold"] = 1000


def alarms_deaf_by_choice(t):
    t["template.yaml"]["Parameters"]["LogLevel"]["AllowedValues"].append("WARN")


def an_alarm_that_waits(t):
    resource(t, "RunIncomplete")["Properties"]["EvaluationPeriods"] = 2


def an_alarm_for_nobody(t):
    resource(t, "RunIncomplete")["Properties"]["ActionsEnabled"] = False


def an_alarm_on_a_unit(t):
    resource(t, "RunIncomplete")["Properties"]["Unit"] = "Count"


def a_week_without_runs(t):
    resource(t, "NoDailyRun")["Properties"]["EvaluationPeriods"] = 168


def a_warning_too_late(t):
    resource(t, "OldestUser")["Properties"]["Threshold"] = 82800


MUTATIONS = [
    (rights, a_right_too_few), (rights, a_right_too_many), (rights, a_queue_for_the_wrong_one), (alarms, an_alarm_on_nothing),
    (alarms, an_alarm_on_every_run), (alarms, an_alarm_on_a_dimension), (alarms, another_namespace_for_alarms),
    (alarms, another_namespace_for_functions), (alarms, silence_is_well), (alarms, a_threshold_never_reached),
    (alarms, an_alarm_that_waits), (alarms, an_alarm_for_nobody), (alarms, an_alarm_on_a_unit),
    (lines_that_count_are_kept, alarms_deaf_by_choice), (alarms_in_time, a_warning_too_late), (alarms_in_time, a_week_without_runs),
]

# What is done to a line that CloudWatch counts, after which it would not: its metadata, its only directive, and itself.
BROKEN_LINES = {
    "a time in seconds": lambda about, directive, line: about.update(Timestamp=about["Timestamp"] // 1000),
    "a time as text": lambda about, directive, line: about.update(Timestamp=str(about["Timestamp"])),
    "no directive": lambda about, directive, line: about.update(CloudWatchMetrics=[]),
    "a member too many": lambda about, directive, line: about.update(LogGroup="a"),
    "no namespace": lambda about, directive, line: directive.update(Namespace=""),
    "a namespace of AWS": lambda about, directive, line: directive.update(Namespace="AWS/Lambda"),
    "no set of dimensions": lambda about, directive, line: directive.update(Dimensions=[]),
    "a set that is none": lambda about, directive, line: directive.update(Dimensions=["run_id"]),
    "a dimension without a value": lambda about, directive, line: directive.update(Dimensions=[["nobody"]]),
    "too many metrics": lambda about, directive, line: directive.update(Metrics=directive["Metrics"] * 101),
    "a unit that there is not": lambda about, directive, line: directive["Metrics"][0].update(Unit="Users"),
    "a metric without a value": lambda about, directive, line: line.pop(directive["Metrics"][0]["Name"]),
    "a value as text": lambda about, directive, line: line.update({directive["Metrics"][0]["Name"]: "1"}),
    "a value that is true": lambda about, directive, line: line.update({directive["Metrics"][0]["Name"]: True}),
    "a value that is null": lambda about, directive, line: line.update({directive["Metrics"][0]["Name"]: None}),
    "too long a line": lambda about, directive, line: line.update(error="x" * emf.LARGEST_LINE),
}


def refused(text, breaking):
    """Whether the reader of the format refuses a line once this is done to it."""
    line = json.loads(text)
    breaking(line["_aws"], line["_aws"]["CloudWatchMetrics"][0], line)
    try:
        emf.metrics(json.dumps(line))
    except AssertionError:
        return True
    return False


def problem(check, record, templates):
    try:
        check(record, templates)
    except AssertionError as error:
        return str(error)
    return None


def main():
    record = json.loads(open(sys.argv[1]).read())
    written = read()
    templates = Templates(written)
    results = [(check.__doc__, problem(check, record, templates)) for check in CHECKS]
    for check, mutation in MUTATIONS:
        noticed = problem(check, record, Templates(broken(written, mutation)))
        results.append((f"broken on purpose: {mutation.__name__.replace('_', ' ')}", None if noticed else f"{check.__name__} does not notice"))
    (text, *_) = [line["text"] for scenario in record["scenarios"] for line in scenario["lines"] if emf.metrics(line["text"])]
    expect(not refused(text, lambda *_: None), "a line that nobody broke is refused")
    for what, breaking in BROKEN_LINES.items():
        results.append((f"broken on purpose: {what}", None if refused(text, breaking) else "the reader of the format does not notice"))
    for what, found in results:
        print(f"FAILED  {what}\n        {found}" if found else f"ok      {what}")
    return 1 if any(found for _, found in results) else 0


if __name__ == "__main__":
    sys.exit(main())
