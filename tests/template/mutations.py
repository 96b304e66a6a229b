"""Checks of the checks: what somebody might break, and the check that has to notice."""

import copy

MUTATIONS = []


def mutation(noticed_by):
    def register(function):
        MUTATIONS.append((noticed_by, function))
        return function

    return register


def broken(written, function):
    """The templates with one thing broken."""
    templates = copy.deepcopy(written)
    function(templates)
    return templates


def resource(templates, name):
    """A resource of any of the templates; no two of them share a name that is broken here."""
    (found,) = [template["Resources"][name] for template in templates.values() if name in template["Resources"]]
    return found


def unconditional(entry):
    return entry["Fn::If"][1] if "Fn::If" in entry else entry


def policy(templates, name, sid):
    """The list of statements of a role or of a policy, and the place of one of them."""
    properties = resource(templates, name)["Properties"]
    (written,) = properties.get("Policies", [properties])
    entries = written["PolicyDocument"]["Statement"]
    return entries, next(index for index, entry in enumerate(entries) if unconditional(entry).get("Sid") == sid)


def statement(templates, name, sid):
    entries, index = policy(templates, name, sid)
    return unconditional(entries[index])


@mutation("what_outlives_the_stack")
def bucket_deleted_with_the_stack(t):
    del resource(t, "ArchiveBucket")["DeletionPolicy"]


@mutation("what_outlives_the_stack")
def key_deleted_when_replaced(t):
    resource(t, "Key")["UpdateReplacePolicy"] = "Delete"


@mutation("what_outlives_the_stack")
def put_once_ends_with_the_stack(t):
    del resource(t, "ArchiveBucketPolicy")["DeletionPolicy"]


@mutation("what_outlives_the_stack")
def queue_left_behind(t):
    resource(t, "DeadLetterQueue")["DeletionPolicy"] = "Retain"


@mutation("roles")
def boundary_forgotten(t):
    del resource(t, "SchedulerRole")["Properties"]["PermissionsBoundary"]


@mutation("roles")
def boundary_empty_instead_of_absent(t):
    resource(t, "WorkerRole")["Properties"]["PermissionsBoundary"] = {"Ref": "PermissionsBoundaryArn"}


@mutation("roles")
def role_name_left_to_chance(t):
    del resource(t, "WorkerRole")["Properties"]["RoleName"]


@mutation("roles")
def managed_policy(t):
    resource(t, "FanOutRole")["Properties"]["ManagedPolicyArns"] = ["arn:aws:iam::aws:policy/AmazonS3FullAccess"]


@mutation("least_privilege")
def a_role_more(t):
    t["template.yaml"]["Resources"]["Another"] = copy.deepcopy(resource(t, "SchedulerRole"))


@mutation("least_privilege")
def worker_may_delete(t):
    statement(t, "WorkerRole", "WriteArchive")["Action"] = ["s3:PutObject", "s3:DeleteObject"]


@mutation("least_privilege")
def worker_may_write_the_ledger(t):
    statement(t, "WorkerRole", "WriteArchive")["Resource"].append(
        {"Fn::Sub": "arn:${AWS::Partition}:s3:::${Archive.Outputs.ArchiveBucketName}/${ArchivePrefix}ledger/*"}
    )


@mutation("wildcards")
def any_queue(t):
    statement(t, "FanOutRole", "SendUsers")["Resource"] = "*"


@mutation("wildcards")
def any_action(t):
    statement(t, "ReconcileRole", "ReadQueueDepth")["Action"] = "sqs:*"


@mutation("missing_objects_answer_404")
def list_with_a_prefix(t):
    statement(t, "WorkerRole", "ListState")["Condition"] = {"StringLike": {"s3:prefix": "state/*"}}


@mutation("token_is_limited")
def token_for_anybody(t):
    del resource(t, "ProveIdentity")["Properties"]["PolicyDocument"]["Statement"][0]["Condition"]["ForAllValues:StringEquals"]


@mutation("secrets_and_keys_only_if_there_are")
def key_for_nobody(t):
    del resource(t, "UseKey")["Condition"]


@mutation("evidence_is_put_once")
def overwriting_allowed(t):
    entries, index = policy(t, "ArchiveBucketPolicy", "PutOnce")
    del entries[index]


@mutation("evidence_is_put_once")
def condition_the_wrong_way_round(t):
    statement(t, "ArchiveBucketPolicy", "PutOnce")["Condition"]["Null"]["s3:if-none-match"] = "false"


@mutation("evidence_is_put_once")
def everybody_breaks_the_glass(t):
    statement(t, "ArchiveBucketPolicy", "DeleteNothing")["Condition"] = {"ArnNotEquals": {"aws:PrincipalArn": {"Ref": "BreakGlassRoleArn"}}}


