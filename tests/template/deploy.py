"""Deploys the template for every set of parameters into an emulator of AWS, updates it, deletes it."""

import io
import json
import signal
import subprocess
import sys
import tempfile
import zipfile
from importlib.machinery import SourceFileLoader

import boto3
import botocore.exceptions
from botocore.config import Config

from combinations import COMBINATIONS
from evaluate import ROOT, REQUIRED, TENANT, Templates, read
from runner import expect, same
from samtranslator.yaml_helper import yaml_parse

emulators = SourceFileLoader("emulators", str(ROOT / "tests/emulators/run")).load_module()
REGION = "eu-central-1"
# Where the templates and the code lie.
ARTIFACTS = "artifacts"
# A stack takes seconds; a machine that is busy may need many times that.
PATIENCE = {"Delay": 1, "MaxAttempts": 240}


class Cloud:
    """The emulator, asked as its root or as somebody else."""

    def __init__(self, endpoint, key="test", secret="test", token=None):
        self.endpoint = endpoint
        self.session = boto3.Session(aws_access_key_id=key, aws_secret_access_key=secret, aws_session_token=token, region_name=REGION)

    def __getattr__(self, service):
        # Names are kept out of host names, which would not resolve here.
        config = Config(s3={"addressing_style": "path"}, retries={"max_attempts": 1})
        client = self.session.client(service, endpoint_url=self.endpoint, config=config)
        setattr(self, service, client)
        return client

    def upload(self, name, text):
        self.s3.put_object(Bucket=ARTIFACTS, Key=name, Body=text)
        return f"{self.endpoint}/{ARTIFACTS}/{name}"

    def packaged(self, version, templates):
        """The root template with its code and nested templates where the emulator finds them, as a release has it."""
        template = json.loads(json.dumps(templates.translated))
        for resource in template["Resources"].values():
            properties = resource.get("Properties", {})
            if resource["Type"] == "AWS::CloudFormation::Stack":
                path = properties["TemplateURL"]
                nested = json.loads(json.dumps(templates.written[path]))
                # In a nested stack the emulator forgets the attributes of what an update does not change at all.
                for part in nested["Resources"].values():
                    if part["Type"] in ("AWS::S3::Bucket", "AWS::KMS::Key", "AWS::IAM::Role"):
                        part["Properties"]["Tags"] = [{"Key": "version", "Value": version}]
                properties["TemplateURL"] = self.upload(f"{version}/{path}.json", json.dumps(nested))
            if resource["Type"] == "AWS::Lambda::Function":
                properties["Code"] = {"S3Bucket": ARTIFACTS, "S3Key": "code.zip"}
        return self.upload(f"{version}/template.json", json.dumps(template))

    def deploy(self, name, url, parameters, update=False):
        given = [{"ParameterKey": key, "ParameterValue": str(value)} for key, value in parameters.items()]
        call = self.cloudformation.update_stack if update else self.cloudformation.create_stack
        call(StackName=name, TemplateURL=url, Parameters=given, Capabilities=["CAPABILITY_NAMED_IAM", "CAPABILITY_AUTO_EXPAND"])
        waiter = self.cloudformation.get_waiter("stack_update_complete" if update else "stack_create_complete")
        try:
            waiter.wait(StackName=name, WaiterConfig=PATIENCE)
        except botocore.exceptions.WaiterError as error:
            events = self.cloudformation.describe_stack_events(StackName=name)["StackEvents"]
            reasons = [event.get("ResourceStatusReason", "") for event in events if "FAILED" in event["ResourceStatus"]]
            raise AssertionError(f"{name}: {error.last_response['Stacks'][0]['StackStatus']}: {reasons[:5]}") from error

    def resources(self, name):
        """The physical names of what a stack and its nested stacks made, by their names in the templates."""
        own, nested = {}, {}
        for resource in self.cloudformation.describe_stack_resources(StackName=name)["StackResources"]:
            if resource["ResourceStatus"] == "DELETE_COMPLETE":
                continue
            if resource["ResourceType"] == "AWS::CloudFormation::Stack":
                nested |= self.resources(resource["PhysicalResourceId"])
            own[resource["LogicalResourceId"]] = resource["PhysicalResourceId"]
        # An alarm is called like the queue that it watches.
        return {**nested, **own}

    def outputs(self, name):
        (stack,) = self.cloudformation.describe_stacks(StackName=name)["Stacks"]
        return {output["OutputKey"]: output["OutputValue"] for output in stack.get("Outputs", [])}

    def delete(self, name):
        self.cloudformation.delete_stack(StackName=name)
        self.cloudformation.get_waiter("stack_delete_complete").wait(StackName=name, WaiterConfig=PATIENCE)

    def reader(self, name, *policies):
        """Somebody with these policies and nothing else."""
        self.iam.create_user(UserName=name)
        for policy in policies:
            self.iam.attach_user_policy(UserName=name, PolicyArn=policy)
        key = self.iam.create_access_key(UserName=name)["AccessKey"]
        return Cloud(self.endpoint, key["AccessKeyId"], key["SecretAccessKey"])


