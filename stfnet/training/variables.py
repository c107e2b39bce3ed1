"""The variables of a network and its optimiser as the arrays of a checkpoint, and back.

An array is named by its variable's path, such as `model/rgb_stream/block1_conv1/kernel`. Keras
numbers optimisers and random generators in the order in which a process makes them (`adam_1`), and
that number is left out: it is another in the process that resumes. Where two paths are then the
same, the second ends in `#1`, the third in `#2`, in the order of the variables.
"""

import collections
import re
from collections.abc import Mapping

import keras
import numpy as np

from preprocessing.errors import UserError

_COUNTER = re.compile(r"_\d+(?=/)")


def named_variables(
    model: keras.Model, optimizer: keras.optimizers.Optimizer
) -> dict[str, keras.Variable]:
    """Every variable that a run needs to resume, by a name that is the same in each process."""
    named: dict[str, keras.Variable] = {}
    seen: collections.Counter[str] = collections.Counter()
    for owner, variables in (("model", model.variables), ("optimizer", optimizer.variables)):
        for variable in variables:
            path = _COUNTER.sub("", f"{owner}/{variable.path}")
            named[f"{path}#{seen[path]}" if seen[path] else path] = variable
            seen[path] += 1
    return named


def to_arrays(model: keras.Model, optimizer: keras.optimizers.Optimizer) -> dict[str, np.ndarray]:
    """The values of `named_variables`."""
    named = named_variables(model, optimizer)
    return {name: variable.value.numpy() for name, variable in named.items()}


def assign(
    arrays: Mapping[str, np.ndarray], model: keras.Model, optimizer: keras.optimizers.Optimizer
) -> None:
    """Gives the variables the values of a checkpoint.

    Checkpoints of earlier versions name arrays by their position, `0000`, `0001`, ...

    Raises:
        UserError: the checkpoint lacks a variable; nothing was assigned.
    """
    named = named_variables(model, optimizer)
    names = list(named)
    if "0000" in arrays:
        names = [f"{k:04d}" for k in range(len(named))]
    if missing := [name for name in names if name not in arrays]:
        raise UserError(
            f"the checkpoint has no array {missing[0]} ({len(missing)} are missing): it is of "
            "another version of this program or of Keras; resume with that one, or train the run "
            "again in another folder"
        )
    for name, variable in zip(names, named.values(), strict=True):
        variable.assign(arrays[name])
