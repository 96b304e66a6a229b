"""Deploys the stack by `sam deploy`, archives a simulated tenant with it, and holds the archive against the truth."""

import datetime
import json
import signal
import subprocess
import sys
import time

from custodians import access_key, break_glass, expect_readers, lock
from deployment import parameters, sam_deploy
from emulator import CREDENTIALS, Emulator, Simulator, program
from processes import expect, same, to_the_end, wait_for
from templates import read
from truth import Truth, expect_complete, expect_truth, lines, summed

STACK = "copilot-archive"
# How long workers may take for a run of the small tenant, which at 24 requests a second takes five seconds.
RUN = 120
# How long an audit may take, which is seconds on an idle machine.
AUDIT = 300
# How `hold` ends as long as a worker may be under way that began before the entry, which is twenty minutes.
UNFINISHED = 1
# A day in the text of a question to Graph: the one that the run of a user who fails begins on, and no other does.
BAD_DAY = "2024-05-05"
# How the simulator says at its end that nothing was asked while a 429 still held.
MANNERS = "before a Retry-After was over 0"


def say(what, text):
    print(f"{what:<10} {text}", flush=True)


class Look:
    """What is done with the stack, step by step."""

    def __init__(self, stack, simulator, truth):
        self.stack, self.simulator, self.truth = stack, simulator, truth

    def dry_run(self):
        answer = self.stack.fan_out(dryRun=True)
        same(answer["planned"], self.truth.users_of_report()["planned"], "users to be read")
        same(self.stack.objects(), [], "what a dry run has written")
        say("dry run", f"{answer['planned']} of {answer['enumerated']} users would be read, {answer['requests']} requests")

    def run(self, **payload):
        """Fan-out is invoked by hand, the event source drives the workers, reconcile closes. The closed run's report."""
        began = time.monotonic()
        planned = self.stack.fan_out(**payload)
        report = self.stack.close(planned["runId"], RUN)
        users, items = summed(report["users"]), report["interactions"]
        for name in ("enumerated", "planned"):
            same(users[name], planned[name], f"{name} by report and by fan-out")
        counts = ", ".join(f"{users[name]} {name}" for name in ("exported", "empty", "unavailable", "failed", "missing"))
        say("run", f"{report['run_id']}  {'COMPLETE' if report['complete'] else 'INCOMPLETE'}  "
            f"in {time.monotonic() - began:.0f} s")
        say("", f"{users['enumerated']} users = {users['excluded']} excluded + {users['planned']} planned ({counts})")
        say("", f"{items['received']} interactions = {items['new']} new + {items['already_held']} already held;  "
            f"ledger entry {report['ledger']['n']}")
        return report

    def days(self):
        """Everything is archived by a daily and a history run, and a second daily run finds nothing new."""
        at = self.simulator.now[:19] + "Z"
        daily = self.run(scheduledTime=at)
        expect_complete(daily)
        expected = self.truth.users_of_report()
        users = summed(daily["users"])
        for name in ("enumerated", "planned", "unavailable"):
            same(users[name], expected[name], f"{name} of the daily run")
        same(users["exported"] + users["empty"], expected["exported"] + expected["empty"], "users read by the daily run")
        self.hold()
        history = self.run(scheduledTime=at, history=True)
        expect_complete(history)
        self.expect_held()
        same(history["history_remaining"], 0, "users whose history is not read")
        archived = expect_truth(self.stack, self.truth)
        same(archived, lines(daily) + lines(history), "items by file and by report")
        say("truth", f"all {archived} interactions of {len(self.truth.items)} users are in the archive, once, byte for byte")
        minute_later = datetime.datetime.fromisoformat(at) + datetime.timedelta(minutes=1)
        again = self.run(scheduledTime=minute_later.isoformat())
        expect_complete(again)
        same(again["interactions"]["new"], 0, "new items of the second daily run")
        same(again["interactions"]["received"], daily["interactions"]["received"], "items of the second daily run")
        return again

    def held(self):
        """The segments that are under a legal hold."""
        s3, bucket = self.stack.emulator.client("s3"), self.stack.outputs["ArchiveBucket"]
        segments = {key for key in self.stack.objects() if key.startswith("interactions/")}
        heads = {key: s3.head_object(Bucket=bucket, Key=key) for key in segments}
        return segments, {key for key, head in heads.items() if head.get("ObjectLockLegalHoldStatus") == "ON"}

    def hold(self):
        """Who has most is held by the command, with nothing but the custodian's policy."""
        lock(self.stack)
        self.custodian = access_key(self.stack.emulator, "custodian", self.stack.outputs["CustodianPolicyArn"])
        self.person = max(self.truth.items, key=lambda user: len(self.truth.items[user]))
        self.before, held = self.held()
        same(held, set(), "held segments before anybody is")
        said = self.told(UNFINISHED, "--user", self.person, "--on", "--yes")
        expect("not over: repeat the command after" in said, "the hold is over while a worker may put without it:", said)

    def told(self, code, *words):
        """What `hold` says, which ends with this code."""
        address, (key, secret) = f"s3://{self.stack.outputs['ArchiveBucket']}/", self.custodian
        done = subprocess.run(
            [program("copilot-archive"), "hold", "--archive", address, *words], capture_output=True, text=True, timeout=AUDIT,
            env={**CREDENTIALS, "AWS_ACCESS_KEY_ID": key, "AWS_SECRET_ACCESS_KEY": secret,
                 "AWS_ENDPOINT_URL": self.stack.emulator.endpoint, "AWS_EC2_METADATA_DISABLED": "true"})
        expect(done.returncode == code, f"hold ended with {done.returncode}:", done.stdout, done.stderr)
        return done.stdout

    def expect_held(self):
        """All of the person is held, what a worker put later too, and nobody else; released, nothing is."""
        segments, held = self.held()
        own = {key for key in segments if f"/user_id={self.person}/" in key}
        same(held, own, "held segments")
        expect(own - self.before and own & self.before, "the person has no segment from before the hold and from after it")
        expect(f"all of {len(own)} versions are held" in self.told(UNFINISHED, "--list"), "the list says otherwise")
        self.told(0, "--user", self.person, "--off", "--yes")
        same(self.held()[1], set(), "held segments after the release")
        say("hold", f"{len(own)} segments of the person who was held, {len(own - self.before)} of them put by workers later")

    def custody(self):
        """Readers read what they are for; what the one role that may deletes, an audit misses."""
        expect_readers(self.stack)
        say("readers", "who checks evidence cannot read content, and who reads content cannot read the rosters")
        break_glass(self.stack)
        codes = {finding["code"] for finding in self.audited(2)["integrity"]["findings"]}
        expect("receipt-segment-missing" in codes, "the audit misses no segment:", sorted(codes))
        say("tamper", "the audit misses the segment that the break-glass role has deleted")

    def user_that_fails(self):
        """A user that fails each time stands alone in the dead-letter queue, and its run says so."""
        user = min(self.truth.items)
        queue = self.stack.outputs["WorkQueueUrl"]
        # What fails comes back when it is visible again, which in the template is hours.
        sqs, name = self.stack.emulator.client("sqs"), "VisibilityTimeout"
        hours = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=[name])["Attributes"]
        sqs.set_queue_attributes(QueueUrl=queue, Attributes={name: "1"})
        report = self.run(users=[user], **{"from": f"{BAD_DAY}T12:00:00Z"})
        sqs.set_queue_attributes(QueueUrl=queue, Attributes=hours)
        expect(not report["complete"], "a run with a user that failed is complete")
        same((report["users"]["planned"], report["users"]["failed"]), (1, 1), "planned and failed users")
        letters = self.stack.depth("DeadLetterQueueUrl")
        same(letters, 1, "dead letters")
        say("", "the user whom Graph answers with an error each time stands in the dead-letter queue")

    def invocation_that_fails(self):
        """What a schedule sends that AWS did not fill in is refused by name, and not lost."""
        self.stack.start("FanOutFunction", {"scheduledTime": "<aws.scheduler.scheduled-time>"})
        queue = self.stack.outputs["FailedInvocationsUrl"]
        receive = lambda: self.stack.emulator.client("sqs").receive_message(QueueUrl=queue).get("Messages")  # noqa: E731
        (message,) = wait_for("the invocation that fails each time", RUN, receive)
        refused = json.loads(message["Body"])["responsePayload"]
        same(refused["errorType"], "InvalidPayload", "the refusal of a schedule's unfilled payload")
        say("failure", "an invocation that is refused lies in the queue of failed invocations")

    def audited(self, code, *more):
        """What `audit --all` finds, by the program that anybody would use."""
        address = f"s3://{self.stack.outputs['ArchiveBucket']}/"
        done = subprocess.run(
            [program("copilot-archive"), "audit", "--all", "--json", "--archive", address, *more],
            capture_output=True, text=True, timeout=AUDIT,
            env={**CREDENTIALS, "AWS_ENDPOINT_URL": self.stack.emulator.endpoint, "AWS_EC2_METADATA_DISABLED": "true"})
        expect(done.returncode == code, f"audit ended with {done.returncode}:", done.stdout[-2000:], done.stderr)
        return json.loads(done.stdout)

    def audit(self, head):
        """The archive's own proof, which is held against the ledger's head that reconcile answered."""
        refused = {user["user_id"] for user in self.truth.users if user["licensed"] and not user["readable"]}
        # Who cannot be read at all is a gap, which is the truth.
        report = self.audited(1 if refused else 0, "--ledger-head", f"{head['n']}:{head['sha256']}")
        same(report["integrity"]["findings"], [], "broken promises")
        same(report["integrity"]["numbers"]["lines"], self.truth.count, "lines by the audit")
        same({user["person"]["user_id"] for user in report["users"]}, refused, "users with a gap")
        say("audit", f"no promise broken, and no gap but of the {len(refused)} users whom Graph shows nothing of")


