"""Studies that compare arms with a base, arm by arm, in money: their figures, result, tables and page.

A study gives arms, contrasts and a `Story`; `definition.comparison_study` makes the rest.
"""
