"""The project's own database: engine, types that differ by dialect, migrations."""
