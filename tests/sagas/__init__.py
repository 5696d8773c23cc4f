"""Sagas: either completed or truthfully undone."""
