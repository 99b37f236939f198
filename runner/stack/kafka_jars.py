"""The jars of Apache Kafka, with which the local broker runs without Docker."""

import os
from pathlib import Path

from fraudsim.errors import FraudsimError
from fraudsim.jars.maven_jars import ensure_jars
from fraudsim.jars.pins import read_pins
from fraudsim.settings import Settings, variable

KAFKA_VERSION = "4.3.1"
ROOTS = (f"org.apache.kafka:kafka_2.13:{KAFKA_VERSION}", "org.slf4j:slf4j-simple:1.7.36")
PINS = Path(__file__).with_name("kafka_jars.sha256")


def kafka_jars(settings: Settings) -> list[Path]:
    """The verified jars of Kafka's class path; the first call downloads about 45 MB into the cache folder.

    Raises:
        FraudsimError: see `fraudsim.jars.maven_jars.ensure_jars`; or Java cannot name the folder.
    """
    folder = settings.cache_dir.expanduser().absolute() / f"kafka-{KAFKA_VERSION}"
    if os.pathsep in str(folder):
        raise FraudsimError(
            f"{variable('cache_dir')}={settings.cache_dir}: Java takes {os.pathsep!r} for the end of a path; "
            "choose another folder"
        )
    return ensure_jars(read_pins(PINS), folder, f"Apache Kafka {KAFKA_VERSION}")


def resolve_paths(repository: Path) -> list[str]:
    """The class path of `ROOTS` by Maven's dependency resolution, as sorted paths in the Maven layout.

    Fetches the POMs into `repository`. The start of Kafka does not use this: `kafka_jars.sha256` was made
    with it, and a test compares the two.
    """
    from jgo.maven import MavenContext

    context = MavenContext(repo_cache=repository)
    roots = [context.create_dependency(root) for root in ROOTS]
    for root in roots:
        root.scope = "compile"
    inputs, transitive = context.resolver.resolve(roots)
    artifacts = [dependency.artifact for dependency in (*inputs, *transitive)]
    return sorted((artifact.component.path_prefix / artifact.filename).as_posix() for artifact in artifacts)
