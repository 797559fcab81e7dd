"""The ensembles of trees (in float64) and the networks of a detector of traffic."""

from __future__ import annotations

import numpy as np
from tools.models.catalogue.package import Model, Package
from tools.models.feeds import Feeds, MakeFeeds, normals

FOLDER = "atspm_detector/weights"

# Number of features, and the file's digest.
TREES = {
    "decode_v3": (25, "26eff1a46d782b0a9a8a6ba2c887f5625bf1c3b6ccc064fbf30f5016e84bd4d3"),
    "function/function229_s0": (229, "50864dedeb8c61f80ccbad3af4a56de4f86836a6a4dcf8aa96d90d7bce624420"),
    "lanes/lane_pair_D_s0": (508, "4033b04de346aa8e278cdcdc6155eec9092a41f3f15be4f2284645db552c95b7"),
    "lanes/lane_pair_D_s1": (508, "d3a1156da150072f8d93307ccfea7c2fe0cb17de70e6643fdebe466588478e76"),
    "lanes/lane_pair_D_s2": (508, "999e0b220a04cde499d9e04f69ada122caabdc0e0a0d0f999912a1bf06081592"),
    "phase_lgbm_v5_s0": (261, "54c0294ede07c385f2c3a76f45f17825a4e68f30ce4d281297c0e4db25700ab1"),
    "setback/setback_full_q50_s0": (59, "8eb879bac7cb02b0a1a98b4f4d6cccef73044c920b43c2c5226b96fb06d0164e"),
    "setback/setback_h24_q50_s0": (59, "b423c9d5f873349a4d924206dec7e908c260ce18f7719f3e31e5daeb92c9bbb4"),
    "setback/setback_h6_q50_s0": (59, "d9f504afd31b83f65c25798bd23bcca69f919e5a2159bb290ada3f42fbf3164e"),
    "setback/setback_m30_q50_s0": (59, "670affac31a5769995f8204d16114d0a54fc3081189c35857d562a53447b1401"),
    "setback/setback_q10_s0": (59, "fcf0963e1321466631e7444d325f30f10605eb970e93bb0a1f0b2ffd00f43acb"),
    "setback/setback_q10_s1": (59, "d6a3e3efaaff31b0cbfc14ea7e28f414b3865afc5ad60777fecc426ba9de7d2e"),
    "setback/setback_q10_s2": (59, "4f7c17a4caef26ccd48297cfe7d6ba7a8ac65e421f21c27fa5f0c0d8d7e986fe"),
    "setback/setback_q90_s0": (59, "d26d5d160cf1c238e14175ae4827e7f5b378286c8bdc0382b05cf76d209e5e56"),
    "setback/setback_q90_s1": (59, "09509e8678249dc6368b1af5f2362dd2ff182ebd30ec3685e82876341f1aa5ff"),
    "setback/setback_q90_s2": (59, "e1cafad855c7633a183917701f0906753ed5d1214e9275a4e7b479f15a09f936"),
    "stacker/stacker_mean3_s0": (46, "0ec72a49401757a9bdc5b8963f5d0d7977f321808cbf7df9166a029eda280e23"),
}

# Networks: what a pair of detectors shows, and what all the pairs of an intersection say together.
NETWORKS = {
    "head": "1439ec8055bd940c93c6c4c1f1d9e73648902f7cbfa007b205b6659a455eb8d9",
    "pair": "96474d83d132eef79834ae9b94fca2aaf4cae2560210cc26d1f0a6554bee5988",
    "s1_head": "ae15f4bf8448443ec3eb617916298014d5c9219828c9c94bcbeaaa3a5bad9650",
    "s1_pair": "380c159310804aaedb32627f307785d2df800da5f5d1aba25acb441149ba95c1",
    "s2_head": "3e247a09a354b865295f4699970e5b9ef29139318eba0b4efbad22b439b55d0e",
    "s2_pair": "6b9e8da056ea0902bd2de7dc53d554c6aac9bcdb9b86f15e5c928dd90100bec1",
}


def trees(name: str, features: int, sha256: str) -> Model:
    """An ensemble of trees on `features` measurements."""

    def measurements(count: int, rng: np.random.Generator) -> Feeds:
        return {"X": rng.standard_normal((count, features)) * 10.0 ** rng.integers(-2, 4, features)}

    return Model(
        f"traffic_{name.split('/')[-1]}",
        f"{FOLDER}/{name}.onnx",
        sha256,
        lambda rng: measurements(256, rng),
        lambda rng: measurements(5, rng),
    )


def network(name: str, sha256: str) -> Model:
    """One of the networks."""
    usual, small = (pairs(16, 600), pairs(2, 64)) if name.endswith("pair") else (phases(12), phases(3))
    return Model(f"funcnet_{name}", f"{FOLDER}/funcnet/x100_w32full_{name}.onnx", sha256, usual, small)


def pairs(count: int, length: int) -> MakeFeeds:
    """Signals of `count` pairs."""
    return normals(x=(count, 15, length))


def phases(count: int) -> MakeFeeds:
    """Features of `count` detectors and 8 phases; the second detector counts not."""
    make = normals(logit=(count, 8), Z=(count, 8, 128))
    return lambda rng: {**make(rng), "act": np.where(np.arange(count) == 1, 0, 1).astype(np.float32)}


ATSPM = Package(
    "atspm-detector",
    "1.1.0",
    "MIT",
    (
        *(trees(name, features, sha256) for name, (features, sha256) in TREES.items()),
        *(network(name, sha256) for name, sha256 in NETWORKS.items()),
    ),
    fast=True,
)
