"""Faults that an operator meets, made for real on a running installation. Skipped unless SELO_TEST_FAULTS=1."""
