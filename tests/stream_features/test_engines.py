import pytest

from fraudsim.errors import FraudsimError
from stream_features.engines import check_engine, trigger_ms
from stream_features.worker.spark import connector


@pytest.mark.parametrize(
    ("engine", "trigger", "master", "message"),
    [
        ("flink", None, None, "--engine flink: give faust or spark"),
        ("faust", "1s", None, "--trigger 1s is Spark's: give --engine spark with it"),
        ("faust", None, "local", "--master local is Spark's"),
        ("spark", "soon", None, "--trigger: 'soon' is no duration"),
        ("spark", "0.01s", None, "--trigger 0.01s: give 0.1s to 60m"),
        ("spark", "2h", None, "--trigger 2h: give 0.1s to 60m"),
    ],
)
def test_options_that_do_not_fit_are_one_line(engine, trigger, master, message):
    with pytest.raises(FraudsimError, match=message):
        check_engine(engine, trigger, master)


def test_a_trigger_is_a_duration():
    assert [trigger_ms(text) for text in ("0.5s", "1s", "1m")] == [500, 1_000, 60_000]


def test_pyspark_missing_or_of_another_release_is_one_line(monkeypatch):
    def missing(_):
        raise connector.PackageNotFoundError

    monkeypatch.setattr(connector, "version", missing)
    with pytest.raises(FraudsimError, match="PySpark is not installed: run `make setup-spark`"):
        connector.check_pyspark()
    monkeypatch.setattr(connector, "version", lambda _: "3.5.1")
    with pytest.raises(FraudsimError, match=r"PySpark 3\.5\.1 is installed, the connector to Kafka is of 4"):
        connector.check_pyspark()
