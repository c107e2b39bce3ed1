"""Optical flow: TV-L1 and its 8-bit encoding."""

# ruff: noqa: F401 (what others take from here)
from preprocessing.flow.encoding import BOUND, decode, encode
from preprocessing.flow.solver import METHODS, QUALITIES, Solver, fast_solver, tvl1
