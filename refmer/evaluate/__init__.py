"""Metrics, calibration, robustness, statistics."""
