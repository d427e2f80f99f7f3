"""How far a run is: one line on a terminal, `progress.json` for programs, and `run.log` for who comes later.

None of them decides anything: where they cannot be written, the run goes on without.
"""

from __future__ import annotations

import json
import logging
import os
import platform
import sys
import time
from collections import Counter
from collections.abc import Collection, MutableMapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

from tqdm.auto import tqdm

from nasbench_eval.errors import Terminated, UsageError
from nasbench_eval.runs.rows import Row, outcome_of
from nasbench_eval.wording import counted
from nasbench_eval.work.pool import Pool

# Seconds between two writings of progress.json, and between two lines of progress in the log.
_WRITE = 5.0
_LOG = 60.0
# Failures of a proxy from its first cell on, after which it is told that there is nothing else.
_AT_ONCE = 50
_FAILED = ("nan", "oom", "error")
_STATUSES = ("ok", "nan", "inf", "undefined", "oom", "error")


def _watched() -> bool:
    """Whether somebody sees a bar: at a terminal, or in a notebook."""
    return sys.stderr.isatty() or "ipykernel" in sys.modules


class _Pace(NamedTuple):
    """Rows to be scored, how many others were made before, and the time when it began."""

    rows: int
    before: int
    since: float


class _Bar(tqdm):  # type: ignore[type-arg]
    """A bar that is told how much time is left, since that depends on more than what it counts."""

    left = "?"

    @property
    def format_dict(self) -> MutableMapping[str, Any]:
        return {**super().format_dict, "left": self.left}


