"""What the VRM extension says of an avatar: which node is which bone, and who made it under which licence.

Sources: the VRM 0.0 specification and VRMC_vrm 1.0 (humanoid, meta).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import pairwise

from bench.data.avatars.fields import Field
from bench.data.avatars.glb import Glb
from bench.data.avatars.nodes import Tree
from bench.errors import DataError

LIMBS = tuple(
    (side + upper, side + lower, side + end)
    for side in ("left", "right")
    for upper, lower, end in (("UpperArm", "LowerArm", "Hand"), ("UpperLeg", "LowerLeg", "Foot"))
)
REQUIRED_BONES = ("hips", "spine", "head", *(bone for limb in LIMBS for bone in limb))
# thumbs moved one joint down between the versions
VRM0_NAMES = {
    side + old: side + new
    for side in ("left", "right")
    for old, new in (("ThumbProximal", "ThumbMetacarpal"), ("ThumbIntermediate", "ThumbProximal"))
}
MAX_BONES = 256

LICENCES = {  # of VRM 0.x
    "Redistribution_Prohibited": "redistribution prohibited",
    "CC0": "CC0",
    "CC_BY": "CC BY",
    "CC_BY_NC": "CC BY-NC",
    "CC_BY_SA": "CC BY-SA",
    "CC_BY_NC_SA": "CC BY-NC-SA",
    "CC_BY_ND": "CC BY-ND",
    "CC_BY_NC_ND": "CC BY-NC-ND",
    "Other": "other",
}
NOT_STATED = "not stated"


@dataclass(frozen=True)
class Meta:
    """Authorship and permissions as the file states them."""

    version: str  # of VRM: "0.x" or "1.0"
    title: str
    author: str
    licence: str
    licence_url: str
    permissions: dict[str, str | bool]  # what else the file says of its use, under the file's own names


def vrm_block(glb: Glb) -> tuple[str, Field]:
    """The version ("0.x" or "1.0") and the VRM extension; raises DataError where there is none."""
    for name, version in (("VRMC_vrm", "1.0"), ("VRM", "0.x")):
        block = glb.document.find("extensions", name)
        if block is not None:
            return version, block
    raise DataError("no VRM extension: a plain glTF model; export it as VRM")


def human_bones(glb: Glb, version: str, block: Field, tree: Tree) -> dict[str, int]:
    """VRM 1.0 bone names -> bone of `tree`; raises DataError naming all that is missing or misplaced."""
    listed = block.at("humanoid", "humanBones")
    if version == "1.0":
        pairs = [(name, bone.at("node")) for name, bone in listed.members().items() if bone.value is not None]
    else:
        pairs = [(VRM0_NAMES.get(name := bone.at("bone").text(), name), bone.at("node")) for bone in listed]
    if len(pairs) > MAX_BONES:
        raise listed.fault(f"a list of {len(pairs)} bones")
    nodes = len(tree.names)
    # -1 is how some VRM 0.x exporters write a bone that is not there
    human = {name: tree.place_of[node.integer(0, nodes - 1)] for name, node in pairs if node.value != -1}
    missing = [bone for bone in REQUIRED_BONES if bone not in human]
    if missing:
        raise DataError(f"bones are missing: {', '.join(missing)}; assign them and export the avatar again")
    if len(set(human.values())) != len(human):
        raise listed.fault("one node for several bones")
    # converted models may hang spine and hips side by side on a common root: only limbs must be chains
    for limb in LIMBS:
        for above, below in pairwise(limb):
            if human[above] not in tree.ancestors(human[below]):
                raise DataError(f"bone {below} does not hang on {above}; assign the bones again and export")
    return human


def _creative_commons(url: str) -> str:
    """The licence that a Creative Commons address names: "CC BY 4.0"; empty for another address."""
    found = re.match(r"https?://creativecommons\.org/(?:licenses/([a-z-]+)|publicdomain/(zero))/(\d\.\d)", url)
    return "" if found is None else f"CC {found[1].upper()} {found[3]}" if found[1] else f"CC0 {found[3]}"


def read_meta(version: str, block: Field) -> Meta:
    """The meta block; what it leaves out is `not stated`."""
    meta = block.get("meta")
    if meta is None:
        return Meta(version, "", NOT_STATED, NOT_STATED, "", {})
    given = {name: field for name, field in meta.members().items() if isinstance(field.value, str | bool)}
    said = {name: field.value if isinstance(field.value, bool) else field.text() for name, field in given.items()}

    def text(*names: str) -> str:
        return next((str(said[name]) for name in names if said.get(name)), "")

    if version == "1.0":
        authors = ", ".join(author.text() for author in meta.items("authors", 100)) or NOT_STATED
        url, other = text("licenseUrl"), text("otherLicenseUrl")
        vrm = "VRM Public License 1.0" if url.startswith("https://vrm.dev/licenses/1.0") else url
        licence = "; ".join(part for part in (vrm, _creative_commons(other)) if part) or NOT_STATED
        named = {"name", "licenseUrl", "otherLicenseUrl"}
        title, licence_url = text("name"), other or url
    else:
        authors = text("author") or NOT_STATED
        licence = LICENCES.get(text("licenseName"), text("licenseName") or NOT_STATED)
        named = {"title", "author", "licenseName", "otherLicenseUrl"}
        title, licence_url = text("title"), text("otherLicenseUrl", "otherPermissionUrl")
    permissions = {name: value for name, value in said.items() if name not in named and value != ""}
    return Meta(version, title, authors, licence, licence_url, permissions)