def refused(call, **arguments):
    """Whether a call is denied; any other error is one of the test."""
    try:
        call(**arguments)
    except botocore.exceptions.ClientError as error:
        if error.response["Error"]["Code"] in ("AccessDenied", "AccessDeniedException"):
            return True
        raise
    return False


def expected(templates, parameters):
    """The names of everything that these parameters deploy."""
    return {name for part in templates.stack(**parameters).stacks() for name in part.resources}


def base():
    """The templates of the last release, and what they are called: before the first release, as they were first committed."""
    def git(*arguments):
        return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False).stdout.strip()
    if git("rev-parse", "--is-shallow-repository") != "false":
        raise SystemExit("the history is needed, to update from the last release's template: git fetch --unshallow --tags")
    tag = git("describe", "--tags", "--abbrev=0", "--match", "v*")
    commit = tag or git("log", "--diff-filter=A", "--format=%H", "--", "template.yaml").splitlines()[-1]
    name = tag or f"{commit[:7]} (there is no release yet: the commit that brought the template)"
    paths = ["template.yaml", *git("ls-tree", "--name-only", commit, "infra/").splitlines()]
    return name, Templates({path: yaml_parse(git("show", f"{commit}:{path}")) for path in paths})


# ---------------------------------------------------------------- what is tried


def every_combination(cloud, templates, url):
    """Every set of parameters deploys, makes exactly the resources that it should, and goes again."""
    for number, (name, parameters) in enumerate(COMBINATIONS.items()):
        given = {**REQUIRED, **parameters, "Emulated": "true"}
        stack = f"all-{number}"
        cloud.deploy(stack, url, given)
        found, wanted = set(cloud.resources(stack)), expected(templates, given)
        expect(found == wanted, name, "more:", found - wanted, "less:", wanted - found)
        cloud.delete(stack)
        print(f"        {name}: {len(found)} resources", flush=True)


def readers(cloud, templates, url):
    """The readers' policies let in whom they should, and the archive's bucket keeps what it has from everybody."""
    cloud.deploy("read", url, {**REQUIRED, "Emulated": "true", "CreateKmsKey": "false"})
    outputs = cloud.outputs("read")
    bucket = outputs["ArchiveBucket"]
    report, roster = "runs/r/report.json", "runs/r/roster.jsonl.zst"
    segment = f"interactions/tenant_id={TENANT}/created_month=2026-11/user_id={TENANT}/segment-000001.jsonl.zst"
    for key in (report, roster, segment):
        cloud.s3.put_object(Bucket=bucket, Key=key, Body=b"x", IfNoneMatch="*")
    evidence = cloud.reader("evidence", outputs["EvidenceReaderPolicyArn"])
    content = cloud.reader("content", outputs["ContentReaderPolicyArn"])
    for who, name, key, truth in ((evidence, "evidence", report, False), (evidence, "evidence", roster, True), (evidence, "evidence", segment, True),
                                  (content, "content", report, True), (content, "content", segment, False)):
        same(refused(who.s3.get_object, Bucket=bucket, Key=key), truth, name, key)
    expect(refused(content.s3.put_object, Bucket=bucket, Key="interactions/x", Body=b"x"), "a reader writes")
    for who in (evidence, content, cloud.reader("admin", "arn:aws:iam::aws:policy/AdministratorAccess")):
        expect(refused(who.s3.delete_object, Bucket=bucket, Key=segment), "somebody deletes")


def update(cloud, templates, url):
    """A stack of the last release becomes today's with its archive, key, queues and roles in place; every parameter can change."""
    name, former = base()
    print(f"        from {name}", flush=True)
    given = {**REQUIRED, "Emulated": "true"}
    cloud.deploy("update", cloud.packaged("base", former), given)
    before = cloud.resources("update")
    key = "runs/r/report.json"
    cloud.s3.put_object(Bucket=before["ArchiveBucket"], Key=key, Body=b"evidence", IfNoneMatch="*")
    cloud.sqs.send_message(QueueUrl=before["WorkQueue"], MessageBody="a user in flight")
    cloud.deploy("update", url, given, update=True)
    now = cloud.resources("update")
    same(set(now), expected(templates, given), "after the update")
    stays = ("ArchiveBucket", "StateBucket", "Key", "WorkQueue", "DeadLetterQueue", "FailedInvocations", "FanOutRole", "WorkerRole", "ReconcileRole",
             "FanOut", "Worker", "Reconcile", "FanOutLogs", "WorkerLogs", "ReconcileLogs", "WorkerSource")
    same({name: now[name] for name in stays}, {name: before[name] for name in stays}, "replaced")
    # What makes other resources of a stack that runs, there and back.
    more = {**given, **COMBINATIONS["retention"], **COMBINATIONS["dashboard"], **COMBINATIONS["scheduled"], **COMBINATIONS["mail"],
            **COMBINATIONS["client secret"], **COMBINATIONS["break-glass role made"], **COMBINATIONS["subnets"]}
    for version, parameters in (("more", more), ("less", given)):
        cloud.deploy("update", cloud.packaged(version, templates), parameters, update=True)
        now = cloud.resources("update")
        same(set(now), expected(templates, parameters), "after a change of parameters")
        same(now["ArchiveBucket"], before["ArchiveBucket"], "another archive")
    same(cloud.s3.get_object(Bucket=before["ArchiveBucket"], Key=key)["Body"].read(), b"evidence")
    waiting = cloud.sqs.receive_message(QueueUrl=before["WorkQueue"]).get("Messages", [])
    same([message["Body"] for message in waiting], ["a user in flight"])


