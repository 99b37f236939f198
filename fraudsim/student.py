"""Quantiles of Student's t, for every interval of a mean."""


def student_quantile(share: float, degrees: int) -> float:
    """The quantile of Student's t below which a share of it lies.

    >>> round(student_quantile(0.975, 9), 3), round(student_quantile(0.995, 4), 3)
    (2.262, 4.604)

    Args:
        share: between 0 and 1.
        degrees: of freedom, 1 or more.
    """
    # Every command would wait a tenth of a second for it.
    from scipy.special import stdtrit

    return float(stdtrit(degrees, share))
