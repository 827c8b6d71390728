"""Whatever is wrong in gateway.yaml comes at once, at its line and column, with the word that was meant."""

from textwrap import dedent

import pytest

from gateway.config import source
from gateway.config.settings import Settings
from gateway.config.validate import validate

BASE = """\
version: 1
upstreams:
  one: {kind: echo}
"""


def problems(text: str) -> list[str]:
    document = source.parse(dedent(text), "f", {})
    assert validate(document, Settings) is None
    return sorted(str(problem) for problem in document.problems)


def problem(text: str) -> str:
    (only,) = problems(text)
    return only


def with_base(text: str) -> str:
    return BASE + dedent(text)


def test_all_problems_come_at_once() -> None:
    assert problems(
        """\
        version: 2
        lissten: 127.0.0.1:1
        upstreams:
          one: {kind: ecko}
          two:
            kind: openai
            base_ur: http://x
        limits:
          body: 10
        """
    ) == [
        "f:1:1: version: '2' is not known here (known: 1)",
        'f:2:1: lissten: no such key; did you mean "listen"?',
        "f:4:3: upstreams.one: 'ecko' is not known here; did you mean \"echo\"?",
        "f:5:3: upstreams.two: needs base_url:",
        'f:7:5: upstreams.two.base_ur: no such key; did you mean "base_url"?',
        "f:9:3: limits.body: '10' is not a size such as 512KiB or 2MiB (units: B, kB, KiB, MB, MiB, GB, GiB)",
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("listen: []", "f:4:1: listen: must be a word or text"),
        ("access_key: {a: b}", "f:4:1: access_key: must be a word or text"),
        ("models_dir: ''", "f:4:1: models_dir: String should have at least 1 character"),
        ("workers: two", "f:4:1: workers: Input should be a valid integer"),
        ("workers: 2", "workers: more than 1 is not built yet"),
        ("workers: 0", "f:4:1: workers: Input should be greater than or equal to 1"),
        ("classifier_threads: no", "f:4:1: classifier_threads: Input should be a valid integer"),
        ("content: {keep: long}", "f:4:11: content.keep: 'long' is not a duration such as 250ms"),
        ("content: {keep: 0d}", "f:4:11: content.keep: is no time; to keep nothing, write none"),
        ("content: none", "f:4:1: content: must be a mapping of keys to values"),
        ("limits: {body_time: 5}", "f:4:10: limits.body_time: '5' is not a duration such as 250ms"),
        ("limits: {queue: 0}", "f:4:10: limits.queue: Input should be greater"),
        ("limits: {queues: 1}", 'f:4:10: limits.queues: no such key; did you mean "queue"?'),
        ("models: [a]", "f:4:1: models: must be a mapping of keys to values"),
        (
            "models: {a: {upstream: one, intern: true}}",
            'f:4:29: models.a.intern: no such key; did you mean "internal"?',
        ),
        ("models: {a: {upstream: one, internal: yes}}", "f:4:29: models.a.internal: 'yes' is neither true nor false"),
        ("models: {a: {model: x}}", "f:4:10: models.a: needs upstream:"),
        ("rules: x", "f:4:1: rules: must be a list"),
        ("rules: [x]", "f:4:9: rules[0]: must be a mapping of keys to values"),
    ],
)
def test_a_wrong_value_is_found_at_its_place(text: str, message: str) -> None:
    assert message in problem(with_base(text))


