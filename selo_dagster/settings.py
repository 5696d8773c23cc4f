"""Every environment variable of this project: typed, bounded, documented, read in one place."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping
from decimal import Decimal
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    model_validator,
)
from pydantic_core import PydanticCustomError

from selo_dagster.api_tokens import ApiToken, parse_tokens
from selo_dagster.errors import SeloError

ROOM_AROUND_THE_CALL_S = 2.0
"""Below this distance between the limit of a call and of a person, reading and writing get squeezed."""

LEAST_ERASURE_KEY = 32
"""Characters of the key of erasures."""

_OURS = ("SELO_", "REFLECTION_")
_THE_SUITES = "SELO_TEST_"
"""Steers this project's own tests, which import what reads the settings."""

Percent = Annotated[float, Field(ge=1, le=100, allow_inf_nan=False)]
Names = Annotated[
    tuple[str, ...], BeforeValidator(lambda text: tuple(part.strip() for part in text.split(",") if part.strip()))
]
"""A list with commas."""
Seconds = Annotated[float, Field(gt=0, le=86_400, allow_inf_nan=False)]
Tokens = Annotated[int, Field(ge=1, le=1_000_000_000_000)]
Money = Annotated[Decimal, Field(gt=0, le=1_000_000_000, decimal_places=9)]
Price = Annotated[Decimal, Field(ge=0, le=1_000_000, decimal_places=6)]
"""Of a million tokens."""


def _rate(text: str) -> str:
    # Imported where it is needed: every run loads the settings, and few set this one.
    from limits import parse_many

    found: Any
    try:
        (found,) = parse_many(text)
    except ValueError:
        found = None
    if found is None or found.amount < 1:
        raise PydanticCustomError("rate", "must be a rate such as 600/minute")
    return text


class CloseLimitsWarning(UserWarning):
    """Two nested time limits leave little room between them."""


class SmallBudgetWarning(UserWarning):
    """A cap of a day may be too small for one call."""


