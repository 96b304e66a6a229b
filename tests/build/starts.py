"""Starts a function's binary on a Lambda Runtime API of this file, under an emulator of its processor if it has to be."""

import http.server
import json
import os
import platform
import queue
import subprocess
import threading
import time

# A start takes milliseconds; emulated on a busy machine, it has been seen to take seconds.
PATIENCE = 60
# What the emulated processes load instead of this machine's libraries.
SYSROOT = {"arm64": "/usr/aarch64-linux-gnu", "x86_64": "/usr/x86_64-linux-gnu"}
QEMU = {"arm64": "qemu-aarch64-static", "x86_64": "qemu-x86_64-static"}
HERE = {"aarch64": "arm64"}.get(platform.machine(), platform.machine())

# What Lambda sets for every function.
LAMBDA = {
    "AWS_LAMBDA_FUNCTION_NAME": "started",
    "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "256",
    "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
    "AWS_REGION": "eu-central-1",
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
}


class Unanswered(Exception):
    """The process did not do what a function does."""


class RuntimeApi:
    """Gives one event, and keeps what is answered to it."""

    def __init__(self, event):
        self.answers = queue.Queue()
        events = queue.Queue()
        events.put(json.dumps(event).encode())
        self.closed = threading.Event()
        api = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                # The poll after the answer is left waiting, as Lambda does.
                while not api.closed.is_set():
                    try:
                        event = events.get(timeout=0.1)
                    except queue.Empty:
                        continue
                    deadline = int((time.time() + 900) * 1000)
                    self.reply(200, event, {
                        "Lambda-Runtime-Aws-Request-Id": "8476a536-e9f4-11e8-9739-2dfe598c3fcd",
                        "Lambda-Runtime-Deadline-Ms": str(deadline),
                        "Lambda-Runtime-Invoked-Function-Arn": "arn:aws:lambda:eu-central-1:111122223333:function:started",
                    })
                    return

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                self.reply(202, b'{"status":"OK"}', {})
                api.answers.put((self.path.rsplit("/", 1)[1], json.loads(body)))

            def reply(self, status, body, headers):
                self.send_response(status)
                for name, value in {**headers, "Content-Length": str(len(body))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        # A process is killed in the middle of its next poll.
        self.server.handle_error = lambda *_: None
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def address(self):
        return "127.0.0.1:%d" % self.server.server_port

    def close(self):
        self.closed.set()
        self.server.shutdown()
        self.server.server_close()


def command(binary, architecture):
    if architecture == HERE:
        return [str(binary)]
    return [QEMU[architecture], "-L", SYSROOT[architecture], str(binary)]


def started(binary, architecture, environment):
    return subprocess.Popen(
        command(binary, architecture), env={"PATH": os.environ["PATH"], **environment},
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
    )


def invoke(binary, architecture, environment, event):
    """What a fresh process answers to this event: ("response" or "error", the body)."""
    api = RuntimeApi(event)
    process = started(binary, architecture, {**LAMBDA, "AWS_LAMBDA_RUNTIME_API": api.address(), **environment})
    try:
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            try:
                return api.answers.get(timeout=0.1)
            except queue.Empty:
                if process.poll() is not None:
                    said = process.stderr.read().decode(errors="replace")[-500:]
                    raise Unanswered(f"it ended with {process.returncode} before it answered: {said}") from None
        raise Unanswered(f"no answer within {PATIENCE} s")
    finally:
        process.kill()
        process.wait()
        process.stderr.close()
        api.close()


def ends(binary, architecture, environment):
    """The exit code of a process that cannot start; that of a signal is negative."""
    process = started(binary, architecture, environment)
    try:
        return process.wait(timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        raise Unanswered(f"it neither panicked nor ended within {PATIENCE} s") from None
    finally:
        process.kill()
        process.wait()
        process.stderr.close()
