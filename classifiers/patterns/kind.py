"""The kinds of personal data that can be told by their form."""

from typing import Literal, get_args

Kind = Literal["card", "iban", "email", "phone", "national_id", "ip", "secret"]
KINDS: tuple[Kind, ...] = get_args(Kind)
