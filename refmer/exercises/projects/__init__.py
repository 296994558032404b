"""Solutions of the projects, which belong to no tutorial."""
