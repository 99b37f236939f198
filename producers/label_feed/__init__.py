"""The label feed: labels of a live stream as they follow from its decisions.

Imports `fraudsim` and the other packages of `producers`, except `audit` and `page`.
"""
