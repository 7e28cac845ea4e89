"""Who gives way to whom when the processor is short: the policy to the executor, and everybody else to both."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from enum import IntEnum
from pathlib import Path

# A loop's thread waits this long at most while the receiving thread runs Python; the default is 5 ms.
SWITCH_INTERVAL_S = 5e-4
_AUTOGROUP = Path("/proc/self/autogroup")


def share_interpreter() -> None:
    """Have the threads of this process take turns often enough for a control loop."""
    sys.setswitchinterval(SWITCH_INTERVAL_S)


class Urgency(IntEnum):
    """Real-time priority of a process with a deadline; the higher one interrupts the lower one."""

    PLANS = 1  # a chunk that is late is a chunk older by a period
    CONTROLS = 2  # a set-point that is late stops the arm
    IS_THE_ARM = 3  # a physical one has a processor of its own, which no load of this host can take from it


def go_first(urgency: Urgency) -> None:
    """Have this thread, and those it starts from now on, run before everything that has no deadline.

    Needs CAP_SYS_NICE or an rtprio limit; without either nothing changes, and the loop's misses tell.  A control loop's
    process calls it before it has other threads: the loop is as late as the thread that holds the interpreter.
    """
    with contextlib.suppress(OSError):
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(urgency))


def thread_gives_way(niceness: int) -> None:
    """Lower the calling thread's priority by `niceness`, and no other's; Linux keeps one for every thread."""
    thread = threading.get_native_id()
    os.setpriority(os.PRIO_PROCESS, thread, min(os.getpriority(os.PRIO_PROCESS, thread) + niceness, 19))


def give_way(niceness: int) -> None:
    """Lower this process's priority by `niceness` (0..19); no privilege is needed to be modest.

    Linux weighs whole sessions against each other where autogroups are on, and every node leads a session of its own:
    there the group's niceness counts, not the process's.
    """
    if niceness == 0:
        return
    os.nice(niceness)
    with contextlib.suppress(OSError):  # another system, or a kernel without autogroups
        _AUTOGROUP.write_text(str(niceness), encoding="ascii")
