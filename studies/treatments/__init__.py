"""Study: treatments of class imbalance, and whether what comes of them are probabilities.

Each treatment is fitted on the train period without its end, where calibrators and cut-offs are chosen, and
tested on the test period, by labels that are known in the end.
"""
