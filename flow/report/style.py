"""The page's style: quiet, for screens of any width and for paper, light and dark."""

CSS = """
:root { --ink:#1d2330; --muted:#667085; --line:#dfe3ea; --paper:#ffffff; --soft:#f5f7fa; --note:#fff6e0; --note-line:#d99a1c;
  --one:#2563a8; --two:#c2571a; --three:#2f7d4f; --four:#8a4fa3; --good:#1f7a45; --bad:#b3261e; }
@media (prefers-color-scheme: dark) {
  :root { --ink:#e6e9ef; --muted:#9aa4b2; --line:#343b47; --paper:#14181f; --soft:#1c222b; --note:#2e2714; --note-line:#c79532;
    --one:#7ab0ea; --two:#f0975c; --three:#7cc79a; --four:#c79ae0; --good:#7cc79a; --bad:#f28b82; }
}
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; }
body { margin: 0 auto; padding: 1.5rem 1rem 4rem; max-width: 62rem; color: var(--ink); background: var(--paper);
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; }
h1 { margin: 0 0 .75rem; font-size: 1.7rem; line-height: 1.2; overflow-wrap: anywhere; }
h2 { margin: 2.75rem 0 .75rem; padding-top: .75rem; border-top: 1px solid var(--line); font-size: 1.25rem; }
p { margin: .6rem 0; max-width: 46rem; overflow-wrap: anywhere; }
header p.plain { color: var(--muted); font-size: .92rem; }
p.verdict { font-size: 1.15rem; line-height: 1.45; }
p.note { padding: .55rem .8rem; border-left: 4px solid var(--note-line); background: var(--note); }
p.missing { color: var(--muted); font-style: italic; }
nav { margin: 1rem 0 0; display: flex; flex-wrap: wrap; gap: .2rem 1rem; font-size: .92rem; }
a { color: var(--one); }
figure { margin: 1.25rem 0; max-width: 44rem; }
figure svg { display: block; width: 100%; height: auto; }
figcaption, p.caption { padding: .3rem 0; color: var(--muted); font-size: .88rem; text-align: left; }
p.caption { margin: 1.25rem 0 0; color: var(--ink); font-weight: 600; break-after: avoid; }
.standin { display: inline-block; padding: .05rem .4rem; border: 1px solid var(--note-line); border-radius: .6rem;
  background: var(--note);
  color: var(--ink); font-size: .8rem; font-weight: 400; white-space: normal; }
.side { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 22rem), 1fr)); gap: 0 1.5rem; }
.side figure { max-width: 28rem; }
.table { margin: 0 0 1.25rem; overflow-x: auto; }
table { border-collapse: collapse; font-size: .9rem; font-variant-numeric: tabular-nums; }
th, td { padding: .32rem .7rem .32rem 0; border-bottom: 1px solid var(--line); text-align: left; vertical-align: top; }
th { border-bottom-color: var(--muted); font-weight: 600; vertical-align: bottom; }
th small { display: block; color: var(--muted); font-size: .87em; font-weight: 400; }
th.number, td.number { text-align: right; padding-left: .5rem; }
td.number { white-space: nowrap; }
td:first-child { min-width: 5.5rem; }
td:last-child:not(.number) { min-width: 10rem; }
td { overflow-wrap: break-word; max-width: 34rem; }
td small { color: var(--muted); font-size: .87em; font-weight: 400; white-space: normal; }
td.number small { display: block; }
td.good { color: var(--good); font-weight: 600; }
td.bad { color: var(--bad); font-weight: 600; overflow-wrap: anywhere; }
pre { padding: .7rem .9rem; overflow-x: auto; background: var(--soft); border-radius: .4rem;
  font-size: .85rem; line-height: 1.4; }
summary { cursor: pointer; color: var(--muted); }
@media print {
  :root { --ink:#000; --muted:#444; --line:#bbb; --paper:#fff; --soft:#f5f5f5; --note:#fff; --one:#2563a8; --two:#c2571a;
    --three:#2f7d4f; --four:#8a4fa3; --good:#1f7a45; --bad:#b3261e; }
  body { max-width: none; padding: 0; font-size: 10.5pt; }
  nav, details { display: none; }
  figure, tr { break-inside: avoid; }
  h2 { break-after: avoid; }
  .table { overflow: visible; }
  table { font-size: 7.5pt; }
  th, td { padding: .15rem .5rem .15rem 0; }
  td:first-child, td:last-child:not(.number) { min-width: 0; }
  figure { max-width: 30rem; }
}
"""
