"""Files to settings and policies, with all problems of a file at once, references included."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import ip_address
from pathlib import Path
from typing import Final

from classifiers.policy import Policy
from gateway.config import source
from gateway.config.policy_checks import policy_problems
from gateway.config.problems import ConfigError, Problem, did_you_mean
from gateway.config.rules import RuleSettings
from gateway.config.settings import DENY, EchoSettings, ModelRoute, OpenAISettings, Settings
from gateway.config.source import EMPTY, DataPath, Document
from gateway.config.validate import path_in, validate

OTHER_MODELS = "other"
_STAND_IN = "not-set"


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """A gateway file: its settings, and its paths resolved against its folder.

    replies: the texts of `answer_file`, by the name in the file. lacking: secrets that the environment does not have,
    where they are not needed.
    """

    file: Path
    document: Document
    settings: Settings
    models_dir: Path
    ledger: Path
    prices: Path | None
    replies: Mapping[str, str]
    lacking: Sequence[Problem] = ()


def load_gateway(file: Path, env: Mapping[str, str], *, secrets: bool = True) -> Loaded:
    """Reads gateway.yaml. Raises ConfigError with all problems. secrets: whether the environment must have them;
    commands that only look at the file or the ledger do without."""
    document, lacking = _read(file, env, secrets=secrets)
    settings, folder = validate(document, Settings), file.parent
    document.problems.extend(_literal_secrets(document))
    replies: dict[str, str] = {}
    if settings is not None:
        found = (*_dangling(document, settings), *_read_replies(settings, folder, replies))
        document.problems.extend(document.problem(path, message) for path, message in found)
    if settings is None or document.problems:
        raise ConfigError(document.problems)
    return Loaded(
        file=file,
        document=document,
        settings=settings,
        models_dir=(folder / settings.models_dir).resolve(),
        ledger=(folder / settings.ledger).resolve(),
        prices=(folder / settings.prices).resolve() if settings.prices else None,
        replies=replies,
        lacking=() if secrets else tuple(lacking),
    )


def load_policy(file: Path, env: Mapping[str, str], *, secrets: bool = True) -> Policy:
    """Reads one policy. Raises ConfigError with all problems. secrets: as above; a teacher needs its key."""
    document, _ = _read(file, env, secrets=secrets)
    policy = validate(document, Policy)
    document.problems.extend(_literal_secrets(document))
    if policy is not None:
        found = policy_problems(policy, file.parent)
        document.problems.extend(document.problem(path_in(document.data, path), message) for path, message in found)
    if policy is None or document.problems:
        raise ConfigError(document.problems)
    return policy


def policy_file(loaded: Loaded, name: str) -> Path:
    """The policy file of a classifier, next to the gateway's file."""
    return loaded.file.parent / "policies" / f"{name}.yaml"


def no_access_key(document: Document) -> str:
    """How to set a missing access key."""
    if ("access_key",) in document.marks:
        return "access_key: comes from a variable that is empty; set that"
    return 'set access_key: "${OFFRAMP_KEY}"'


def listens_on_loopback(listen: str) -> bool:
    """Whether `host:port` can only be reached from this machine."""
    return is_loopback(listen.rpartition(":")[0])


@lru_cache(maxsize=64)
def is_loopback(host: str) -> bool:
    """Whether a host in `listen` or a Host header is this machine; 127.evil.com is a name."""
    try:
        return host.lower() == "localhost" or ip_address(host.removeprefix("[").removesuffix("]")).is_loopback
    except ValueError:
        return False


def split_listen(listen: str) -> tuple[str, int]:
    """`host:port` → host and port. Raises ValueError for anything else."""
    host, colon, port = listen.rpartition(":")
    host = host.strip("[]")
    try:
        # fails for a name that cannot be resolved at all, such as 127..0.0.1
        name = host.encode("idna")
    except UnicodeError:
        name = b""
    if not colon or not name or not port.isdecimal() or int(port) > 65535:
        raise ValueError(f"{listen!r} is not host:port, such as 127.0.0.1:8080")
    return host, int(port)


def lacking_secrets(document: Document) -> Iterator[Problem]:
    """Secrets that the environment lacks. An empty access key would serve everybody; other keys may be empty."""
    for path, (name, why) in document.unset.items():
        if _is_secret(path) and (why != EMPTY or path in (("access_key",), ("console", "key"))):
            what = f"the environment variable {name} {why}; set it, or write ${{{name}:-}} to go without"
            yield document.problem(path, what)


