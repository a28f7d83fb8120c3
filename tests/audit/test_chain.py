"""The arithmetic of the log: hashes and proofs as RFC 9162 has them."""

from functools import cache
from hashlib import sha256

import pytest

from imodels_app.audit import chain
from imodels_app.audit.verify_export import Range, Walk, is_consistent, leaf_hash, node_hash, packed

# Of the reference implementation of Certificate Transparency: entries, and the root after each.
ENTRIES = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"]
ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
LEAVES = [leaf_hash(bytes.fromhex(entry)) for entry in ENTRIES]


@cache
def subtree(tree: Range) -> bytes:
    """The definition in 2.1.1, word by word, of leaves whose entries are their numbers or ENTRIES."""
    start, end = tree
    if end - start == 1:
        return LEAVES[start] if start < len(LEAVES) else leaf_hash(str(start).encode())
    half = 1
    while half * 2 < end - start:
        half *= 2
    return node_hash(subtree(Range(start, start + half)), subtree(Range(start + half, end)))


def hashes(trees: list[Range]) -> list[bytes]:
    return [chain.root(tree, subtree) for tree in trees]


def test_heads_are_those_of_the_reference():
    peaks: list[bytes] = []
    for index, leaf in enumerate(LEAVES):
        chain.grown(peaks, index, leaf)
        assert chain.folded(peaks).hex() == ROOTS[index]
        assert chain.root(Range(0, index + 1), subtree).hex() == ROOTS[index]


def named(trees: list[Range]) -> str:
    """By the letters of the tree of seven leaves in 2.1.5."""
    letters = {(at, at + 1): letter for at, letter in enumerate("abcdefj")}
    letters |= {(0, 2): "g", (2, 4): "h", (4, 6): "i", (0, 4): "k", (4, 7): "l"}
    return "".join(letters[tree] for tree in trees)


@pytest.mark.parametrize(("index", "proof"), [(0, "bhl"), (3, "cgl"), (4, "fjk"), (6, "ik")])
def test_inclusion_proofs_are_those_of_the_rfc(index, proof):
    assert named(next(chain.proofs([index], [Range(0, 7)]))) == proof


@pytest.mark.parametrize(("first", "proof"), [(3, "cdgl"), (4, "l"), (6, "ijk")])
def test_consistency_proofs_are_those_of_the_rfc(first, proof):
    assert named(chain.consistency(first, Range(0, 7))) == proof


def test_every_leaf_of_every_small_tree_is_proved_and_no_other():
    for size in range(1, 40):
        root = chain.root(Range(0, size), subtree)
        for index in range(size):
            proof = hashes(next(chain.proofs([index], [Range(0, size)])))
            assert Walk(size, root).has(index, subtree(Range(index, index + 1)), proof)
            assert not Walk(size, root).has(index, sha256(b"another").digest(), proof)
            assert not Walk(size, root).has((index + 1) % (size + 1), subtree(Range(index, index + 1)), proof)


def test_every_two_small_heads_are_consistent_and_no_others():
    roots = {size: chain.root(Range(0, size), subtree) for size in range(1, 40)}
    for second in roots:
        for first in range(1, second + 1):
            proof = hashes(chain.consistency(first, Range(0, second)))
            assert is_consistent(first, roots[first], second, roots[second], proof)
            assert not is_consistent(first, sha256(b"another").digest(), second, roots[second], proof)
            assert not is_consistent(first, roots[first], second, roots[second], [*proof, b"x"])


@pytest.mark.parametrize("step", [1, 2, 3, 7, 16, 99])
def test_leaves_in_order_are_proved_by_what_the_proofs_before_did_not_show(step):
    indexes = range(5, 1_000, step)
    walk, sent = Walk(1_000, chain.root(Range(0, 1_000), subtree)), 0
    for index, trees in zip(indexes, chain.proofs(indexes, [Range(0, 1_000)]), strict=True):
        assert walk.has(index, subtree(Range(index, index + 1)), hashes(trees))
        sent += len(trees)

    assert sent <= 10 * len(indexes)
    assert step > 1 or sent <= len(indexes) + 10


def test_a_proof_in_a_log_of_a_million_has_20_hashes_at_most():
    assert max(len(next(chain.proofs([index], [Range(0, 1_000_000)]))) for index in range(0, 1_000_000, 997)) == 20


def test_nothing_can_move_from_one_field_to_the_next():
    assert len({packed(texts) for texts in (["ab", "c"], ["a", "bc"], ["abc", ""], ["", "abc"], ["abc"])}) == 5
