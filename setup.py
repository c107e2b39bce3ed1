from pathlib import Path

from setuptools import find_packages, setup

PROGRAMS = (
    "prepare",
    "train",
    "evaluate",
    "export",
    "predict",
    "explain",
    "features",
    "report",
    "compare",
    "ablate",
    "benchmark",
    "serve",
)

setup(
    name="stfnet",
    version="0.1.0",
    description=(
        "Spatiotemporal information deep fusion network with frame attention (Ou & Sun 2019) "
        "for video action recognition, in TensorFlow and Keras 3"
    ),
    long_description=Path(__file__).with_name("README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="MIT",
    python_requires=">=3.11",
    packages=find_packages(include=["stfnet*", "preprocessing*", "experiments*"]),
    package_data={
        "stfnet.evaluation": ["report.css", "report.html.jinja", "report.js"],
        "experiments": ["*.html.jinja"],
    },
    install_requires=[
        "absl-py>=2.1",
        "google-crc32c>=1.5",
        "h5py>=3.10",
        # TensorFlow Datasets imports it and does not ask for it.
        "importlib-resources>=6",
        "jinja2>=3.1",
        "keras>=3.15,<4",
        "matplotlib>=3.8",
        "ml_collections>=1.0",
        "numba>=0.61",
        "numpy>=1.26",
        # TV-L1 lives in the contrib wheel; it holds all of opencv-python, which must not be
        # installed beside it.
        "opencv-contrib-python-headless>=5.0",
        "scikit-learn>=1.5",
        "scipy>=1.11",
        "tensorboard>=2.20",
        "tensorflow-datasets>=4.9.10",
        "tqdm>=4.66",
    ],
    extras_require={
        # One of the two: the same program, without and with CUDA.
        "cpu": ["tensorflow-cpu>=2.21,<2.22"],
        "gpu": ["tensorflow[and-cuda]>=2.21,<2.22"],
        "beam": ["apache-beam>=2.77"],
        "serve": [
            "fastapi>=0.165",
            "fastapi-offline>=1.7",
            "gradio>=6.31,<7",
            "pebble>=5.2",
            "prometheus-client>=0.22",
            "uvicorn>=0.35",
        ],
        "peers": ["torch>=2.6"],
        "test": [
            "av>=14",
            "hypothesis>=6.100",
            "mypy>=1.15",
            "pytest>=8",
            "pytest-timeout>=2.3",
            "pytest-xdist>=3.5",
            "ruff>=0.6",
        ],
    },
    entry_points={
        "console_scripts": [
            *(f"stfnet-{name}=experiments.{name}:cli" for name in PROGRAMS),
            # A module of the name inspect would hide Python's own from programs started by path.
            "stfnet-inspect=experiments.inspect_records:cli",
        ]
    },
)
