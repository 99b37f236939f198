"""The features as data: definitions, the page that documents them, and their wording for people.

Imports nothing of the product; pure.
"""
