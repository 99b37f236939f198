"""Student's quantiles are those of the tables."""

import doctest

import pytest

from fraudsim import student


@pytest.mark.parametrize(
    ("share", "degrees", "table"),
    [(0.975, 1, 12.706), (0.95, 7, 1.895), (0.995, 3, 5.841), (0.9995, 7, 5.408), (0.975, 30, 2.042)],
)
def test_quantiles(share, degrees, table):
    assert student.student_quantile(share, degrees) == pytest.approx(table, abs=0.001)


def test_the_examples_hold():
    assert doctest.testmod(student).failed == 0
