"""Training: the fit loop, schedules, recipes, augmentation."""
