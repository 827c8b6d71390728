"""Prometheus instruments and what moves them."""
