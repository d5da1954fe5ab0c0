"""Statements about the metrics, on data made here; those that need pretrained weights are marked slow."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from skimage.metrics import structural_similarity

from bench import weights
from bench.errors import UsageError
from bench.metrics import (
    Extractor,
    frechet_distance,
    image_digest,
    interval,
    kernel_distance,
    l1,
    paired_difference,
    ssim,
)
from bench.metrics.features import DANBOORU, danbooru_tagger

SIZE = 64


def character(seed: int, coverage: int = 16) -> tuple[np.ndarray, np.ndarray]:
    """A textured ellipse on white, [H, W, 3], and its alpha."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:SIZE, :SIZE]
    inside = ((x - 32) / coverage) ** 2 + ((y - 32) / 24) ** 2 <= 1
    image = np.full((SIZE, SIZE, 3), 255, np.uint8)
    image[inside] = rng.integers(0, 200, (inside.sum(), 3))
    return image, np.where(inside, 255, 0).astype(np.uint8)


def batch(count: int) -> tuple[np.ndarray, np.ndarray]:
    images, alphas = zip(*(character(seed, 10 + seed) for seed in range(count)), strict=True)
    return np.stack(images), np.stack(alphas)


def noisy(images: np.ndarray, amount: int) -> np.ndarray:
    noise = np.random.default_rng(1).integers(-amount, amount + 1, images.shape)
    return (images.astype(int) + noise).clip(0, 255).astype(np.uint8)


# SSIM and L1


def test_ssim_is_scikit_images_wang_2004():
    targets, alphas = batch(3)
    generated = noisy(targets, 40)
    expected = [
        structural_similarity(
            a,
            b,
            channel_axis=-1,
            gaussian_weights=True,
            sigma=1.5,
            use_sample_covariance=False,
            data_range=255,
        )
        for a, b in zip(generated, targets, strict=True)
    ]
    np.testing.assert_allclose(ssim(generated, targets, alphas).full, expected, atol=1e-9)


def test_identical_images_score_one_and_zero():
    targets, alphas = batch(2)
    similarity, difference = ssim(targets, targets, alphas), l1(targets, targets, alphas)
    np.testing.assert_allclose([*similarity.full, *similarity.foreground], 1)
    np.testing.assert_array_equal([*difference.full, *difference.foreground, *difference.background], 0)


def test_a_white_image_scores_well_over_the_frame_and_badly_on_the_character():
    targets, alphas = batch(2)
    white = np.full_like(targets, 255)
    similarity, difference = ssim(white, targets, alphas), l1(white, targets, alphas)
    assert (similarity.full > 0.55).all()
    assert (similarity.foreground < 0.35).all()
    assert (difference.background == 0).all()
    assert (difference.foreground > 0.5).all()


def test_foreground_ssim_sees_half_a_window_around_the_character_and_nothing_further():
    target, alpha = np.full((1, SIZE, SIZE, 3), 255, np.uint8), np.zeros((1, SIZE, SIZE), np.uint8)
    alpha[:, 32, 32] = 255
    scores = {}
    for distance in (10, 11):  # a window that touches column 32 reaches 5 + 5 columns further
        ghost = target.copy()
        ghost[:, 32, 32 + distance] = 0
        scores[distance] = ssim(ghost, target, alpha).foreground[0]
    assert scores[10] < 1
    assert scores[11] == 1


def test_a_ghost_costs_background_l1_only():
    targets, alphas = batch(1)
    ghost = targets.copy()
    ghost[0, :4, :4] = 0
    difference = l1(ghost, targets, alphas)
    assert difference.foreground[0] == 0
    assert difference.background[0] == pytest.approx(16 / (alphas[0] == 0).sum())
    assert difference.full[0] == pytest.approx(16 / SIZE**2)


def test_the_score_of_an_image_does_not_depend_on_its_batch():
    targets, alphas = batch(10)
    generated = noisy(targets, 60)
    together = ssim(generated, targets, alphas)
    for index in (0, 9):
        one = slice(index, index + 1)
        alone = ssim(generated[one], targets[one], alphas[one])
        assert alone.full[0] == pytest.approx(together.full[index], abs=1e-12)
        assert alone.foreground[0] == pytest.approx(together.foreground[index], abs=1e-12)
        assert l1(generated[one], targets[one], alphas[one]).full[0] == l1(generated, targets, alphas).full[index]


def test_a_target_without_a_foreground_is_refused():
    targets, alphas = batch(2)
    alphas[1] = 0
    for metric in (ssim, l1):
        with pytest.raises(ValueError, match="no foreground in target 1"):
            metric(targets, targets, alphas)


# Fréchet distance and KID


