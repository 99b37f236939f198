"""The entries of the zoo."""

from typing import Final

from model.zoo.factorisation import fit_factorisation_machine, fit_hashed_logistic
from model.zoo.gru import fit_gru
from model.zoo.interface import ZooEntry
from model.zoo.tree_models import (
    fit_cascade,
    fit_distilled_trees,
    fit_full,
    fit_logistic,
    fit_small,
    fit_xgboost_defaults,
)

BASE: Final = "XGBoost, shipped parameters"
"""What the others are compared with: what is served by default."""
ZOO: Final = (
    ZooEntry(BASE, fit_full, True, "served (FRAUDSIM_MODEL_KIND=full)"),
    ZooEntry(
        "XGBoost, its own defaults", fit_xgboost_defaults, True, "servable: an artefact holds any such trees"
    ),
    ZooEntry("XGBoost, small", fit_small, True, "servable: an artefact holds any such trees"),
    ZooEntry("distilled trees", fit_distilled_trees, True, "served (FRAUDSIM_MODEL_KIND=distilled)"),
    ZooEntry("cascade", fit_cascade, True, "served (FRAUDSIM_MODEL_KIND=cascade)"),
    ZooEntry("logistic regression on logarithms", fit_logistic, True, "served as the cascade's first stage"),
    ZooEntry(
        "logistic regression, hashing trick",
        fit_hashed_logistic,
        False,
        "not served: the artefact would hold 66,000 weights; ids are in the request",
    ),
    ZooEntry(
        "factorisation machine",
        fit_factorisation_machine,
        False,
        "not served: as the hashed regression, with eight factors for each weight",
    ),
    ZooEntry(
        "GRU over the last 32 payments",
        fit_gru,
        False,
        "not served: a card's state would have to keep its last 32 payments as they were, or the GRU's state "
        "as a blob, folded by the worker in order of time; and a retrained GRU needs every state anew",
    ),
)
