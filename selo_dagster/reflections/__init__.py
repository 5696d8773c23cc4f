"""Reflections: what is due for whom, how it is made, and the ledger that is the truth about it."""