def with_moments(count: int, mean: np.ndarray, root: np.ndarray, seed: int) -> np.ndarray:
    """Samples whose mean is exactly `mean` and whose unbiased covariance is exactly root·rootᵀ."""
    raw = np.random.default_rng(seed).standard_normal((count, len(mean)))
    raw -= raw.mean(0)
    whitened = raw @ np.linalg.inv(np.linalg.cholesky(raw.T @ raw / (count - 1))).T
    return mean + whitened @ root.T


def test_frechet_distance_of_commuting_gaussians_is_the_closed_form():
    rotation = np.linalg.qr(np.random.default_rng(0).standard_normal((6, 6)))[0]
    first_std, second_std = np.linspace(0.5, 2, 6), np.linspace(3, 1, 6)
    first = with_moments(50, np.zeros(6), rotation * first_std, 1)
    second = with_moments(40, np.full(6, 0.7), rotation * second_std, 2)
    expected = 6 * 0.7**2 + ((first_std - second_std) ** 2).sum()
    assert frechet_distance(first, second) == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize(("n", "m"), [(5, 7), (5, 60), (60, 5), (60, 80)])
def test_frechet_distance_is_the_textbook_formula_on_either_side_of_n_equal_d(n: int, m: int):
    rng = np.random.default_rng(n)
    d = 12
    first, second = rng.standard_normal((n, d)), rng.standard_normal((m, d)) * 2 + 1
    a, b = np.cov(first, rowvar=False), np.cov(second, rowvar=False)
    root_trace = np.sqrt(np.linalg.eigvals(a @ b).astype(complex)).real.sum()
    expected = ((first.mean(0) - second.mean(0)) ** 2).sum() + np.trace(a) + np.trace(b) - 2 * root_trace
    assert frechet_distance(first, second) == pytest.approx(expected, rel=1e-5)
    assert frechet_distance(second, first) == pytest.approx(frechet_distance(first, second), rel=1e-9)
    assert frechet_distance(rng.permutation(first), second) == pytest.approx(frechet_distance(first, second))


def test_a_set_is_at_no_distance_from_itself():
    features = np.random.default_rng(0).standard_normal((30, 8))
    assert frechet_distance(features, features) == pytest.approx(0, abs=1e-9)
    assert frechet_distance(features[:6], features[:6]) == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("distance", [frechet_distance, kernel_distance])
def test_distances_refuse_what_they_cannot_compare(distance):
    good = np.ones((4, 3))
    broken = good.copy()
    broken[0, 0] = np.nan
    for first, second in ((good[:1], good), (good, good[:, :2]), (good, broken), (broken, good)):
        with pytest.raises(ValueError):
            distance(first, second)


def test_kid_is_the_unbiased_mmd_and_its_error_the_jackknife():
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((7, 4)), rng.standard_normal((9, 4)) + 0.3

    def direct(x: np.ndarray, y: np.ndarray) -> float:
        def kernel(a: np.ndarray, b: np.ndarray) -> float:
            return (a @ b / 4 + 1) ** 3

        same_x = np.mean([kernel(a, b) for i, a in enumerate(x) for j, b in enumerate(x) if i != j])
        same_y = np.mean([kernel(a, b) for i, a in enumerate(y) for j, b in enumerate(y) if i != j])
        return float(same_x + same_y - 2 * np.mean([kernel(a, b) for a in x for b in y]))

    found = kernel_distance(x, y)
    assert found.value == pytest.approx(direct(x, y), rel=1e-10)
    less_x = np.array([direct(np.delete(x, i, 0), y) for i in range(7)])
    less_y = np.array([direct(x, np.delete(y, i, 0)) for i in range(9)])
    expected = np.sqrt(6 / 7 * ((less_x - less_x.mean()) ** 2).sum() + 8 / 9 * ((less_y - less_y.mean()) ** 2).sum())
    assert found.error == pytest.approx(expected, rel=1e-8)


def test_kid_of_equal_distributions_is_unbiased_where_fid_is_not():
    rng = np.random.default_rng(0)
    pairs = [(rng.standard_normal((20, 16)), rng.standard_normal((20, 16))) for _ in range(200)]
    kids = np.array([kernel_distance(x, y).value for x, y in pairs])
    assert abs(kids.mean()) < 3 * kids.std() / np.sqrt(len(kids))
    assert np.mean([frechet_distance(x, y) for x, y in pairs[:20]]) > 5


# Bootstrap


def test_the_interval_widens_when_the_images_of_a_character_are_alike():
    rng = np.random.default_rng(0)
    per_character = rng.standard_normal(10)
    values, names = np.repeat(per_character, 50), np.repeat(np.arange(10), 50)
    clustered = interval(values, names.tolist())
    independent = interval(values, list(range(500)))
    assert clustered.mean == pytest.approx(per_character.mean())
    assert independent.mean == pytest.approx(per_character.mean())
    assert clustered.high - clustered.low > 5 * (independent.high - independent.low)


