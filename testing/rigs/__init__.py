"""Programs under test control: workers, scorers and whole lines as processes, and the HTTP API over fakes.

Imports the product's rooms and `testing.samples`.
"""
