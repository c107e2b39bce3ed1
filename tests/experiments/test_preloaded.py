"""The process of which the demonstration forks its programs."""

TEXT = """
from experiments import preloaded
import sys
context = sys.modules["tensorflow.python.eager.context"].context()
print("stfnet.training.loop" in sys.modules, context._initialized)
"""


def test_it_has_tensorflow_and_has_touched_no_device(run_python):
    ended = run_python("-c", TEXT)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "True False\n", "")
