"""BVH motion capture: the joint tree, its channels over time, and which joint is which human bone.

Source: the format as Biovision's files define it by use; rotations are applied in the order of the channels.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bench.data.avatars.clip import NEEDED, Clip
from bench.data.avatars.fields import one_line
from bench.data.render.model import F64
from bench.errors import DataError

LARGEST_FILE = 64 << 20  # bytes
MAX_JOINTS = 1000
MAX_FRAMES = 1_000_000
LARGEST_VALUE = 1e6
AXIS = {"x": 0, "y": 1, "z": 2}

MIDDLE_ALIASES = {
    "hips": ("hips", "hip", "pelvis", "root", "lowertorso"),
    "spine": ("spine", "spine0", "spine01", "lowerback", "torso", "abdomen"),
    "chest": ("chest", "spine1", "spine2", "spine02"),
    "upperChest": ("upperchest", "chest2", "spine3", "spine03"),
    "neck": ("neck", "neck1", "neck01", "lowerneck"),
    "head": ("head",),
}
SIDE_ALIASES = {
    "Shoulder": ("shoulder", "collar", "clavicle", "inshoulder"),
    "UpperArm": ("arm", "uparm", "upperarm", "shldr"),
    "LowerArm": ("forearm", "lowerarm", "lowarm", "elbow"),
    "Hand": ("hand", "wrist"),
    "UpperLeg": ("upleg", "upperleg", "thigh", "hip"),
    "LowerLeg": ("leg", "lowerleg", "lowleg", "shin", "knee", "calf"),
    "Foot": ("foot", "ankle"),
    "Toes": ("toebase", "toe", "toes", "ball"),
}


@dataclass
class _Joint:
    name: str
    parent: int
    offset: list[float]
    channels: list[str]  # "Xposition" … "Zrotation", in lower case


@dataclass(frozen=True)
class Motion:
    """A BVH file's content."""

    names: tuple[str, ...]
    parents: tuple[int, ...]
    offsets: F64  # [n, 3]
    channels: tuple[tuple[str, ...], ...]
    frame_time: float  # seconds
    values: F64  # [frames, all channels]

    @property
    def seconds(self) -> float:
        return (len(self.values) - 1) * self.frame_time

    def sample(self, times: F64) -> tuple[F64, F64]:
        """World rotations [T, n, 3, 3] and places [T, n, 3] at the frames nearest to times [T]."""
        frames = np.clip(np.rint(np.asarray(times) / self.frame_time), 0, len(self.values) - 1).astype(int)
        values = self.values[frames]
        rotations = np.empty((len(frames), len(self.names), 3, 3))
        places = np.empty((len(frames), len(self.names), 3))
        column = 0
        for joint, parent in enumerate(self.parents):
            moved = np.tile(self.offsets[joint], (len(frames), 1))
            turned = np.tile(np.eye(3), (len(frames), 1, 1))
            for channel in self.channels[joint]:
                axis, value = AXIS[channel[0]], values[:, column]
                if channel.endswith("position"):
                    moved[:, axis] = value  # a position channel stands for the offset, as exporters write them
                else:
                    turned = turned @ _rotations(axis, value)
                column += 1
            if parent < 0:
                rotations[:, joint], places[:, joint] = turned, moved
            else:
                rotations[:, joint] = rotations[:, parent] @ turned
                places[:, joint] = places[:, parent] + (rotations[:, parent] @ moved[:, :, None])[:, :, 0]
        return rotations, places


def _rotations(axis: int, degrees: F64) -> F64:
    """Right-handed rotations [T, 3, 3] about axis 0, 1 or 2."""
    angle = np.radians(degrees)
    j, k = (axis + 1) % 3, (axis + 2) % 3
    matrices = np.tile(np.eye(3), (len(degrees), 1, 1))
    matrices[:, j, j] = matrices[:, k, k] = np.cos(angle)
    matrices[:, k, j] = np.sin(angle)
    matrices[:, j, k] = -matrices[:, k, j]
    return matrices


def read_bvh(path: Path) -> Clip:
    """Read a motion clip; raises DataError, without the file's name, when it cannot be used."""
    try:
        if path.stat().st_size > LARGEST_FILE:
            raise DataError(f"larger than {LARGEST_FILE >> 20} MiB; cut it into clips")
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"cannot be read ({error.strerror})") from error
    return parse_bvh(content)


def parse_bvh(content: bytes) -> Clip:
    """A clip from the content of a file; raises DataError."""
    motion = parse_motion(content)
    return Clip(motion.seconds, human_joints(motion.names, motion.parents), motion.sample)


class _Words:
    """The words of a file, one after the other."""

    def __init__(self, text: str) -> None:
        self._words, self._at = text.split(), 0

    def next(self) -> str:
        if self._at >= len(self._words):
            raise DataError("truncated BVH; export the clip again")
        self._at += 1
        return self._words[self._at - 1]

    def expect(self, word: str) -> None:
        found = self.next()
        if found.lower() != word.lower():
            raise DataError(f"'{one_line(found)[:40]}' where BVH has '{word}'; export the clip again")

    def number(self) -> float:
        word = self.next()
        try:
            value = float(word)
        except ValueError:
            raise DataError(f"'{one_line(word)[:40]}' where BVH has a number; export the clip again") from None
        if not abs(value) <= LARGEST_VALUE:
            raise DataError(f"{one_line(word)[:40]} where a number up to ±{LARGEST_VALUE:g} is needed")
        return value

    def rest(self) -> list[str]:
        return self._words[self._at :]


