"""`bench speed`: what the suite's own operations cost, as ratios measured side by side in one run."""
