"""Labels of fraud: their delays and errors, and how decisions, analysts and customers change them.

Imports `fraudsim` and `producers.rng`; pure.
"""
