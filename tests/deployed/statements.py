"""Takes each statement that allows something away in turn: a run must then fail, for want of just that.

A statement which nothing here needs is named in unexercised.toml with the reason. The stack works without all of those at
once, or else one of them is needed and does not belong there: what works without several works without each of them.
"""

import concurrent.futures
import pathlib
import sys
import tomllib

from custodians import break_glass, custodian, expect_readers
from deployment import Uploaded, parameters
from emulator import Emulator, Simulator
from processes import Failed, expect, same, to_the_end
from stack import Denied
from templates import read, statements, without
from truth import Truth, expect_complete, expect_truth, lines, summed

# How many stacks are tried at once: most of the time each of them waits.
AT_ONCE = 3
# How long the workers of one stack may take, which is a few seconds on an idle machine.
RUN = 90
# Ten times what a tenant may be asked, so that nobody waits for a quota here.
REQUESTS_PER_SECOND = 240
SWITCHES = {
    "quota": {"per_second": 300},
    # Longer than a worker has: the user whose page this is has to be handed over.
    "rules": [{"when": {"nth": 1}, "fault": {"slow": {"millis": 10_000}}}],
}
REQUEST = {"runId": "everything", "from": "2023-11-01T00:00:00Z"}


def exercise(stack, simulator):
    """Archives everything in one run, in which one message gets lost, one comes three times, and one user is handed over."""
    truth = Truth(simulator.truth)
    expected = truth.users_of_report()
    planned = stack.fan_out(**REQUEST)
    same(planned["planned"], expected["planned"], "planned users")
    meddle(stack, planned["planned"])
    stack.set_source(Enabled=True)
    stack.drain(RUN)
    waiting = stack.reconcile(runId=REQUEST["runId"])
    same(waiting.get("state"), "open", "the run without the lost message")
    report = stack.close(REQUEST["runId"], RUN)
    expect_complete(report)
    users = summed(report["users"])
    same({name: users[name] for name in expected}, expected, "users of the report")
    same(stack.fan_out(**REQUEST), planned, "the answer to the same request again")
    same(stack.depth(), 0, "messages after the run was closed")
    same(expect_truth(stack, truth), lines(report), "items by file and by report")
    stack.expect_nothing_denied()


def exercise_custody(stack, _):
    """Holds, reads and deletes as people do, what there is."""
    custodian(stack)
    expect_readers(stack)
    break_glass(stack)


def archive_one(stack, simulator):
    """Archives one user, for those who only want to read something."""
    user = min(Truth(simulator.truth).items)
    stack.set_source(Enabled=True)
    stack.fan_out(**{**REQUEST, "users": [user]})
    expect_complete(stack.close(REQUEST["runId"], RUN))


def meddle(stack, count):
    """Loses one message, and has received another one twice before its time."""
    sqs, url = stack.emulator.client("sqs"), stack.outputs["WorkQueueUrl"]
    received = []
    while len(received) < count:
        batch = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, VisibilityTimeout=RUN).get("Messages", [])
        expect(batch, f"only {len(received)} of {count} messages are in the queue")
        received += batch
    lost, often, *others = received
    sqs.delete_message(QueueUrl=url, ReceiptHandle=lost["ReceiptHandle"])
    show(sqs, url, often)
    sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=1, VisibilityTimeout=0)
    for message in others:
        show(sqs, url, message)


def show(sqs, url, message):
    sqs.change_message_visibility(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"], VisibilityTimeout=0)


class Trials:
    """Tries stacks without some of their statements."""

    def __init__(self, processes):
        self.processes = processes
        self.templates = read()
        self.emulator = Emulator(processes)
        self.uploaded = Uploaded(self.emulator, self.templates, processes.folder / "checkout")

    def without(self, name, removed, steps):
        """What a stack without these statements could not do; nothing if every step works all the same."""
        simulator = Simulator(self.processes, SWITCHES if exercise in steps else {}, f"graph-{name}")
        values = parameters(self.emulator, simulator, name) | {"GraphRequestsPerSecond": str(REQUESTS_PER_SECOND)}
        stack = self.uploaded.create(name, without(self.templates, removed), values)
        try:
            for step in steps:
                step(stack, simulator)
        except Denied as denied:
            return denied
        except Failed as failed:
            names = " and ".join(statement.name for statement in removed) or "nothing"
            raise Failed(f"without {names}: {failed}") from failed
        finally:
            stack.set_source(Enabled=False)
            for output in ("FanOutFunction", "WorkerFunction", "ReconcileFunction"):
                self.emulator.client("lambda").delete_function(FunctionName=stack.outputs[output])
            simulator.process.stop()
        return None


def listed(all_statements):
    """The statements that the list names, and the reason of each."""
    entries = tomllib.loads((pathlib.Path(__file__).parent / "unexercised.toml").read_text())["unexercised"]
    reasons = {name: entry["why"] for entry in entries for name in entry["statements"]}
    same(len(reasons), sum(len(entry["statements"]) for entry in entries), "statements of the list that stand there once")
    unknown = sorted(set(reasons) - {statement.name for statement in all_statements})
    expect(not unknown, "the list names statements that there are not:", unknown)
    return reasons


def verdict(removed, denied, is_idle):
    """Says how a trial came out, and what is wrong with that."""
    if is_idle and not denied:
        print(f"works    without the {len(removed)} of unexercised.toml together", flush=True)
    elif is_idle:
        return [f"one of unexercised.toml is needed: {denied}"]
    elif not denied:
        return [f"works without {removed[0].name}, which unexercised.toml does not name"]
    elif denied.action not in removed[0].actions:
        return [f"without {removed[0].name} something else is denied: {denied}"]
    else:
        print(f"denied   {denied.action} without {removed[0].name}", flush=True)
    return []


def check(trials, only):
    """Every fault found."""
    everything = statements(trials.templates)
    reasons = listed(everything)
    idle = [statement for statement in everything if statement.name in reasons]
    needed = [statement for statement in everything if statement.name not in reasons and (not only or statement.name in only)]
    faults = []

    def attempt(number, removed, steps):
        return removed, trials.without(f"t{number}", removed, steps)

    def steps(statement):
        # The functions' own are in the root; what the nested templates allow is for people.
        return [exercise] if statement.template == "template.yaml" else [archive_one, exercise_custody]

    pool = concurrent.futures.ThreadPoolExecutor(AT_ONCE)
    try:
        waiting = [] if only else [pool.submit(attempt, 0, idle, [exercise, exercise_custody])]
        waiting += [pool.submit(attempt, number, [statement], steps(statement)) for number, statement in enumerate(needed, 1)]
        for done in concurrent.futures.as_completed(waiting):
            try:
                removed, denied = done.result()
            except Failed as failed:
                faults.append(str(failed))
                continue
            faults += verdict(removed, denied, removed is idle)
    finally:
        # Whoever stops this does not wait for what has begun: it ends with the emulator.
        pool.shutdown(wait=False, cancel_futures=True)
    return faults


def judged(processes):
    faults = check(Trials(processes), sys.argv[1:])
    processes.expect_loopback()
    return faults


if __name__ == "__main__":
    sys.exit(to_the_end("statements", judged))
