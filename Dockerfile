# One image for every process of Fallline: the API, the worker and the migration step.
#
#   docker build --tag fallline .
#   docker build --tag fallline:cuda --build-arg TORCH_INDEX_URL=https://pypi.org/simple .
#
# It runs as a user of its own on a read-only root file system; only /data and /tmp are written.
# The same steps without a container engine: python -m tests.packaging.rehearsal (docs/deployment.md).

ARG PYTHON_VERSION=3.13

FROM python:${PYTHON_VERSION}-slim AS build
# Where PyTorch comes from: its own index without CUDA, or PyPI, whose wheel for Linux holds CUDA.
ARG TORCH_INDEX_URL=https://download.pytorch.org/whl/cpu
ARG PIP_INDEX_URL=https://pypi.org/simple
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python -m venv /opt/fallline
WORKDIR /src
# PyTorch is by far the largest layer and changes least.
COPY requirements.lock ./
RUN /opt/fallline/bin/pip install --index-url "$TORCH_INDEX_URL" "$(head -n 1 requirements.lock)"
RUN /opt/fallline/bin/pip install --requirement requirements.lock
COPY pyproject.toml README.md LICENSE ./
COPY app app
COPY worker worker
COPY training training
COPY fallline fallline
COPY migrations migrations
RUN /opt/fallline/bin/pip install --no-build-isolation --no-deps .

FROM python:${PYTHON_VERSION}-slim
RUN useradd --system --uid 10001 --home-dir /data --shell /usr/sbin/nologin fallline
RUN install --directory --owner=fallline --mode=0700 /data
COPY --from=build /opt/fallline /opt/fallline
# Within a container another address than loopback is meant; compose publishes it to loopback alone.
# What Python compiles it has compiled when it was installed: the code is read-only now.
ENV PATH=/opt/fallline/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 \
    FALLLINE_HOME=/data FALLLINE_HOST=0.0.0.0 FALLLINE_ALLOW_REMOTE=true
USER 10001
WORKDIR /data
VOLUME /data
EXPOSE 8000
CMD ["python", "-m", "app"]
