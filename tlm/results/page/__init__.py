"""The report page of one task: its model's scores and mistakes, whether TLM was worth it, and its inputs.

Place in the flow: evaluations, stages, task, retrieval and corpus → `gather` → `task_report.TaskReport`, written as
`results/tasks/<task>/report.json` → `render` → `report.html`, one file that loads nothing else. docs/task-report.md
explains each part.
"""
