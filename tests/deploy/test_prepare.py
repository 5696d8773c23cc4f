"""deploy/postgres/prepare.sh on a real server: databases, roles, and passwords that are nowhere else."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.engine import make_url

from selo_dagster.store.engine import normalised_url
from tests.deploy.files import DEPLOY
from tests.support.postgres import find_binaries

pytestmark = pytest.mark.postgres

PASSWORDS = {
    "DB_MIGRATE_PASSWORD": "mig'rate",
    "DB_RUN_PASSWORD": "run",
    "DB_READ_PASSWORD": "read",
    "DB_DAGSTER_PASSWORD": "dagster",
}


def prepare(server: str) -> subprocess.CompletedProcess[str]:
    """Run the script as an operator would against a server that is there."""
    url = make_url(server)
    environment = {
        "PATH": f"{find_binaries()}:{os.environ['PATH']}",
        "PGHOST": str(url.host),
        "PGPORT": str(url.port),
        "PGUSER": str(url.username),
        **PASSWORDS,
    }
    script = ["sh", str(DEPLOY / "postgres" / "prepare.sh")]
    return subprocess.run(script, env=environment, capture_output=True, text=True, check=False, timeout=60)


def test_it_makes_everything_once_and_may_be_repeated(postgres_server: str) -> None:
    administrator = create_engine(normalised_url(f"{postgres_server}/postgres"), isolation_level="AUTOCOMMIT")
    try:
        for _ in range(2):
            told = prepare(postgres_server)
            assert told.returncode == 0, told.stderr
            assert PASSWORDS["DB_MIGRATE_PASSWORD"] not in told.stdout + told.stderr
        with administrator.connect() as connection:
            databases = set(connection.execute(text("SELECT datname FROM pg_database")).scalars())
            known = connection.execute(
                text("SELECT rolname FROM pg_authid WHERE rolcanlogin AND rolpassword LIKE 'SCRAM-SHA-256$%'")
            )
            with_password = set(known.scalars())
            data = str(connection.execute(text("SHOW data_directory")).scalar_one())
    finally:
        with administrator.connect() as connection:
            for name in ("selo", "dagster"):
                connection.execute(text(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)"))
        administrator.dispose()
    assert databases >= {"selo", "dagster"}
    # The companion was given none, and cannot come in by a password.
    assert with_password == {"selo_migrate", "selo_run", "selo_read", "dagster"}
    assert PASSWORDS["DB_MIGRATE_PASSWORD"] not in (Path(data).parent / "log").read_text(encoding="utf-8")