class Settings(BaseModel):
    """The settings of one installation. The alias of each field is its environment variable."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    home: Path = Field(
        Path(".selo"),
        alias="SELO_HOME",
        description="Folder of everything local to this installation; made absolute once.",
    )
    database_url: SecretStr | None = Field(
        None,
        alias="DATABASE_URL",
        description="postgresql://… or sqlite:///…; without it, SQLite in SELO_HOME/selo.db.",
    )
    dagster_home: Path | None = Field(
        None,
        alias="DAGSTER_HOME",
        description="Dagster's own folder; without it, SELO_HOME/dagster.",
    )
    catchup_days: int = Field(
        3, alias="SELO_CATCHUP_DAYS", ge=1, le=60, description="How many ended local days are still due."
    )
    cohort_size: int = Field(
        500, alias="SELO_COHORT_SIZE", ge=1, le=10_000, description="People for whom one run is asked for."
    )
    chunk_size: int = Field(50, alias="SELO_CHUNK_SIZE", ge=1, le=500, description="Rows that a run claims at once.")
    person_rows: int = Field(
        4,
        alias="SELO_PERSON_ROWS",
        ge=1,
        le=500,
        description="Rows of one person that a run claims at once of kinds that something causes, so that a storm of "
        "one person's does not delay the others.",
    )
    llm_url: str | None = Field(
        None,
        alias="SELO_LLM_URL",
        description="Base address of an OpenAI-compatible server, such as http://127.0.0.1:11434/v1; without it, "
        "the extractive model.",
    )
    llm_model: str | None = Field(
        None, alias="SELO_LLM_MODEL", description="Model to ask for; needed with SELO_LLM_URL."
    )
    llm_light_model: str | None = Field(
        None,
        alias="SELO_LLM_LIGHT_MODEL",
        description="Another model of the same server for mantras and questions; without it, SELO_LLM_MODEL.",
    )
    llm_api_key: SecretStr | None = Field(
        None, alias="SELO_LLM_API_KEY", description="Key of that server, where it wants one."
    )
    llm_slots: int = Field(
        8,
        alias="SELO_LLM_SLOTS",
        ge=1,
        le=512,
        description="Calls that the model's server takes at once: people reflected on at the same time in one run.",
    )
    llm_max_tokens: int = Field(
        1_200, alias="SELO_LLM_MAX_TOKENS", ge=64, le=100_000, description="Tokens that one answer may have."
    )
    llm_temperature: float = Field(
        0.35,
        alias="SELO_LLM_TEMPERATURE",
        ge=0,
        le=2,
        allow_inf_nan=False,
        description="Temperature of the model.",
    )
    llm_input_price: Price | None = Field(
        None,
        alias="SELO_LLM_INPUT_PRICE",
        description="What a million tokens cost that SELO_LLM_MODEL reads, in any currency, such as 0.15.",
    )
    llm_output_price: Price | None = Field(
        None, alias="SELO_LLM_OUTPUT_PRICE", description="What a million tokens cost that it writes."
    )
    llm_light_input_price: Price | None = Field(
        None, alias="SELO_LLM_LIGHT_INPUT_PRICE", description="The same for SELO_LLM_LIGHT_MODEL."
    )
    llm_light_output_price: Price | None = Field(
        None, alias="SELO_LLM_LIGHT_OUTPUT_PRICE", description="What a million tokens cost that the light model writes."
    )
    budget_fleet_tokens: Tokens | None = Field(
        None,
        alias="SELO_BUDGET_FLEET_TOKENS",
        description="Tokens that models may read and write for everybody together in one day, in UTC.",
    )
    budget_kind_tokens: Tokens | None = Field(
        None,
        alias="SELO_BUDGET_KIND_TOKENS",
        description="The same for each kind of reflection and each type of saga.",
    )
    budget_user_tokens: Tokens | None = Field(
        None, alias="SELO_BUDGET_USER_TOKENS", description="The same for each person."
    )
    budget_fleet_cost: Money | None = Field(
        None,
        alias="SELO_BUDGET_FLEET_COST",
        description="Money that models may cost for everybody together in one day, in the currency of the prices.",
    )
    budget_kind_cost: Money | None = Field(
        None,
        alias="SELO_BUDGET_KIND_COST",
        description="The same money for each kind of reflection and each type of saga.",
    )
    budget_user_cost: Money | None = Field(
        None, alias="SELO_BUDGET_USER_COST", description="The same money for each person."
    )
    budget_policy: Literal["defer", "light", "extractive"] = Field(
        "defer",
        alias="SELO_BUDGET_POLICY",
        description="What is done where a call does not fit into a budget: defer (wait for the next day), light (ask "
        "SELO_LLM_LIGHT_MODEL if that fits, else wait) or extractive (the built-in model, which costs nothing).",
    )
    budget_interactive_percent: int = Field(
        0,
        alias="SELO_BUDGET_INTERACTIVE_PERCENT",
        ge=0,
        le=90,
        description="Share of the fleet's budget that is kept for kinds that somebody just asked for.",
    )
    lease_s: float = Field(
        30.0,
        alias="SELO_LEASE_S",
        ge=1,
        le=3_600,
        allow_inf_nan=False,
        description="Seconds after its last heartbeat until a claimed row may be taken over.",
    )
    call_timeout_s: Seconds = Field(
        15.0, alias="REFLECTION_LLM_TIMEOUT_S", description="Seconds for one call of the model."
    )
    person_timeout_s: Seconds = Field(
        20.0, alias="REFLECTION_SYNC_TIMEOUT_S", description="Seconds for the whole of one person's reflection."
    )
    daily_person_timeout_s: Seconds | None = Field(
        None,
        alias="REFLECTION_SYNC_TIMEOUT_S_DAILY",
        description="Overrides REFLECTION_SYNC_TIMEOUT_S for the daily reflection.",
    )
    weekly_person_timeout_s: Seconds | None = Field(
        None,
        alias="REFLECTION_SYNC_TIMEOUT_S_WEEKLY",
        description="Overrides REFLECTION_SYNC_TIMEOUT_S for the weekly reflection.",
    )
    mantra_person_timeout_s: Seconds | None = Field(
        None,
        alias="REFLECTION_SYNC_TIMEOUT_S_MANTRA",
        description="Overrides REFLECTION_SYNC_TIMEOUT_S for the mantra.",
    )
    relationship_questions_person_timeout_s: Seconds | None = Field(
        None,
        alias="REFLECTION_SYNC_TIMEOUT_S_RELATIONSHIP_QUESTIONS",
        description="Overrides REFLECTION_SYNC_TIMEOUT_S for the questions.",
    )
    triggered_person_timeout_s: Seconds | None = Field(
        None,
        alias="REFLECTION_SYNC_TIMEOUT_S_TRIGGERED",
        description="Overrides REFLECTION_SYNC_TIMEOUT_S for triggered reflections.",
    )
    one_off_person_timeout_s: Seconds | None = Field(
        None,
        alias="REFLECTION_SYNC_TIMEOUT_S_ONE_OFF",
        description="Overrides REFLECTION_SYNC_TIMEOUT_S for one-offs.",
    )
    adaptive_person_timeout_s: Seconds | None = Field(
        None,
        alias="REFLECTION_SYNC_TIMEOUT_S_ADAPTIVE",
        description="Overrides REFLECTION_SYNC_TIMEOUT_S for adaptive reflections.",
    )
    run_timeout_s: Seconds = Field(
        3_600.0,
        alias="SELO_RUN_TIMEOUT_S",
        description="Seconds after which a run claims nothing more and releases the rest.",
    )
    eval_gate: bool = Field(
        False,
        alias="SELO_EVAL_GATE",
        description="1: no model is asked until `selo eval --accept` has accepted it with its prompts.",
    )
    context_characters: int = Field(
        12_000,
        alias="SELO_CONTEXT_CHARACTERS",
        ge=500,
        le=1_000_000,
        description="Characters of sources that one prompt may hold; the rest is dropped and counted.",
    )
    resource_guard: bool = Field(
        True,
        alias="SELO_RESOURCE_GUARD",
        description="0: scheduled work is never held back, however busy the machine is.",
    )
    cpu_limit: Percent = Field(
        80.0,
        alias="SELO_CPU_LIMIT_PERCENT",
        description="Share of the processors used by others from which scheduled work is held back.",
    )
    memory_limit: Percent = Field(
        80.0,
        alias="SELO_MEMORY_LIMIT_PERCENT",
        description="Share of the memory in use from which scheduled work is held back.",
    )
    disk_warn: Percent = Field(
        90.0, alias="SELO_DISK_WARN_PERCENT", description="Share of the disk in use from which it is a problem."
    )
    disk_limit: Percent = Field(
        97.0,
        alias="SELO_DISK_LIMIT_PERCENT",
        description="Share of the disk in use from which scheduled work is held back at once.",
    )
    model_load_limit: Percent = Field(
        100.0,
        alias="SELO_MODEL_LOAD_LIMIT_PERCENT",
        description="Share of the model server's slots in use, where it says so, from which work is held back.",
    )
    guard_long_s: Seconds = Field(
        900.0,
        alias="SELO_GUARD_LONG_S",
        description="Seconds after which a guard that holds work back is a problem in `selo status`.",
    )
    trigger_modules: Names = Field(
        (),
        alias="SELO_TRIGGER_MODULES",
        description="Python modules, with commas between, whose rules and event types are added to the built-in ones.",
    )
    triggers_off: Names = Field(
        (), alias="SELO_TRIGGERS_OFF", description="Names of trigger rules, with commas between, that are switched off."
    )
    saga_modules: Names = Field(
        (),
        alias="SELO_SAGA_MODULES",
        description="Python modules, with commas between, whose sagas are added to the built-in ones.",
    )
    notice_url: str | None = Field(
        None,
        alias="SELO_NOTICE_URL",
        description="Address of the companion's own server, which the saga companion_notice tells of a reflection; "
        "without it, no notice can be started.",
    )
    notice_token: SecretStr | None = Field(
        None, alias="SELO_NOTICE_TOKEN", description="Bearer token of that server, where it wants one."
    )
    persona_path: Literal["saga", "direct"] = Field(
        "saga",
        alias="SELO_PERSONA_PATH",
        description="How a reflection changes the persona: saga (with learnings, undone as a whole) or direct (at "
        "once, in the transaction of the reflection).",
    )
    goals_from_reflections: bool = Field(
        True,
        alias="SELO_GOALS_FROM_REFLECTIONS",
        description="0: the actions of daily and weekly reflections do not become goals.",
    )
    redact: Literal["all", "secrets", "off"] = Field(
        "all",
        alias="SELO_REDACT",
        description="What a model on a server is not shown: all (secrets and personal identifiers), secrets, or off. "
        "The extractive model is never shown secrets, unless this is off.",
    )
    tainted_changes: Literal["allow", "hold"] = Field(
        "allow",
        alias="SELO_TAINTED_CHANGES",
        description="hold: a reflection that is tainted by an untrusted memory asks for no change of persona and no "
        "goal.",
    )
    alert_urls: SecretStr | None = Field(
        None,
        alias="SELO_ALERT_URLS",
        description="Addresses that are told of alerts, with spaces between, in Apprise's form, such as "
        "json://127.0.0.1:8080/alerts or mailtos://user:password@host; without any, alerts are only listed. "
        "The same in the code server and the HTTP app: whichever has none counts a notice as told.",
    )
    api_tokens: SecretStr | None = Field(
        None,
        alias="SELO_API_TOKENS",
        description="Bearer tokens of the HTTP API, with commas between: name:scope+scope:secret; scopes are read, "
        "events, one_offs and sagas, a secret has at least 32 characters. Without any, nothing can be written over "
        "HTTP.",
    )
    api_rate: Annotated[str, AfterValidator(_rate)] = Field(
        "600/minute",
        alias="SELO_API_RATE",
        description="How often one token may write over HTTP, such as 600/minute or 10/second.",
    )
    webserver_url: str | None = Field(
        None,
        alias="SELO_WEBSERVER_URL",
        description="Where Dagster's web UI answers, such as http://127.0.0.1:3000; the HTTP application asks it "
        "whether the code location is loaded. `selo up` sets it.",
    )
    event_keep_days: int = Field(
        90,
        alias="SELO_EVENT_KEEP_DAYS",
        ge=2,
        le=3_650,
        description="Days after which an event that every reader has read is deleted; what it was about stays.",
    )
    ledger_keep_days: int = Field(
        400,
        alias="SELO_LEDGER_KEEP_DAYS",
        ge=90,
        le=3_650,
        description="Days after which a settled obligation that was made for no date is deleted, and a one-off that "
        "was placed; what was reflected stays.",
    )
    attempt_keep_days: int = Field(
        90,
        alias="SELO_ATTEMPT_KEEP_DAYS",
        ge=7,
        le=3_650,
        description="Days after which the attempts of a settled obligation are deleted, with the answers that were "
        "rejected.",
    )
    saga_keep_days: int = Field(
        400,
        alias="SELO_SAGA_KEEP_DAYS",
        ge=30,
        le=3_650,
        description="Days after which the output and undo data of a saga that can be undone no more are deleted, and "
        "the failed tries and settled alerts of one that has ended.",
    )
    alert_keep_days: int = Field(
        180,
        alias="SELO_ALERT_KEEP_DAYS",
        ge=7,
        le=3_650,
        description="Days after which an alert that is over and was told is deleted.",
    )
    job_run_keep_days: int = Field(
        180,
        alias="SELO_JOB_RUN_KEEP_DAYS",
        ge=7,
        le=3_650,
        description="Days after which the numbers of a run are deleted; the last of each job stay.",
    )
    dagster_run_keep_days: int = Field(
        60,
        alias="SELO_DAGSTER_RUN_KEEP_DAYS",
        ge=7,
        le=3_650,
        description="Days after which a run that ended well is deleted from Dagster with its events, unless a "
        "partition's status rests on it.",
    )
    dagster_failure_keep_days: int = Field(
        180,
        alias="SELO_DAGSTER_FAILURE_KEEP_DAYS",
        ge=7,
        le=3_650,
        description="The same for a run that failed or was cancelled; not less than SELO_DAGSTER_RUN_KEEP_DAYS.",
    )
    erasure_key: SecretStr | None = Field(
        None,
        alias="SELO_ERASURE_KEY",
        min_length=LEAST_ERASURE_KEY,
        description="Key under which erased people are known and reports are signed, at least 32 characters; without "
        "it, one is made in SELO_HOME/erasure.key. The same on every machine of one database.",
    )
    pseudonymous_keys: bool = Field(
        False,
        alias="SELO_PSEUDONYMOUS_KEYS",
        description="1: partition keys are random, the writer's ids never enter Dagster.",
    )

    @model_validator(mode="after")
    def _limits_nest(self) -> Settings:
        for variable, limit in self._person_limits().items():
            if self.call_timeout_s >= limit:
                raise ValueError(
                    f"{variable}: {limit:g} must be greater than REFLECTION_LLM_TIMEOUT_S "
                    f"({self.call_timeout_s:g}): a call has to fit into the time of one person"
                )
            if limit >= self.run_timeout_s:
                raise ValueError(
                    f"{variable}: {limit:g} must be less than SELO_RUN_TIMEOUT_S ({self.run_timeout_s:g}): "
                    "a person has to fit into the time of one run"
                )
            if limit - self.call_timeout_s < ROOM_AROUND_THE_CALL_S:
                warnings.warn(
                    f"{variable} ({limit:g} s) leaves less than {ROOM_AROUND_THE_CALL_S:g} s around a call of "
                    f"REFLECTION_LLM_TIMEOUT_S ({self.call_timeout_s:g} s): reading and writing may be cut off",
                    CloseLimitsWarning,
                    stacklevel=2,
                )
        return self

    @model_validator(mode="after")
    def _model_is_whole(self) -> Settings:
        if self.llm_url is not None and not self.llm_url.startswith(("http://", "https://")):
            raise ValueError("SELO_LLM_URL: must begin with http:// or https://")
        if self.llm_url is not None and self.llm_model is None:
            raise ValueError("SELO_LLM_MODEL: is needed with SELO_LLM_URL: the server has to be told which model")
        if self.llm_url is None and self.llm_light_model is not None:
            raise ValueError("SELO_LLM_URL: is needed with SELO_LLM_LIGHT_MODEL: nobody knows where that model runs")
        if self.llm_url is None and self.llm_model is not None:
            raise ValueError("SELO_LLM_URL: is needed with SELO_LLM_MODEL: nobody knows where that model runs")
        return self

    @model_validator(mode="after")
    def _tokens_have_a_price(self) -> Settings:
        light = (self.llm_light_input_price, self.llm_light_output_price)
        if self.llm_light_model is None and light != (None, None):
            raise ValueError("SELO_LLM_LIGHT_MODEL: is needed with its prices: nobody knows whose they are")
        if self.budget_policy == "light" and self.llm_light_model is None:
            raise ValueError("SELO_LLM_LIGHT_MODEL: is needed with SELO_BUDGET_POLICY light: there is none to ask")
        caps = (self.budget_fleet_cost, self.budget_kind_cost, self.budget_user_cost)
        if caps == (None, None, None):
            return self
        needed = {"SELO_LLM_INPUT_PRICE": self.llm_input_price, "SELO_LLM_OUTPUT_PRICE": self.llm_output_price}
        if self.llm_light_model is not None:
            needed |= dict(zip(("SELO_LLM_LIGHT_INPUT_PRICE", "SELO_LLM_LIGHT_OUTPUT_PRICE"), light, strict=True))
        missing = [name for name, price in needed.items() if price is None]
        if missing:
            raise ValueError(f"{missing[0]}: is needed with a budget of money: nobody knows what a token costs")
        return self

    @model_validator(mode="after")
    def _a_call_fits_into_a_day(self) -> Settings:
        answer, prompt = Decimal(self.llm_max_tokens), Decimal(self.context_characters)
        for variable, cap in (
            ("SELO_BUDGET_FLEET_TOKENS", self.budget_fleet_tokens),
            ("SELO_BUDGET_KIND_TOKENS", self.budget_kind_tokens),
            ("SELO_BUDGET_USER_TOKENS", self.budget_user_tokens),
        ):
            _check_room(variable, cap, answer, answer + prompt)
        answer *= (self.llm_output_price or 0) / Decimal(1_000_000)
        prompt *= (self.llm_input_price or 0) / Decimal(1_000_000)
        for variable, money in (
            ("SELO_BUDGET_FLEET_COST", self.budget_fleet_cost),
            ("SELO_BUDGET_KIND_COST", self.budget_kind_cost),
            ("SELO_BUDGET_USER_COST", self.budget_user_cost),
        ):
            _check_room(variable, money, answer, answer + prompt)
        return self

    @model_validator(mode="after")
    def _notices_have_an_address(self) -> Settings:
        if self.notice_url is not None and not self.notice_url.startswith(("http://", "https://")):
            raise ValueError("SELO_NOTICE_URL: must begin with http:// or https://")
        if self.notice_url is None and self.notice_token is not None:
            raise ValueError("SELO_NOTICE_URL: is needed with SELO_NOTICE_TOKEN: nobody knows whose token it is")
        return self

    @model_validator(mode="after")
    def _addresses_are_whole(self) -> Settings:
        for place, address in enumerate(self.alert_addresses, start=1):
            if "://" not in address:
                raise ValueError(f"SELO_ALERT_URLS: number {place} is no address such as json://host/path")
        if self.webserver_url is not None and not self.webserver_url.startswith(("http://", "https://")):
            raise ValueError("SELO_WEBSERVER_URL: must begin with http:// or https://")
        return self

    @model_validator(mode="after")
    def _tokens_are_whole(self) -> Settings:
        try:
            _ = self.tokens
        except SeloError as refused:
            raise ValueError(refused.message) from None
        return self

    @model_validator(mode="after")
    def _retentions_nest(self) -> Settings:
        if self.ledger_keep_days < self.attempt_keep_days:
            raise ValueError(
                f"SELO_ATTEMPT_KEEP_DAYS: {self.attempt_keep_days} must not be more than SELO_LEDGER_KEEP_DAYS "
                f"({self.ledger_keep_days}): attempts go with their obligation"
            )
        if self.dagster_failure_keep_days < self.dagster_run_keep_days:
            raise ValueError(
                f"SELO_DAGSTER_FAILURE_KEEP_DAYS: {self.dagster_failure_keep_days} must not be less than "
                f"SELO_DAGSTER_RUN_KEEP_DAYS ({self.dagster_run_keep_days}): what failed is looked at for longer"
            )
        return self

    @model_validator(mode="after")
    def _disk_warns_first(self) -> Settings:
        if self.disk_warn >= self.disk_limit:
            raise ValueError(
                f"SELO_DISK_WARN_PERCENT: {self.disk_warn:g} must be less than SELO_DISK_LIMIT_PERCENT "
                f"({self.disk_limit:g}): a warning comes first"
            )
        return self

    def _person_limits(self) -> dict[str, float]:
        limits = {"REFLECTION_SYNC_TIMEOUT_S": self.person_timeout_s}
        for name, field in type(self).model_fields.items():
            given = getattr(self, name)
            if name.endswith("_person_timeout_s") and given is not None:
                limits[str(field.alias)] = given
        return limits

    def person_limit_s(self, kind: str) -> float:
        """Return the seconds for one person's reflection of `kind`."""
        override: float | None = getattr(self, f"{kind}_person_timeout_s", None)
        return self.person_timeout_s if override is None else override

    @property
    def store_url(self) -> str:
        """The address of the project's database; may hold a password, so it is never logged."""
        if self.database_url is not None:
            return self.database_url.get_secret_value()
        return f"sqlite:///{self.home / 'selo.db'}"

    @property
    def alert_addresses(self) -> tuple[str, ...]:
        """Who is told of alerts; each may hold a password, so none is ever logged."""
        return () if self.alert_urls is None else tuple(self.alert_urls.get_secret_value().split())

    @property
    def tokens(self) -> tuple[ApiToken, ...]:
        """The callers of the HTTP API; none where nothing may be written over it."""
        return () if self.api_tokens is None else parse_tokens(self.api_tokens.get_secret_value())

    @property
    def dagster_folder(self) -> Path:
        """Dagster's home as it will be used."""
        return self.dagster_home if self.dagster_home is not None else self.home / "dagster"