def parse_motion(content: bytes) -> Motion:
    """The joints and channels of a BVH file; raises DataError where it is not whole."""
    words = _Words(content.decode("utf-8", errors="replace"))
    words.expect("HIERARCHY")
    joints = _hierarchy(words)
    words.expect("Frames:")
    frames = words.number()
    words.expect("Frame")
    words.expect("Time:")
    frame_time = words.number()
    if not 1 <= frames <= MAX_FRAMES or frames != int(frames):
        raise DataError(f"{frames:g} frames where 1 to {MAX_FRAMES} are read; export the clip again")
    if not 1e-4 <= frame_time <= 10:
        raise DataError(f"a frame time of {frame_time:g} s; export the clip at 10 to 240 frames a second")
    rest = words.rest()
    width = sum(len(joint.channels) for joint in joints)
    if len(rest) != int(frames) * width:
        raise DataError(f"{len(rest)} values where {int(frames)} frames of {width} channels need {int(frames) * width}")
    try:
        values = np.array(rest, dtype=np.float64)
    except ValueError as error:
        raise DataError(f"motion values that are no numbers ({one_line(str(error))}); export the clip again") from error
    if not (np.abs(values) <= LARGEST_VALUE).all():
        raise DataError("motion values that are not finite; export the clip again")
    return Motion(
        names=tuple(joint.name for joint in joints),
        parents=tuple(joint.parent for joint in joints),
        offsets=np.array([joint.offset for joint in joints]),
        channels=tuple(tuple(joint.channels) for joint in joints),
        frame_time=frame_time,
        values=values.reshape(int(frames), width),
    )


def _hierarchy(words: _Words) -> list[_Joint]:
    """The joints, parents first; reads up to and including the word MOTION."""
    joints: list[_Joint] = []
    open_joints: list[int] = []  # -1 for an end site
    while (word := words.next().upper()) != "MOTION":
        if word in ("ROOT", "JOINT"):
            if (word == "ROOT") != (not open_joints) or (open_joints and open_joints[-1] < 0):
                raise DataError(f"a {word} in the wrong place; export the clip again")
            if len(joints) == MAX_JOINTS:
                raise DataError(f"more than {MAX_JOINTS} joints; export the skeleton alone")
            joints.append(_Joint(one_line(words.next()), open_joints[-1] if open_joints else -1, [0.0] * 3, []))
            words.expect("{")
            open_joints.append(len(joints) - 1)
        elif word == "END" and open_joints:
            words.next()  # the name of an end site means nothing
            words.expect("{")
            open_joints.append(-1)
        elif word == "OFFSET" and open_joints:
            offset = [words.number() for _ in range(3)]
            if open_joints[-1] >= 0:
                joints[open_joints[-1]].offset = offset
        elif word == "CHANNELS" and open_joints and open_joints[-1] >= 0:
            count = words.number()
            if count not in range(7):
                raise DataError(f"a joint of {count:g} channels where 0 to 6 are read; export the clip again")
            joints[open_joints[-1]].channels = [_channel(words.next()) for _ in range(int(count))]
        elif word == "}" and open_joints:
            open_joints.pop()
        else:
            raise DataError(f"'{one_line(word)[:40]}' in the wrong place; export the clip again")
    if open_joints or not joints:
        raise DataError("a joint tree without end; export the clip again")
    return joints


def _channel(word: str) -> str:
    channel = word.lower()
    if not re.fullmatch("[xyz](position|rotation)", channel):
        raise DataError(f"channel '{one_line(word)[:40]}' is none of X, Y, Zposition, X, Y, Zrotation")
    return channel


def human_joints(names: tuple[str, ...], parents: tuple[int, ...]) -> dict[str, int]:
    """VRM bone name -> joint, by the names that mocap programs use; raises DataError naming what is not found."""
    human: dict[str, int] = {}
    for joint, name in enumerate(names):
        side, plain = _side(re.sub(r"^.*:", "", name))
        for bone, aliases in (SIDE_ALIASES if side else MIDDLE_ALIASES).items():
            if plain in aliases:
                human.setdefault(side + bone, joint)
    for side in ("left", "right"):
        # In some rigs the upper arm is "LeftShoulder": it is the forearm's parent, whatever its name.
        fore = human.get(side + "LowerArm")
        if fore is not None and parents[fore] >= 0:
            human[side + "UpperArm"] = parents[fore]
            if human.get(side + "Shoulder") == parents[fore]:
                del human[side + "Shoulder"]
        # … and the foot's parents are shin and thigh
        shin = human.get(side + "LowerLeg")
        if side + "UpperLeg" not in human and shin is not None and parents[shin] >= 0:
            human[side + "UpperLeg"] = parents[shin]
    missing = [bone for bone in NEEDED if bone not in human]
    if missing:
        known = ", ".join(name for name in names[:40])
        raise DataError(f"no joint is known as {', '.join(missing)}; rename the joints ({one_line(known)})")
    return human


def _side(name: str) -> tuple[str, str]:
    """("left", "right" or "", the name without it, in lower case and without spaces and underscores)."""
    before = re.match(
        r"(left|right|l|r)[_ ]?(?=[A-Z])(.+)|(left|right|Left|Right|l_|r_|L_|R_)(.+)|([LR])(?=[A-Z])(.+)", name
    )
    after = re.match(r"(.+?)[_. ]?(Left|Right)$|(.+?)[_. ]([LRlr]|left|right)$", name)
    side, rest = "", name
    if after:
        rest, side = (after[1], after[2]) if after[1] else (after[3], after[4])
    elif before:
        side, rest = next((before[i], before[i + 1]) for i in (1, 3, 5) if before[i])
    side = {"l": "left", "r": "right", "": ""}[side[:1].lower()]
    return side, re.sub(r"[ _.\-]", "", rest).lower()
