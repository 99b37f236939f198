"""The models of the page: roles by the scorer's metrics, decisions by the log."""

from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest

from dashboards.page.counts.model_roles import DecidingModel, ModelRole, model_roles, model_rows
from dashboards.page.part_metrics import parse_samples

SERVED = [
    ModelRole("m2", "champion"), ModelRole("m3", "challenger"), ModelRole("m4", "shadow", 100, 7),
    ModelRole("m5", "emperor"),
]  # fmt: skip


def test_roles_and_comparisons_are_read_from_the_scorer_s_metrics():
    registry = CollectorRegistry()
    roles = Gauge("fraudsim_model_role", "r", ["version", "role"], registry=registry)
    for model in SERVED:
        roles.labels(model.version, model.role).set(1)
    roles.labels("gone", "shadow").set(0)
    shadow = Counter("fraudsim_shadow_decisions", "s", ["version", "champion", "shadow"], registry=registry)
    shadow.labels("m4", "approve", "approve").inc(93)
    shadow.labels("m4", "approve", "review").inc(5)
    shadow.labels("m4", "decline", "approve").inc(2)
    assert model_roles(parse_samples(generate_latest(registry).decode())) == SERVED


def test_models_with_a_role_come_first_and_what_has_decided_is_never_left_out():
    arms = {("m1", "champion"): 900, ("m2", "champion"): 5, ("m2", "fallback"): 1, ("m3", "challenger"): 2}
    assert model_rows(SERVED[:3], arms) == [
        DecidingModel("m2", "champion", "champion", 5), DecidingModel("m2", "champion", "fallback", 1),
        DecidingModel("m3", "challenger", "challenger", 2), DecidingModel("m4", "shadow", "", 0, 100, 7),
        DecidingModel("m1", "", "champion", 900),
    ]  # fmt: skip
    assert [row.version for row in model_rows([], arms)] == ["m1", "m2", "m2", "m3"]
