"""Triggers: what strong moments ask for."""
