"""The report page of one task: what its model can do, whether TLM was worth it, and what it was made from.

Place in the flow: evaluations, stages, task, retrieval and corpus → `gather` → `report.Report`, which is
`results/tasks/<task>/report.json` → `render` → `report.html`, one file that needs nothing else. What each part means is
told in docs/task-report.md.
"""
