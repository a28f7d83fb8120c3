"""The arithmetic of the audit log: which subtrees a proof consists of, and how a tree grows (RFC 9162, 2.1).

Pure. What the checker of an export needs as well (hashes, encoding, paths) stands in verify_export.py, which goes with
each export and imports nothing of ours.
"""

from collections.abc import Callable, Iterable, Iterator

from imodels_app.audit.verify_export import Range, node_hash, path

# The hash of a complete subtree: its width is a power of two, and its start a multiple of that.
Lookup = Callable[[Range], bytes]


def complete_parts(tree: Range) -> list[Range]:
    """The complete subtrees that a subtree consists of, the largest first."""
    start, end = tree
    parts = []
    while start < end:
        width = 1 << ((end - start).bit_length() - 1)
        parts.append(Range(start, start + width))
        start += width
    return parts


def root(tree: Range, lookup: Lookup) -> bytes:
    """The hash of a subtree that has a leaf at least."""
    return folded([lookup(part) for part in complete_parts(tree)])


def folded(peaks: list[bytes]) -> bytes:
    """The root above the complete subtrees of a tree, the largest first."""
    *rest, found = peaks
    for left in reversed(rest):
        found = node_hash(left, found)
    return found


def grown(peaks: list[bytes], index: int, leaf: bytes) -> list[bytes]:
    """Add a leaf to the complete subtrees of a tree. The leaf's hash, and of each subtree that it completes."""
    completed = [leaf]
    while index & 1:
        completed.append(node_hash(peaks.pop(), completed[-1]))
        index >>= 1
    peaks.append(completed[-1])
    return completed


def proofs(indexes: Iterable[int], known: list[Range]) -> Iterator[list[Range]]:
    """For leaves in the log's order: what Walk does not know yet when it comes to each. known: first the whole tree."""
    for index in indexes:
        while known[-1].end <= index:
            known.pop()
        siblings = path(index, known.pop())
        known += reversed([sibling for sibling in siblings if sibling.start > index])
        yield siblings


def consistency(first: int, tree: Range, *, is_known: bool = True) -> list[Range]:
    """The proof that a tree begins with its first leaves (RFC 9162, 2.1.4.1). is_known: the verifier has their root."""
    width = tree.end - tree.start
    if first == width:
        return [] if is_known else [tree]
    half = 1 << ((width - 1).bit_length() - 1)
    left, right = Range(tree.start, tree.start + half), Range(tree.start + half, tree.end)
    if first <= half:
        return [*consistency(first, left, is_known=is_known), right]
    return [*consistency(first - half, right, is_known=False), left]
