"""A deployed stack: what it is made of, and how it is driven."""

import json
import re
import time

import zstandard

from processes import Failed, expect, wait_for

# Nothing here is larger than a segment, which is a megabyte or so.
LARGEST = 1 << 28
# How often a run is looked at: after three rounds it is closed in any case.
LOOKS = 5


class Denied(Failed):
    """A function was not allowed something that it wanted."""

    @property
    def action(self):
        """What it was, in the words of IAM."""
        named = re.search(r"is not authorized to perform: ([a-z0-9-]+:[A-Za-z]+)", str(self))
        return named and named.group(1)


class Stack:
    """The resources of a stack by their outputs."""

    def __init__(self, emulator, name):
        self.emulator = emulator
        self.name = name
        described = emulator.client("cloudformation").describe_stacks(StackName=name)["Stacks"][0]
        expect(described["StackStatus"] == "CREATE_COMPLETE", f"stack {name} is {described['StackStatus']}")
        self.outputs = {output["OutputKey"]: output["OutputValue"] for output in described["Outputs"]}
        resources = emulator.client("cloudformation").describe_stack_resources(StackName=name)["StackResources"]
        self.physical = {resource["LogicalResourceId"]: resource["PhysicalResourceId"] for resource in resources}

    # ------------------------------------------------------------ functions

    def call(self, output, payload):
        """Invokes a function and waits for its answer."""
        answer = self.emulator.client("lambda").invoke(
            FunctionName=self.outputs[output], Payload=json.dumps(payload).encode())
        body = json.loads(answer["Payload"].read())
        if "FunctionError" in answer:
            text = f"{output} {json.dumps(payload)}: {body.get('errorType')}: {body.get('errorMessage')}"
            raise Denied(text) if "AccessDenied" in text else Failed(text)
        return body

    def fan_out(self, **payload):
        return self.call("FanOutFunction", payload)

    def reconcile(self, **payload):
        return self.call("ReconcileFunction", payload)

    def start(self, output, payload):
        """Invokes a function as a schedule does: nobody waits for the answer."""
        self.emulator.client("lambda").invoke(
            FunctionName=self.outputs[output], Payload=json.dumps(payload).encode(), InvocationType="Event")

    def log_lines(self):
        """Every line that a function wrote, as an object; of one that is no JSON, its text."""
        client, lines = self.emulator.client("logs"), []
        for group in ("FanOutLogs", "WorkerLogs", "ReconcileLogs"):
            for page in client.get_paginator("filter_log_events").paginate(logGroupName=self.physical[group]):
                for event in page["events"]:
                    try:
                        lines.append(json.loads(event["message"]))
                    except ValueError:
                        lines.append({"message": event["message"]})
        return lines

    def expect_nothing_denied(self):
        for line in self.log_lines():
            text = json.dumps(line)
            if "AccessDenied" in text:
                raise Denied(text)

    # ------------------------------------------------------------ the event source

    def set_source(self, **properties):
        self.emulator.client("lambda").update_event_source_mapping(UUID=self.outputs["WorkerSourceId"], **properties)

    # ------------------------------------------------------------ the queues

    def depth(self, output="WorkQueueUrl"):
        """How many messages a queue holds, visible or not."""
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible", "ApproximateNumberOfMessagesDelayed"]
        found = self.emulator.client("sqs").get_queue_attributes(QueueUrl=self.outputs[output], AttributeNames=names)
        return sum(int(found["Attributes"][name]) for name in names)

    def drain(self, seconds):
        """Waits until the workers have done what lies in the queue."""

        def done():
            self.expect_nothing_denied()
            return self.depth() == 0

        wait_for(f"the workers to empty the queue, which still holds {self.depth()} messages", seconds, done)

    def close(self, run_id, seconds):
        """Lets the workers work and reconcile close the run, with as many rounds as it takes. The closed run's report.

        A message that is sent while the emulator deletes others may be lost there. Its user is missing then, and is sent again.
        """
        for _ in range(LOOKS):
            self.drain(seconds)
            answer = self.reconcile(runId=run_id)
            if "complete" in answer:
                return answer
        raise Failed(f"the run is not closed: {json.dumps(answer)}")

    # ------------------------------------------------------------ the buckets

    def objects(self, output="ArchiveBucket"):
        """The keys of a bucket."""
        pages = self.emulator.client("s3").get_paginator("list_objects_v2").paginate(Bucket=self.outputs[output])
        return [entry["Key"] for page in pages for entry in page.get("Contents", [])]

    def read(self, key):
        body = self.emulator.client("s3").get_object(Bucket=self.outputs["ArchiveBucket"], Key=key)["Body"].read()
        if not key.endswith(".zst"):
            return body
        # A segment may be several frames, one after the other.
        with zstandard.ZstdDecompressor().stream_reader(body, read_across_frames=True) as reader:
            return reader.read(LARGEST)
