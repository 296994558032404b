"""Cases and mistakes, one module for each exercise."""
