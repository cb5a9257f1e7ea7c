"""Architecture search: accuracy against cost, with Optuna."""