def deployed(processes):
    emulator = Emulator(processes)
    say("emulator", f"MiniStack at {emulator.endpoint}: S3, SQS, Lambda, Secrets Manager; IAM is enforced")
    switches = {"rules": [{"when": {"target_contains": BAD_DAY}, "fault": {"status": 400}}]}
    simulator = Simulator(processes, switches)
    truth = Truth(simulator.truth)
    say("graph", f"simulated tenant of {len(truth.users)} users at {simulator.origin}")
    began = time.monotonic()
    values = parameters(emulator, simulator, STACK)
    stack = sam_deploy(emulator, read(), processes.folder / "checkout", STACK, values)
    say("deploy", f"sam deploy of template.yaml: {len(stack.physical)} resources in {time.monotonic() - began:.0f} s")
    # From the template, the emulator takes this number for a text and stops.
    stack.set_source(ScalingConfig={"MaximumConcurrency": 2})
    return stack, simulator, truth


def keep(stack):
    """Says how to use the stack, and waits until somebody has seen enough."""
    print(f"""
The stack runs until you press Ctrl-C. From another terminal, in the project's folder:

  .tools/emulator/bin/python tests/deployed/invoke.py {stack.emulator.endpoint} {stack.outputs["FanOutFunction"]} '{{"dryRun":true}}'
  .tools/emulator/bin/python tests/deployed/invoke.py {stack.emulator.endpoint} {stack.outputs["FanOutFunction"]} '{{}}'
  .tools/emulator/bin/python tests/deployed/invoke.py {stack.emulator.endpoint} {stack.outputs["ReconcileFunction"]} '{{}}'

With the AWS command line, after this, everything works as on AWS:

  export {" ".join(f"{key}={value}" for key, value in CREDENTIALS.items())} AWS_ENDPOINT_URL={stack.emulator.endpoint}
  aws s3 ls --recursive s3://{stack.outputs["ArchiveBucket"]}/
""", flush=True)
    signal.pause()


def whole(processes):
    stack, simulator, truth = deployed(processes)
    look = Look(stack, simulator, truth)
    look.dry_run()
    last = look.days()
    look.audit(last["ledger"])
    look.user_that_fails()
    look.invocation_that_fails()
    stack.expect_nothing_denied()
    processes.expect_loopback()
    if "--keep" in sys.argv[1:]:
        keep(stack)
    # Nobody wants to look around in an archive that was tampered with.
    look.custody()
    summary = simulator.process.stop()
    expect(MANNERS in summary, "Graph was asked before it allowed it:\n" + summary)
    return []


if __name__ == "__main__":
    sys.exit(to_the_end("deployed", whole))