RULE = """\
rules:
  - name: r
    classifier: c
    {}
"""


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("then: {a: {blok: true}}", 'f:7:16: rules[0].then.a.blok: no such key; did you mean "block"?'),
        (
            "then: {a: {}}",
            "then.a: needs exactly one of block, redact, answer, answer_file, forward, flag; has 0",
        ),
        ("then: {a: {block: true, flag: true}}", "f:7:12: rules[0].then.a: needs exactly one of"),
        ("then: {a: {answer: ''}}", "f:7:16: rules[0].then.a.answer: String should have at least 1"),
        (
            "then: {a: {block: false}}",
            "f:7:16: rules[0].then.a.block: takes a sentence, or true, not 'false'; to block nothing, leave the label",
        ),
        ("then: {a: {block: Yes}}", "f:7:16: rules[0].then.a.block: takes a sentence, or true, not 'Yes'"),
        ("then: {a: {block: ''}}", "f:7:16: rules[0].then.a.block: String should have at least 1"),
        ("then: {a: {block: }}", "f:7:12: rules[0].then.a: needs exactly one of"),
        ("then: {a: answer}", "f:7:12: rules[0].then.a: answer needs its text"),
        ("then: {a: Call us}", 'f:7:12: rules[0].then.a: is no action; to answer with it, write {answer: "Call us"}'),
        ("then: {a: blok}", 'no such key; did you mean "block"?'),
        ("then: {a: }", "f:7:12: rules[0].then.a: must be a mapping"),
        ("then: {}", "f:7:5: rules[0].then: Dictionary should have at least 1 item"),
        ("then: {a: {redact: always}}", "f:7:16: rules[0].then.a.redact: must be a mapping of keys to values"),
        (
            "reads: {turns: last}\n    then: {a: redact}",
            "f:5:5: rules[0]: a rule that redacts reads all turns, since clients send the earlier ones again",
        ),
        ("reads: {after: x}\n    then: {a: redact}", "f:5:5: rules[0]: a rule that redacts reads whole texts"),
        (
            "then: {a: {block: {message: x, shap: error}}}",
            'rules[0].then.a.block.shap: no such key; did you mean "shape"?',
        ),
        ("then: {a: {block: {shape: odd}}}", "f:7:24: rules[0].then.a.block.shape: 'odd' is not known here"),
        (
            "reads: {after: x, regex: y}\n    then: {a: flag}",
            "f:7:5: rules[0].reads: takes either after and before, or regex, or json_path",
        ),
        (
            "reads: {after: x, output: true}\n    then: {a: flag}",
            "f:7:5: rules[0].reads: an answer has no template: output goes without after, before, regex and json_path",
        ),
        (
            "reads: {regex: '(x'}\n    then: {a: flag}",
            "f:7:13: rules[0].reads.regex: is no regular expression: missing ) at position 2",
        ),
        (
            "reads: {json_path: a..b}\n    then: {a: flag}",
            "f:7:13: rules[0].reads.json_path: 'a..b' must be keys and indexes, such as ticket.messages[0].text",
        ),
        (
            "reads: {roles: [usr]}\n    then: {a: flag}",
            "f:7:21: rules[0].reads.roles[0]: 'usr' is not known here; did you mean \"user\"?",
        ),
        ("reads: {max_windows: 0}\n    then: {a: flag}", "f:7:13: rules[0].reads.max_windows: Input should be greater"),
        (
            "reads: {output: true}\n    then: {a: {answer: x}}",
            "a rule that reads output can block, redact, forward or flag, not answer",
        ),
        (
            "when_broken: {ask: judge}\n    then: {a: flag}",
            "f:7:5: rules[0].when_broken: a judge is asked by when_unsure alone; take forward or block",
        ),
        (
            "when_unsure: {ask: judge, withn: 1s}\n    then: {a: flag}",
            'f:7:31: rules[0].when_unsure.withn: no such key; did you mean "within"?',
        ),
        (
            "when_unsure: {ask: judge, within: 0s}\n    then: {a: flag}",
            "f:7:31: rules[0].when_unsure.within: Input should be greater than 0",
        ),
        ("when_unsure: blok\n    then: {a: flag}", "f:7:5: rules[0].when_unsure: 'blok' is not known here; did you"),
        ("when_unsure: {}\n    then: {a: flag}", "f:7:5: rules[0].when_unsure: needs ask:"),
        ("when_broken: open\n    then: {a: flag}", "f:7:5: rules[0].when_broken: 'open' is not known here"),
        (
            "contract: {max_disagreement: 2%}\n    then: {a: flag}",
            "f:5:5: rules[0]: under a contract a rule answers with labels",
        ),
        (
            "contract: {max_missed: 2%}\n    then: {a: {answer: label}}",
            "f:5:5: rules[0]: max_missed and max_false_alarms are held against a judge: when_unsure: {ask: …}",
        ),
        (
            "contract: {max_disagreement: 2%}\n    when_unsure: {ask: judge}\n    then: {a: block}",
            "f:5:5: rules[0]: with a judge a contract takes max_missed, max_false_alarms and confidence",
        ),
        (
            "contract: {ask_again: 50%}\n    when_unsure: {ask: judge}\n    then: {a: block}",
            "f:5:5: rules[0]: with a judge a contract takes max_missed, max_false_alarms and confidence",
        ),
        ("reads: {roles: []}\n    then: {a: flag}", "f:7:5: rules[0].reads: reads nothing: roles: [] is for a rule"),
        (
            "contract: true\n    when_unsure: {ask: judge}\n    reads: {output: true}\n    then: {a: block}",
            "f:5:5: rules[0]: a contract on a rule that reads output is not built yet",
        ),
        (
            "contract: true\n    retrain: {every: 99}\n    when_unsure: {ask: judge}\n    then: {a: block}",
            "f:5:5: rules[0]: retrain on what a judge says is not built yet",
        ),
        ("retrain: {every: 500 pairs}\n    then: {a: {answer: label}}", "f:5:5: rules[0]: retrain needs a contract"),
        (
            "contract: true\n    retrain: {every: 500 pairs}\n    then: {a: {answer: label}}",
            "rule r retrains on kept text: say how long with content: {keep: 30d}",
        ),
        ("when: {modell: a}\n    then: {a: flag}", 'f:7:12: rules[0].when.modell: no such key; did you mean "model"?'),
    ],
)
def test_a_wrong_rule_is_found_at_its_place(text: str, message: str) -> None:
    assert message in problem(with_base(RULE.format(text)))