def _read(file: Path, env: Mapping[str, str], *, secrets: bool) -> tuple[Document, list[Problem]]:
    """A file and the secrets that it lacks: as problems, or, where they are not needed, with a stand-in for each."""
    document = source.read(file, env)
    lacking = list(lacking_secrets(document))
    paths = {problem.path for problem in lacking}
    if secrets:
        document.problems = [*(problem for problem in document.problems if problem.path not in paths), *lacking]
    elif lacking:
        names = {document.unset[path][0] for path in paths}
        document = source.read(file, {**env, **dict.fromkeys(names, _STAND_IN)})
    return document, lacking


def _literal_secrets(document: Document) -> Iterator[Problem]:
    for path in document.marks:
        if _is_secret(path) and path not in document.from_env and document.value(path):
            yield document.problem(path, 'a secret must come from the environment; write it as "${NAME}"')


def gateway_notes(settings: Settings) -> Iterator[tuple[DataPath, str]]:
    """Settings that may not do what was meant: (path in the file, why)."""
    if all(route.internal or route.upstream == DENY for route in settings.models.values()):
        yield ("models",), "names none that clients may ask for, so that every chat is answered with 404"
    if "*" in settings.cors and not settings.access_key:
        yield ("cors",), "without an access key, every web page in a browser on this machine may ask"
    for name, upstream in settings.upstreams.items():
        if isinstance(upstream, OpenAISettings):
            for key, note in _upstream_notes(settings, name, upstream):
                yield ("upstreams", name, key), note
    if settings.content.keep and not settings.content.calls and not any(rule.retrain for rule in settings.rules):
        yield ("content", "keep"), "nothing is kept without calls: true or a rule with retrain"


def _upstream_notes(settings: Settings, name: str, upstream: OpenAISettings) -> Iterator[tuple[str, str]]:
    if upstream.passthrough and settings.rules:
        yield "passthrough", "no rule reads what goes on by these paths, and a batch's file has whole chats"
    asks = [asked for rule in settings.rules for _, asked in rule.asked if settings.models[asked].upstream == name]
    if upstream.credentials == "client" and not upstream.api_key and (asks or any(r.contract for r in settings.rules)):
        yield "credentials", "without api_key, judges are not asked here and no call is sent a second time"


def _is_secret(path: DataPath) -> bool:
    match path:
        case ("access_key",) | ("console", "key") | ("upstreams", _, "api_key"):
            return True
        case ("teacher", "api_key") | ("teacher", int(), "api_key"):
            return True
    return False


_Findings = Iterator[tuple[DataPath, str]]


def _dangling(document: Document, settings: Settings) -> _Findings:
    """What refers to nothing, or contradicts something else in the file."""
    yield from _listen_problems(document, settings)
    yield from _address_problems(settings)
    for name, route in settings.models.items():
        for path, message in _route_problems(settings, name, route):
            yield ("models", name, *path), message
    names = [rule.name for rule in settings.rules]
    for index, rule in enumerate(settings.rules):
        if rule.name in names[:index]:
            yield ("rules", index, "name"), f"another rule is named {rule.name}"
        for path, message in (*_when_problems(settings, rule), *_action_problems(settings, rule)):
            yield path_in(document.data, ("rules", index, *path)), message


def _listen_problems(document: Document, settings: Settings) -> _Findings:
    console = settings.console
    for path, listen, key, mend in (
        (("listen",), settings.listen, settings.access_key, f"an access key; {no_access_key(document)}"),
        (("console", "listen"), console.listen, console.key, 'a key; set key: "${OFFRAMP_CONSOLE_KEY}"'),
    ):
        try:
            split_listen(listen)
            if not key and not listens_on_loopback(listen):
                yield path, f"only loopback may be listened on without {mend}"
        except ValueError as error:
            yield path, str(error)


def _address_problems(settings: Settings) -> _Findings:
    if DENY in settings.upstreams:
        yield ("upstreams", DENY), "is a word of Offramp's own; name the upstream otherwise"
    passing = ""
    for name, upstream in settings.upstreams.items():
        if not isinstance(upstream, OpenAISettings):
            continue
        if upstream.credentials == "client" and upstream.without_key != "send":
            yield ("upstreams", name, "without_key"), "has no use with credentials: client; leave it out"
        elif upstream.without_key == "refuse" and not upstream.api_key:
            yield ("upstreams", name, "api_key"), "is empty, and without_key: refuse asks for one"
        if upstream.passthrough and passing:
            yield ("upstreams", name, "passthrough"), f"{passing} has it: a path without a model goes to one upstream"
        passing = passing or (name if upstream.passthrough else "")


