"""The audit's report, as text, as JSON and as one HTML page without scripts or outside resources."""

from __future__ import annotations

import html
from typing import Any

from simdfl import __version__
from simdfl.auditing.findings import CHECKS
from simdfl.auditing.inspection import Outcome

VERDICTS = {0: "CLEAN", 1: "VIOLATION", 2: "UNUSABLE"}
MEANING = {
    0: "nothing that was checked contradicts the declared procedure",
    1: "the published run is not what the declared procedure gives",
    2: "the folder does not allow the audit that was asked for",
}
STYLE = (
    "body{font:16px/1.5 sans-serif;max-width:60em;margin:2em auto;padding:0 1em;color:#222}"
    "table{border-collapse:collapse;width:100%}td,th{border-bottom:1px solid #ccc;padding:.3em .5em;"
    "text-align:left;vertical-align:top}h1 span{padding:.1em .4em;border-radius:.2em;color:#fff}"
    ".v0{background:#1b7837}.v1{background:#b2182b}.v2{background:#666}code{word-break:break-all}"
)


def as_record(outcome: Outcome) -> dict[str, Any]:
    """Return the report as JSON values."""
    findings = outcome.findings
    first = findings.first()
    return {
        "format": "simdfl.audit.v1",
        "auditor": f"simdfl {__version__}",
        "address": outcome.address,
        "job": outcome.job_digest,
        "heads": outcome.index["heads"],
        "protocol": outcome.index["protocol"],
        "outcome_of_run": outcome.index["outcome"],
        "steps": outcome.index["steps"],
        "level_asked": outcome.request.level,
        "level_reached": outcome.level,
        "coin": outcome.request.coin,
        "verdict": VERDICTS[outcome.exit_status].lower(),
        "unusable": outcome.unusable,
        "first_violation": None if first is None else {"check": first[0].name, **vars(first[1])},
        "checks": [
            {
                **{key: getattr(check, key) for key in ("name", "level", "evidence", "held", "failed")},
                "violations": [vars(violation) for violation in check.violations],
            }
            for check in findings.checks.values()
        ],
        "not_made": [name for name in CHECKS if name not in findings.checks],
        "notes": findings.notes,
        "removed": [dict(zip(("peer", "step", "how", "reason"), row)) for row in outcome.removed],
        "accounts": outcome.accounts,
        "sample": outcome.sample,
        "not_assured": [vars(gap) for gap in outcome.gaps],
        "seconds": {key: round(value, 3) for key, value in outcome.seconds.items()},
    }


def headline(record: dict[str, Any]) -> str:
    """Return the verdict in one sentence."""
    status = {word.lower(): number for number, word in VERDICTS.items()}[record["verdict"]]
    reached = f"level {record['level_reached']}" if record["level_reached"] >= 0 else "no level"
    sentence = f"{VERDICTS[status]}: {MEANING[status]} ({reached} of {record['level_asked']} asked for)"
    first = record["first_violation"]
    if first is not None:
        where = f"step {first['step']}" if first["step"] is not None else "no step"
        sentence += f". First, {where}, {first['place']}: {first['check']}: {first['what']}"
    if record["unusable"]:
        sentence += f". {record['unusable']}"
    return sentence


def sample_sentences(sample: dict[str, Any]) -> list[str]:
    """Return what was recomputed, and what cheating it would have met with which probability."""
    if not sample:
        return []
    lines = [
        f"{sample['checked']} of {sample['eligible']} gradients recomputed in {sample['wall_s']:.1f} s; "
        f"{sample['wrong']} were wrong: {sample['punished']} of peers that were banned, "
        f"{sample['canaries']} planted canaries."
    ]
    if sample["steps_aggregated"] or sample["steps_unknown"]:
        lines.append(
            f"Aggregation recomputed in {sample['steps_aggregated']} steps; in {sample['steps_unknown']} a "
            "contribution is neither right nor opened, and the reports' sums are the evidence."
        )
    lines += [
        f"If {k} of the {sample['eligible']} gradients had been wrong, this sample would have met one with "
        f"probability {chance:.4f}."
        for k, chance in sample["detection"].items()
    ]
    return lines


