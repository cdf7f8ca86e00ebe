"""Results as one self-contained page: of a run, of a search, or of two runs side by side."""

from arbonn.flows.report.run_page import write_report
from arbonn.flows.report.summary import read_summary, rows

__all__ = ["read_summary", "rows", "write_report"]