def _route_problems(settings: Settings, name: str, route: ModelRoute) -> _Findings:
    known = [*settings.upstreams, *([DENY] if name == OTHER_MODELS else [])]
    if route.upstream not in known:
        yield ("upstream",), f"no upstream {route.upstream}{did_you_mean(route.upstream, known)}"
    moderates = route.endpoint == "moderations"
    if name == OTHER_MODELS and (route.model or route.fallbacks or route.internal or moderates):
        yield (), "takes an upstream or deny, nothing else"
    elif moderates:
        if not route.internal:
            yield ("endpoint",), "clients cannot chat with a moderation endpoint; add internal: true"
        for upstream in (route.upstream, *(fallback.partition("/")[0] for fallback in route.fallbacks)):
            if not isinstance(settings.upstreams.get(upstream), OpenAISettings | None) or _is_anthropic(
                settings, upstream
            ):
                yield ("endpoint",), f"needs upstreams of kind openai, and {upstream} is none"
    for index, fallback in enumerate(route.fallbacks):
        upstream, slash, model = fallback.partition("/")
        if upstream not in settings.upstreams or not slash or not model:
            yield ("fallbacks", index), f"{fallback!r} is not upstream/model with an upstream named in this file"


def _is_anthropic(settings: Settings, upstream: str) -> bool:
    return getattr(settings.upstreams.get(upstream), "kind", "") == "anthropic"


def _action_problems(settings: Settings, rule: RuleSettings) -> _Findings:
    models = [name for name in settings.models if name != OTHER_MODELS]
    for label, then in rule.then.items():
        path: DataPath = ("then", label, "forward")
        if then.forward and then.forward != "true" and then.forward not in models:
            yield path, f"no model {then.forward}{did_you_mean(then.forward, models)}"
        elif then.forward in models and settings.models[then.forward].endpoint != "chat":
            yield path, f"{then.forward} is a moderation endpoint, which takes no chats"
    for setting, asked in rule.asked:
        path = (setting, "ask")
        if asked not in models:
            yield path, f"no model {asked}{did_you_mean(asked, models)}"
        elif isinstance(settings.upstreams.get(settings.models[asked].upstream), EchoSettings):
            yield path, f"{asked} goes to an echo upstream, which judges nothing"
        else:
            route = settings.models[asked]
            for name in (route.upstream, *(fallback.partition("/")[0] for fallback in route.fallbacks)):
                if _is_anthropic(settings, name):
                    yield path, f"a judge is sent chats, and {name}, of kind anthropic, takes /v1/messages alone"


_OPEN: Final = (
    "also takes prompts that go on with other instructions; write the whole prompt ([*] for an asterisk), or its "
    "{template: …}, which offramp explain prints, or add any_end: true"
)


def _when_problems(settings: Settings, rule: RuleSettings) -> _Findings:
    """Models that no client asks for; open globs of a rule whose answers no contract compares."""
    if rule.answers and (rule.judge or not rule.contract) and not rule.when.any_end:
        for place in rule.when.open_globs:
            yield ("when", "system", place), _OPEN
    path, other = ("when", "model"), settings.models.get(OTHER_MODELS)
    open_models = [name for name, route in settings.models.items() if not route.internal and name != OTHER_MODELS]
    for model in rule.when.model:
        if model == OTHER_MODELS:
            yield path, "other is no model here: it would not match the names that models: has no line for; list these"
        elif model in settings.models and model not in open_models:
            yield path, f"{model} is internal, so no client asks for it{did_you_mean(model, open_models)}"
        elif model not in open_models and (other is None or other.upstream == DENY):
            yield path, f"no model {model}{did_you_mean(model, open_models)}"


def _read_replies(settings: Settings, folder: Path, replies: dict[str, str]) -> _Findings:
    for index, rule in enumerate(settings.rules):
        for label, then in rule.then.items():
            name, path = then.answer_file, ("rules", index, "then", label, "answer_file")
            if name is None:
                continue
            try:
                replies[name] = (folder / name).read_text("utf-8-sig").strip()
            except (OSError, UnicodeDecodeError) as error:
                yield path, f"{name}: {getattr(error, 'strerror', None) or 'is not UTF-8'}"
            else:
                if not replies[name]:
                    yield path, f"{name}: is empty"
