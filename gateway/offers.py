"""httptools' parser, which reads on where a client offers another protocol, such as HTTP/2 in the clear.

Whoever does not take such an offer ignores it (RFC 9110, 7.8). httptools takes every offer for accepted: to it, the
request has no body, and all that follows is of the new protocol.
"""

from array import array

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol


class OffersIgnored(httptools.HttpRequestParser):
    """A request with an offer is read twice: as it came, and once more from its headers without the offer.

    The protocol is told of both, and leaves alone what ends while `offered()`.
    """

    def __init__(self, protocol: HttpToolsProtocol) -> None:
        super().__init__(protocol)
        self._protocol = protocol
        # as uvicorn has it: what follows a request that closes the connection is no fault of that request's
        self.set_dangerous_leniencies(lenient_data_after_close=True)

    def offered(self) -> bool:
        """Whether the headers just read offer another protocol. A CONNECT is no offer but a request for a tunnel."""
        return self.should_upgrade() and self.get_method() != b"CONNECT"

    def feed_data(self, data: "bytes | bytearray | memoryview | array[int]") -> None:
        """Reads what has arrived. Raises httptools.HttpParserError for what is no HTTP."""
        parser = self
        while data:
            try:
                httptools.HttpRequestParser.feed_data(parser, data)
            except httptools.HttpParserUpgrade as offer:
                if not parser.offered():
                    raise
                data = memoryview(data)[offer.args[0] :]
                head = parser._without_offer()
                # a new one: to the old one, a connection that is not kept alive is at its end
                parser = self._protocol.parser = OffersIgnored(self._protocol)
                httptools.HttpRequestParser.feed_data(parser, head)
            else:
                return

    def _without_offer(self) -> bytes:
        head = b"%s %s HTTP/%s\r\n" % (self.get_method(), self._protocol.url, self.get_http_version().encode())
        kept = [b"%s: %s\r\n" % header for header in self._protocol.headers if header[0] != b"upgrade"]
        return b"".join([head, *kept, b"\r\n"])
