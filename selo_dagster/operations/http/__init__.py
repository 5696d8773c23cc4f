"""The HTTP application: probes, metrics, a page for people, and an API."""
