"""Puts the templates into the emulator: as `sam deploy` does it, and the short way for many stacks."""

import copy
import json
import os
import subprocess
import zipfile

from custodians import officer
from emulator import ACCOUNT, CREDENTIALS
from processes import expect, wait_for
from stack import Stack
from templates import ROOT, functions, lay_out

# How long one stack may take: on an idle machine a few seconds, or half a minute by `sam deploy`.
DEPLOYMENT = 600
BUCKET = "deployment"
# Seconds that a worker gets in the stacks of which there are many: it stops its work one second earlier.
WORKER_TIMEOUT = 6


def parameters(emulator, simulator, name):
    """What the stack is told: the simulator is Graph and Entra, and a secret says who asks."""
    key = emulator.client("kms").create_key()["KeyMetadata"]["Arn"]
    secret = emulator.client("secretsmanager").create_secret(
        Name=f"graph-{name}", SecretString=simulator.secret, KmsKeyId=key)
    return {
        "GraphTenantId": simulator.tenant,
        "GraphClientId": simulator.client_id,
        "GraphCredential": "client-secret",
        "GraphSecretArn": secret["ARN"],
        "GraphSecretKmsKeyArn": key,
        "GraphBaseUrl": simulator.origin,
        "GraphLoginUrl": simulator.origin,
        "BreakGlassTrustedArn": f"arn:aws:iam::{ACCOUNT}:user/{officer(name)}",
        "Architecture": "x86_64",
        "QuietSeconds": "0",
        "Emulated": "true",
    }


def sam_deploy(emulator, templates, folder, name, values):
    """Deploys the templates as they are by the SAM CLI."""
    lay_out(templates, folder)
    environment = {
        **CREDENTIALS, "PATH": os.environ["PATH"], "HOME": str(folder), "AWS_ENDPOINT_URL": emulator.endpoint,
        "SAM_CLI_TELEMETRY": "0",
    }
    command = [ROOT / ".tools/venv/bin/sam", "deploy", "--stack-name", name, "--no-confirm-changeset", "--no-progressbar"]
    command += ["--parameter-overrides", *(f"{key}={value}" for key, value in values.items())]
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=DEPLOYMENT)
    expect(done.returncode == 0, f"sam deploy failed:\n{(done.stdout + done.stderr)[-3000:]}")
    return Stack(emulator, name)


class Uploaded:
    """The functions' code in a bucket of the emulator, for any number of stacks."""

    def __init__(self, emulator, templates, folder):
        self.emulator = emulator
        self.client = emulator.client("s3")
        self.client.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": self.client.meta.region_name})
        lay_out(templates, folder)
        self.functions = functions(templates)
        for code, binary in self.functions.values():
            archive = folder / f"{binary}.zip"
            with zipfile.ZipFile(archive, "w") as bundle:
                bundle.write(folder / code / "bootstrap", "bootstrap")
            self.client.upload_file(str(archive), BUCKET, archive.name)

    def put(self, key, template):
        self.client.put_object(Bucket=BUCKET, Key=key, Body=json.dumps(template).encode())
        return f"{self.emulator.endpoint}/{BUCKET}/{key}"

    def create(self, name, templates, values):
        """A stack of these templates, translated by CloudFormation itself. Its event source is not enabled yet."""
        root = copy.deepcopy(templates["template.yaml"])
        root["Resources"]["Worker"]["Properties"]["Timeout"] = WORKER_TIMEOUT
        # What a worker that is killed all the same had in hand is not waited for, either.
        root["Resources"]["WorkQueue"]["Properties"]["VisibilityTimeout"] = WORKER_TIMEOUT + 2
        # A number given by a parameter is a text to the emulator, which then stops polling for every stack.
        root["Resources"]["WorkerSource"]["Properties"] |= {"Enabled": False, "ScalingConfig": {"MaximumConcurrency": 2}}
        for logical_id, (_, binary) in self.functions.items():
            root["Resources"][logical_id]["Properties"]["CodeUri"] = f"s3://{BUCKET}/{binary}.zip"
        for resource in root["Resources"].values():
            if resource["Type"] == "AWS::CloudFormation::Stack":
                path = resource["Properties"]["TemplateURL"]
                resource["Properties"]["TemplateURL"] = self.put(f"{name}/{path}", templates[path])
        client = self.emulator.client("cloudformation")
        client.create_stack(
            StackName=name, TemplateURL=self.put(f"{name}/template.json", root),
            Capabilities=["CAPABILITY_NAMED_IAM", "CAPABILITY_AUTO_EXPAND"],
            Parameters=[{"ParameterKey": key, "ParameterValue": value} for key, value in values.items()],
        )

        def settled():
            stack = client.describe_stacks(StackName=name)["Stacks"][0]
            return not stack["StackStatus"].endswith("_IN_PROGRESS")

        wait_for(f"stack {name} to be created", DEPLOYMENT, settled)
        return Stack(self.emulator, name)
