"""Keeps of calls what the operator asks for: whole calls for `offramp discover`, texts for review, and what
rules read of the latest calls.

A call is kept only if it was forwarded unchanged and answered by the model that was asked for. Nothing is kept of a
call that a rule redacted, blocked or rerouted, or that a fallback answered. A text is kept if a rule blocked it, or a
rule that could block or answer it was in doubt of it; as a judge would see it, so without what rules redact.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Final, Generic, TypeVar

from msgspec import structs

from classifiers.patterns.find import find
from classifiers.policy import NONE
from classifiers.verdict import Abstention, Reading, Verdict
from gateway.answers.parse import Completion
from gateway.config.settings import Content
from gateway.context import JudgeVerdict, RequestContext
from gateway.ledger import call_store
from gateway.ledger.writer import Appends, Writer
from gateway.protocols.chat_answers import CHAT
from gateway.protocols.json import encode
from gateway.protocols.wire import Request
from gateway.record import Record
from gateway.redaction.placeholders import Placeholders, RedactedSpan, Unredactable, edits, holds_json, replace_spans
from gateway.rules.decide import Step
from gateway.rules.rule import Act
from gateway.upstreams.base import Answer

S = TypeVar("S", bound=call_store.KeptRows[Any])
_LARGEST: Final = 64 * 1024
"""Bytes of a request and its answer together, or of a text; a call for a small decision is no larger."""
_MOST_PENDING: Final = 1000
"""Calls or texts that wait in memory while the file cannot be written."""
_OK: Final = range(200, 300)
_REVIEWED: Final = (Act.BLOCK, Act.ANSWER)
"""What rules do whose doubts are kept."""


class _Log(Generic[S]):
    """Writes to a store, behind the requests. new_writer: makes a Writer for a store, with `most`. keeps: whether it
    keeps anything; otherwise it only forgets. redact: whether personal data is replaced."""

    def __init__(self, store: S, new_writer: Callable[..., Writer[Any]], *, keeps: bool, redact: bool = False) -> None:
        self.store = store
        target = _Redacting(store) if redact else store
        self._writer = new_writer(target, most=_MOST_PENDING) if keeps else None

    def close(self) -> None:
        """Writes what is pending."""
        (self._writer or self.store).close()


class CallLog(_Log[call_store.CallStore]):
    """Keeps whole calls."""

    async def listen(self, context: RequestContext, request: Request, answer: Answer) -> None:
        """Notes a chat completion in the context, which `discover` reads; that of a stream once it has passed."""
        if self._writer is not None and answer.status in _OK and request.wire is CHAT:
            await answer.listen(partial(_note, context, request))

    def finish(self, context: RequestContext) -> None:
        """Keeps a call whose record is closed, if it was forwarded unchanged."""
        call, record = context.kept, context.record
        changed = context.rerouted or record.decision != "forward" or record.redacted or record.error
        if self._writer is None or call is None or changed:
            return
        if record.usage_source == "reported":
            call.input_tokens, call.output_tokens = record.input_tokens, record.output_tokens
            call.spent_usd = record.spent_usd
        self._writer.add(call)


async def _note(context: RequestContext, request: Request, completion: Completion | None) -> None:
    body = encode(request.fields)
    if completion is None or len(body) + len(completion.body) > _LARGEST:
        return
    record = context.record
    context.kept = call_store.KeptCall(
        request_id=record.request_id, at=record.at, model=request.model, request=body, answer=completion.body
    )


AskAgain = Callable[[RequestContext, Sequence[Reading]], Awaitable[Sequence[Verdict]]]
"""The classifiers' verdicts, one for each reading, that count in no record and no metric."""


@dataclass(frozen=True, slots=True)
class _Redacting:
    """A store of texts whose personal data is replaced before they are written, in the writer's thread."""

    store: Appends[Any]

    def append(self, records: Sequence[Any]) -> None:
        """As the store's. A text that cannot be redacted is left out."""
        texts = [(record, redacted(record.text)) for record in records]
        self.store.append([structs.replace(record, text=text) for record, text in texts if text is not None])

    def close(self) -> None:
        """As the store's."""
        self.store.close()


class RecentLog(_Log[call_store.RecentStore]):
    """Keeps what rules read of the latest requests where `content.recent` says so."""

    def __init__(self, store: call_store.RecentStore, new_writer: Callable[..., Writer[Any]], content: Content) -> None:
        self.keeps = content.recent is not None
        super().__init__(store, new_writer, keeps=self.keeps, redact=content.redact)

    def note(self, record: Record, shown: Mapping[str, Sequence[str] | None]) -> None:
        """Keeps what rules read of a request. shown: by rule, without what rules redact; None where it cannot be
        shown."""
        rules: dict[str, list[str]] = {}
        for rule, texts in shown.items():
            rules.setdefault("\n".join(texts or ()), []).append(rule)
        for text, names in rules.items():
            whole = _whole(text)
            if self._writer is not None and whole is not None:
                self._writer.add(
                    call_store.RecentText(request_id=record.request_id, at=record.at, rules=",".join(names), text=whole)
                )


