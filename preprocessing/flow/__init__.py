"""Optical flow: TV-L1 and its 8-bit encoding."""

from preprocessing.flow.encoding import BOUND, decode, encode
from preprocessing.flow.solver import METHODS, QUALITIES, Solver, fast_solver, tvl1

__all__ = [
    "BOUND",
    "METHODS",
    "QUALITIES",
    "Solver",
    "decode",
    "encode",
    "fast_solver",
    "tvl1",
]
