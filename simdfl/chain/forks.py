"""Which block a new one stands on: the tree of headers, longest branch first, first seen wins ties.

The world (peers, and who serves them) sees every block when it is found. A maker knows its own blocks at once and
those of others `delay_s` later; it builds on the highest block that it knows. So a block that is found before the
head has reached its maker becomes the head's sibling, and the next block decides between the two.

What was in a sibling is decided by what its maker had heard of: the mempool's count of arrivals at that time. It
is executed only if its branch becomes the longest one.

References
----------
Nakamoto, "Bitcoin: a peer-to-peer electronic cash system", 2008, section 5.
"""

from __future__ import annotations

from dataclasses import dataclass

from simdfl.chain.sources import Found

KEPT = 128
"""Headers so far below the head are forgotten: nobody builds there any more."""


@dataclass(frozen=True, eq=False)
class Header:
    """A place in the tree.

    ``arrivals`` is how many transactions had arrived where its maker was, ``sibling`` how many blocks of this
    number there were before.
    """

    number: int
    at_s: float
    maker: int
    parent: Header | None
    arrivals: int
    sibling: int = 0


ELSEWHERE = -1
"""The maker of a branch that turns up whole: it had heard of no call of this job."""


class Tree:
    """Headers from the genesis block on.

    Parameters
    ----------
    delay_s : float
        Until other makers know a block.
    """

    def __init__(self, delay_s: float) -> None:
        self.head = Header(0, 0.0, 0, None, 0)
        self._delay_s = delay_s
        self._headers = [self.head]
        self.made = 0

    def place(self, found: Found, arrivals: int) -> Header:
        """Put a block where its maker builds; it is the new head only after :meth:`adopt`."""
        parent = self.head
        if self._delay_s:
            known = [header for header in self._headers if self._seen_s(header, found.maker) <= found.at_s]
            parent = max(known, key=lambda header: (header.number, -self._seen_s(header, found.maker)))
        return self._add(found, parent, arrivals)

    def overtake(self, found: Found, depth: int, arrivals: int) -> Header:
        """Put a block on a branch from elsewhere that leaves out the last `depth` blocks.

        The branch has as many empty blocks, of the same times, and this one is on top of them.
        """
        replaced: list[Header] = []
        parent = self.head
        while len(replaced) < depth and parent.parent is not None:
            replaced.append(parent)
            parent = parent.parent
        for header in reversed(replaced):
            parent = self._add(Found(header.at_s, ELSEWHERE), parent, 0)
        return self._add(found, parent, arrivals)

    def _seen_s(self, header: Header, maker: int) -> float:
        return header.at_s if header.maker == maker or header.parent is None else header.at_s + self._delay_s

    def _add(self, found: Found, parent: Header, arrivals: int) -> Header:
        number = parent.number + 1
        siblings = sum(header.number == number for header in self._headers)
        header = Header(number, found.at_s, found.maker, parent, arrivals, siblings)
        self._headers.append(header)
        self.made += 1
        return header

    def drop(self) -> None:
        """Forget the head: it was never sent."""
        assert self.head.parent is not None
        self._headers.remove(self.head)
        self.head = self.head.parent
        self.made -= 1

    def adopt(self, header: Header) -> tuple[int, list[Header]]:
        """Make a longer branch the chain; return the last common number, and the headers after it in order."""
        branch: list[Header] = []
        ours: Header = self.head
        theirs: Header = header
        while theirs is not ours:
            if theirs.number > ours.number:
                branch.append(theirs)
                assert theirs.parent is not None
                theirs = theirs.parent
            else:
                assert ours.parent is not None
                ours = ours.parent
        self.head = header
        lowest = header.number - KEPT
        if self._headers[0].number < lowest:
            self._headers = [kept for kept in self._headers if kept.number >= lowest]
        return ours.number, branch[::-1]
