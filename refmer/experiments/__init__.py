"""The papers' protocols: tables, curves, claims, figures."""