class Progress:
    """Counts what is done and tells of it; to be entered when the run's folder is its own.

    Args:
        folder: the run's folder; None leaves no files.

    Attributes:
        cells: architectures scored now.
        rows: rows scored now by status; copies are not counted.
        outcomes: the same rows by what they are (see `rows.outcome_of`).
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder
        self.cells: set[int] = set()
        self.rows, self.outcomes = Counter[str](), Counter[str]()
        self._log = logging.Logger("nasbench_eval.runs")
        self._failing: dict[str, list[Row]] = {}  # by label, until a score comes or it is told
        self._settled: set[str] = set()
        self._pool: Pool | None = None
        self._total = self._before = 0
        self._paced: _Pace | None = None
        self._unit = "cell"
        self._filled: set[int] = set()
        self._began = self._written = self._logged = time.monotonic()
        self._started = _now()
        self._bar: _Bar | None = None

    def __enter__(self) -> Progress:
        handler: logging.Handler = logging.NullHandler()
        if self.folder is not None:
            with suppress(OSError):
                handler = _LogFile(self.folder / "run.log", encoding="utf-8")
        handler.setFormatter(_Utc("%(asctime)s %(levelname)-7s %(message)s", "%Y-%m-%dT%H:%M:%SZ"))
        self._log.addHandler(handler)
        self._write("starting")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.end()
        state, reason = _end(error)
        self._write(state, reason)
        if error is not None:
            expected = isinstance(error, KeyboardInterrupt | Terminated | UsageError)
            self._log.error("%s: %s", state, reason, exc_info=None if expected else error)
        for handler in self._log.handlers:
            with suppress(OSError):  # of a full disk, with what was not written yet
                handler.close()

    def say(self, line: str) -> None:
        """A line for the user and the log."""
        self._log.info(line)
        self._print(line)

    def warn(self, line: str) -> None:
        """A line for the user and the log of something that went wrong and did not end the run."""
        self._log.warning(line)
        self._print(f"warning: {line}")

    def begin(self, total: int, lacking: int, pool: Pool | None, unit: str = "cell") -> None:
        """Start to count: of `total` architectures, or other units, `lacking` are to be done by a pool."""
        self._total, self._before, self._pool, self._unit = total, total - lacking, pool, unit
        self._began = time.monotonic()
        self._bar = _Bar(
            total=total,
            initial=total - lacking,
            unit=unit,
            bar_format="{l_bar}{bar}| {n_fmt}/{total_fmt} [{elapsed}<{left}, {rate_fmt}{postfix}]",
            smoothing=0.05,
            file=sys.stderr,
            disable=not lacking or not _watched(),
        )
        self._write("running")

    def pace(self, rows: int) -> None:
        """Tell the time left by these rows, which are to be scored from now on.

        Without, each architecture counts alike.  But a row may fill those of many, and some cost nothing.
        """
        self._paced = _Pace(rows, self.rows.total(), time.monotonic())

    def done(self, rows: Sequence[Row], filled: Collection[int]) -> None:
        """Count rows that came in; `filled` are the architectures that lack none with them."""
        fresh = set(filled) - self._filled
        self._filled |= fresh
        self.cells.update(row["index"] for row in rows)
        self.rows.update(row["status"] for row in rows)
        self.outcomes.update(map(outcome_of, rows))
        if self._bar is not None:
            left = self._seconds_left()
            self._bar.left = "?" if left is None else tqdm.format_interval(left)
            self._bar.set_postfix_str(f"{self.failed} failed", refresh=False)
            self._bar.update(len(fresh))
        now = time.monotonic()
        if now - self._written > _WRITE:
            self._write("running")
        if now - self._logged > _LOG:
            self._logged = now
            self._log.info(self._told())

    def end(self) -> None:
        """Leave the bar as it is: what is said from now on stands below it."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    @property
    def failed(self) -> int:
        """Rows that failed; a score of −∞ is none of them."""
        return self.outcomes["failed"]

    def log_failures(self, rows: Sequence[Row]) -> None:
        """Name each failure in the log, and move errors' stack traces there; rows keep their first lines."""
        traces: dict[str, list[Row]] = {}
        self._watch(rows)
        for row in rows:
            trace = row.pop("traceback", None)
            if outcome_of(row) == "failed":
                why = trace or row["error"] or f"the score is {row['score']}"
                traces.setdefault(why, []).append(row)
        for trace, mine in traces.items():
            scores = ", ".join(f"{row['label']} on {row['dataset']}" for row in mine)
            status, index, arch = mine[0]["status"], mine[0]["index"], mine[0]["arch"]
            self._log.warning("cell %s, %s: %s of %s: %s", index, arch, status, scores, trace.rstrip())

    def _watch(self, rows: Sequence[Row]) -> None:
        """Warn of a proxy that failed in each of its first cells: most likely it fails in all."""
        for row in rows:
            label = row["label"]
            if label in self._settled:
                continue
            if row["status"] not in _FAILED:
                self._settled.add(label)
                self._failing.pop(label, None)
                continue
            failing = self._failing.setdefault(label, [])
            failing.append({key: row[key] for key in ("index", "status", "error")})
            if len({each["index"] for each in failing}) == _AT_ONCE:
                self._settled.add(label)
                first = self._failing.pop(label)[0]
                self.warn(
                    f"{label} failed in each of its first {_AT_ONCE} cells; in cell {first['index']}: "
                    f"{first['error'] or 'the score is ' + first['status']}"
                )

    def _told(self) -> str:
        left = self._seconds_left()
        done = self._before + len(self._filled)
        eta = "" if left is None else f", about {left / 3600:.1f} h left"
        failed = f"{counted(self.failed, 'score')} failed"
        return f"{done} of {self._total} {self._unit}s, {self._rate():.0f} an hour{eta}; {failed}"

    def _rate(self) -> float:
        """Architectures an hour, since scoring began."""
        return 3600 * len(self._filled) / max(time.monotonic() - self._began, 1e-9)

    def _seconds_left(self) -> float | None:
        """What the rest takes at the pace of this session; None before there is one."""
        if self._paced is None:
            wanted, made, since = self._total - self._before, len(self._filled), self._began
        else:
            wanted, made = self._paced.rows, self.rows.total() - self._paced.before
            since = self._paced.since
        return (time.monotonic() - since) * (wanted - made) / made if made else None

    def _write(self, state: str, reason: str | None = None) -> None:
        self._written = time.monotonic()
        if self.folder is None:
            return
        left = self._seconds_left()
        content = {
            "state": state,
            "reason": reason,
            "pid": os.getpid(),
            "host": platform.node(),
            "started": self._started,
            "updated": _now(),
            f"{self._unit}s": {
                "asked": self._total,
                "before": self._before,
                "now": len(self._filled),
            },
            "scores": {status: self.rows[status] for status in _STATUSES},
            f"{self._unit}s_per_hour": round(self._rate(), 1),
            "seconds_left": None if left is None else round(left),
            "workers": self._workers() if state == "running" else None,
        }
        file = self.folder / "progress.json"
        temporary = file.with_name(".progress.json.tmp")
        with suppress(OSError):  # it is there for information
            temporary.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
            os.replace(temporary, file)

    def _workers(self) -> dict[str, Any]:
        if self._pool is None:
            return {"limit": 0, "replaced": 0, "at": []}
        at = [{**work._asdict(), "seconds": round(work.seconds, 1)} for work in self._pool.at()]
        return {"limit": self._pool.limit, "replaced": self._pool.replaced, "at": at}

    def _print(self, line: str) -> None:
        with suppress(OSError), tqdm.external_write_mode(file=sys.stderr):  # above the bar, if one is shown
            print(line, file=sys.stderr)


def _end(error: BaseException | None) -> tuple[str, str | None]:
    """What a run's end is called, and the reason if it is not done."""
    if error is None:
        return "finished", None
    if isinstance(error, KeyboardInterrupt | Terminated):
        return "interrupted", "Ctrl-C" if isinstance(error, KeyboardInterrupt) else "asked to end by a signal"
    return "failed", str(error) or type(error).__name__


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


class _Utc(logging.Formatter):
    converter = staticmethod(time.gmtime)


class _LogFile(logging.FileHandler):
    def handleError(self, record: logging.LogRecord) -> None:
        """A full disk is for the store to tell."""
