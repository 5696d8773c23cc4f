"""Sagas: changes in several steps that are either completed or truthfully undone."""
