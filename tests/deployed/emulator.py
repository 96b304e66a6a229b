"""AWS and Graph on loopback: MiniStack with IAM enforced, and the simulator."""

import json
import os
import pathlib
import sys
import threading
import urllib.error
import urllib.request

import boto3
import botocore.config

from processes import free_port, wait_for

REGION = "eu-central-1"
# The account that MiniStack is.
ACCOUNT = "000000000000"
# Whoever signs with these is the account's root, which may do everything; functions get credentials of their own roles.
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": REGION, "AWS_REGION": REGION}
# How long MiniStack and the simulator may take to start.
START = 60
# How long one call may take: as long as a function of the small tenant.
CALL = 120


def program(name):
    """One of the project's programs."""
    return pathlib.Path(os.environ["PROGRAMS_DIR"]) / name


def client(endpoint, service, key=CREDENTIALS["AWS_ACCESS_KEY_ID"], secret=CREDENTIALS["AWS_SECRET_ACCESS_KEY"], token=None):
    """A client, with the rights of the root if nobody else is named. It asks once: no repetition is to hide anything here."""
    return boto3.client(
        service, endpoint_url=endpoint, region_name=REGION, aws_access_key_id=key, aws_secret_access_key=secret,
        aws_session_token=token, config=botocore.config.Config(retries={"total_max_attempts": 1}, read_timeout=CALL),
    )


class Emulator:
    """MiniStack: CloudFormation, S3, SQS, Lambda, and IAM as it decides on each call of a function."""

    def __init__(self, processes):
        port = free_port()
        self.endpoint = f"http://127.0.0.1:{port}"
        environment = {
            **CREDENTIALS,
            "PATH": os.environ["PATH"],
            "HOME": str(processes.folder),
            "TMPDIR": str(processes.folder),
            "AUTH": "true",
            "BIND_HOST": "127.0.0.1",
            "GATEWAY_PORT": str(port),
            "MINISTACK_REGION": REGION,
            # Functions inherit it; without, they would call the real AWS.
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_EC2_METADATA_DISABLED": "true",
            # Further listeners, which nobody here needs.
            "IOT_MTLS_ENABLED": "0",
            "SFTP_ENABLED": "0",
            # An invocation that fails is repeated at once instead of after a second and two.
            "LAMBDA_ASYNC_RETRY_BASE_SECONDS": "0.1",
        }
        self.process = processes.start("ministack", [sys.executable, "-m", "ministack"], environment)
        wait_for("MiniStack to start", START, self.is_ready)
        self.clients, self.lock = {}, threading.Lock()

    def is_ready(self):
        self.process.expect_alive()
        try:
            with urllib.request.urlopen(f"{self.endpoint}/_localstack/health", timeout=5) as answer:
                return answer.status == 200
        except (urllib.error.URLError, OSError):
            return False

    def client(self, service):
        """The client of a service, made once."""
        with self.lock:
            if service not in self.clients:
                self.clients[service] = client(self.endpoint, service)
            return self.clients[service]


class Simulator:
    """Graph and Entra, on a clock that begins when the tenant's data end."""

    def __init__(self, processes, switches, name="simulator"):
        folder = processes.folder / name
        folder.mkdir()
        (folder / "switches.json").write_text(json.dumps({"switches": switches}))
        self.truth = folder / "truth"
        command = [program("graph-simulator"), "--profile", "small", "--switches", folder / "switches.json"]
        self.process = processes.start(name, [*command, "--write-truth", self.truth], {})
        line = wait_for("the simulator to start", START, self.first_line)
        self.origin, self.tenant, self.client_id, self.secret, self.now = (
            line[key] for key in ("origin", "tenant_id", "client_id", "client_secret", "now"))

    def first_line(self):
        self.process.expect_alive()
        line, newline, _ = self.process.said().partition("\n")
        return json.loads(line) if newline else None
