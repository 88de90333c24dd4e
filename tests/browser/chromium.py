"""A headless Chromium, driven over a pair of pipes with its own protocol (chromedevtools.github.io/devtools-protocol).

Messages are JSON with a zero byte behind each; what the browser reads comes in at its file descriptor 3, and what it
says goes out at 4. So it takes nothing but the browser.
"""

import base64
import json
import os
import select
import shutil
import signal
import tempfile
import time

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
PROGRAM = next(filter(None, map(shutil.which, NAMES)), None) if os.name == "posix" else None
PATIENCE = 60  # seconds for one answer
FLAGS = (
    "--headless",
    "--remote-debugging-pipe",
    "--no-sandbox",  # the pages are our own; the user who runs the tests may not be allowed to make a sandbox
    "--no-first-run",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
)


class Chromium:
    """One browser with one page, once it is connected. `events` is what it says unasked: exceptions, requests, ..."""

    def __init__(self):
        self.profile = tempfile.mkdtemp(prefix="chromium-")
        its_in, self.out = os.pipe()
        self.inn, its_out = os.pipe()
        duplicates = [(os.POSIX_SPAWN_DUP2, high(its_in), 3), (os.POSIX_SPAWN_DUP2, high(its_out), 4)]
        silent = [(os.POSIX_SPAWN_OPEN, fd, os.devnull, os.O_WRONLY, 0) for fd in (1, 2)]
        command = [PROGRAM, *FLAGS, f"--user-data-dir={self.profile}", "about:blank"]
        self.pid = os.posix_spawn(PROGRAM, command, os.environ, file_actions=duplicates + silent, setpgroup=0)
        for fd in (its_in, its_out, duplicates[0][1], duplicates[1][1]):
            os.close(fd)
        self.rest, self.count, self.events, self.session = b"", 0, [], None

    def connect(self):
        page = next(t for t in self.ask("Target.getTargets")["targetInfos"] if t["type"] == "page")
        self.session = self.ask("Target.attachToTarget", targetId=page["targetId"], flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.ask(f"{domain}.enable")

    def ask(self, method, **params):
        """The result of a command. RuntimeError where the browser refuses it."""
        self.count += 1
        message = {"id": self.count, "method": method, "params": params}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.out, json.dumps(message).encode("utf-8") + b"\0")
        while True:
            answer = self.hear()
            if answer.get("id") != self.count:
                self.events.append(answer)
            elif "error" in answer:
                raise RuntimeError(f"{method}: {answer['error']}")
            else:
                return answer["result"]

    def hear(self):
        deadline = time.monotonic() + PATIENCE
        while b"\0" not in self.rest:
            ready, _, _ = select.select([self.inn], [], [], max(deadline - time.monotonic(), 0))
            more = os.read(self.inn, 1 << 16) if ready else b""
            if not more:
                raise RuntimeError("the browser says nothing more")
            self.rest += more
        message, _, self.rest = self.rest.partition(b"\0")
        return json.loads(message)

    def open(self, path, width=1000, height=900, dark=False, touch=False):
        """Load a file, in a window of this size; what was said of the page before is forgotten."""
        self.ask("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=touch)
        self.ask("Emulation.setTouchEmulationEnabled", enabled=touch)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.ask("Emulation.setEmulatedMedia", features=[scheme])
        self.events.clear()
        self.ask("Page.navigate", url=path.resolve().as_uri())
        while self.run("document.readyState") != "complete":
            time.sleep(0.02)

    def run(self, expression):
        """The value of a JavaScript expression in the page. RuntimeError where it throws."""
        found = self.ask("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in found:
            raise RuntimeError(found["exceptionDetails"]["exception"].get("description"))
        return found["result"].get("value")

    def middle(self, selector):
        """Where an element is, after scrolling it into sight."""
        return self.run(
            f"""(() => {{
                const element = document.querySelector({json.dumps(selector)});
                element.scrollIntoView({{ block: "center" }});
                const box = element.getClientRects()[0];
                return {{ x: box.x + box.width / 2, y: box.y + box.height / 2 }};
            }})()"""
        )

    def point(self, selector):
        self.ask("Input.dispatchMouseEvent", type="mouseMoved", **self.middle(selector))

    def click(self, selector):
        at = self.middle(selector)
        self.ask("Input.dispatchMouseEvent", type="mouseMoved", **at)
        for kind in ("mousePressed", "mouseReleased"):
            self.ask("Input.dispatchMouseEvent", type=kind, button="left", clickCount=1, **at)

    def tap(self, selector):
        self.ask("Input.dispatchTouchEvent", type="touchStart", touchPoints=[self.middle(selector)])
        self.ask("Input.dispatchTouchEvent", type="touchEnd", touchPoints=[])

    def press(self, key):
        code = {"Tab": 9, "End": 35, "Home": 36, "ArrowLeft": 37, "ArrowUp": 38, "ArrowRight": 39, "ArrowDown": 40}[key]
        for kind in ("rawKeyDown", "keyUp"):
            self.ask("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=code)

    def choose(self, selector, value):
        """What a person who picks an entry of a <select> does to it."""
        self.run(
            f"""(() => {{
                const select = document.querySelector({json.dumps(selector)});
                select.value = {json.dumps(str(value))};
                select.dispatchEvent(new Event("change", {{ bubbles: true }}));
            }})()"""
        )

    def screenshot(self):
        """What is in the window, as a PNG."""
        return base64.b64decode(self.ask("Page.captureScreenshot")["data"])

    def complaints(self):
        """Exceptions, errors and warnings since the page was opened."""
        self.run("0")  # whatever was on its way has come before the answer
        return [
            event
            for event in self.events
            if event["method"] == "Runtime.exceptionThrown"
            or (event["method"] == "Runtime.consoleAPICalled" and event["params"]["type"] in ("error", "warning"))
            or (event["method"] == "Log.entryAdded" and event["params"]["entry"]["level"] in ("error", "warning"))
        ]

    def requests(self):
        """The addresses of everything that was asked for, but for data: what is in the page itself."""
        self.run("0")
        sent = [event for event in self.events if event["method"] == "Network.requestWillBeSent"]
        urls = [event["params"]["request"]["url"] for event in sent]
        return [url for url in urls if not url.startswith("data:")]

    def close(self):
        os.killpg(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        os.close(self.inn)
        os.close(self.out)
        shutil.rmtree(self.profile, ignore_errors=True)


def high(fd):
    """The same file under a number that neither 3 nor 4 can be in the way of."""
    import fcntl

    return fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 10)
