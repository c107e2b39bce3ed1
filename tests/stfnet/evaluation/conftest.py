"""A headless Chromium for pages, driven over its DevTools protocol, and the folder of a run."""

import contextlib
import itertools
import json
import os
import select
import shutil
import subprocess
import time

import numpy as np
import pytest

from stfnet import run
from stfnet.config import ClipConfig, ModelConfig, RunConfig, TrainingConfig
from stfnet.evaluation import result_files
from stfnet.evaluation.details import details

PATIENCE = 60  # seconds for an answer of the browser


class Chromium:
    """One page of a headless Chromium; DevTools messages go over pipes, ended by zero bytes.

    Attributes:
        complaints: errors and warnings of the console, exceptions, and addresses that failed.
    """

    def __init__(self, program, profile):
        commands, self._commands = os.pipe()
        self._messages, messages = os.pipe()
        self._buffer, self._numbers = b"", itertools.count(1)
        self.complaints = []
        arguments = [
            *(
                program,
                "--headless=new",
                "--no-sandbox",
                "--disable-gpu",
                "--disable-dev-shm-usage",
            ),
            *("--no-first-run", "--disable-background-networking", "--disable-extensions"),
            *("--remote-debugging-pipe", f"--user-data-dir={profile}", "about:blank"),
        ]
        # Chromium reads from descriptor 3 and writes to 4, whatever numbers the pipes have here.
        self._process = subprocess.Popen(
            ["sh", "-c", f'exec "$@" 3<&{commands} 4>&{messages}', "sh", *arguments],
            pass_fds=(commands, messages),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(commands)
        os.close(messages)
        targets = self.ask("Target.getTargets", None)["targetInfos"]
        target = next(one["targetId"] for one in targets if one["type"] == "page")
        attached = self.ask("Target.attachToTarget", None, targetId=target, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.ask(f"{domain}.enable")

    def close(self):
        with contextlib.suppress(OSError):
            os.write(self._commands, b'{"id": 0, "method": "Browser.close"}\0')
        try:
            self._process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        os.close(self._commands)
        os.close(self._messages)

    def ask(self, method, session="own", **parameters):
        """The answer to a command; what the page complains about in between is kept."""
        number = next(self._numbers)
        message = {"id": number, "method": method, "params": parameters}
        if session:
            message["sessionId"] = self._session
        os.write(self._commands, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._receive()
            if answer.get("id") == number:
                assert "error" not in answer, f"{method}: {answer['error']}"
                return answer["result"]

    def wait_for(self, event):
        while self._receive().get("method") != event:
            pass

    def _receive(self):
        end = time.monotonic() + PATIENCE
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self._messages], [], [], max(0, end - time.monotonic()))
            assert ready, f"Chromium does not answer within {PATIENCE} seconds"
            received = os.read(self._messages, 1 << 20)
            assert received, "Chromium has ended"
            self._buffer += received
        message, _, self._buffer = self._buffer.partition(b"\0")
        message = json.loads(message)
        values = message.get("params", {})
        match message.get("method"):
            case "Runtime.consoleAPICalled" if values["type"] in ("error", "warning", "assert"):
                self.complaints.append([one.get("value") for one in values["args"]])
            case "Runtime.exceptionThrown":
                self.complaints.append(values["exceptionDetails"])
            case "Log.entryAdded" if values["entry"]["level"] in ("error", "warning"):
                self.complaints.append(values["entry"])
            case "Network.loadingFailed":
                self.complaints.append(values)
        return message

    def open(self, path, width, dark=False):
        """Opens a file at a width in pixels, as a phone or a screen that is light or dark."""
        self.complaints.clear()
        self.ask(
            "Emulation.setDeviceMetricsOverride",
            **{"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600},
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.ask("Emulation.setEmulatedMedia", features=[scheme])
        self.ask("Page.navigate", url=path.absolute().as_uri())
        self.wait_for("Page.loadEventFired")

    def evaluate(self, expression):
        """The value of a JavaScript expression, awaited where it is a promise."""
        answer = self.ask(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def press(self, key):
        """Presses a key, such as Tab or Enter, on the element that has the focus."""
        text = {"Enter": "\r"}.get(key, "")
        codes = {"key": key, "code": key, "windowsVirtualKeyCode": {"Enter": 13, "Tab": 9}[key]}
        self.ask("Input.dispatchKeyEvent", type="keyDown", text=text, **codes)
        self.ask("Input.dispatchKeyEvent", type="keyUp", **codes)


@pytest.fixture(scope="session")
def chromium(tmp_path_factory):
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    if program is None:
        pytest.skip("no chromium on this machine: apt-get install chromium")
    browser = Chromium(program, tmp_path_factory.mktemp("profile"))
    yield browser
    browser.close()
