"""Fleets over weeks, with an injected clock."""
