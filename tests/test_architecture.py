"""The walls of the house, as docs/architecture.md draws them: who may import whom, and how much."""

import ast
import functools
from pathlib import Path

ROOT = Path(__file__).parents[1]
# A package imports itself and those before it, never one behind it.
PACKAGES = ("preprocessing", "stfnet", "experiments", "benchmarks")
LARGEST_FILE = 400  # lines
MOST_ROOMS = {"preprocessing": 12, "stfnet": 19}  # modules and packages at the top
TESTED_ELSEWHERE = {
    "preprocessing.errors",  # an exception without code
    # All by tests/benchmarks/test_benchmarks.py, which runs each benchmark.
    "benchmarks.exported_model",
    "benchmarks.fit",
    "benchmarks.flow",
    "benchmarks.growth",
    "benchmarks.input",
    "benchmarks.measured_tables",
    "benchmarks.network",
    "benchmarks.network_measurements",
    "benchmarks.preparation",
    "benchmarks.start",
    "experiments.studies.study_program",  # by test_ablate and test_compare
    # All by tests/experiments/configs/test_configs.py.
    "experiments.configs.baselines",
    "experiments.configs.defaults",
    "experiments.configs.modern",
    "experiments.configs.paper",
    "experiments.configs.real_videos",
    "experiments.configs.synthetic",
}
ONLY_FOR_SOME_PROGRAMS = {
    "ai_edge_litert",
    "apache_beam",
    "onnx",
    "onnxruntime",
    "sklearn",
    "tensorflow_datasets",
    "tf2onnx",
}
# One definition runs on TensorFlow, JAX and PyTorch.
PURE_KERAS = ("stfnet.layers", "stfnet.networks")


def _name(path):
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {
    _name(path): path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))
}


@functools.cache
def _tree(name):
    return ast.parse(MODULES[name].read_text())


def _imports(name, deferred=True):
    """Full names of what a module imports: modules of the project, or others' names.

    Args:
        name: of the module.
        deferred: whether imports inside functions, and those for types alone, count.
    """
    nodes = [_tree(name)]
    while nodes:
        node = nodes.pop()
        if isinstance(node, ast.FunctionDef) and not deferred:
            continue
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING" and not deferred:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{name} imports relatively"
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                yield full if full in MODULES else node.module
        nodes.extend(ast.iter_child_nodes(node))


def _of_project(name):
    return {full for full in _imports(name) if full in MODULES and full != name}


def _calls(name, function):
    """The calls of a function in a module of the project."""
    return [
        node
        for node in ast.walk(_tree(name))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == function
    ]


def test_one_module_opens_video_files():
    # A camera by its number is OpenCV's.
    reader, frames, writer = (f"preprocessing.video.{n}" for n in ("film", "frames", "writing"))
    assert [n for n in MODULES if "av" in {i.split(".")[0] for i in _imports(n)}] == [
        reader,
        frames,
        writer,
    ]
    assert {ast.unparse(opened.args[1]) for opened in _calls(writer, "av.open")} == {"'w'"}
    assert not _calls(frames, "av.open")
    assert not [one for one in (frames, writer) if _calls(one, "av.CodecContext.create")]
    opening = [n for n, path in MODULES.items() if "VideoCapture(" in path.read_text()]
    assert opening == ["stfnet.inference.capture"]
    (camera,) = (call for call in _calls(opening[0], "cv2.VideoCapture") if call.args)
    assert ast.unparse(camera) == "cv2.VideoCapture(number)"


def test_nothing_is_imported_backwards():
    backwards = [
        f"{name} imports {full}"
        for name in MODULES
        for full in _imports(name)
        if full.split(".")[0] in PACKAGES[PACKAGES.index(name.split(".")[0]) + 1 :]
    ]
    assert not backwards


def test_no_modules_import_each_other_in_a_circle():
    # A module imports its packages too, as Python does; what a package re-exports from its own
    # modules is no circle unless they ask the package for it.
    arrows = {name: _of_project(name) for name in MODULES}
    state = {}

    def visit(name, trail):
        if state.get(name) == "done":
            return
        assert name not in trail, " -> ".join([*trail[trail.index(name) :], name])
        for other in sorted(arrows[name]):
            visit(other, [*trail, name])
        state[name] = "done"

    for name in MODULES:
        visit(name, [])


def test_no_packages_import_each_other_in_a_circle():
    def room(name):  # the first two levels: preprocessing.flow, stfnet.training
        return ".".join(name.split(".")[:2])

    arrows = {}
    for name in MODULES:
        others = {room(other) for other in _of_project(name)} - {room(name)}
        arrows.setdefault(room(name), set()).update(others - {name.partition(".")[0]})
    arrows = {name: others for name, others in arrows.items() if "." in name}
    while leaves := [name for name in arrows if not arrows[name] & set(arrows)]:
        for name in leaves:
            del arrows[name]
    assert not arrows, f"these rooms import each other in a circle: {arrows}"


def test_a_package_has_few_rooms_at_its_top():
    for package, most in MOST_ROOMS.items():
        rooms = {name.split(".")[1] for name in MODULES if name.startswith(f"{package}.")}
        assert len(rooms) <= most, (package, sorted(rooms))


def test_no_file_is_long():
    folders = (*PACKAGES, "tests")
    lines = {
        str(path.relative_to(ROOT)): len(path.read_text().splitlines())
        for folder in folders
        for path in (ROOT / folder).rglob("*.py")
    }
    assert not {name: count for name, count in lines.items() if count > LARGEST_FILE}


def _importers(names, packages, deferred=True):
    """Those of the modules that import one of the packages."""
    return [
        name
        for name in names
        if {full.split(".")[0] for full in _imports(name, deferred)} & packages
    ]


def test_the_network_is_keras_alone():
    network = [name for name in MODULES if name.startswith(PURE_KERAS)]
    assert network and not _importers(network, {"tensorflow", "torch", "jax"})


def test_preprocessing_starts_without_tensorflow():
    # Workers that decode videos would each load it.
    modules = [name for name in MODULES if name.startswith("preprocessing")]
    assert not _importers(modules, {"tensorflow"}, deferred=False)


def _needed(*names):
    """What importing modules imports in turn: of the project, and the other packages."""
    needed, waiting = set(), list(names)
    while waiting:
        name = waiting.pop()
        if name not in needed:
            needed.add(name)
            waiting += [full for full in _imports(name, deferred=False) if full in MODULES]
    return {full.split(".")[0] for name in needed for full in _imports(name, deferred=False)}


def test_the_network_imports_nothing_that_only_some_programs_need():
    # Not by what is loaded afterwards: Keras itself imports OpenCV and Matplotlib where they are.
    others = _needed("stfnet", "stfnet.networks.model", "stfnet.weights", "stfnet.layers")
    assert not others & {"cv2", "matplotlib", *ONLY_FOR_SOME_PROGRAMS}


def test_fit_needs_no_tensorflow():
    assert "tensorflow" not in _needed("stfnet.networks.model", "stfnet.clips.keras_dataset")


def test_every_module_has_a_test_file_of_its_own():
    def test_file(name):
        path = MODULES[name].relative_to(ROOT)
        return ROOT / "tests" / path.parent / f"test_{path.stem}.py"

    modules = [name for name, path in MODULES.items() if path.stem not in ("__init__", "__main__")]
    without = {name for name in modules if not test_file(name).is_file()}
    assert without == TESTED_ELSEWHERE
