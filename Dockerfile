# The programs of STFNet: `docker run IMAGE prepare --source=...` is stfnet-prepare --source=...
#
#   docker build -t stfnet:cpu .                                 libraries of requirements-cpu.txt
#   docker build --build-arg=DEVICE=gpu -t stfnet:gpu .          of requirements-gpu.txt, CUDA too
#   docker run --rm --user="$(id -u):$(id -g)" -v "$PWD/data:/data" -v "$PWD/runs:/runs" stfnet:cpu \
#       prepare --source=folder:/data/videos --output=/data/records
ARG PYTHON=3.11
ARG DEVICE=cpu

FROM python:${PYTHON}-slim AS wheel
WORKDIR /source
COPY setup.py pyproject.toml README.md LICENSE ./
COPY preprocessing preprocessing
COPY stfnet stfnet
COPY experiments experiments
RUN pip wheel --no-cache-dir --no-deps --wheel-dir=/wheels .

FROM python:${PYTHON}-slim AS image
ARG DEVICE
# Whatever --user is: a home that anybody may write, and a name for those who ask for one.
ENV HOME=/home/stfnet USER=stfnet LOGNAME=stfnet \
    PYTHONUNBUFFERED=1 PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 \
    NUMBA_CACHE_DIR=/home/stfnet/.cache/numba MPLCONFIGDIR=/home/stfnet/.cache/matplotlib \
    NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=compute,utility
RUN mkdir -p /home/stfnet /data /runs && chmod 1777 /home/stfnet /data /runs
COPY docker/entrypoint.sh /usr/local/bin/stfnet
# First what the programs need, without TensorFlow's C++ headers (0.3 GB), then the programs: new code
# replaces the small layer alone.
WORKDIR /requirements
COPY requirements-${DEVICE}.txt ./
RUN pip install --require-hashes -r requirements-${DEVICE}.txt && \
    rm -r "$(python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/tensorflow/include"
COPY --from=wheel /wheels /wheels
RUN pip install --no-cache-dir --no-deps --force-reinstall /wheels/*.whl
WORKDIR /runs
VOLUME ["/data", "/runs"]
EXPOSE 6006 8000
USER 1000:1000
ENTRYPOINT ["sh", "/usr/local/bin/stfnet"]
