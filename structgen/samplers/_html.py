"""The genealogy of a run's particles as a page of HTML: no scripts, no assets, everything escaped."""

from __future__ import annotations

import html
import math
from typing import TYPE_CHECKING

from structgen.samplers._resampling import normalise

if TYPE_CHECKING:
    from structgen.samplers._results import Death, SamplingResult

# Sizes in pixels: a particle at a step, and what stands around them.
_WIDTH, _HEIGHT = 56, 36
_LEFT, _TOP, _CHART = 34, 84, 48

_LABEL = 7
_LONG = 240

_STYLE = """
.structgen { font: 13px/1.5 system-ui, sans-serif; color: #1b1b1b; background: #fff; padding: 8px }
.structgen .scroll { overflow-x: auto; border: 1px solid #ddd; margin: 8px 0 }
.structgen svg { display: block }
.structgen svg text { font: 10px ui-monospace, monospace; fill: #333 }
.structgen svg .name, .structgen svg .axis { fill: #777 }
.structgen .edge { fill: none; stroke: #bbb }
.structgen .edge.kept { stroke: #1f5fa8 }
.structgen .wait { stroke-dasharray: 1 4 }
.structgen .node circle { fill: #bbb; stroke: #fff }
.structgen .node.kept circle { fill: #1f5fa8 }
.structgen .node.end circle { stroke: #2a7d2a; stroke-width: 2.5 }
.structgen .node:hover circle { fill: #e08a00 }
.structgen .death path { stroke: #c22; stroke-width: 2.5; fill: none }
.structgen .resampling { stroke: #e08a00; stroke-dasharray: 4 3 }
.structgen .ess { fill: none; stroke: #e08a00; stroke-width: 1.5 }
.structgen table { border-collapse: collapse }
.structgen td, .structgen th { padding: 1px 10px 1px 0; text-align: left; vertical-align: top }
.structgen .number { text-align: right; font-variant-numeric: tabular-nums }
.structgen .bar { display: inline-block; height: 9px; background: #1f5fa8 }
.structgen .text { font-family: ui-monospace, monospace; white-space: pre-wrap; word-break: break-word }
.structgen .dead { color: #c22 }
"""

_LEGEND = (
    "A row is a particle, a column a step. Lines lead from each particle to what became of it; width and "
    "size are the weight. Blue has descendants in the result, grey has none; a green ring is an end, a red "
    "cross is where a constraint killed a particle, and a dashed line is a resampling. The curve on top is "
    "the effective sample size. Point at a particle for its token."
)

_CAUSES = {
    "token": "no token is allowed",
    "length": "it may not end here, and this was the last token",
    "critic": "the critic refuses it",
}


def page(result: SamplingResult) -> str:
    """Return the view as a document of its own, which is not allowed to load anything."""
    policy = "default-src 'none'; style-src 'unsafe-inline'"
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"/>'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}"/>'
        f"<title>{_escape(result.method)}</title></head><body>\n{fragment(result)}\n</body></html>\n"
    )


def fragment(result: SamplingResult) -> str:
    """Return the view as an element for a page of others, with its style."""
    parts = [f'<div class="structgen"><style>{_STYLE}</style>', _summary(result)]
    if result.tokens:
        parts += ['<div class="scroll">', _Genealogy(result).svg(), f"</div><p>{_LEGEND}</p>"]
    else:
        parts.append("<p>This sampler works in rounds, so there is no genealogy.</p>")
        parts += [_death_list(result.deaths)] if result.deaths else []
    parts += [_sequences(result), "</div>"]
    return "\n".join(parts)


def _summary(result: SamplingResult) -> str:
    seconds = ", ".join(f"{part} {value:.3f} s" for part, value in result.seconds.items())
    facts = {
        "sampler": result.method,
        "seed": "from a generator" if result.seed is None else str(result.seed),
        "log evidence": f"{result.log_evidence:.4f}",
        "questions per token": f"{result.calls_per_token:.2f}",
        "time": seconds,
    }
    if result.acceptance_rate is not None:
        facts["accepted"] = f"{result.acceptance_rate:.1%}"
    rows = (f"<tr><th>{name}</th><td>{_escape(fact)}</td></tr>" for name, fact in facts.items() if fact)
    return f'<table class="summary">{"".join(rows)}</table>'


