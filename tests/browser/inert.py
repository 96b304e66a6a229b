"""Opens pages in a headless Chromium, over the devtools protocol on a pipe, and says what they did.

Given the folder that the `injections` example of `handover` filled: the pages below `inert`, with their content policy and
with the policy switched off, must do nothing at all; those below `control` must do each thing that is looked for.
"""

import json
import os
import re
import select
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--remote-debugging-pipe", "--disable-dev-shm-usage",
    "--disable-default-apps", "--disable-extensions",
]

# Where the attacks of the corpus ask.
OUTSIDE = b"x.example"

# Before anything of a page runs: a canary in place of what the attacks call.
CANARY = "window.alert = () => window.canary('ran');"

# What stands on a page, read in a world of our own: each element with its attributes.
ELEMENTS = """[...document.querySelectorAll('*')].map(e =>
    [e.localName, ...[...e.attributes].map(a => a.name + '=' + a.value).sort()].join(' '))"""

# The elements that transcripts and cover sheets are made of, as `shared/handover/src/html.rs` writes them.
OURS = {
    "html lang=en", "head", "meta charset=utf-8", "meta content=no-referrer name=referrer", "title", "style", "body", "h1",
    "meta content=default-src 'none'; style-src 'unsafe-inline' http-equiv=Content-Security-Policy",
    "table", "tbody", "tr", "td", "th", "ul", "li", "details", "summary class=note", "p class=note", "h2 class=who",
    "footer class=origin", "article class=prompt", "article class=response", "article class=other",
    "pre class=text", "pre class=raw", "pre class=audit",
}

# Answers take milliseconds; a machine that is busy may take long over the first.
PATIENCE = 60


class Listener:
    """Stands for every host there is, and counts who asks for the one outside."""

    def __init__(self):
        self.asked = 0
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            connection, _ = self.socket.accept()
            with connection:
                connection.settimeout(5)
                try:
                    # The name stands in the first bytes, of TLS as of HTTP.
                    self.asked += OUTSIDE in connection.recv(4096)
                except OSError:
                    pass


class Browser:
    """Chromium, and what it says."""

    def __init__(self, profile, port):
        to_browser, self.write = os.pipe()
        self.read, from_browser = os.pipe()

        def at_three_and_four():
            # Copied high first, so that neither takes the other's place.
            high = [os.dup2(to_browser, 103), os.dup2(from_browser, 104)]
            os.dup2(high[0], 3)
            os.dup2(high[1], 4)

        flags = FLAGS + [f"--user-data-dir={profile}", f"--host-resolver-rules=MAP * 127.0.0.1:{port}"]
        self.process = subprocess.Popen(
            ["chromium", *flags, "about:blank"], preexec_fn=at_three_and_four, close_fds=False, stderr=subprocess.DEVNULL,
        )
        os.close(to_browser)
        os.close(from_browser)
        self.buffer, self.number, self.events = b"", 0, []

    def message(self):
        while b"\0" not in self.buffer:
            if not select.select([self.read], [], [], PATIENCE)[0]:
                sys.exit(f"the browser said nothing for {PATIENCE} seconds")
            chunk = os.read(self.read, 1 << 20)
            if not chunk:
                sys.exit("the browser ended")
            self.buffer += chunk
        text, self.buffer = self.buffer.split(b"\0", 1)
        return json.loads(text)

    def call(self, method, session=None, **params):
        self.number += 1
        call = {"id": self.number, "method": method, "params": params}
        if session:
            call["sessionId"] = session
        os.write(self.write, json.dumps(call).encode() + b"\0")
        while (answer := self.message()).get("id") != self.number:
            self.events.append(answer)
        if "error" in answer and "navigated or closed" not in answer["error"]["message"]:
            sys.exit(f"{method}: {answer['error']}")
        # A page that goes elsewhere in the middle of a question gives no answer to it.
        return answer.get("result", {})

    def until(self, method, session):
        deadline = time.monotonic() + PATIENCE
        while not any(event.get("method") == method and event.get("sessionId") == session for event in self.events):
            if time.monotonic() > deadline:
                sys.exit(f"{method} does not come")
            self.events.append(self.message())


