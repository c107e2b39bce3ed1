"""Studies: networks and settings trained alike and compared, and the paper's own tables."""
