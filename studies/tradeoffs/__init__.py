"""Study: what is sacrificed for speed and size. Every model of the zoo in worlds of two layouts.

Each is fitted on the train period without its end, where its cut-offs are chosen, and tested on the test
period, by labels that are known in the end. Net loss is the ledger's, of the decisions by the cut-offs, with
the consequences that a live run has.
"""
