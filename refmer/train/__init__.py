"""The loop that fits, schedules, recipes, augmentation."""
