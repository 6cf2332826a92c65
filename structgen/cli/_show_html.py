"""A page to go through a text token by token: one file, no network."""

from __future__ import annotations

import html
import json
from dataclasses import asdict
from typing import Any

from structgen.cli._inspect import Inspector, shown

# Tokens of a text that the page goes through.
_MAX_STEPS = 2000


def page(inspector: Inspector, name: str, text: str) -> str:
    """Return the page.

    Parameters
    ----------
    inspector : Inspector
        Of the constraint and the vocabulary.
    name : str
        What the page calls the constraint.
    text : str
        The text; where the constraint refuses it, the page tells where and why.
    """
    data = {
        "name": name,
        "vocabulary": inspector.named.label,
        "steps": _steps(inspector, text),
    }
    # In a script element, `</script>` and `<!--` would end it or hide its end; these line ends break strings.
    encoded = json.dumps(data, ensure_ascii=False)
    for character in "<>&\u2028\u2029":
        encoded = encoded.replace(character, f"\\u{ord(character):04x}")
    return _PAGE.replace("@TITLE@", html.escape(f"structgen: {name}")).replace("@DATA@", encoded)


def _steps(inspector: Inspector, text: str) -> list[dict[str, Any]]:
    """Return what is known in front of each token, and behind the last one."""
    vocabulary = inspector.named.vocabulary
    steps: list[dict[str, Any]] = []
    before = b""
    tokens = inspector.named.encode(text)[:_MAX_STEPS]
    for token in [*tokens, None]:
        # A token may end inside a character.
        prefix = before.decode("utf-8", "surrogateescape")
        step = asdict(inspector.situation(prefix))
        del step["text"]
        step["token"] = None if token is None else shown(vocabulary.tokens[token])
        step["id"] = token
        if token is not None:
            refusal = inspector.refusal(prefix, f"#{token}")
            step["refused"] = None if refusal.allowed else refusal.reason
            step["only"] = step["allowed"] == 1 and not step["may_end"]
        steps.append(step)
        if token is None or step["refused"]:
            break
        before += vocabulary.tokens[token]
    return steps


_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy"
  content="default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'">
<title>@TITLE@</title>
<style>
:root { color-scheme: light dark; --line: #8884; --soft: #8882; --accent: #2563eb; --bad: #dc2626;
  --good: #16a34a; }
body { font: 15px/1.5 system-ui, sans-serif; margin: 0 auto; max-width: 62rem; padding: 1rem 1.25rem 3rem; }
h1 { font-size: 1.15rem; margin: 0 0 .2rem; overflow-wrap: anywhere; }
p { margin: 0 0 1rem; opacity: .75; }
#tokens { font: 14px/2 ui-monospace, monospace; border: 1px solid var(--line); border-radius: 8px;
  padding: .6rem .8rem; max-height: 16rem; overflow: auto; white-space: pre-wrap; overflow-wrap: anywhere; }
#tokens button { font: inherit; color: inherit; border: 0; border-radius: 4px; background: var(--soft);
  padding: .05rem .15rem; margin: 0 1px; cursor: pointer; white-space: pre-wrap; text-align: left; }
#tokens button.later { opacity: .45; background: none; outline: 1px dashed var(--line); }
#tokens button.only { text-decoration: underline dotted; text-underline-offset: 3px; }
#tokens button.here { background: var(--accent); color: #fff; opacity: 1; outline: none; }
#tokens button.refused { background: var(--bad); color: #fff; }
nav { display: flex; gap: .6rem; align-items: center; margin: .8rem 0; }
nav button { font: inherit; padding: .25rem .8rem; border: 1px solid var(--line); border-radius: 6px;
  background: none; color: inherit; cursor: pointer; }
nav input { flex: 1; accent-color: var(--accent); }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .25rem 1rem; margin: 0 0 1rem; }
dt { opacity: .7; }
dd { margin: 0; overflow-wrap: anywhere; }
code { font: 13px ui-monospace, monospace; background: var(--soft); border-radius: 4px; padding: .05rem .3rem;
  white-space: pre-wrap; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; padding: .2rem .6rem .2rem 0; border-bottom: 1px solid var(--line);
  vertical-align: top; }
td.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
.bar { width: 8rem; }
.bar i { display: block; height: .7rem; margin-top: .4rem; background: var(--accent); border-radius: 3px;
  min-width: 1px; }
