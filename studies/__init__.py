"""Experiments that answer the questions that users came with; each is one command."""
