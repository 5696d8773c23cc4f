"""The web UI as an operator sees it: a real `selo up` and a real browser. Skipped unless SELO_TEST_UI=1."""
