# docker build -t stfnet .                              GPU image (CUDA comes with the wheels)
# docker build -t stfnet --build-arg DEVICE=cpu .       CPU image
# docker run --gpus all -v "$PWD/data:/data" stfnet \
#     python -m experiments.train --config=experiments/configs/paper.py \
#     --records=/data/records --workdir=/data/run
FROM python:3.11-slim

ARG DEVICE=gpu
ENV PYTHONUNBUFFERED=1 PIP_NO_CACHE_DIR=1

WORKDIR /stfnet
COPY setup.py pyproject.toml README.md ./
COPY preprocessing preprocessing
COPY stfnet stfnet
COPY experiments experiments
RUN pip install -e ".[${DEVICE}]"

CMD ["python", "-m", "experiments.demo", "--output=/data/demo"]
