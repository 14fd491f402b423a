"""The discrete-event kernel: SimPy's environment with absolute times, inboxes with quorum waits, actors.

Order at one instant is stated, never accidental: deliveries and other ordinary events run before deadlines,
events of one priority in the order in which they were scheduled. So a message that arrives exactly at a
deadline counts.
"""

from simdfl.kernel.actor import Actor
from simdfl.kernel.environment import DEADLINE, Environment
from simdfl.kernel.inbox import Collected, Inbox

__all__ = ["DEADLINE", "Actor", "Collected", "Environment", "Inbox"]
