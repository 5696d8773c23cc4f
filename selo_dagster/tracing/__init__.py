"""Traces as an extra: one trace from trigger to stored insight, and through forward, undo and monitor."""
