"""What training and testing see: laws of the samplers, of the splits and of the support set."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from bench.data import support as support_sets
from bench.data.batches import episode_batch, episode_indices, episode_steps, pair_batch, pair_indices
from bench.data.pack import Pack
from bench.data.shift import shift, shift_offsets
from bench.errors import DataError, UsageError

SIZE = 32


def make_pack(counts: list[int], test_characters: int = 1, seed: int = 0) -> Pack:
    """Training characters with these frame counts (4 views first) and a few test characters, in memory."""
    rng = np.random.Generator(np.random.PCG64(seed))
    counts = counts + [8] * test_characters
    character = np.repeat(np.arange(len(counts)), counts).astype(np.int32)
    place = np.concatenate([np.arange(n) for n in counts])
    pixels = rng.integers(0, 256, (len(place), SIZE, SIZE, 4), np.uint8)
    joints = np.concatenate([rng.uniform(0, SIZE, (len(place), 17, 2)), np.full((len(place), 17, 1), 2)], -1)
    return Pack(
        folder=Path(),
        digest="",
        pixel_digest="",
        image_size=SIZE,
        names=tuple(f"c{i}" for i in range(len(counts))),
        splits=("train",) * (len(counts) - test_characters) + ("test",) * test_characters,
        tags=({},) * len(counts),
        pixels=pixels,
        keypoints=joints.astype(np.float32),
        character=character,
        view=np.where(place < 4, place, -1).astype(np.int8),
        clip=np.where(place < 4, -1, (place - 4) % 2).astype(np.int8),
    )


EVEN = make_pack([8] * 6)
counts = st.lists(st.integers(4, 13), min_size=2, max_size=7)
seeds = st.integers(0, 2**40)


@given(counts, seeds, st.integers(1, 9))
def test_every_training_frame_is_a_target_once_an_epoch(counts: list[int], seed: int, batch: int) -> None:
    pack = make_pack(counts, test_characters=1)
    total = sum(counts)
    targets = np.concatenate([pair_indices(pack, seed, s, batch)[1] for s in range(2 * total // batch + 1)])
    for epoch in range(2):
        assert sorted(targets[epoch * total : (epoch + 1) * total]) == list(range(total))


@given(counts, seeds, st.integers(0, 50))
def test_a_source_is_another_frame_of_the_same_training_character(counts: list[int], seed: int, step: int) -> None:
    pack = make_pack(counts)
    source, target = pair_indices(pack, seed, step, 8)
    assert (source != target).all()
    assert (pack.character[source] == pack.character[target]).all()
    assert set(pack.character[source]) <= set(pack.characters("train"))


def test_sources_are_uniform_over_the_other_frames() -> None:
    seen = np.zeros((48, 48))
    for step in range(400 * 48 // 8):
        source, target = pair_indices(EVEN, 1, step, 8)
        seen[target, source] += 1
    others = seen[seen > 0]
    assert len(others) == 48 * 7
    # 400 draws over 7 frames: mean 57.1, standard deviation 7
    assert abs(others - 400 / 7).max() < 5 * 7


@given(seeds, st.integers(0, 200))
def test_pairs_are_a_function_of_seed_and_step(seed: int, step: int) -> None:
    first = pair_batch(EVEN, seed, step, 4)
    pair_batch(EVEN, seed, step + 17, 3)  # whatever came before
    second = pair_batch(make_pack([8] * 6), seed, step, 4)
    assert torch.equal(first.source, second.source) and torch.equal(first.target, second.target)
    assert torch.equal(first.target_keypoints, second.target_keypoints)


def test_the_order_never_changes() -> None:
    """Frozen: another order under the same seed would make every stored run irreproducible."""
    source, target = pair_indices(EVEN, 7, 3, 8)
    assert target.tolist() == [31, 5, 10, 43, 47, 40, 20, 44]
    assert source.tolist() == [26, 4, 9, 41, 40, 42, 22, 47]
    _, _, query = episode_indices(EVEN, 7, 3, 4, 2)
    assert query[:, 0].tolist() == [43, 8, 34, 2]


def test_epochs_and_seeds_differ_in_order() -> None:
    orders = {tuple(pair_indices(EVEN, seed, step, 48)[1]) for seed in range(3) for step in range(3)}
    assert len(orders) == 9


@given(counts, seeds, st.data())
def test_every_training_frame_is_a_query_and_tasks_are_distinct(
    counts: list[int], seed: int, data: st.DataObject
) -> None:
    pack = make_pack(counts)
    tasks = data.draw(st.integers(1, len(counts)))
    steps = episode_steps(pack, tasks)
    assert steps == max(-(-sum(counts) // tasks), max(counts))
    epoch = data.draw(st.integers(0, 2))
    queries = []
    for step in range(epoch * steps, (epoch + 1) * steps):
        source, support, query = episode_indices(pack, seed, step, tasks, 3)
        queries += query.ravel().tolist()
        character = pack.character[query[:, 0]]
        assert len(set(character)) == tasks
        assert (pack.character[source] == character).all()
        assert (pack.view[source] >= 0).all() and (source != query[:, 0]).all()
        assert (pack.view[support] == [0, 1, 2]).all()
        assert (pack.character[support] == character[:, None]).all()
    assert set(queries) == set(range(sum(counts)))


@given(seeds, st.sampled_from([1, 2, 3, 4, 6]))
def test_with_equal_characters_every_frame_is_a_query_exactly_once(seed: int, tasks: int) -> None:
    queries = [episode_indices(EVEN, seed, s, tasks, 1)[2] for s in range(episode_steps(EVEN, tasks))]
    assert sorted(np.concatenate(queries).ravel()) == list(range(48))


def test_episode_tensors_have_the_interfaces_shapes() -> None:
    batch = episode_batch(EVEN, 0, 5, tasks=4, support=2)
    source, support, query = episode_indices(EVEN, 0, 5, 4, 2)
    assert batch.source.shape == (4, 3, SIZE, SIZE) and batch.source_keypoints.shape == (4, 17, 3)
    assert batch.support.shape == (4, 2, 3, SIZE, SIZE) and batch.support_keypoints.shape == (4, 2, 17, 3)
    assert batch.query.shape == (4, 1, 3, SIZE, SIZE) and batch.query_keypoints.shape == (4, 1, 17, 3)
    assert torch.equal(batch.support[2, 1], EVEN.images(support[2])[1])
    assert torch.equal(batch.source, EVEN.images(source))
    assert torch.equal(batch.query_keypoints[3, 0], torch.from_numpy(EVEN.keypoints[query[3, 0]]))


def test_a_shifted_training_support_is_the_source_moved_as_at_test_time() -> None:
    batch = episode_batch(EVEN, 0, 5, tasks=4, support=3, support_from="shift")
    views = episode_batch(EVEN, 0, 5, tasks=4, support=3)
    assert batch.support.shape == views.support.shape and batch.support_keypoints.shape == views.support_keypoints.shape
    assert torch.equal(batch.source, views.source) and torch.equal(batch.query, views.query)
    for number, pixels in enumerate(shift_offsets(EVEN.image_size, 3)):
        moved, points = shift(batch.source, batch.source_keypoints, pixels)
        assert torch.equal(batch.support[:, number], moved)
        assert torch.equal(batch.support_keypoints[:, number], points)


def test_impossible_episodes_are_refused() -> None:
    with pytest.raises(UsageError, match="needs 7 training characters, not 6"):
        episode_indices(EVEN, 0, 0, 7, 1)
    with pytest.raises(UsageError, match="1 to 4"):
        episode_indices(EVEN, 0, 0, 2, 5)


def test_test_pairs_go_from_the_front_view_to_every_other_frame() -> None:
    pairs = support_sets.test_pairs(EVEN, "test", 6)
    assert pairs.source == 48
    assert pairs.targets.tolist() == list(range(49, 56))
    assert len(pairs.fid_targets) == len(pairs.fid_reference) == 2
    assert not set(pairs.fid_targets) & set(pairs.fid_reference)


def test_a_training_character_cannot_be_tested() -> None:
    with pytest.raises(UsageError, match="is of train"):
        support_sets.test_pairs(EVEN, "test", 0)


@given(st.sampled_from([64, 128, 256]), st.integers(1, 20))
def test_shifts_contain_zero_are_evenly_spaced_and_reach_far_enough(size: int, shots: int) -> None:
    offsets = shift_offsets(size, shots)
    assert offsets[0] == 0 and len(set(offsets)) == shots
    spacing = np.diff(sorted(offsets))
    assert len(set(spacing)) <= 1
    if shots >= 2:
        assert max(offsets) >= size / 16
    if shots >= 3:
        assert min(offsets) <= -size / 16


@given(st.integers(-SIZE - 3, SIZE + 3))
def test_a_shifted_image_and_its_pose_move_together(pixels: int) -> None:
    image, keypoints = EVEN.images([0])[0], EVEN.keypoints_of([0])[0]
    moved, points = shift(image, keypoints, pixels)
    for column in range(SIZE):
        expected = image[:, :, column - pixels] if 0 <= column - pixels < SIZE else torch.ones(3, SIZE)
        assert torch.equal(moved[:, :, column], expected)
    assert torch.equal(points[:, 0], keypoints[:, 0] + pixels)
    assert torch.equal(points[:, 1:], keypoints[:, 1:])


def test_shifted_support_comes_from_the_source_alone() -> None:
    support = support_sets.shifted_support(EVEN, 48, 4)
    assert support.images.shape == (4, 3, SIZE, SIZE) and support.keypoints.shape == (4, 17, 3)
    assert torch.equal(support.images[0], support.source[0])
    assert torch.equal(support.source, EVEN.images([48]))
    one = support_sets.shifted_support(EVEN, 48, 1)
    assert torch.equal(one.images, one.source)


def test_clipping_is_reported() -> None:
    pack = make_pack([8])
    pack.alpha[8] = 0
    pack.alpha[8][:, 10:31] = 255  # one column free on the right
    lost = support_sets.shift_loss(pack, 8, 3)
    assert lost == {0: 0.0, 2: pytest.approx(1 / 21), -2: 0.0}


def test_views_support_is_the_first_basic_views() -> None:
    support = support_sets.views_support(EVEN, 6, 3)
    assert torch.equal(support.images, EVEN.images([48, 49, 50]))
    assert torch.equal(support.source, EVEN.images([48]))
    with pytest.raises(UsageError, match="1 to 4"):
        support_sets.views_support(EVEN, 6, 10)


def test_a_missing_view_is_named() -> None:
    pack = make_pack([8])
    pack.view[8] = -1
    with pytest.raises(DataError, match="c1 has no front view"):
        support_sets.test_pairs(pack, "test", 1)
