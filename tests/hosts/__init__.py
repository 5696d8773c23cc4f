"""Two machines, as network namespaces, on one PostgreSQL. Opt-in: make test-hosts."""
