"""Speed and memory of the project, beside peers and bounds: `python -m benchmarks`."""
