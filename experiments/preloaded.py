"""What all programs of the demonstration need, imported once: TensorFlow, and training.

`multiprocessing` imports this module in the process of which it forks them.
"""

from experiments import program

try:
    program.import_tensorflow()
    from stfnet.training import train  # noqa: F401
except program.UserError:
    pass  # the first program that needs it says what is missing
