# dfer on a CPU, from the hashed lock. docs/deploy.md says how to build and run it.
#     docker build -t dfer .
#     docker run --rm --network none -v "$PWD:/work" -u "$(id -u):$(id -g)" dfer predict clip.mp4 --json -
FROM python:3.11.14-slim-bookworm AS build
WORKDIR /src
RUN python -m venv /opt/dfer
ENV PATH=/opt/dfer/bin:$PATH
COPY requirements.hashed.lock ./
RUN pip install --no-cache-dir --require-hashes --only-binary=:all: \
    --extra-index-url https://download.pytorch.org/whl/cpu -r requirements.hashed.lock
COPY pyproject.toml README.md LICENSE ./
COPY recipes recipes
COPY dfer dfer
RUN pip install --no-cache-dir --no-deps --no-build-isolation .

FROM python:3.11.14-slim-bookworm
# What OpenCV's wheel takes from the system; Debian keeps only the newest build of a version, so none is named.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends libgl1 libglib2.0-0 libice6 libsm6 libx11-6 libxcb1 libxext6 \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 10001 --create-home dfer \
    && mkdir /work \
    && chown dfer:dfer /work
COPY --from=build /opt/dfer /opt/dfer
# Caches lie where any user may write, also one that `docker run -u` names.
ENV PATH=/opt/dfer/bin:$PATH \
    MPLCONFIGDIR=/tmp/matplotlib \
    XDG_CACHE_HOME=/tmp/cache
USER dfer
WORKDIR /work
ENTRYPOINT ["dfer"]
CMD ["--help"]
