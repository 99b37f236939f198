"""Sample data, contract suites and rigs for tests, to be run on the reader's own classes too.

Packages build on each other one way: `samples`, then `contracts`, then `rigs`. Only tests and `load_tests`
import this package. It needs the extra `dev` (pytest, hypothesis).
"""
