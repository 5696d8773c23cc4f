"""The HTTP application: probes, a page for people, and the API."""

from __future__ import annotations

from importlib.metadata import version

from fastapi import FastAPI

from selo_dagster.operations.http import api, page, probes, problems
from selo_dagster.operations.http.served import Served


def create_app(served: Served) -> FastAPI:
    """Return the application that serves one installation."""
    # No pages that show the document: they would load scripts from somebody else's server.
    app = FastAPI(
        title="selo_dagster",
        version=version("selo-dagster"),
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    problems.install(app, served)
    api.install(app, served)
    # The first that matches answers: what is asked for most often is not held against every path of the API.
    app.router.routes[:0] = [*probes.routes(served), *page.routes(served)]
    return app