.bad { color: var(--bad); font-weight: 600; } .good { color: var(--good); }
</style>
</head>
<body>
<h1></h1>
<p id="about"></p>
<div id="tokens"></div>
<nav>
<button id="back" type="button">&larr; Back</button>
<button id="on" type="button">On &rarr;</button>
<input id="slider" type="range" min="0" aria-label="Token">
<span id="count"></span>
</nav>
<div id="situation"></div>
<script id="data" type="application/json">@DATA@</script>
<script>
"use strict";
const data = JSON.parse(document.getElementById("data").textContent);
const steps = data.steps, last = steps.length - 1;
let here = 0;
// All texts become text nodes: nothing of the constraint or of a token is ever read as HTML.
function element(name, text, className) {
  const made = document.createElement(name);
  if (text !== undefined && text !== null) made.textContent = text;
  if (className) made.className = className;
  return made;
}
function visible(text) { return text.replace(/ /g, "\\u00b7") || "\\u00a0"; }
function row(list, name, ...nodes) {
  list.append(element("dt", name));
  const definition = element("dd");
  for (const node of nodes) definition.append(node);
  list.append(definition);
}
function table(groups) {
  const made = element("table"), head = element("tr");
  for (const title of ["begins with", "tokens", "share", "", "examples"]) head.append(element("th", title));
  made.append(head);
  for (const group of groups) {
    const line = element("tr"), bar = element("td", null, "bar"), filled = element("i");
    const examples = element("td");
    filled.style.width = 100 * group.share + "%";
    bar.append(filled);
    for (const example of group.examples) examples.append(element("code", visible(example)), " ");
    line.append(element("td", group.name), element("td", group.count.toLocaleString("en"), "number"),
      element("td", (100 * group.share).toFixed(1) + " %", "number"), bar, examples);
    made.append(line);
  }
  return made;
}
function go(to) {
  here = Math.max(0, Math.min(last, to));
  const step = steps[here], list = element("dl"), view = document.getElementById("situation");
  document.querySelectorAll("#tokens button").forEach((button, number) => {
    button.classList.toggle("here", number === here);
    button.classList.toggle("later", number > here);
  });
  document.querySelector("#tokens .here")?.scrollIntoView({block: "nearest"});
  document.getElementById("slider").value = here;
  document.getElementById("count").textContent = here + " / " + last;
  if (step.token !== null) {
    const verdict = step.refused ? element("span", step.refused, "bad") : element("span", "allowed", "good");
    row(list, "next token", element("code", visible(step.token)), " " + step.id + ": ", verdict);
  }
  if (step.place !== null) row(list, "place", element("code", step.place || "(root)"));
  if (step.stack.length) row(list, "open", step.stack.join(" \\u203a "));
  row(list, "may end here", step.may_end ? "yes" : "no");
  if (step.forced) row(list, "forced", element("code", visible(step.forced)));
  if (step.shortest) row(list, "shortest way to the end", element("code", visible(step.shortest)));
  row(list, "expected", element("code", step.expected));
  row(list, "allowed", step.allowed.toLocaleString("en") + " tokens, " +
    (100 * step.allowed / Math.max(1, step.vocabulary)).toFixed(1) + " % of the vocabulary");
  if (step.note) row(list, "note", element("span", step.note, "bad"));
  view.replaceChildren(list, step.groups.length ? table(step.groups) : "");
}
document.querySelector("h1").textContent = data.name;
document.getElementById("about").textContent = "Vocabulary: " + data.vocabulary +
  ". Dotted underline: the only token that could follow. Arrow keys go on and back.";
const strip = document.getElementById("tokens");
steps.forEach((step, number) => {
  const button = element("button", step.token === null ? "\\u25a0" : visible(step.token));
  button.type = "button";
  if (step.only) button.classList.add("only");
  if (step.refused) button.classList.add("refused");
  button.addEventListener("click", () => go(number));
  strip.append(button);
});
const slider = document.getElementById("slider");
slider.max = last;
slider.addEventListener("input", () => go(Number(slider.value)));
document.getElementById("back").addEventListener("click", () => go(here - 1));
document.getElementById("on").addEventListener("click", () => go(here + 1));
document.addEventListener("keydown", event => {
  if (event.target === slider) return;
  if (event.key === "ArrowRight") go(here + 1);
  if (event.key === "ArrowLeft") go(here - 1);
});
const wanted = Number(location.hash.slice(1));
go(Number.isInteger(wanted) ? wanted : 0);
</script>
</body>
</html>
"""
