"""Every set of parameters that makes other resources, or resources of another form: what is linted and what is deployed."""

from access import BOUNDARY, KEY, ROLE, SECRET, SUBNETS
from evaluate import ACCOUNT

TOPIC = f"arn:aws:sns:eu-central-1:{ACCOUNT}:theirs"
GROUP = "5ac181d0-c896-435a-a745-ac948db1d59a"

COMBINATIONS = {
    "as it comes": {},
    "client secret": {"GraphCredential": "client-secret", "GraphSecretArn": SECRET},
    "certificate with a key": {"GraphCredential": "certificate", "GraphSecretArn": SECRET, "GraphSecretKmsKeyArn": KEY},
    "government": {"GraphCloud": "us-gov-l4"},
    "groups": {"IncludeGroups": GROUP, "ExcludeGroups": GROUP},
    "no key": {"CreateKmsKey": "false"},
    "key given": {"KmsKeyArn": KEY},
    "archive given": {"ArchiveBucketName": "theirs", "StateBucketName": "their-state", "KmsKeyArn": KEY},
    "archive given, state not": {"ArchiveBucketName": "theirs", "CreateKmsKey": "false"},
    "prefix": {"ArchivePrefix": "copilot/"},
    "governance": {"ObjectLockMode": "GOVERNANCE", "ObjectLockDays": 30},
    "compliance": {"ObjectLockMode": "COMPLIANCE", "ObjectLockConfirmation": "cannot be undone"},
    "retention": {"RetentionDays": 400},
    "break-glass role given": {"BreakGlassRoleArn": ROLE},
    "break-glass role made": {"BreakGlassTrustedArn": ROLE},
    "key administrator": {"KeyAdministratorArn": ROLE},
    "key administrator and break-glass role": {"KeyAdministratorArn": ROLE, "BreakGlassTrustedArn": ROLE},
    "readers see names": {"EvidenceReaderSeesNames": "true"},
    "access logs": {"AccessLogBucketName": "the-logs"},
    "trail": {"ReadTrailBucketName": "the-trail"},
    "boundary and path": {"PermissionsBoundaryArn": BOUNDARY, "RolePath": "/team/"},
    "subnets": SUBNETS,
    "log key": {"LogKmsKeyArn": KEY},
    "topic given": {"AlarmTopicArn": TOPIC},
    "mail": {"AlarmEmail": "alarms@example.com"},
    "scheduled": {"ScheduleState": "ENABLED"},
    "dashboard": {"Dashboard": "true"},
    "x86_64": {"Architecture": "x86_64"},
}

# What goes together, at once.
COMBINATIONS["everything"] = {
    **COMBINATIONS["certificate with a key"], **COMBINATIONS["prefix"], **COMBINATIONS["governance"], **COMBINATIONS["retention"],
    **COMBINATIONS["break-glass role made"], **COMBINATIONS["readers see names"], **COMBINATIONS["access logs"],
    **COMBINATIONS["trail"], **COMBINATIONS["boundary and path"], **COMBINATIONS["subnets"], **COMBINATIONS["log key"],
    **COMBINATIONS["mail"], **COMBINATIONS["scheduled"], **COMBINATIONS["dashboard"], **COMBINATIONS["groups"],
}