@mutation("tls_only")
def queue_without_tls(t):
    del t["template.yaml"]["Resources"]["WorkQueuePolicy"]


@mutation("buckets")
def bucket_may_be_public(t):
    resource(t, "StateBucket")["Properties"]["PublicAccessBlockConfiguration"]["BlockPublicPolicy"] = False


@mutation("buckets")
def lock_added_later(t):
    del resource(t, "ArchiveBucket")["Properties"]["ObjectLockEnabled"]


@mutation("key_policy")
def key_used_by_its_administrators(t):
    resource(t, "Key")["Properties"]["KeyPolicy"]["Statement"][0]["Action"].append("kms:Decrypt")


@mutation("bring_your_own")
def given_bucket_not_used(t):
    t["infra/archive.yaml"]["Outputs"]["ArchiveBucketName"]["Value"] = {"Ref": "StateBucket"}


@mutation("the_work_queue")
def recursion_stopped(t):
    del resource(t, "Worker")["Properties"]["RecursiveLoop"]


@mutation("the_work_queue")
def visible_too_early(t):
    resource(t, "WorkQueue")["Properties"]["VisibilityTimeout"] = 900


@mutation("the_work_queue")
def batches_fail_as_a_whole(t):
    del resource(t, "WorkerSource")["Properties"]["FunctionResponseTypes"]


@mutation("the_work_queue")
def concurrency_unbounded(t):
    del resource(t, "WorkerSource")["Properties"]["ScalingConfig"]


@mutation("schedules")
def enabled_at_once(t):
    resource(t, "History")["Properties"]["State"] = "ENABLED"


@mutation("schedules")
def scheduled_time_misspelt(t):
    resource(t, "Daily")["Properties"]["Target"]["Input"] = '{"scheduledTime":"<aws.scheduler.scheduled-date>"}'


@mutation("schedules")
def schedule_without_dead_letters(t):
    del resource(t, "CloseRuns")["Properties"]["Target"]["DeadLetterConfig"]


@mutation("history_ends_before_the_next_daily_run")
def history_too_late(t):
    t["template.yaml"]["Parameters"]["HistorySchedule"]["Default"] = "cron(0 20 * * ? *)"


@mutation("asynchronous_invocations")
def failures_vanish(t):
    del resource(t, "FanOut")["Properties"]["EventInvokeConfig"]


@mutation("functions")
def text_logs(t):
    resource(t, "Worker")["Properties"]["LoggingConfig"]["LogFormat"] = "Text"


@mutation("functions")
def another_binary(t):
    resource(t, "Worker")["Metadata"]["BuildProperties"]["Binary"] = "reconcile"


@mutation("environments")
def variable_misspelt(t):
    variables = t["template.yaml"]["Globals"]["Function"]["Environment"]["Variables"]
    variables["SETTLE_MINUTE"] = variables.pop("SETTLE_MINUTES")


@mutation("environments")
def another_default(t):
    t["template.yaml"]["Parameters"]["OverlapHours"]["Default"] = 24


@mutation("environments")
def too_many_groups(t):
    t["template.yaml"]["Parameters"]["IncludeGroups"]["MaxLength"] = 3000


@mutation("alarms")
def alarm_on_nothing(t):
    t["infra/alarms.yaml"]["Resources"]["RunIncomplete"]["Properties"]["MetricName"] = "RunIncomplete"


@mutation("alarms")
def metrics_that_nobody_watches(t):
    t["template.yaml"]["Globals"]["Function"]["Environment"]["Variables"]["METRIC_NAMESPACE"] = "CopilotArchive"


@mutation("alarms")
def alarm_without_chapter(t):
    resources = t["infra/alarms.yaml"]["Resources"]
    resources["Another"] = copy.deepcopy(resources["DeadLetters"])


@mutation("parameters")
def parameter_without_bounds(t):
    del t["template.yaml"]["Parameters"]["WorkerMemory"]["MaxValue"]


@mutation("parameters")
def parameter_in_no_group(t):
    del t["template.yaml"]["Metadata"]["AWS::CloudFormation::Interface"]["ParameterGroups"][2]["Parameters"][0]


@mutation("parameters_are_used")
def parameter_not_forwarded(t):
    del resource(t, "Archive")["Properties"]["Parameters"]["BreakGlassRoleArn"]


@mutation("parameters_are_used")
def parameter_without_effect(t):
    resource(t, "WorkerRole")["Properties"]["Path"] = resource(t, "FanOutRole")["Properties"]["Path"] = "/"
    resource(t, "ReconcileRole")["Properties"]["Path"] = resource(t, "SchedulerRole")["Properties"]["Path"] = "/"


