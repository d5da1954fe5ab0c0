"""Figures as PNG and PDF: pure functions of images, records and logs. The same input gives the same bytes."""

from bench.figures.by_difficulty import Example, Leveled, difficulty_examples, scores_by_difficulty
from bench.figures.curves import training_curves, tuning_curve
from bench.figures.failures import Failure, difficulty, failure_cases
from bench.figures.features import feature_maps, follows
from bench.figures.grids import GridRow, ShotsRow, comparison_grid, shots_grid
from bench.figures.poses import Animation, gallery, support_set, teaser
from bench.figures.scores import quality_by_cost, scores_by_character, scores_by_shots, shots_of

__all__ = [
    "Animation",
    "Example",
    "Failure",
    "GridRow",
    "Leveled",
    "ShotsRow",
    "comparison_grid",
    "difficulty",
    "difficulty_examples",
    "failure_cases",
    "feature_maps",
    "follows",
    "gallery",
    "quality_by_cost",
    "scores_by_character",
    "scores_by_difficulty",
    "scores_by_shots",
    "shots_grid",
    "shots_of",
    "support_set",
    "teaser",
    "training_curves",
    "tuning_curve",
]
