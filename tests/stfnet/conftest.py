"""Float64 statements of the network's parts, a run that was evaluated, a headless Chromium."""

import contextlib
import fcntl
import itertools
import json
import os
import select
import shutil
import subprocess
import time

import numpy as np
import pytest
from helpers import wait_until

from stfnet import run
from stfnet.config import ClipConfig, TrainingConfig
from stfnet.drawing import plots
from stfnet.evaluation import result_files
from stfnet.evaluation.breakdown import breakdown
from stfnet.networks import ModelConfig
from stfnet.run.config import RunConfig

PATIENCE = 150  # seconds for an answer of the browser
EPSILON = 1e-3


def _sigmoid(x):
    return 1.0 / (1.0 + np.exp(-x))


def _layer_norm(x, gamma, beta):
    """Eqs. 3-6 for the rows of x (B, units)."""
    out = np.empty_like(x)
    for row, values in enumerate(x):
        mu = values.sum() / values.size
        s2 = ((values - mu) ** 2).sum() / values.size
        out[row] = gamma * (values - mu) / np.sqrt(s2 + EPSILON) + beta
    return out


def _lstm(x, weights, normalize):
    """All hidden states (B, T, units) of LN_LSTM on x (B, T, F), one gate at a time.

    `weights` maps the cell's weight paths, such as "kernel" and "gate_normalization/gamma", to
    arrays; columns and rows of the gates are in the order i, f, o, g.
    """
    units = weights["recurrent_kernel"].shape[0]
    gamma, beta = (weights.get(f"gate_normalization/{name}", ()) for name in ("gamma", "beta"))
    h = c = np.zeros((len(x), units))
    states = []
    for t in range(x.shape[1]):
        z = {}
        for position, gate in enumerate("ifog"):
            columns = slice(position * units, (position + 1) * units)
            z[gate] = x[:, t] @ weights["kernel"][:, columns]
            z[gate] = z[gate] + h @ weights["recurrent_kernel"][:, columns]
            if position < len(gamma):
                z[gate] = _layer_norm(z[gate], gamma[position], beta[position])
            elif normalize == "none" and gate != "g":
                z[gate] = z[gate] + weights["gate_bias"][position]
        if normalize != "all":
            z["g"] = z["g"] + weights["candidate_bias"]
        c = _sigmoid(z["f"]) * c + _sigmoid(z["i"]) * np.tanh(z["g"])
        shown = c
        if normalize == "all":
            state = (weights[f"state_normalization/{name}"] for name in ("gamma", "beta"))
            shown = _layer_norm(c, *state)
        h = _sigmoid(z["o"]) * np.tanh(shown)
        states.append(h)
    return np.stack(states, axis=1)


