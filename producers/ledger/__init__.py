"""The ledger: what frauds and defences cost, by transaction, action, typology and campaign.

One ledger for the run's summary, `watch`, dashboards, dry runs of policies and event time without a line.
Imports `producers.labels`; pure. Who is a fraud is an argument: the truth, or what labels say.
"""
