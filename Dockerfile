# One image for every process of Fallline: the API, the worker and the migration step.
# Build arguments of pip's own name (PIP_INDEX_URL, PIP_EXTRA_INDEX_URL) choose another index, for
# instance the one that holds PyTorch without CUDA.

FROM python:3.13-slim AS build
ARG PIP_INDEX_URL
ARG PIP_EXTRA_INDEX_URL
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python -m venv /opt/fallline
WORKDIR /src
# PyTorch is by far the largest layer and changes least.
COPY requirements.lock ./
RUN /opt/fallline/bin/pip install "$(head -n 1 requirements.lock)"
RUN /opt/fallline/bin/pip install -r requirements.lock
COPY pyproject.toml README.md LICENSE ./
COPY app app
COPY worker worker
COPY training training
COPY fallline fallline
COPY migrations migrations
RUN /opt/fallline/bin/pip install --no-build-isolation --no-deps .

FROM python:3.13-slim
RUN useradd --system --uid 10001 --home-dir /data --shell /usr/sbin/nologin fallline \
    && install --directory --owner=fallline --mode=0700 /data
COPY --from=build /opt/fallline /opt/fallline
# Within a container another address than loopback is meant; compose publishes it to loopback alone.
ENV PATH=/opt/fallline/bin:$PATH PYTHONUNBUFFERED=1 \
    FALLLINE_HOME=/data FALLLINE_HOST=0.0.0.0 FALLLINE_ALLOW_REMOTE=true
USER fallline
WORKDIR /data
VOLUME /data
EXPOSE 8000
CMD ["python", "-m", "app"]
