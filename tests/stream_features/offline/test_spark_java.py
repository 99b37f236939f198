"""Which Java Spark is started with, and what is said where none will do."""

import pytest

from fraudsim.errors import FraudsimError
from stream_features.offline.spark_java import MODULE, spark_java


@pytest.fixture
def java_home(tmp_path, monkeypatch):
    """Set JAVA_HOME to a Java of a version, with some modules."""

    def use(version, modules):
        java = tmp_path / "bin" / "java"
        java.parent.mkdir()
        lines = "\\n".join(f"{module}@{version}" for module in modules)
        java.write_text(
            f"#!/bin/sh\n[ $1 = -version ] && echo 'java version \"{version}\"' >&2 || printf '{lines}\\n'\n"
        )
        java.chmod(0o755)
        monkeypatch.setenv("JAVA_HOME", str(tmp_path))
        return java

    return use


def test_a_whole_jdk_of_java_home_is_taken(java_home):
    java = java_home("17.0.15", ["java.base", MODULE])
    assert spark_java() == java


@pytest.mark.parametrize(
    ("version", "modules", "message"),
    [
        ("11.0.2", ["java.base", MODULE], "is Java 11, too old for Spark: point JAVA_HOME at a whole JDK 17"),
        ("25.0.2", ["java.base"], f"is a Java 25 without module {MODULE}: point JAVA_HOME at a whole JDK"),
    ],
)
def test_a_java_that_cannot_run_spark_is_named_with_its_reason(java_home, version, modules, message):
    java_home(version, modules)
    with pytest.raises(FraudsimError, match=rf"JAVA_HOME=.* {message}"):
        spark_java()


def test_without_any_java_that_is_said(monkeypatch, tmp_path):
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(FraudsimError, match="JAVA_HOME is not set and PATH has none: point JAVA_HOME"):
        spark_java()


def test_a_folder_without_java_is_named(monkeypatch, tmp_path):
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    with pytest.raises(FraudsimError, match=rf"JAVA_HOME={tmp_path} has no working java: point JAVA_HOME"):
        spark_java()
