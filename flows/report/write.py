"""The page of a folder of results, whatever it holds, and what a reader wants to know of the file."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

from arbonn.flows.explore.found import FOUND
from arbonn.flows.report.compare_page import write_comparison
from arbonn.flows.report.page import external_requests
from arbonn.flows.report.run_page import write_report
from arbonn.flows.report.search_page import read_search, write_search
from arbonn.flows.report.summary import read_summary


@dataclass(frozen=True)
class ReportResult:
    """A page that was written: its size in bytes, and the addresses outside it that it would ask for (none, or it is a defect)."""

    file: Path
    bytes: int
    external_requests: tuple[str, ...]

    def as_json(self) -> dict[str, object]:
        data = {**asdict(self), "file": str(self.file), "external_requests": len(self.external_requests)}
        return {"schema": 1, "report": str(self.file), **data}


def report(folder: Path, other: Path | None = None) -> ReportResult:
    """Writes report.html of the run or the search in `folder`; with `other`, compare.html of both runs, in `folder`.

    Raises InputError for a folder that holds no results of this version.
    """
    page = folder / ("compare.html" if other else "report.html")
    if other is not None:
        write_comparison((read_summary(folder), read_summary(other)), (folder, other), page)
    elif (folder / FOUND).exists():
        write_search(read_search(folder), page)
    else:
        write_report(read_summary(folder), page)
    text = page.read_text(encoding="utf-8")
    return ReportResult(page, page.stat().st_size, tuple(external_requests(text)))
