"""Exercises: pages with functions to write, and a grader that names mistakes as mutations of refmer's own functions."""