def deletion(cloud, templates, url):
    """A deletion leaves buckets, bucket policy and key, and nothing else; a new stack goes on with the archive that was left."""
    # By itself, since the emulator deletes what a nested stack retains.
    archive = cloud.upload("today/archive-alone.json", json.dumps(templates.written["infra/archive.yaml"]))
    cloud.deploy("archive", archive, {"Emulated": "true"})
    outputs = cloud.outputs("archive")
    cloud.s3.put_object(Bucket=outputs["ArchiveBucketName"], Key="archive.json", Body=b"{}", IfNoneMatch="*")
    cloud.delete("archive")
    same(cloud.s3.get_object(Bucket=outputs["ArchiveBucketName"], Key="archive.json")["Body"].read(), b"{}")
    expect("DeleteNothing" in cloud.s3.get_bucket_policy(Bucket=outputs["ArchiveBucketName"])["Policy"], "no longer guarded")
    cloud.s3.head_bucket(Bucket=outputs["StateBucketName"])
    same(cloud.kms.describe_key(KeyId=outputs["KmsKeyArn"])["KeyMetadata"]["KeyState"], "Enabled")
    given = {**REQUIRED, "Emulated": "true", "AlarmEmail": "alarms@example.com", "ArchiveBucketName": outputs["ArchiveBucketName"],
             "StateBucketName": outputs["StateBucketName"], "KmsKeyArn": outputs["KmsKeyArn"]}
    cloud.deploy("again", url, given)
    same(cloud.outputs("again")["ArchiveBucket"], outputs["ArchiveBucketName"])
    made = cloud.resources("again")
    cloud.delete("again")
    same(cloud.s3.get_object(Bucket=outputs["ArchiveBucketName"], Key="archive.json")["Body"].read(), b"{}")
    left = {queue.split("/")[-1] for queue in cloud.sqs.list_queues().get("QueueUrls", [])}
    left |= {role["RoleName"] for role in cloud.iam.list_roles()["Roles"]}
    left |= {group["logGroupName"] for group in cloud.logs.describe_log_groups()["logGroups"]}
    left |= {function["FunctionName"] for function in cloud.__getattr__("lambda").list_functions()["Functions"]}
    gone = {made[name].split("/")[-1] for name in ("WorkQueue", "DeadLetterQueue", "FailedInvocations", "FanOutRole", "WorkerRole", "ReconcileRole",
                                                  "SchedulerRole", "FanOutLogs", "WorkerLogs", "ReconcileLogs", "FanOut", "Worker", "Reconcile")}
    expect(not left & gone, "left behind:", left & gone)


CHECKS = [every_combination, readers, update, deletion]


def main():
    # So that the emulator is stopped when this is.
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    templates = Templates(read())
    emulator = emulators.EMULATORS[0]
    failed = 0
    with tempfile.TemporaryFile() as log:
        port = emulators.free_port()
        endpoint = f"http://127.0.0.1:{port}"
        # Its own calls of AWS go to itself, and IAM holds.
        ordinary = emulator.environment
        emulator.environment = lambda port: {**ordinary(port), "AUTH": "true", "AWS_ENDPOINT_URL": endpoint}
        process = emulator.start(port, log)
        try:
            emulators.wait(process, endpoint + emulator.ready)
            cloud = Cloud(endpoint)
            cloud.s3.create_bucket(Bucket=ARTIFACTS, CreateBucketConfiguration={"LocationConstraint": REGION})
            code = io.BytesIO()
            with zipfile.ZipFile(code, "w") as archive:
                archive.writestr("bootstrap", "#!/bin/sh\nexit 1\n")
            cloud.upload("code.zip", code.getvalue())
            url = cloud.packaged("today", templates)
            for check in CHECKS:
                if sys.argv[1:] and check.__name__ not in sys.argv[1:]:
                    continue
                try:
                    check(cloud, templates, url)
                    print(f"ok      {check.__doc__}", flush=True)
                except (AssertionError, botocore.exceptions.ClientError, botocore.exceptions.WaiterError) as error:
                    failed += 1
                    print(f"FAILED  {check.__doc__}\n        {error}", flush=True)
            if failed:
                log.seek(0)
                sys.stderr.write(log.read().decode(errors="replace")[-6000:])
        finally:
            process.terminate()
            try:
                process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
