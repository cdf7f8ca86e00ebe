"""Results as one self-contained page: of a run, of a search, or of two runs side by side."""

from arbonn.flows.report.compare_page import write_comparison
from arbonn.flows.report.run_page import write_report
from arbonn.flows.report.search_page import read_search, write_search
from arbonn.flows.report.summary import read_summary, rows
from arbonn.flows.report.write import ReportResult, report

__all__ = ["ReportResult", "read_search", "read_summary", "report", "rows", "write_comparison", "write_report", "write_search"]