@pytest.mark.parametrize("name", ["Big", "with space", "ünder", "-dash", "x" * 64, "''"])
def test_names_are_small_words(name: str) -> None:
    text = with_base(RULE.format("then: {a: flag}").replace("name: r", f"name: {name}"))
    assert "must be lower-case letters, digits, - and _ only" in problem(text)


def test_a_wrong_url_is_told_what_a_url_is() -> None:
    said = problem("version: 1\nupstreams:\n  one:\n    kind: openai\n    base_url: ftp://x\n")
    assert said == "f:5:5: upstreams.one.base_url: must begin with http:// or https:// and a host"


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("http://127.0.0.1:99999/v1", "has a host or a port that cannot be"),
        ("http://[::1/v1", "has a host or a port that cannot be"),
        ("http://:80/v1", "has a host or a port that cannot be"),
        ("http://h:abc/v1", "has a host or a port that cannot be"),
        ("http://a..b/v1", "has a host or a port that cannot be"),
        ("http://?a/v1", "has no host"),
        ("http://user:pw@h/v1", "names a user or a password; the key is what api_key: is for"),
        ("http://h/v1?key=1", "is what paths are put behind, so it ends before ? and #"),
        ("http://h/v1#top", "is what paths are put behind, so it ends before ? and #"),
    ],
)
def test_an_address_that_cannot_be_called_is_refused(url: str, message: str) -> None:
    said = problem(f'version: 1\nupstreams:\n  one:\n    kind: openai\n    base_url: "{url}"\n')
    assert said == f"f:5:5: upstreams.one.base_url: {message}"


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("localhost:8000/v1", "must begin with http:// or https:// and a host"),
        ("http://user:pw@h/v1", "names a user or a password; the key is what api_key: is for"),
    ],
)
def test_so_is_one_of_a_provider(url: str, message: str) -> None:
    said = problem(f'version: 1\nupstreams:\n  one: {{kind: litellm, provider: p, base_url: "{url}"}}\n')
    assert said == f"f:3:37: upstreams.one.base_url: {message}"


def test_blanks_at_the_ends_of_a_pattern_are_meant() -> None:
    rules = 'rules: [{name: r, classifier: c, then: {a: flag}, reads: {regex: "Text: (.*) "}}]\n'
    upstream = "version: 1\nupstreams: {one: {kind: echo}}\n"
    settings = validate(source.parse(upstream + rules, "f", {}), Settings)
    assert settings is not None
    assert settings.rules[0].reads.regex == "Text: (.*) "
    rule = "  - name: r\n    classifier: c\n    then: {a: flag}\n    reads:\n      regex: |\n        Text\n"
    settings = validate(source.parse(f"{upstream}rules:\n{rule}", "f", {}), Settings)
    assert settings is not None
    assert settings.rules[0].reads.regex == "Text"


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:8000/v1", "http://[::1]:8000/v1/", "http://my_service:8000", "https://münchen.example/v1"]
)
def test_an_address_that_can_be_called_is_taken(url: str) -> None:
    document = source.parse(f'version: 1\nupstreams:\n  one: {{kind: openai, base_url: "{url}"}}\n', "f", {})
    assert validate(document, Settings), document.problems


