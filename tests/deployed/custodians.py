"""Who reads the archive and who may delete from it, with the policies and the role that the stack makes for them."""

import json

import botocore.exceptions

from emulator import client
from processes import Failed, expect, same
from stack import Denied

EVIDENCE = {"archive.json", "holds", "ledger", "receipts", "report.json", "run.json", "users.jsonl.zst"}
CONTENT = {"interactions"}
# Whoever has this policy of AWS may do everything that no other policy denies.
ADMINISTRATOR = "arn:aws:iam::aws:policy/AdministratorAccess"


def officer(name):
    """The user whom a stack trusts with its break-glass role."""
    return f"{name}-officer"


def attempt(call, **arguments):
    """What a call answers."""
    try:
        return call(**arguments)
    except botocore.exceptions.ClientError as error:
        if error.response["Error"]["Code"].startswith("AccessDenied"):
            raise Denied(str(error)) from error
        raise Failed(str(error)) from error


def is_denied(call, **arguments):
    try:
        attempt(call, **arguments)
    except Denied:
        return True
    return False


def access_key(emulator, name, *policies):
    """The access key of a new user of the account with these policies: its id and its secret."""
    iam = emulator.client("iam")
    iam.create_user(UserName=name)
    for policy in policies:
        iam.attach_user_policy(UserName=name, PolicyArn=policy)
    key = iam.create_access_key(UserName=name)["AccessKey"]
    return key["AccessKeyId"], key["SecretAccessKey"]


def user(emulator, name, *policies):
    """A new user of the account with these policies: the clients of its services."""
    key = access_key(emulator, name, *policies)
    return lambda service: client(emulator.endpoint, service, *key)


def kinds(keys):
    """A key of each kind of object."""
    parts = {key: key.split("/") for key in keys}
    return {part[2] if part[0] == "runs" else part[0]: key for key, part in parts.items()}


def expect_readers(stack):
    """A reader of evidence reads runs and ledger, a reader of content the interactions, and neither reads anything else."""
    bucket, keys = stack.outputs["ArchiveBucket"], set(stack.objects())
    examples = kinds(keys)
    expect(examples.keys() > EVIDENCE | CONTENT, "the archive lacks a kind of object:", sorted(examples))
    for name, policy, allowed in (
        ("auditor", "EvidenceReaderPolicyArn", EVIDENCE),
        ("reviewer", "ContentReaderPolicyArn", CONTENT),
    ):
        s3 = user(stack.emulator, f"{stack.name}-{name}", stack.outputs[policy])("s3")
        listed = attempt(s3.list_objects_v2, Bucket=bucket)["Contents"]
        same({entry["Key"] for entry in listed}, keys, f"keys that the {name} sees")
        for kind in sorted(allowed):
            attempt(s3.get_object, Bucket=bucket, Key=examples[kind])
        for kind in sorted(examples.keys() - allowed):
            expect(is_denied(s3.get_object, Bucket=bucket, Key=examples[kind]), f"the {name} may read {kind}")
        expect(is_denied(s3.delete_object, Bucket=bucket, Key=examples["run.json"]), f"the {name} may delete")


def lock(stack):
    """Gives the archive's bucket Object Lock, which the template asks for and the emulator leaves out."""
    enabled = {"ObjectLockEnabled": "Enabled"}
    stack.emulator.client("s3").put_object_lock_configuration(Bucket=stack.outputs["ArchiveBucket"], ObjectLockConfiguration=enabled)


def custodian(stack):
    """Who holds people puts the entry, looks for every version, holds and lets go, and reads and deletes nothing."""
    lock(stack)
    bucket, segment = stack.outputs["ArchiveBucket"], kinds(stack.objects())["interactions"]
    s3 = user(stack.emulator, f"{stack.name}-custodian", stack.outputs["CustodianPolicyArn"])("s3")
    identity = json.loads(attempt(s3.get_object, Bucket=bucket, Key="archive.json")["Body"].read())
    attempt(s3.get_object_lock_configuration, Bucket=bucket)
    attempt(s3.list_objects_v2, Bucket=bucket)
    owner = segment.split("/")[3].removeprefix("user_id=")
    entry = f"holds/tenant_id={identity['tenant_id']}/user_id={owner}/entry-%06d.json"
    (version,) = attempt(s3.list_object_versions, Bucket=bucket, Prefix=segment)["Versions"]
    version = {"Bucket": bucket, "Key": segment, "VersionId": version["VersionId"]}
    for number, status in ((1, "ON"), (2, "OFF")):
        body = json.dumps({"user_id": owner, "at": "2026-11-25T08:00:00Z", "reason": None}).encode()
        attempt(s3.put_object, Bucket=bucket, Key=entry % number, Body=body, IfNoneMatch="*")
        attempt(s3.get_object, Bucket=bucket, Key=entry % number)
        attempt(s3.put_object_legal_hold, LegalHold={"Status": status}, **version)
        same(attempt(s3.get_object_legal_hold, **version)["LegalHold"]["Status"], status, "the hold")
    for call in (s3.get_object, s3.delete_object):
        expect(is_denied(call, Bucket=bucket, Key=segment), f"who holds may {call.__name__}")


