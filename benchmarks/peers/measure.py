"""CPU seconds and peak memory of a command and its children. usage: python measure.py <usage.json> <log.txt> <command...>

A small process of its own: what a process is started from counts in its peak memory, so the driver must not start it.
Peak memory is that of the largest process.
"""

import json
import os
import resource  # noqa: F401  (what wait4 returns)
import subprocess
import sys
import time

if __name__ == "__main__":
    begin = time.monotonic()
    with open(sys.argv[2], "w") as log:  # noqa: PTH123  (pathlib is larger than this process)
        child = subprocess.Popen(sys.argv[3:], stdout=log, stderr=subprocess.STDOUT)
        _, status, used = os.wait4(child.pid, 0)
    facts = {
        "status": os.waitstatus_to_exitcode(status),
        "cpu_seconds": used.ru_utime + used.ru_stime,
        "peak_mb": used.ru_maxrss / 1024,
        "wall_seconds": time.monotonic() - begin,
    }
    with open(sys.argv[1], "w") as out:  # noqa: PTH123
        json.dump(facts, out)