@pytest.mark.parametrize("url", ["user:hunter2@api.example.com/v1", "${URL}"])
def test_an_address_is_not_repeated(url: str) -> None:
    text = f'version: 1\nupstreams:\n  one: {{kind: openai, base_url: "{url}"}}\n'
    document = source.parse(text, "f", {"URL": "user:hunter2@api.example.com/v1"})
    assert validate(document, Settings) is None
    assert [one.message for one in document.problems] == ["must begin with http:// or https:// and a host"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("content: {keep: '${V}'}", "content.keep: '${V}' is not a duration such as 250ms"),
        ("content: {keep: 'x${V}'}", "content.keep: 'x${V}' is not a duration such as 250ms"),
        ("rules: [{name: '${V}', classifier: c, then: {a: flag}}]", "rules[0].name: '${V}' must be lower-case"),
        ("rules: [{name: r, classifier: c, then: {a: flag}, reads: {turns: '${V}'}}]", "turns: '${V}' is not known"),
        ("rules: [{name: r, classifier: c, then: {a: flag}, reads: {roles: ['${V}']}}]", "[0]: '${V}' is not known"),
        ("models: {a: {upstream: one, internal: '${V}'}}", "models.a.internal: '${V}' is neither true nor false"),
    ],
)
@pytest.mark.parametrize("value", ["Hunter 2", 'it\'s "Hunter" 2', "Hunter\n2 "])
def test_what_the_environment_gives_is_not_repeated(text: str, message: str, value: str) -> None:
    document = source.parse(BASE + text, "f", {"V": value})
    assert validate(document, Settings) is None
    said = " ".join(map(str, document.problems))
    assert message in said
    assert "Hunter" not in said


def test_a_kind_that_the_environment_gives_is_not_repeated() -> None:
    document = source.parse("version: 1\nupstreams:\n  one: {kind: '${V}'}\n", "f", {"V": "hunter2"})
    assert validate(document, Settings) is None
    assert [one.message.partition(" (")[0] for one in document.problems] == ["'${V}' is not known here"]


@pytest.mark.parametrize(
    ("kind", "key"), [("openai", "connect_timeout"), ("openai", "timeout"), ("litellm", "timeout")]
)
def test_no_time_is_no_timeout(kind: str, key: str) -> None:
    needs = "base_url: http://h" if kind == "openai" else "provider: p"
    said = problem(f"version: 1\nupstreams:\n  one: {{kind: {kind}, {needs}, {key}: 0s}}\n")
    assert f"upstreams.one.{key}: Input should be greater than 0" in said


def test_an_upstream_needs_its_kind() -> None:
    assert problem("version: 1\nupstreams:\n  one: {base_url: x}\n") == "f:3:3: upstreams.one: needs kind:"


def test_an_extra_key_named_like_its_kind_is_found() -> None:
    said = problem("version: 1\nupstreams:\n  echo:\n    kind: echo\n    echo: 1\n")
    assert said.startswith("f:5:5: upstreams.echo.echo: no such key")


@pytest.mark.parametrize("text", ["just a word", "- a\n- b", "~"])
def test_a_file_that_is_no_mapping(text: str) -> None:
    assert problem(text) == "f:1:1: must be a mapping of keys to values"


def test_what_fits_is_frozen_settings_with_defaults() -> None:
    document = source.parse(BASE + "models:\n  a: one\nlimits:\n", "f", {})
    settings = validate(document, Settings)
    assert settings is not None
    assert settings.models["a"].upstream == "one"
    assert settings.limits.body == 10 * 1024**2
    with pytest.raises(ValueError, match="frozen"):
        settings.listen = "elsewhere"  # type: ignore[misc]
