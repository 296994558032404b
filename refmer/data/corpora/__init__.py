"""Readers of the corpora of the field, each to Clips."""
