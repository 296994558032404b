"""Clips, the synthetic corpus, the front end from waves to features, corruptions, reading and writing files."""