def _convolve(x, kernel, bias):
    """'Same' correlation of x (N, *size, C) with kernel (*window, C, D) of odd sides, plus bias."""
    size, window = x.shape[1:-1], kernel.shape[:-2]
    padded = np.pad(x, [(0, 0), *((side // 2, side // 2) for side in window), (0, 0)])
    out = np.zeros((*x.shape[:-1], kernel.shape[-1])) + bias
    for offset in np.ndindex(*window):
        crop = tuple(slice(o, o + n) for o, n in zip(offset, size, strict=True))
        out += padded[(slice(None), *crop)] @ kernel[offset]
    return out


def _randomize(layer, seed=0):
    """Gives every weight, scales and biases included, a random value around its first one."""
    rng = np.random.default_rng(seed)
    for weight in layer.weights:
        weight.assign(weight.numpy() + rng.normal(0, 0.3, weight.shape))


def _weights_of(layer):
    """The layer's weights as float64 arrays by their path below the layer."""
    return {
        weight.path.split(f"{layer.name}/", 1)[1]: np.asarray(weight.numpy(), "float64")
        for weight in layer.weights
    }


class Chromium:
    """One page of a headless Chromium; DevTools messages go over pipes, ended by zero bytes.

    Attributes:
        complaints: errors and warnings of the console, exceptions, and addresses that failed.
        requests: addresses that the page asked for.
    """

    def __init__(self, program, profile):
        pipes = *os.pipe(), *os.pipe()
        commands, messages = (fcntl.fcntl(pipes[k], fcntl.F_DUPFD, 10) for k in (0, 3))
        os.close(pipes[0])
        os.close(pipes[3])
        self._commands, self._messages = pipes[1:3]
        self._buffer, self._numbers = b"", itertools.count(1)
        self.complaints, self.requests = [], []
        arguments = [
            program,
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-extensions",
            "--use-fake-ui-for-media-stream",
            "--use-fake-device-for-media-stream",  # a camera
            "--remote-debugging-pipe",
            f"--user-data-dir={profile}",
            "about:blank",
        ]
        # Chromium reads from descriptor 3 and writes to 4; the pipes have other numbers.
        self._process = subprocess.Popen(
            ["bash", "-c", f'exec "$@" 3<&{commands} 4>&{messages}', "bash", *arguments],
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
            case "Network.requestWillBeSent":
                self.requests.append(values["request"]["url"])
            case "Network.loadingFailed":
                self.complaints.append(values)
        return message

    def open(self, path, width, dark=False):
        """Opens a file or an address at a width in pixels, on a light or dark screen or a phone."""
        self.complaints.clear()
        self.requests.clear()
        self.ask(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=900,
            deviceScaleFactor=1,
            mobile=width < 600,
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.ask("Emulation.setEmulatedMedia", features=[scheme])
        url = path if isinstance(path, str) else path.absolute().as_uri()
        self.ask("Page.navigate", url=url)
        self.wait_for("Page.loadEventFired")

    def evaluate(self, expression):
        """The value of a JavaScript expression, awaited where it is a promise."""
        answer = self.ask(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def wait_until(self, condition):
        """Waits for a JavaScript expression to become true."""
        wait_until(lambda: self.evaluate(condition), PATIENCE)

    def choose_file(self, selector, path):
        """Puts a file into the input that a CSS selector names."""
        root = self.ask("DOM.getDocument")["root"]["nodeId"]
        node = self.ask("DOM.querySelector", nodeId=root, selector=selector)["nodeId"]
        self.ask("DOM.setFileInputFiles", nodeId=node, files=[str(path)])

    def press(self, key):
        """Presses a key, such as Tab or Enter, on the element that has the focus."""
        text = {"Enter": "\r"}.get(key, "")
        codes = {"key": key, "code": key, "windowsVirtualKeyCode": {"Enter": 13, "Tab": 9}[key]}
        self.ask("Input.dispatchKeyEvent", type="keyDown", text=text, **codes)
        self.ask("Input.dispatchKeyEvent", type="keyUp", **codes)


@pytest.fixture(scope="session")
def numpy_layer_norm():
    return _layer_norm


@pytest.fixture(scope="session")
def numpy_lstm():
    return _lstm


@pytest.fixture(scope="session")
def numpy_convolution():
    return _convolve


@pytest.fixture(scope="session")
def randomize():
    return _randomize


@pytest.fixture(scope="session")
def weights_of():
    return _weights_of


@pytest.fixture(scope="session")
def read_film():
    """Function of a path: (frames RGB uint8 (N, H, W, 3), frames a second, code of the codec)."""

    def read(path):
        import cv2

        capture, frames = cv2.VideoCapture(str(path)), []
        while (one := capture.read())[0]:
            frames.append(one[1][..., ::-1])
        codec = int(capture.get(cv2.CAP_PROP_FOURCC)).to_bytes(4, "little")
        return np.stack(frames), capture.get(cv2.CAP_PROP_FPS), codec

    return read


@pytest.fixture(scope="session")
def vgg16_maps(vgg16):
    """Function of a record set, a position, frames and a layer: stream -> VGG-16's maps.

    By keras.applications' network of RGB images alone: the mean of the RGB filters over each of
    8 channels gives what the RGB filters give for an image whose three channels are all a third of
    the sum of the 8.
    """
    import keras

    from preprocessing import records

    def maps(record_set, position, frames, layer):
        example = records.read_video(record_set, record_set.videos[position])
        rgb = np.stack([records.decode_frame(example["frames"][t]) for t in frames])
        last = record_set.videos[position].num_frames - 2
        sums = []
        for t in frames:
            fields = [
                records.decode_field(example["flow"][min(max(k, 0), last)])
                for k in (t - 2, t - 1, t, t + 1)
            ]
            sums.append((np.stack(fields).astype(float) - 128).sum((0, 1)) / 3)
        grey = np.repeat(np.stack(sums)[..., None], 3, axis=-1).astype(np.float32)
        network = keras.Model(vgg16.input, vgg16.get_layer(layer).output)  # conv3 or pool
        prepared = keras.applications.vgg16.preprocess_input(rgb.astype(np.float32))
        return {"rgb": np.asarray(network(prepared)), "flow": np.asarray(network(grey))}

    return maps


@pytest.fixture(scope="session")
def browser(tmp_path_factory):
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    if program is None:
        pytest.skip("no chromium on this machine: apt-get install chromium")
    browser = Chromium(program, tmp_path_factory.mktemp("profile"))
    yield browser
    browser.close()


@pytest.fixture
def chromium(browser):
    yield browser
    browser.ask("Page.navigate", url="about:blank")  # or its films play on, on all cores


@pytest.fixture(scope="session")
def make_evaluated(tiny_records):
    """Function of a folder and records that leaves a run there as an evaluation does.

    Every video of the test part is taken for a move to the right, the later the surer.
    """

    def make(folder, record_set=tiny_records):
        model = ModelConfig(3, ClipConfig(num_frames=3, flow_length=4, image_size=32), lstm_units=7)
        config = RunConfig("squares", record_set.classes, model, TrainingConfig())
        videos = run.draw_videos(record_set, config)
        with run.writing(folder, config, videos):
            pass
        positions = run.locate(videos, record_set).test
        tested = [record_set.videos[k] for k in positions]
        labels = np.array([video.label for video in tested])
        right = tiny_records.classes.index("Right")
        probabilities = np.zeros((len(tested), 3), np.float32)
        probabilities[:, right] = np.linspace(0.5, 0.9, len(tested))
        probabilities[:, (right + 1) % 3] = 0.9 * (1 - probabilities[:, right])
        probabilities[:, (right + 2) % 3] = 0.1 * (1 - probabilities[:, right])
        results = {
            "dataset": "squares",
            "protocol": "group",
            "fold": "1",
            "split": "test",
            "streams": "both",
            "chance": 1 / 3,
            "majority": 0.25,
            "leak": 0.0,
            "num_classes": 3,
            "num_test": len(tested),
            "num_train": len(videos.train),
            "validated_on": "groups held back from training",
            "split_fingerprint": videos.fingerprint(),
            "unseen": ["v_new"],
            "lost": [],
            "changed": [],
            **breakdown(probabilities, labels, record_set.classes, tested),
        }
        result_files.write(folder, results, probabilities, positions, record_set)
        names = ("loss", "accuracy", "val_loss", "val_accuracy")
        history = [dict.fromkeys(names, 1 / k) | {"stage": 1} for k in (1, 2, 3)]
        plots.draw_curves(history, folder / run.CURVES_FILE)
        return folder

    return make


@pytest.fixture(scope="session")
def _evaluated(make_evaluated, tmp_path_factory):
    return make_evaluated(tmp_path_factory.mktemp("evaluated"))


@pytest.fixture
def evaluated(_evaluated, tmp_path):
    """Folder of a run as `make_evaluated` leaves it."""
    return shutil.copytree(_evaluated, tmp_path / "run")


@pytest.fixture
def half_network(tiny_run, tmp_path):
    """File of a network like that of `tiny_run` that computes in bfloat16."""
    from stfnet.networks.model import STFNet

    STFNet(run.read_config(tiny_run).model, dtype="mixed_bfloat16").save(tmp_path / "half.keras")
    return tmp_path / "half.keras"
