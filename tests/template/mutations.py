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


def root(templates, name):
    return templates["template.yaml"]["Resources"][name]


def archive(templates, name):
    return templates["infra/archive.yaml"]["Resources"][name]


def policy(templates, role, sid):
    """The list of statements of a role, and the place of one of them."""
    entries = root(templates, role)["Properties"]["Policies"][0]["PolicyDocument"]["Statement"]
    return entries, next(index for index, entry in enumerate(entries) if entry["Sid"] == sid)


def statement(templates, role, sid):
    entries, index = policy(templates, role, sid)
    return entries[index]


@mutation("what_outlives_the_stack")
def bucket_deleted_with_the_stack(t):
    del archive(t, "ArchiveBucket")["DeletionPolicy"]


@mutation("what_outlives_the_stack")
def key_deleted_when_replaced(t):
    archive(t, "Key")["UpdateReplacePolicy"] = "Delete"


@mutation("what_outlives_the_stack")
def put_once_ends_with_the_stack(t):
    del archive(t, "ArchiveBucketPolicy")["DeletionPolicy"]


@mutation("what_outlives_the_stack")
def queue_left_behind(t):
    root(t, "DeadLetterQueue")["DeletionPolicy"] = "Retain"


@mutation("roles")
def boundary_forgotten(t):
    del root(t, "SchedulerRole")["Properties"]["PermissionsBoundary"]


@mutation("roles")
def boundary_empty_instead_of_absent(t):
    root(t, "WorkerRole")["Properties"]["PermissionsBoundary"] = {"Ref": "PermissionsBoundaryArn"}


@mutation("roles")
def role_name_left_to_chance(t):
    del root(t, "WorkerRole")["Properties"]["RoleName"]


@mutation("roles")
def managed_policy(t):
    root(t, "FanOutRole")["Properties"]["ManagedPolicyArns"] = ["arn:aws:iam::aws:policy/AmazonS3FullAccess"]


@mutation("least_privilege")
def a_role_more(t):
    t["template.yaml"]["Resources"]["Another"] = copy.deepcopy(root(t, "SchedulerRole"))


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
    del root(t, "ProveIdentity")["Properties"]["PolicyDocument"]["Statement"][0]["Condition"]["ForAllValues:StringEquals"]


@mutation("secrets_and_keys_only_if_there_are")
def key_for_nobody(t):
    del root(t, "UseKey")["Condition"]


@mutation("evidence_is_put_once")
def overwriting_allowed(t):
    del archive(t, "ArchiveBucketPolicy")["Properties"]["PolicyDocument"]["Statement"][0]


@mutation("evidence_is_put_once")
def condition_the_wrong_way_round(t):
    entry = archive(t, "ArchiveBucketPolicy")["Properties"]["PolicyDocument"]["Statement"][0]["Fn::If"][1]
    entry["Condition"]["Null"]["s3:if-none-match"] = "false"


@mutation("evidence_is_put_once")
def everybody_breaks_the_glass(t):
    entry = archive(t, "ArchiveBucketPolicy")["Properties"]["PolicyDocument"]["Statement"][1]
    entry["Condition"] = {"ArnNotEquals": {"aws:PrincipalArn": {"Ref": "BreakGlassRoleArn"}}}


@mutation("tls_only")
def queue_without_tls(t):
    del t["template.yaml"]["Resources"]["WorkQueuePolicy"]


@mutation("buckets")
def bucket_may_be_public(t):
    archive(t, "StateBucket")["Properties"]["PublicAccessBlockConfiguration"]["BlockPublicPolicy"] = False


@mutation("buckets")
def lock_added_later(t):
    del archive(t, "ArchiveBucket")["Properties"]["ObjectLockEnabled"]


@mutation("key_policy")
def key_used_by_its_administrators(t):
    archive(t, "Key")["Properties"]["KeyPolicy"]["Statement"][0]["Action"].append("kms:Decrypt")


@mutation("bring_your_own")
def given_bucket_not_used(t):
    t["infra/archive.yaml"]["Outputs"]["ArchiveBucketName"]["Value"] = {"Ref": "StateBucket"}


@mutation("the_work_queue")
def recursion_stopped(t):
    del root(t, "Worker")["Properties"]["RecursiveLoop"]


@mutation("the_work_queue")
def visible_too_early(t):
    root(t, "WorkQueue")["Properties"]["VisibilityTimeout"] = 900


@mutation("the_work_queue")
def batches_fail_as_a_whole(t):
    del root(t, "WorkerSource")["Properties"]["FunctionResponseTypes"]


@mutation("the_work_queue")
def concurrency_unbounded(t):
    del root(t, "WorkerSource")["Properties"]["ScalingConfig"]


@mutation("schedules")
def enabled_at_once(t):
    root(t, "History")["Properties"]["State"] = "ENABLED"


@mutation("schedules")
def scheduled_time_misspelt(t):
    root(t, "Daily")["Properties"]["Target"]["Input"] = '{"scheduledTime":"<aws.scheduler.scheduled-date>"}'


@mutation("schedules")
def schedule_without_dead_letters(t):
    del root(t, "CloseRuns")["Properties"]["Target"]["DeadLetterConfig"]


@mutation("history_ends_before_the_next_daily_run")
def history_too_late(t):
    t["template.yaml"]["Parameters"]["HistorySchedule"]["Default"] = "cron(0 20 * * ? *)"


@mutation("asynchronous_invocations")
def failures_vanish(t):
    del root(t, "FanOut")["Properties"]["EventInvokeConfig"]


@mutation("functions")
def text_logs(t):
    root(t, "Worker")["Properties"]["LoggingConfig"]["LogFormat"] = "Text"


@mutation("functions")
def another_binary(t):
    root(t, "Worker")["Metadata"]["BuildProperties"]["Binary"] = "reconcile"


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
    del root(t, "Archive")["Properties"]["Parameters"]["BreakGlassRoleArn"]


@mutation("parameters_are_used")
def parameter_without_effect(t):
    root(t, "WorkerRole")["Properties"]["Path"] = root(t, "FanOutRole")["Properties"]["Path"] = "/"
    root(t, "ReconcileRole")["Properties"]["Path"] = root(t, "SchedulerRole")["Properties"]["Path"] = "/"


@mutation("patterns")
def tenant_by_name(t):
    t["template.yaml"]["Parameters"]["GraphTenantId"]["AllowedPattern"] = ".+"


@mutation("rules")
def compliance_without_a_word(t):
    del t["template.yaml"]["Rules"]["ComplianceConfirmed"]


@mutation("names")
def queue_with_a_name(t):
    root(t, "WorkQueue")["Properties"]["QueueName"] = "work"


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
    root(t, "SchedulerRole")["Condition"] = "OnAws"