def as_text(record: dict[str, Any]) -> str:
    """Return the report for a terminal."""
    lines = [headline(record), ""]
    lines += [f"Published files  {record['address']}"]
    lines += [f"Head of {name:<9} {value}" for name, value in record["heads"].items()]
    lines += [f"Protocol         {record['protocol']}, {record['steps']} steps, {record['outcome_of_run']}", ""]
    lines += ["Checked, and by what evidence"]
    for check in record["checks"]:
        mark = "FAILED" if check["failed"] else "ok"
        lines.append(f"  {mark:<6} {check['name']:<23} {check['held']:>7} held  {check['evidence']}")
        lines += [f"           {_place(v)}" for v in check["violations"][:5]]
        if check["failed"] > 5:
            lines.append(f"           and {check['failed'] - 5} more")
    lines += ["", *sample_sentences(record["sample"]), *record["notes"]]
    lines += [
        f"Removed: peer {r['peer']} in step {r['step']}, {r['how']}: {r['reason']}" for r in record["removed"]
    ]
    lines += ["", "Not checked: " + (", ".join(record["not_made"]) or "nothing of the list"), "Not assured"]
    lines += [f"  - {gap['missing']}: {gap['attack']}" for gap in record["not_assured"]]
    return "\n".join(lines) + "\n"


def _place(violation: dict[str, Any]) -> str:
    step = "" if violation["step"] is None else f"step {violation['step']}, "
    return f"{step}{violation['place']}: {violation['what']}"


def as_html(record: dict[str, Any]) -> str:
    """Return the report as one self-contained page; everything from the folder is escaped."""
    status = {word.lower(): number for number, word in VERDICTS.items()}[record["verdict"]]
    rows = [
        [
            check["name"],
            "failed" if check["failed"] else "held",
            str(check["held"] + check["failed"]),
            check["evidence"],
            "; ".join(_place(violation) for violation in check["violations"][:5]),
        ]
        for check in record["checks"]
    ]
    gaps = [[gap["missing"], gap["attack"]] for gap in record["not_assured"]]
    gone = [[str(row[key]) for key in ("peer", "step", "how", "reason")] for row in record["removed"]]
    body = [
        f'<h1><span class="v{status}">{VERDICTS[status]}</span> audit of a training run</h1>',
        _paragraph(headline(record)),
        _paragraph("Published files ", record["address"]),
        *[_paragraph(f"Head of {name} ", value) for name, value in record["heads"].items()],
        _table("What was checked", ("check", "result", "times", "evidence", "violations"), rows),
        *[_paragraph(line) for line in [*sample_sentences(record["sample"]), *record["notes"]]],
        _table("Who was removed", ("peer", "step", "how", "reason"), gone),
        "<h2>What was not checked</h2>",
        _paragraph(", ".join(record["not_made"]) or "nothing of the list"),
        _table("What is not assured", ("missing", "what an attacker could still have done"), gaps),
    ]
    head = f'<meta charset="utf-8"><title>Audit: {VERDICTS[status]}</title><style>{STYLE}</style>'
    return f'<!doctype html><html lang="en"><head>{head}</head><body>{"".join(body)}</body></html>\n'


def _paragraph(text: str, code: str = "") -> str:
    return f"<p>{html.escape(text)}{f'<code>{html.escape(code)}</code>' if code else ''}</p>"


def _table(title: str, columns: tuple[str, ...], rows: list[list[str]]) -> str:
    if not rows:
        return ""
    head = "".join(f"<th>{html.escape(column)}</th>" for column in columns)
    body = "".join("<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<h2>{html.escape(title)}</h2><table><tr>{head}</tr>{body}</table>"
