"""Tests of what can be trusted."""