def _sequences(result: SamplingResult) -> str:
    head = "".join(
        f"<th>{name}</th>"
        for name in ("particle", "weight", "", "log-weight", "log-probability", "tokens", "text")
    )
    rows = []
    for i, sequence in sorted(enumerate(result.sequences), key=lambda item: -item[1].weight):
        state = "" if sequence.finished else '<span class="dead">unfinished </span>'
        rows.append(
            f'<tr class="sequence"><td class="number">{i}</td><td class="number">{sequence.weight:.4f}</td>'
            f'<td><span class="bar" style="width:{round(120 * sequence.weight)}px"></span></td>'
            f'<td class="number">{sequence.log_weight:.3f}</td>'
            f'<td class="number">{sequence.log_probability:.3f}</td><td class="number">{sequence.steps}</td>'
            f'<td class="text">{state}{_escape(sequence.text, keep_lines=True)}</td></tr>'
        )
    return f'<table class="sequences"><tr>{head}</tr>{"".join(rows)}</table>'


def _death_list(deaths: list[Death]) -> str:
    items = "".join(
        f'<li class="death">after {death.step} tokens, {_CAUSES[death.cause]}: '
        f'<span class="text">{html.escape(_shortened(death.text))}</span></li>'
        for death in deaths[:50]
    )
    more = f"<p>and {len(deaths) - 50} others</p>" if len(deaths) > 50 else ""
    return f"<p>Refused:</p><ul>{items}</ul>{more}"


