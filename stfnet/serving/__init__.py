"""Recognition over HTTP: a page and a REST endpoint in one server, one network behind them.

The network lives in a process of its own (`worker`), which a bad video may kill or hang; `jobs`
replaces it and lets no more requests in than the limits allow.
"""

import importlib.util

from preprocessing.errors import UserError

# What the extra [serve] of setup.py installs, by the names they are imported by.
PACKAGES = (
    "fastapi",
    "fastapi_offline",
    "pebble",
    "prometheus_client",
    "python_multipart",
    "uvicorn",
)


def check_packages() -> None:
    """Checks that what a server needs is installed, without importing it.

    Raises:
        UserError: names the first that is missing.
    """
    for name in PACKAGES:
        if importlib.util.find_spec(name) is None:
            raise UserError(f"the package {name} is missing: pip install 'stfnet[serve]'")