def _check_room(variable: str, cap: Decimal | int | None, answer: Decimal, whole: Decimal) -> None:
    """Refuse a cap without room for an answer, and warn of one without room for a full prompt and its answer."""
    if cap is not None and cap <= answer:
        raise ValueError(
            f"{variable}: {_plain(Decimal(cap))} never has room for a call: its answer alone may take {_plain(answer)} "
            "(SELO_LLM_MAX_TOKENS)"
        )
    if cap is not None and cap < whole:
        warnings.warn(
            f"{variable}: {_plain(Decimal(cap))} may have no room for a single call: one with a full context "
            f"(SELO_CONTEXT_CHARACTERS) may take {_plain(whole)} and more",
            SmallBudgetWarning,
            stacklevel=2,
        )


def _plain(amount: Decimal) -> str:
    return f"{amount.normalize():f}"


def load_settings(environ: Mapping[str, str] | None = None) -> Settings:
    """Read the settings from `environ` (default: the process's environment).

    An empty value counts as not set. Raises SeloError `settings` that names each wrong variable, what is
    wrong with it and what is allowed; an unknown SELO_ or REFLECTION_ variable is wrong too, since it is
    a typing error more often than not.
    """
    source = os.environ if environ is None else environ
    known = {field.alias: name for name, field in Settings.model_fields.items() if field.alias}
    given = {alias: source[alias] for alias in known if source.get(alias, "").strip()}
    faults = [
        f"{variable}: there is no such setting" + _nearest(variable, known)
        for variable in sorted(source)
        if variable.startswith(_OURS) and variable not in known and not variable.startswith(_THE_SUITES)
    ]
    try:
        settings = Settings.model_validate(given)
    except ValidationError as refused:
        faults += [_sentence(error) for error in refused.errors(include_url=False, include_input=False)]
        raise SeloError("settings", "; ".join(faults)) from None
    if faults:
        raise SeloError("settings", "; ".join(faults))
    absolute = {"home": settings.home.expanduser().absolute()}
    if settings.dagster_home is not None:
        absolute["dagster_home"] = settings.dagster_home.expanduser().absolute()
    return settings.model_copy(update=absolute)


