"""Study: what is freshness worth? Twin runs of the fast-forward under regimes, by typology and tempo.

Imports `simulator` and the rooms below it. Each run's figures are kept, so that a study goes on where it
stopped.
"""
