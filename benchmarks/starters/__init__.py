"""The starter policies on messages that they were not written from."""
