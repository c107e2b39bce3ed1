"""Ablations: named studies of one setting each, run over seeds and compared."""
