"""Runs tests of one program and tells which of them fail, those that hang or take the process with them included."""

import os
import re
import resource
import signal
import subprocess
import threading
import time

# What is left to chance is left to these, so that a test that finds a bug finds it every time.
FIXED = {"PROPTEST_RNG_SEED": "7", "PROPTEST_DISABLE_FAILURE_PERSISTENCE": "1", "RUST_BACKTRACE": "0"}

# A bug may let a test grow without end.
MEMORY = 6 << 30

# Seconds of wall-clock time in which a test that still runs must have used some of the processor.
IDLE = 180

OUTCOME = re.compile(r"^test (\S+)(?: - should panic)? \.\.\. (ok|FAILED)?", re.MULTILINE)


# Tests that take more than a second of the processor each, and together far longer than all others. What a hostile Graph
# leads to is kept: the spoilt pages, the links and the redirects.
LEFT_OUT = {
    "a_daily_and_a_history_message_of_one_user_in_one_batch",
    "a_hundred_items_of_a_megabyte_are_read_in_pieces_within_the_memory_of_one_page",
    "a_kill_at_any_call_of_one_worker_changes_nothing_in_the_end",
    "a_kill_at_any_call_of_two_workers_changes_nothing_in_the_end",
    "a_process_that_stands_still_at_any_call_and_goes_on_two_runs_later_changes_nothing",
    "a_quota_cut_to_a_tenth_in_mid_run_loses_nothing",
    "a_quota_cut_to_a_tenth_without_retry_after_loses_nothing",
    "a_simulated_company_is_archived_item_by_item_and_byte_by_byte",
    "an_invocation_that_is_killed_anywhere_is_repeated_and_nothing_is_lost_or_twice",
    "history_without_a_checkpoint_is_deferred_and_goes_on_after_the_next_daily_run",
    "pages_without_end_are_a_failure",
    "seeded_runs_keep_every_promise_at_every_step",
    "three_years_are_back_filled_within_the_runs_that_were_promised",
}


def listed(program, folder):
    answer = subprocess.run([program, "--list", "--format=terse"], cwd=folder, check=True, capture_output=True, text=True)
    found = [line.removesuffix(": test") for line in answer.stdout.splitlines() if line.endswith(": test")]
    return [name for name in found if name.rsplit("::")[-1] not in LEFT_OUT]


class Run:
    """One process. Tests run one after the other, so that the one that ends it badly is known."""

    def __init__(self, program, folder, tests, bug, limits):
        environment = {**os.environ, **FIXED}
        environment.pop("PLANTED_BUG", None)
        if bug:
            environment["PLANTED_BUG"] = bug
        self.limits, self.text, self.outcomes, self.seconds = limits, "", {}, {}
        self.lock = threading.Lock()
        self.process = subprocess.Popen(
            [program, "--test-threads=1", "--exact", *tests],
            cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, errors="replace",
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY)),
        )

    def used(self):
        """Processor seconds of the process so far."""
        try:
            with open(f"/proc/{self.process.pid}/stat") as stat:
                fields = stat.read().rsplit(")", 1)[1].split()
        except OSError:
            return None
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def watch(self):
        """Ends the process when a test takes much longer than it does without a bug."""
        current, since, last, moved = None, 0.0, 0.0, (0.0, time.monotonic())
        while self.process.poll() is None:
            time.sleep(0.2)
            used = self.used()
            if used is None:
                break
            last = max(last, used)
            with self.lock:
                running = self.running()
            if running != current:
                if current:
                    self.seconds[current] = used - since
                current, since = running, used
            if used > moved[0] + 0.1:
                moved = (used, time.monotonic())
            limit = 5 + 5 * self.limits.get(current, 0) if self.limits is not None else float("inf")
            if used - since > limit or time.monotonic() - moved[1] > IDLE:
                self.process.send_signal(signal.SIGKILL)
        # Those after it took no time that could be seen, or there were none.
        if current:
            self.seconds[current] = last - since

    def running(self):
        names = OUTCOME.findall(self.text)
        return names[-1][0] if names and not names[-1][1] else None

    def through(self):
        """Which tests failed, and the one that the process ended in, if it did not end by itself."""
        watcher = threading.Thread(target=self.watch)
        watcher.start()
        while piece := os.read(self.process.stdout.fileno(), 1 << 16):
            with self.lock:
                # What failed tests printed comes after all outcomes and is not of interest.
                if "\nfailures:\n" not in self.text:
                    self.text += piece.decode(errors="replace")
        self.process.wait()
        watcher.join()
        text = self.text.split("\nfailures:\n")[0]
        outcomes = dict(OUTCOME.findall(text))
        failed = {name for name, outcome in outcomes.items() if outcome != "ok"}
        return outcomes, failed


def failing(program, folder, tests, bug, limits):
    """Which of these tests fail, with this bug on or none, and the processor seconds that each took."""
    left, failed, seconds = list(tests), set(), {}
    while left:
        run = Run(program, folder, left, bug, limits)
        outcomes, bad = run.through()
        failed |= bad
        seconds.update(run.seconds)
        if run.process.returncode in (0, 101) and outcomes.keys() >= set(left):
            break
        if not outcomes:
            # It ended before its first test.
            failed |= set(left)
            break
        left = [name for name in left if name not in outcomes]
    return failed, seconds