def opened(browser, page, bypass):
    """What a page did: scripts that ran, addresses asked for, elements that are not ours."""
    target = browser.call("Target.createTarget", url="about:blank")["targetId"]
    session = browser.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
    browser.events.clear()
    for domain in ("Page", "Runtime", "Network"):
        browser.call(f"{domain}.enable", session)
    browser.call("Page.setBypassCSP", session, enabled=bypass)
    browser.call("Runtime.addBinding", session, name="canary")
    browser.call("Page.addScriptToEvaluateOnNewDocument", session, source=CANARY)
    address = page.resolve().as_uri()
    browser.call("Page.navigate", session, url=address)
    # A page that leads elsewhere never loads; whatever it is, it has asked by then.
    browser.until("Page.frameStoppedLoading", session)
    # Two frames later, what waits for a layout or a task has happened.
    settle = "new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(done, 20))))"
    browser.call("Runtime.evaluate", session, expression=settle, awaitPromise=True)
    found = browser.call("Runtime.evaluate", session, expression=ELEMENTS, returnByValue=True)
    found = found.get("result", {}).get("value", ["a page that went elsewhere"])
    events = [event for event in browser.events if event.get("sessionId") == session]
    ran = sum(event["method"] == "Runtime.bindingCalled" for event in events)
    ran += sum(event["method"] == "Page.javascriptDialogOpening" for event in events)
    urls = [event["params"]["request"]["url"] for event in events if event["method"] == "Network.requestWillBeSent"]
    urls += [event["params"]["url"] for event in events if event["method"] == "Page.frameScheduledNavigation"]
    asked = [url for url in urls if url != address]
    browser.call("Target.closeTarget", targetId=target)
    return ran, asked, [element for element in found if element not in OURS]


def main():
    folder = Path(sys.argv[1])
    pages = sorted((folder / "pages/inert").glob("*/transcripts/*.html"))
    controls = sorted((folder / "pages/control").glob("*/*.html"))
    if not pages or len(pages) != len(controls):
        sys.exit(f"{len(pages)} pages and {len(controls)} controls")
    listener = Listener()
    browser = Browser(folder / "profile", listener.port)
    faults = []
    try:
        for bypass in (False, True):
            for page in pages:
                ran, asked, foreign = opened(browser, page, bypass)
                if ran or asked or foreign:
                    faults.append(f"{page} (policy {'off' if bypass else 'on'}): {ran} ran, asked {asked}, {foreign}")
        if listener.asked:
            faults.append(f"{listener.asked} connections were made to the outside")
        # The control: one page an attack is enough, since every page shows it.
        did = {"ran": set(), "asked": set(), "foreign": set()}
        attacks = {path.parent.name: path.read_text() for path in (folder / "pages/control").glob("*/attack.txt")}
        for number in sorted(attacks):
            ran, asked, foreign = opened(browser, next(c for c in controls if c.parent.name == number), False)
            for what, done in (("ran", ran), ("asked", asked), ("foreign", foreign)):
                if done:
                    did[what].add(number)
        # Pages name control characters instead of showing them, so an attack with one is not found to be put back; and
        # outside of SVG and MathML what begins like CDATA is a comment, which takes the tag with it.
        tags = {
            number for number, attack in attacks.items()
            if re.search(r"<[a-zA-Z]", attack) and "\0" not in attack and not attack.startswith("<![CDATA[")
        }
        silent = tags - set.union(*did.values())
        if silent:
            faults.append(f"the control of {[attacks[number] for number in sorted(silent)]} did nothing")
        for what, numbers in did.items():
            if not numbers:
                faults.append(f"no control {what}: the check is blind")
        if not listener.asked:
            faults.append("no control reached the listener: it is blind")
    finally:
        browser.process.terminate()
        browser.process.wait(PATIENCE)
    print(
        f"{len(attacks)} attacks on {len(pages)} pages, each opened with the policy and without: "
        f"0 scripts, 0 requests, 0 foreign elements" if not faults else "\n".join(faults)
    )
    print(f"unescaped: {len(did['ran'])} attacks ran a script, {len(did['asked'])} asked for something, "
          f"{len(did['foreign'])} made elements; {listener.asked} connections to the outside")
    sys.exit(bool(faults))


if __name__ == "__main__":
    main()
