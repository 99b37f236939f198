"""The features as data: definitions, the page that documents them, their groups and wording for people.

Imports `fraudsim.arrays` only; pure.
"""