@lru_cache(maxsize=1)
def process_settings() -> Settings:
    """Return this process's settings, read once and exported, so that child processes see the same home."""
    settings = load_settings()
    os.environ["SELO_HOME"] = str(settings.home)
    return settings


def _sentence(error: Any) -> str:
    where = ".".join(str(part) for part in error["loc"])
    if not where:
        return str(error["msg"]).removeprefix("Value error, ")
    return f"{where}: {str(error['msg'])[:1].lower()}{str(error['msg'])[1:]}{_range_of(where)}"


def _range_of(alias: str) -> str:
    for field in Settings.model_fields.values():
        if field.alias == alias:
            bounds = {type(rule).__name__: rule for rule in field.metadata}
            low = getattr(bounds.get("Ge"), "ge", None)
            above = getattr(bounds.get("Gt"), "gt", None)
            high = getattr(bounds.get("Le"), "le", None)
            if high is None:
                return ""
            return (
                f" (allowed: more than {above:g} to {high:g})"
                if above is not None
                else f" (allowed: {low:g} to {high:g})"
            )
    return ""


def _nearest(variable: str, known: Mapping[str, str]) -> str:
    from difflib import get_close_matches

    near = get_close_matches(variable, list(known), n=1)
    return f"; did you mean {near[0]}?" if near else ""
