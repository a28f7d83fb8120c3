"""What memory the processes of a test hold, looked at ten times a second."""

import threading

import psutil

MIB = 1024 * 1024


class Memory:
    """The resident memory of those of our processes whose command line names this program, in MiB."""

    def __init__(self, program: str) -> None:
        self._program, self._ended = program, threading.Event()
        self.at_first_mib = self.peak_mib = self._now_mib()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def grown_mib(self) -> float:
        """How much more than at first they ever held; ends the watch."""
        self._ended.set()
        self._thread.join()
        return self.peak_mib - self.at_first_mib

    def _watch(self) -> None:
        while not self._ended.wait(0.1):
            self.peak_mib = max(self.peak_mib, self._now_mib())

    def _now_mib(self) -> float:
        return sum(self._rss(process) for process in psutil.Process().children(recursive=True)) / MIB

    def _rss(self, process: psutil.Process) -> int:
        try:
            return process.memory_info().rss if self._program in " ".join(process.cmdline()) else 0
        except psutil.Error:  # it has just ended
            return 0
