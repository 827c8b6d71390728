"""HTTP endpoints and middleware: requests in, replies out."""
