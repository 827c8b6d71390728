"""Pure ASGI middleware, one each."""
