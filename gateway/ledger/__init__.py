"""One row for each request."""
