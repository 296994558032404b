"""Sources of the exercises without a tutorial: functions in full, of which the pages show the holes."""
