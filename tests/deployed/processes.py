"""Processes that end with the test, and waits that do not last for ever."""

import os
import pathlib
import signal
import socket
import subprocess
import tempfile
import time

# How long a process may take to end by itself before it is killed.
GRACE = 5
# How often what is waited for is looked at.
GRAIN = 0.1


class Failed(Exception):
    """What the test found. Its text is for whoever reads the screen."""


def expect(truth, *what):
    if not truth:
        raise Failed(" ".join(str(part) for part in what))


def same(found, expected, what):
    expect(found == expected, f"{what}: found {found!r}, expected {expected!r}")


def wait_for(what, seconds, look):
    """The first answer of `look` that is not empty."""
    until = time.monotonic() + seconds
    while True:
        found = look()
        if found:
            return found
        expect(time.monotonic() < until, f"waited {seconds} s for {what}")
        time.sleep(GRAIN)


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def end_on_signals():
    """Lets a signal end the program as an error does, so that everything is cleaned up."""

    def stop(number, _):
        raise SystemExit(128 + number)

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, stop)


class Process:
    """A process, in a group of its own with whatever it starts."""

    def __init__(self, name, command, environment, folder):
        self.name = name
        self.log = pathlib.Path(folder) / f"{name}.log"
        with self.log.open("wb") as log:
            self.child = subprocess.Popen(
                command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def said(self):
        return self.log.read_text(errors="replace")

    def expect_alive(self):
        expect(self.child.poll() is None, f"{self.name} has ended:\n{tail(self.said())}")

    def stop(self):
        """Asks it to end, then ends its whole group. What it said."""
        if self.child.poll() is None:
            self.child.terminate()
            try:
                self.child.wait(GRACE)
            except subprocess.TimeoutExpired:
                pass
        try:
            os.killpg(self.child.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.child.wait()
        return self.said()

    def pids(self):
        """It and all of its group."""
        found = []
        for entry in pathlib.Path("/proc").iterdir():
            if entry.name.isdigit():
                try:
                    if os.getpgid(int(entry.name)) == self.child.pid:
                        found.append(int(entry.name))
                except ProcessLookupError:
                    pass
        return found


class Processes:
    """What was started; all of it is ended when the block is left, however."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.all = []

    def start(self, name, command, environment):
        process = Process(name, [str(part) for part in command], environment, self.folder)
        self.all.append(process)
        return process

    def expect_loopback(self):
        """Nothing that was started listens on an address that other machines reach."""
        listening = {}
        for table, loopback in (("tcp", "0100007F"), ("tcp6", "0" * 24 + "01000000")):
            for line in pathlib.Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
                fields = line.split()
                address, port = fields[1].split(":")
                if fields[3] == "0A" and address != loopback:
                    listening[f"socket:[{fields[9]}]"] = int(port, 16)
        for process in self.all:
            for pid in process.pids():
                for descriptor in pathlib.Path(f"/proc/{pid}/fd").glob("*"):
                    try:
                        port = listening.get(os.readlink(descriptor))
                    except OSError:
                        continue
                    expect(port is None, f"{process.name} listens on port {port} of every address")

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        for process in reversed(self.all):
            said = process.stop()
            if kind is not None and issubclass(kind, Exception):
                print(f"--- the end of what {process.name} said\n{tail(said)}")


def to_the_end(name, work):
    """Does `work` with processes in a folder of their own, says which faults it named, and returns the exit code."""
    end_on_signals()
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix=f"{name}-", ignore_cleanup_errors=True) as folder:
        try:
            with Processes(folder) as processes:
                faults = work(processes)
        except Failed as failed:
            faults = [failed]
    for fault in faults:
        print(f"FAILED     {fault}")
    print(f"{'failed' if faults else 'passed'} in {time.monotonic() - began:.0f} s")
    return 1 if faults else 0


def tail(text, lines=15):
    return "\n".join(text.splitlines()[-lines:])
