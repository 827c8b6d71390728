"""The fields of posted forms."""

from http import HTTPStatus
from typing import Final
from urllib.parse import parse_qs

from starlette.exceptions import HTTPException
from starlette.requests import Request

_LARGEST: Final = 1024 * 1024


async def form(request: Request) -> dict[str, str]:
    """The fields of a posted form, the last of equal names, with line ends as they were: browsers send CR and LF.
    Raises HTTPException (413) for one over 1 MiB."""
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > _LARGEST:
            raise HTTPException(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"a form has at most {_LARGEST:,} bytes")
    fields = parse_qs(body.decode(errors="replace"), keep_blank_values=True, max_num_fields=1000)
    return {name: values[-1].replace("\r\n", "\n") for name, values in fields.items()}
