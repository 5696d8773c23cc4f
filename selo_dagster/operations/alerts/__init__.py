"""Alerts: opened with the change of state, told once, repeated quietly, taken back when it is over."""
