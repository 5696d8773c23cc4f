"""Traces: real spans, sent to a real collector on loopback."""
