"""Figures as PNG and PDF: pure functions of images, records and logs. The same input gives the same bytes."""

from bench.figures.curves import training_curves, tuning_curve
from bench.figures.difficulty import self_occlusion, texture_complexity
from bench.figures.failures import Failure, difficulty, failure_cases
from bench.figures.features import feature_maps, follows
from bench.figures.grids import GridRow, ShotsRow, comparison_grid, shots_grid
from bench.figures.poses import Animation, gallery, support_set, teaser
from bench.figures.scores import quality_by_cost, scores_by_character, scores_by_shots, shots_of

__all__ = [
    "Animation",
    "Failure",
    "GridRow",
    "ShotsRow",
    "comparison_grid",
    "difficulty",
    "failure_cases",
    "feature_maps",
    "follows",
    "gallery",
    "quality_by_cost",
    "scores_by_character",
    "scores_by_shots",
    "self_occlusion",
    "shots_grid",
    "shots_of",
    "support_set",
    "teaser",
    "texture_complexity",
    "training_curves",
    "tuning_curve",
]
