"""Studies: experiments on histories, one command each, that write JSON and a Markdown page.

Imports any room; may read truth.
"""
