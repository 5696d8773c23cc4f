"""The background mind of AI companions, as a Dagster project."""