def break_glass(stack):
    """An administrator may not delete evidence or the key. The one role that may takes both away, and not who is held."""
    bucket, key, role = (stack.outputs[name] for name in ("ArchiveBucket", "KmsKeyArn", "BreakGlassRole"))
    examples = kinds(stack.objects())
    segment, hold = examples["interactions"], examples["holds"]
    administrator = user(stack.emulator, f"{stack.name}-administrator", ADMINISTRATOR)
    attempt(administrator("s3").get_object, Bucket=bucket, Key=segment)
    attempt(administrator("kms").describe_key, KeyId=key)
    expect(is_denied(administrator("s3").delete_object, Bucket=bucket, Key=segment), "an administrator may delete evidence")
    expect(is_denied(administrator("kms").disable_key, KeyId=key), "an administrator may disable the key")
    forget_denials(stack.emulator, bucket, key)
    s3, kms = session(stack, role)
    bury(stack, s3)
    attempt(s3.list_objects_v2, Bucket=bucket)
    expect(is_denied(s3.get_object, Bucket=bucket, Key=segment), "who may delete may read")
    (version,) = attempt(s3.list_object_versions, Bucket=bucket, Prefix=segment)["Versions"]
    attempt(s3.delete_object, Bucket=bucket, Key=segment, VersionId=version["VersionId"])
    expect(is_denied(s3.delete_object, Bucket=bucket, Key=hold), "who may delete may delete who is held")
    expect(segment not in stack.objects(), "the segment is still there")
    attempt(kms.disable_key, KeyId=key)


def bury(stack, s3):
    """What an erasure does besides: it learns whose archive this is, leaves a tombstone, and deletes a checkpoint."""
    bucket, state = (stack.outputs[name] for name in ("ArchiveBucket", "StateBucket"))
    identity = json.loads(attempt(s3.get_object, Bucket=bucket, Key="archive.json")["Body"].read())
    tombstone = f"erased/tenant_id={identity['tenant_id']}/user_id={identity['archive_id']}.json"
    attempt(s3.put_object, Bucket=bucket, Key=tombstone, Body=b"{}", IfNoneMatch="*")
    attempt(s3.get_object, Bucket=bucket, Key=tombstone)
    prefix = f"state/tenant_id={identity['tenant_id']}/user_id="
    version = attempt(s3.list_object_versions, Bucket=state, Prefix=prefix)["Versions"][0]
    expect(is_denied(s3.get_object, Bucket=state, Key=version["Key"]), "who may delete a checkpoint may read it")
    attempt(s3.delete_object, Bucket=state, Key=version["Key"], VersionId=version["VersionId"])


def forget_denials(emulator, bucket, key):
    """Takes away what denies deletion to all but the role, which the emulator cannot tell: to it, a session of the role has
    another ARN than the role. What the role itself may do shows all the same, and what nobody may."""
    s3 = emulator.client("s3")
    policy = json.loads(s3.get_bucket_policy(Bucket=bucket)["Policy"])
    policy["Statement"] = [statement for statement in policy["Statement"] if statement["Sid"] != "DeleteNothing"]
    s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps(policy))
    kms = emulator.client("kms")
    policy = json.loads(kms.get_key_policy(KeyId=key, PolicyName="default")["Policy"])
    policy["Statement"] = [statement for statement in policy["Statement"] if statement["Effect"] == "Allow"]
    kms.put_key_policy(KeyId=key, PolicyName="default", Policy=json.dumps(policy))


def session(stack, role):
    """S3 and KMS with the rights of the role, which the trusted user has taken on."""
    name = officer(stack.name)
    sts = user(stack.emulator, name)("sts")
    # AWS would do with the role's own trust, as the user is of the same account.
    may = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole", "Resource": role}]}
    stack.emulator.client("iam").put_user_policy(UserName=name, PolicyName="erasure", PolicyDocument=json.dumps(may))
    secrets = attempt(sts.assume_role, RoleArn=role, RoleSessionName="erasure")["Credentials"]
    secrets = (secrets["AccessKeyId"], secrets["SecretAccessKey"], secrets["SessionToken"])
    return [client(stack.emulator.endpoint, service, *secrets) for service in ("s3", "kms")]