class TextLog(_Log[call_store.TextStore]):
    """Keeps texts for review where `content` says so. ask: for texts of one reading that are judged again, each
    alone."""

    def __init__(
        self, store: call_store.TextStore, new_writer: Callable[..., Writer[Any]], content: Content, *, ask: AskAgain
    ) -> None:
        wanted: dict[call_store.KeptAs, float | None] = {"blocked": content.blocked, "unsure": content.unsure}
        self.keeps = frozenset(kept_as for kept_as, seconds in wanted.items() if seconds is not None)
        self._ask = ask
        super().__init__(store, new_writer, keeps=bool(self.keeps), redact=content.redact)

    def note(
        self,
        context: RequestContext,
        step: Step,
        own: Verdict,
        reading: Reading,
        shown: Callable[[], Sequence[str] | None],
    ) -> None:
        """Keeps what a step was about, if it is to be kept. own: the classifier's verdict, before a judge's. shown: the
        reading's texts without what rules redact; None where they cannot be shown. Which of several texts the step was
        about is found out once the client has its answer."""
        judged = context.judged.get(step.rule.name)
        kept_as = reason_to_keep(step, own, judged)
        texts = shown() if kept_as in self.keeps else None
        if self._writer is None or kept_as is None or not texts:
            return
        own = own.naming(step.label)
        label = step.label or max(own.scores, key=own.scores.__getitem__, default="")
        kept = call_store.KeptText(
            request_id=context.record.request_id,
            at=context.record.at,
            latest=context.record.at,
            kept_as=kept_as,
            rule=step.rule.name,
            label=label,
            confidence=own.scores.get(label, step.verdict.confidence),
            classifier=own.classifier,
            version=own.version,
            text="\n".join(texts),
        )
        kept = structs.replace(kept, judged=_verdict_on(kept.text, judged))
        if len(texts) == 1 or len(texts) != len(reading.texts):
            self._add(kept)
        else:
            context.after_response.append(partial(self._keep_some, context, kept, reading, texts))

    async def _keep_some(
        self, context: RequestContext, kept: call_store.KeptText, reading: Reading, texts: Sequence[str]
    ) -> None:
        """Of several texts those that have the label alone, else those that are in doubt alone; else all as one."""
        each = [replace(reading, texts=(text,), incomplete=False, cut=False) for text in reading.texts]
        alone = list(zip(texts, await self._ask(context, each), strict=True))
        named = [text for text, verdict in alone if kept.label in verdict.labels]
        doubtful = [text for text, verdict in alone if _unsure(verdict)]
        for text in dict.fromkeys(named or doubtful or [kept.text]):
            judged = _verdict_on(text, context.judged.get(kept.rule))
            self._add(structs.replace(kept, text=text, judged=judged))

    def _add(self, kept: call_store.KeptText) -> None:
        whole = _whole(kept.text)
        if self._writer is not None and whole is not None:
            self._writer.add(structs.replace(kept, text=whole))


def _whole(text: str) -> str | None:
    """A text as it can be stored; None for one that is empty or too long."""
    # halves of surrogate pairs, which JSON may hold, are no UTF-8
    whole = text.encode(errors="replace")
    return whole.decode() if text.strip() and len(whole) <= _LARGEST else None


def reason_to_keep(step: Step, own: Verdict, judged: JudgeVerdict | None = None) -> call_store.KeptAs | None:
    """Why a step's text is worth a review: a rule blocked it for a label or in doubt, or one that could block or answer
    it was in doubt of it, or named labels of which its judge found none. None of what was not read or not judged. own:
    the classifier's verdict, before a judge's."""
    blocks = step.action is not None and step.action.act is Act.BLOCK
    if blocks and (step.label is not None or _unsure(own)):
        return "blocked"
    able = (*step.rule.then.values(), step.rule.otherwise[Abstention.UNSURE.value])
    # a judge is not asked about labels that patterns tell
    known = step.rule.asks.categories if step.rule.asks and judged and not judged.labels else ()
    doubtful = _unsure(own) or any(label in known for label in own.labels)
    return "unsure" if doubtful and any(action.act in _REVIEWED for action in able) else None


def _verdict_on(text: str, judged: JudgeVerdict | None) -> str | None:
    """What the judge found of this text, as KeptText has it; None where it was not shown the text. Where it was shown
    several and found labels, nobody knows which of the texts they are for."""
    if judged is None or (text != "\n".join(judged.texts) and (judged.labels or text not in judged.texts)):
        return None
    return "|".join(judged.labels) or NONE


def _unsure(verdict: Verdict) -> bool:
    return Abstention.UNSURE in verdict.abstentions


def redacted(text: str) -> str | None:
    """The text with placeholders for personal data that has a form; None where it is JSON and would be none then."""
    marks = [RedactedSpan(start=match.start, end=match.end, kind=match.kind) for match in find(text)]
    try:
        return replace_spans(text, edits(text, marks, Placeholders(), is_json=holds_json(text)))
    except Unredactable:
        return None
