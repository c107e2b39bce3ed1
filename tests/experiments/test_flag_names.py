"""Flags in messages and in commands of pages and docstrings: the program at hand has them."""

import ast
import re
from pathlib import Path

from benchmarks.__main__ import BENCHMARKS
from experiments.configs import defaults
from stfnet.networks import NETWORKS

ROOT = Path(__file__).parents[2]
EXPERIMENTS = ROOT / "experiments"
PROGRAMS = {
    ".".join(path.relative_to(EXPERIMENTS).with_suffix("").parts): set(
        re.findall(r"DEFINE_\w+\(\s*\"(\w+)\"", path.read_text())
    )
    for path in EXPERIMENTS.rglob("*.py")
}
PROGRAMS = {name: names for name, names in PROGRAMS.items() if names}
PROGRAMS |= {
    f"benchmarks.{name}": {
        "output",  # of benchmarks/__main__.py
        *re.findall(r"DEFINE_\w+\(\s*\"(\w+)\"", (ROOT / f"benchmarks/{module}.py").read_text()),
    }
    for name, module in BENCHMARKS.items()
}
OTHER_TOOLS = {"help", "name", "runner=FlinkRunner", "flink_master", "xla_cpu_compilation_enabled"}
# Who prints the messages of a library module, where that is not every program with the flag.
PRINTED_BY = {
    "preprocessing/flow/given.py": ["prepare"],
    "preprocessing/records/local_copy.py": ["train"],
    "stfnet/run/config.py": ["train"],
    "stfnet/config/training.py": ["train"],
    "stfnet/frame_features/stream_maps.py": ["train"],
    "stfnet/training/selection.py": ["train"],
    "stfnet/frame_features/folder.py": ["features"],
    "stfnet/evaluation/linear_model.py": ["evaluate"],
    "stfnet/training/strategies.py": ["train"],
    "stfnet/inference/batch.py": ["predict"],
    "stfnet/inference/capture.py": ["predict"],
    "stfnet/export/layout.py": ["export"],
    "stfnet/export/head.py": ["export", "predict", "explain", "serve"],
    "stfnet/serving/server.py": ["serve"],
    "stfnet/export/runtimes.py": ["export"],
    "stfnet/export/tf_serving.py": ["export"],
    "stfnet/report/report.py": ["report"],
    "stfnet/evaluation/fusion.py": ["evaluate"],
    "stfnet/evaluation/clips_per_video.py": ["evaluate"],
    "experiments/studies/ablation.py": ["ablate"],
    "experiments/studies/baselines.py": ["compare"],
    "experiments/studies/paper.py": ["evaluate"],
    "experiments/studies/paper_tables.py": ["compare"],
    "experiments/studies/runs.py": ["ablate", "compare"],
    "experiments/studies/study_program.py": ["ablate", "compare"],
    "experiments/studies/study_tables.py": ["ablate", "compare"],
    "experiments/studies/variants.py": ["ablate", "compare"],
    "stfnet/run/new_split.py": ["train"],
    "stfnet/run/folder.py": ["train"],
    "preprocessing/preparation/preparation.py": ["prepare"],
    "preprocessing/flow/device.py": ["prepare", "benchmarks.flow"],
    "preprocessing/datasets/load.py": ["prepare", "benchmarks.export"],
    "preprocessing/datasets/synthetic/dataset.py": ["prepare"],
    "experiments/preparation_report.py": ["prepare"],
    "experiments/run_config.py": ["train"],
    "experiments/program.py": ["train"],  # of a configuration
    **{f"experiments/{name.replace('.', '/')}.py": [name] for name in PROGRAMS},
    **{f"{name.replace('.', '/')}.py": [name] for name in PROGRAMS if "." in name},
    # Names of tables and rows.
    "benchmarks/input.py": ["benchmarks.input", "train"],
    "benchmarks/preparation.py": ["benchmarks.preparation", "prepare"],
    "benchmarks/start.py": ["benchmarks.start", "predict"],
}


def _messages(path):
    """Texts of a module that are no docstrings, adjacent pieces joined, `{}` for values."""
    tree = ast.parse(path.read_text())
    docstrings = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef))
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    inside = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            inside |= {id(value) for value in node.values}
            yield "".join(
                str(v.value) if isinstance(v, ast.Constant) else "{}" for v in node.values
            )
        elif (
            isinstance(node, ast.Constant)
            and isinstance(node.value, str)
            and id(node) not in docstrings | inside
        ):
            yield node.value


def _names(settings, prefix=""):
    """The dotted names of settings and of groups of them."""
    for name, value in settings.items():
        yield f"{prefix}{name}"
        if isinstance(value, dict):
            yield from _names(value, f"{prefix}{name}.")


SETTINGS = {one for name in NETWORKS for one in _names(defaults.get_config(name).to_dict())}
PAGES = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *EXPERIMENTS.rglob("*.py")]
PAGES += [*(ROOT / "benchmarks").glob("*.py"), ROOT / "Makefile"]
PAGES += [ROOT / "Dockerfile", ROOT / "compose.yaml", ROOT / "docker/entrypoint.sh"]
COMMAND = re.compile(
    r"(?:experiments\.|stfnet[- ]|-m (?=benchmarks))([a-z_]+)((?: +(?:[a-z]+|\.\.\.|[-\[]\S+))*)"
)


def _wrong_flags(text):
    """What the commands in a text give and their programs do not have."""
    for name, rest in COMMAND.findall(text):
        program = f"benchmarks.{rest.split()[0]}" if name == "benchmarks" and rest else name
        known = PROGRAMS.get(program, set()) | OTHER_TOOLS
        for flag in re.findall(r"--(?:no)?(\w+)", rest) if program in PROGRAMS else ():
            if flag not in known and f"no{flag}" not in known:
                yield f"{program} has no --{flag}: {rest}"


def _wrong_settings(text):
    for setting in re.findall(r"--config\.([a-z_]\w*(?:\.\w+)*)", text):
        if setting not in SETTINGS:
            yield f"no network's configuration has {setting}"


def test_a_command_has_the_flags_and_settings_that_it_gives():
    wrong = []
    for path in PAGES:
        text = re.sub(r" *\\\n[ #]*", " ", path.read_text(encoding="utf-8"))
        faults = (*_wrong_flags(text), *_wrong_settings(text))
        wrong += [f"{path.relative_to(ROOT)}: {fault}" for fault in faults]
    assert not wrong, "\n".join(wrong)


def _unknown_flags(name):
    """(message, flag) of a module whose flag none of the programs that print the message has."""
    for text in _messages(ROOT / name):
        if "\n" in text or text.startswith("--"):  # of a child process, or its command line
            continue
        printed_by = [*re.findall(r"experiments\.(\w+)", text), *PRINTED_BY.get(name, [])]
        known = {flag for program in printed_by for flag in PROGRAMS.get(program, ())}
        for flag in re.findall(r"--(\w+(?:=FlinkRunner)?)", text):
            if flag not in known | OTHER_TOOLS:
                yield text, flag


def test_a_message_names_flags_that_its_program_has():
    wrong = [
        f"{name}: {text!r}: no program that prints it has --{flag}"
        for folder in ("preprocessing", "stfnet", "experiments")
        for name in sorted(str(p.relative_to(ROOT)) for p in (ROOT / folder).rglob("*.py"))
        for text, flag in _unknown_flags(name)
    ]
    assert not wrong, "\n".join(wrong)
