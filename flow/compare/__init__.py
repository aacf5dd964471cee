"""Strategies side by side on one task: equal budget, several seeds, one figure that says whose front is the best."""