@mutation("patterns")
def tenant_by_name(t):
    t["template.yaml"]["Parameters"]["GraphTenantId"]["AllowedPattern"] = ".+"


@mutation("rules")
def compliance_without_a_word(t):
    del t["template.yaml"]["Rules"]["ComplianceConfirmed"]


@mutation("names")
def queue_with_a_name(t):
    resource(t, "WorkQueue")["Properties"]["QueueName"] = "work"


@mutation("partitions")
def only_in_one_partition(t):
    statement(t, "FanOutRole", "ListArchive")["Resource"] = {"Fn::Sub": "arn:aws:s3:::${Archive.Outputs.ArchiveBucketName}"}


@mutation("outputs")
def dry_run_that_is_none(t):
    value = t["template.yaml"]["Outputs"]["DryRun"]["Value"]
    value["Fn::Sub"] = value["Fn::Sub"].replace('{"dryRun":true}', "{}")


@mutation("emulation_is_named")
def emulated_with_more_rights(t):
    statement(t, "WorkerRole", "ListState")["Action"] = ["s3:ListBucket", {"Fn::If": ["OnAws", {"Ref": "AWS::NoValue"}, "s3:GetObject"]}]


@mutation("emulation_is_named")
def emulated_with_fewer_resources(t):
    resource(t, "SchedulerRole")["Condition"] = "OnAws"


@mutation("a_closed_run_is_told")
def closed_runs_kept_secret(t):
    del resource(t, "ReconcileEventInvokeConfig")["Properties"]["DestinationConfig"]["OnSuccess"]


@mutation("least_privilege")
def events_on_any_bus(t):
    statement(t, "ReconcileRole", "TellOfClosedRuns")["Resource"] = "*"


@mutation("subnets")
def functions_make_interfaces(t):
    del resource(t, "UseSubnets")["Properties"]["PolicyDocument"]["Statement"][1]["Condition"]


@mutation("subnets")
def networked_always(t):
    value = t["template.yaml"]["Globals"]["Function"]["VpcConfig"]
    t["template.yaml"]["Globals"]["Function"]["VpcConfig"] = value["Fn::If"][1]


@mutation("roles")
def boundary_not_forwarded(t):
    resource(t, "Custody")["Properties"]["Parameters"]["PermissionsBoundaryArn"] = ""


@mutation("rules")
def half_a_network(t):
    del t["template.yaml"]["Rules"]["NetworkWhole"]


@mutation("least_privilege")
def worker_holds_nothing(t):
    entries, index = policy(t, "WorkerRole", "HoldContent")
    del entries[index]


@mutation("evidence_is_put_once")
def holds_kept_in_another_folder(t):
    statement(t, "ArchiveBucketPolicy", "KeepHolds")["Resource"] = {"Fn::Sub": "${ArchiveBucket.Arn}/holds/*"}


@mutation("what_outlives_the_stack")
def readers_locked_out_with_the_stack(t):
    del resource(t, "EvidenceReader")["DeletionPolicy"]


@mutation("wildcards")
def readers_of_any_bucket(t):
    resource(t, "ContentReader")["Properties"]["PolicyDocument"]["Statement"][1]["Resource"] = "*"


@mutation("dashboard")
def board_of_nothing(t):
    body = resource(t, "Dashboard")["Properties"]["DashboardBody"]
    body["Fn::Sub"] = body["Fn::Sub"].replace("RunsIncomplete", "IncompleteRuns")


@mutation("dashboard")
def board_for_everybody(t):
    del resource(t, "Overview")["Condition"]


@mutation("repository_metadata")
def another_version(t):
    t["template.yaml"]["Metadata"]["AWS::ServerlessRepo::Application"]["SemanticVersion"] = "0.0.1"


def catalogue(templates, name):
    return templates["infra/catalog.yaml"]["Resources"][name]["Properties"]


@mutation("the_catalogue_asks_them")
def question_of_another_day(t):
    catalogue(t, "Question02WordsInPrompts")["QueryString"] += " limit 1"


@mutation("the_catalogue_sees_the_archive")
def custodian_not_injected(t):
    catalogue(t, "SegmentLine")["TableInput"]["Parameters"]["projection.user_id.type"] = "enum"


@mutation("the_catalogue_sees_the_archive")
def items_without_a_date_left_out(t):
    del t["infra/catalog.yaml"]["Resources"]["SegmentLineUnknown"]


@mutation("the_catalogue_is_bounded")
def limit_that_can_be_lifted(t):
    catalogue(t, "WorkGroup")["WorkGroupConfiguration"]["EnforceWorkGroupConfiguration"] = False


@mutation("the_catalogue_is_bounded")
def results_for_ever(t):
    catalogue(t, "Results")["LifecycleConfiguration"]["Rules"][0]["Status"] = "Disabled"
