"""A model on any server that speaks OpenAI's chat completions: Ollama, llama.cpp, vLLM, hosted ones."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING, Any, Final

from selo_dagster.llm.capacity import AdaptiveCapacity
from selo_dagster.llm.chat_reply import ChatReply, read_reply
from selo_dagster.llm.errors import BACK_OFF, ModelError
from selo_dagster.llm.json_text import is_complete, json_object_in
from selo_dagster.llm.ladder import TEXT, Footing, footing_of, remember
from selo_dagster.llm.openai_connection import headers_for, opened, prepare
from selo_dagster.llm.openai_faults import Meaning, meaning_of
from selo_dagster.llm.protocol import Completion, CompletionRequest
from selo_dagster.llm.quick_tries import with_quick_tries
from selo_dagster.llm.rendering import messages_for

if TYPE_CHECKING:
    from openai import AsyncOpenAI

BODY_LIMIT: Final = 4_000_000
"""Bytes of an answer that are read."""

MARGIN_SHARE: Final = 0.05
MARGIN_S: Final = 0.1
"""A call ends this much before its deadline, so that the caller learns why it failed."""


class OpenAICompatibleModel:
    """A `LanguageModel` behind an HTTP address. To be used in one event loop, and closed there with `aclose`.

    base_url: with its version, e.g. http://127.0.0.1:11434/v1. api_key: None sends no key at all. slots: calls that
    the server takes at once. max_tokens: upper bound of every answer. random: for
    pauses and fence codes. monotonic: seconds; sleep: waits for seconds.
    """

    def __init__(
        self,
        *,
        base_url: str,
        model: str,
        api_key: str | None,
        slots: int,
        max_tokens: int,
        temperature: float,
        random: Random,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        prepare()
        self._base_url = base_url
        self._model = model
        self._api_key = api_key
        self._max_tokens = max_tokens
        self._temperature = temperature
        self._random = random
        self._monotonic = monotonic
        self._sleep = sleep
        self._capacity = AdaptiveCapacity(slots, monotonic)
        self._client: AsyncOpenAI | None = None

    @property
    def name(self) -> str:
        """The model's name as the server knows it."""
        return self._model

    @property
    def capacity(self) -> int:
        """Calls that may be under way at once just now: 0 while the server has asked for a pause."""
        return self._capacity.now

    @property
    def in_process(self) -> bool:
        """False: it is asked over a connection."""
        return False

    @property
    def corrigible(self) -> bool:
        """True: told what was wrong, a model may do better."""
        return True

    async def aclose(self) -> None:
        """Close the connections, in the event loop that opened them."""
        client, self._client = self._client, None
        if client is not None:
            await client.close()

    async def complete(self, request: CompletionRequest) -> Completion:
        """Answer one request within `request.deadline_s` seconds, quick tries included.

        The text is one JSON object wherever one could be found in the answer, else what the model wrote.
        Raises ModelError, which holds nothing of what was sent or received.
        """
        client = self._opened()
        begun = self._monotonic()
        margin = min(MARGIN_S, request.deadline_s * MARGIN_SHARE)
        call = _Call(
            request,
            deadline=begun + request.deadline_s - margin,
            nonce=f"{self._random.getrandbits(64):016x}",
            footing=footing_of(self._base_url, self._model),
        )
        try:
            reply = await with_quick_tries(
                lambda: self._climb(client, call),
                left=lambda: call.deadline - self._monotonic(),
                random=self._random,
                sleep=self._sleep,
                once=request.once,
            )
        except ModelError as error:
            wait_s, billed = error.retry_after_s, call.billed
            raise ModelError(error.fault, retry_after_s=wait_s, calls=call.sent, billed=billed) from None
        return Completion(
            self._document(call, reply),
            self._model,
            reply.input_tokens,
            reply.output_tokens,
            reply.finish_reason,
            self._monotonic() - begun,
            call.sent,
        )

    async def _climb(self, client: AsyncOpenAI, call: _Call) -> ChatReply:
        """Ask, one rung lower each time that the server refuses how it was asked."""
        while True:
            found = await self._send(client, call)
            if isinstance(found, ChatReply):
                remember(self._base_url, self._model, call.footing)
                return found
            lower = call.footing.after(found.refused) if found.refused else None
            if lower is None:
                raise ModelError(found.fault, retry_after_s=found.retry_after_s, billed=int(found.billed))
            call.footing = lower

    async def _send(self, client: AsyncOpenAI, call: _Call) -> ChatReply | Meaning:
        left = call.deadline - self._monotonic()
        if left <= 0:
            raise ModelError("timeout", billed=0)
        call.sent += 1
        # Until it is known better: whoever is cancelled meanwhile has sent it all the same.
        call.billed += 1
        ticket = self._capacity.begin()
        try:
            reply = read_reply(await asyncio.wait_for(self._body(client, call, left), left))
        except ModelError:
            raise
        except asyncio.TimeoutError:
            meaning = Meaning("timeout", billed=True)
        except Exception as error:
            # The HTTP library's own errors pass through the client while the body is read.
            understood = meaning_of(error)
            if understood is None:
                raise
            meaning = understood
        else:
            self._capacity.succeed()
            return reply
        call.billed -= not meaning.billed
        if meaning.fault in BACK_OFF:
            self._capacity.back_off(ticket, meaning.retry_after_s)
        return meaning

    async def _body(self, client: AsyncOpenAI, call: _Call, left: float) -> bytes:
        request = call.request
        asked: dict[str, Any] = call.footing.parameters(
            request.schema, request.task, self._max_tokens, self._temperature
        )
        messages: Any = messages_for(request, call.nonce, schema_in_prompt=call.footing.schema_in_prompt)
        body = bytearray()
        async with client.chat.completions.with_streaming_response.create(
            model=self._model, messages=messages, timeout=left, extra_headers=headers_for(self._api_key), **asked
        ) as response:
            # Read by pieces: a server that never stops sending must not fill the memory.
            async for piece in response.iter_bytes():
                body += piece
                if len(body) > BODY_LIMIT:
                    raise ModelError("empty_answer")
        return bytes(body)

    def _document(self, call: _Call, reply: ChatReply) -> str:
        if reply.finish_reason == "length":
            # Mending what was cut off would pass half an answer off as a whole one.
            return reply.text
        if call.footing.rung < TEXT and not is_complete(reply.text, call.request.schema.get("required", [])):
            # The server took the parameter and ignored it: from now on, the prompt has to say it.
            remember(self._base_url, self._model, call.footing.lower() or call.footing)
        return json_object_in(reply.text) or reply.text

    def _opened(self) -> AsyncOpenAI:
        if self._client is None:
            self._client = opened(self._base_url, self._api_key)
        return self._client


@dataclass
class _Call:
    """One call under way. deadline: on the monotonic clock, in seconds. sent: requests so far; billed: perhaps."""

    request: CompletionRequest
    deadline: float
    nonce: str
    footing: Footing
    sent: int = 0
    billed: int = 0