class _Genealogy:
    """The drawing. Node (t, i) is particle i with its token of step t, before a resampling after it."""

    def __init__(self, result: SamplingResult) -> None:
        self._result = result
        self._steps = len(result.tokens)
        self._count = len(result.sequences)
        self._weights = [
            normalise(row).tolist() if max(row) > -math.inf else [0.0] * self._count
            for row in result.log_weights
        ]
        self._deaths = {(death.step, death.particle): death for death in result.deaths}
        self._kept = self._with_descendants()

    def _with_descendants(self) -> set[tuple[int, int]]:
        alive = {i for i, sequence in enumerate(self._result.sequences) if sequence.weight > 0}
        kept: set[tuple[int, int]] = set()
        for t in reversed(range(self._steps)):
            alive = {self._result.ancestors[t][i] for i in alive}
            kept.update((t, i) for i in alive)
        return kept

    def svg(self) -> str:
        width = _LEFT + (self._steps + 2) * _WIDTH
        height = _TOP + self._count * _HEIGHT
        nodes = [(t, i) for t in range(self._steps) for i in range(self._count) if self._is_there(t, i)]
        parts = [_open_svg(width, height)]
        for i in range(self._count):
            parts.append(f'<text class="name" x="4" y="{_y(i) + 3}">{i}</text>')
        for t in range(self._steps):
            parts.append(f'<text class="axis" x="{_x(t)}" y="{_TOP - 8}" text-anchor="middle">{t}</text>')
        parts.append(
            f'<text class="axis" x="{_x(self._steps)}" y="{_TOP - 8}" text-anchor="middle">result</text>'
        )
        parts.append(self._chart())
        parts += [self._edge(t, i) for t, i in nodes]
        parts += [self._node(t, i) for t, i in nodes]
        parts += [self._result_node(i) for i, s in enumerate(self._result.sequences) if s.weight > 0]
        return "\n".join([*parts, "</svg>"])

    def _parent(self, t: int, i: int) -> int:
        return self._result.ancestors[t - 1][i] if t else i

    def _is_there(self, t: int, i: int) -> bool:
        """Whether a particle was alive before a step."""
        return t == 0 or self._result.log_weights[t - 1][self._parent(t, i)] > -math.inf

    def _chart(self) -> str:
        ess = self._result.ess

        def height(size: float) -> float:
            return round(4 + _CHART * (1 - size / self._count), 1)

        points = " ".join(f"{_x(t)},{height(size)}" for t, size in enumerate(ess))
        parts = [
            f'<polyline class="ess" points="{points}"><title>effective sample size</title></polyline>',
            f'<text class="axis" x="4" y="{height(self._count) + 8}">{self._count}</text>',
            f'<text class="axis" x="4" y="{height(0)}">0</text>',
        ]
        bottom = _TOP + self._count * _HEIGHT
        for t in self._result.resampled:
            x = _x(t) + _WIDTH // 2
            told = f"resampled after step {t}, at an effective sample size of {ess[t]:.2f}"
            parts.append(
                f'<line class="resampling" x1="{x}" y1="4" x2="{x}" y2="{bottom}">'
                f"<title>{told}</title></line>"
            )
        return "\n".join(parts)

    def _edge(self, t: int, i: int) -> str:
        kinds = "edge" + " kept" * ((t, i) in self._kept)
        if self._result.tokens[t][i] < 0 and (t, i) not in self._deaths:
            kinds += " wait"
        return self._line(kinds, t, i, self._weights[t][i])

    def _line(self, kinds: str, t: int, i: int, weight: float) -> str:
        parent = self._parent(t, i)
        x0, y0, x1, y1 = _x(t - 1) if t else _LEFT - 12, _y(parent), _x(t), _y(i)
        middle = (x0 + x1) // 2
        return (
            f'<path class="{kinds}" data-step="{t}" data-from="{parent}" data-to="{i}" '
            f'stroke-width="{round(0.8 + 7 * weight, 2)}" '
            f'd="M{x0} {y0}C{middle} {y0} {middle} {y1} {x1} {y1}"/>'
        )

    def _result_node(self, i: int) -> str:
        sequence = self._result.sequences[i]
        told = f"particle {i} of the result, weight {sequence.weight:.4f}\n{_shortened(sequence.text)}"
        return self._line("edge kept wait", self._steps, i, sequence.weight) + (
            f'<g class="node kept result" data-particle="{i}"><title>{html.escape(told)}</title>'
            f'<circle cx="{_x(self._steps)}" cy="{_y(i)}" r="{_radius(sequence.weight)}"/></g>'
        )

    def _node(self, t: int, i: int) -> str:
        token, death = self._result.tokens[t][i], self._deaths.get((t, i))
        x, y = _x(t), _y(i)
        where = f"step {t}, particle {i}"
        if death is not None:
            told = f"{where}: {_CAUSES[death.cause]}\n{_shortened(death.text)}"
            return (
                f'<g class="death" data-step="{t}" data-particle="{i}"><title>{html.escape(told)}</title>'
                f'<path d="M{x - 5} {y - 5}l10 10m0 -10l-10 10"/></g>'
            )
        if token < 0:
            return ""
        spelled, ends = self._spell(token)
        weight = self._weights[t][i]
        told = (
            f"{where}\ntoken {token}: {spelled}\nweight {weight:.4f}, "
            f"log-weight {self._result.log_weights[t][i]:.3f}\nfrom particle {self._parent(t, i)}"
        )
        label = "" if ends else spelled if len(spelled) <= _LABEL else spelled[: _LABEL - 1] + "…"
        kinds = "node" + " kept" * ((t, i) in self._kept) + " end" * ends
        return (
            f'<g class="{kinds}" data-step="{t}" data-particle="{i}"><title>{html.escape(told)}</title>'
            f'<circle cx="{x}" cy="{y}" r="{_radius(weight)}"/>'
            f'<text x="{x}" y="{y + 18}" text-anchor="middle">{html.escape(label)}</text></g>'
        )

    def _spell(self, token: int) -> tuple[str, bool]:
        """Return how to show a token, and whether it ends texts."""
        vocabulary = self._result.vocabulary
        if vocabulary is None:
            return f"#{token}", False
        if token in vocabulary.eos_token_ids:
            return "end", True
        data = vocabulary.tokens[token]
        return _visible(data.decode("utf-8", errors="backslashreplace")).replace(
            " ", "␣"
        ) or f"#{token}", False


def _open_svg(width: int, height: int) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}" role="img" aria-label="genealogy of the particles">'
    )


def _x(t: int) -> int:
    return _LEFT + (t + 1) * _WIDTH - _WIDTH // 2


def _y(i: int) -> int:
    return _TOP + i * _HEIGHT + 10


def _radius(weight: float) -> float:
    return round(2.5 + 6 * math.sqrt(weight), 1)


def _shortened(text: str) -> str:
    """Return the end of a text."""
    text = _visible(text)
    return text if len(text) <= _LONG else "…" + text[-_LONG:]


def _visible(text: str, keep_lines: bool = False) -> str:
    """Spell what does not show, or changes how the rest shows, as escapes."""
    return "".join(
        c if c.isprintable() or (keep_lines and c in "\n\t") else c.encode("unicode_escape").decode("ascii")
        for c in text
    )


def _escape(text: str, keep_lines: bool = False) -> str:
    return html.escape(_visible(text, keep_lines))
