"""When kinds are due: every ended date, at night after another kind, once a week, by activity, by a cause."""