def test_pairing_separates_methods_whose_own_intervals_overlap():
    rng = np.random.default_rng(0)
    difficulty, names = np.repeat(rng.standard_normal(12), 8), [f"c{i // 8}" for i in range(96)]
    better, worse = difficulty + 0.1 + 0.02 * rng.standard_normal(96), difficulty
    assert interval(better, names).low < interval(worse, names).high
    difference = paired_difference(better, worse, names)
    assert difference.excludes_zero
    assert difference.mean == pytest.approx(0.1, abs=0.01)
    assert not paired_difference(worse, worse, names).excludes_zero


def test_the_interval_does_not_depend_on_the_order_of_the_images():
    rng = np.random.default_rng(0)
    values, names = rng.random(40), [f"c{i % 7}" for i in range(40)]
    order = rng.permutation(40)
    first, second = interval(values, names), interval(values[order], [names[i] for i in order])
    assert (first.low, first.high) == pytest.approx((second.low, second.high), abs=1e-12)


def test_one_character_has_a_mean_and_no_interval():
    found = interval(np.array([1.0, 2.0]), ["a", "a"])
    assert found.mean == 1.5
    assert np.isnan([found.low, found.high]).all()
    assert not found.excludes_zero


# Feature extractors


@pytest.fixture
def danbooru_resnet18(monkeypatch: pytest.MonkeyPatch):
    """Random weights in the shape the authors saved; returns the state dict, which a test may damage."""
    torch.manual_seed(0)
    state = danbooru_tagger(DANBOORU["danbooru-resnet18"])[1].state_dict()

    def load(name: str, fetch: bool = True) -> weights.LoadedWeights:
        return weights.LoadedWeights(lambda: state, name, "upstream", "0" * 64, "")

    monkeypatch.setattr(weights, "load", load)
    return state


def test_danbooru_taggers_have_the_published_sizes():
    published = {
        "danbooru-resnet18": 11_755_684,
        "danbooru-resnet34": 22_069_044,
        "danbooru-resnet50": 28_692_912,
    }
    for name, parameters in published.items():
        with torch.device("meta"):
            tagger = danbooru_tagger(DANBOORU[name])[1]
        assert sum(p.numel() for p in tagger.parameters()) == parameters
        assert {"0.0.weight", "0.4.0.conv1.weight", "1.4.weight"} <= set(tagger.state_dict())


def test_danbooru_weights_with_a_foreign_or_missing_key_are_refused(danbooru_resnet18):
    kept = danbooru_resnet18.pop("1.8.bias")
    with pytest.raises(RuntimeError, match=r"1\.8\.bias"):
        Extractor("danbooru-resnet18")
    danbooru_resnet18.update({"1.8.bias": kept, "extra": kept})
    with pytest.raises(RuntimeError, match="extra"):
        Extractor("danbooru-resnet18")


def test_features_do_not_depend_on_the_batch_and_equal_images_are_computed_once(danbooru_resnet18, monkeypatch):
    extractor = Extractor("danbooru-resnet18")
    images, _ = batch(10)
    together = extractor(images)
    assert together.shape == (10, 512)
    np.testing.assert_allclose(extractor(images[3:4])[0], together[3], rtol=1e-4, atol=1e-5)

    seen = []
    compute = extractor._features
    monkeypatch.setattr(extractor, "_features", lambda part: seen.append(len(part)) or compute(part))
    known: dict[str, np.ndarray] = {}
    repeated = extractor(images[[0, 1, 0, 1, 0]], known)
    assert sum(seen) == 2
    np.testing.assert_array_equal(repeated[0], repeated[2])
    extractor(images[:3], known)
    assert sum(seen) == 3
    assert set(known) == {image_digest(image) for image in images[:3]}


def test_building_an_extractor_draws_nothing_from_the_global_generator(danbooru_resnet18):
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    Extractor("danbooru-resnet18")
    assert torch.equal(torch.rand(3), expected)


def test_an_unknown_extractor_is_named_with_its_nearest():
    with pytest.raises(UsageError, match="did you mean 'inception'"):
        Extractor("incepton")


@pytest.mark.slow
def test_inception_features_are_pytorch_fids():
    extractor = Extractor("inception")
    images, _ = batch(3)
    features = extractor(images)
    assert features.shape == (3, 2048)
    assert (features >= 0).all()  # averages of ReLUs
    white = extractor(np.full((1, SIZE, SIZE, 3), 255, np.uint8))
    assert np.isfinite(white).all()
    assert np.abs(features[0] - features[1]).max() < np.abs(features[0] - white[0]).max()


@pytest.mark.slow
def test_lpips_is_zero_for_equal_images_and_grows_with_noise():
    from bench.metrics import LPIPS

    distance = LPIPS()
    targets, _ = batch(2)
    np.testing.assert_allclose(distance(targets, targets), 0, atol=1e-7)
    assert (distance(noisy(targets, 20), targets) < distance(noisy(targets, 90), targets)).all()
