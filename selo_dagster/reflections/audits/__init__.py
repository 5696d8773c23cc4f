"""Audits of what people answered: duplicates found, merges proposed, applied when an operator says so."""
