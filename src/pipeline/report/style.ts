/** The page's style: one column of text, numbers aligned, light, dark, phone and paper. */
export const STYLE = `
:root {
  color-scheme: light dark;
  --paper: #ffffff; --card: #f5f7f9; --ink: #1a2027; --soft: #55606c; --line: #dce1e6;
  --accent: #1d6b86; --accent-soft: #8db9c8; --quiet: #b3bcc6; --range: rgba(29, 107, 134, .13);
  --good: #17703f; --mixed: #855400; --bad: #b3261e;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #12161b; --card: #1a2027; --ink: #e4e8ec; --soft: #9ba6b2; --line: #2d353e;
    --accent: #62b4cf; --accent-soft: #356b7e; --quiet: #5c6773; --range: rgba(98, 180, 207, .18);
    --good: #63c48d; --mixed: #e0ab4f; --bad: #f28b82;
  }
}
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; text-size-adjust: 100%; }
body {
  margin: 0; padding: 2.5rem 1.25rem 4rem; background: var(--paper); color: var(--ink);
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif;
  font-variant-numeric: tabular-nums;
}
main, header, footer { max-width: 70rem; margin: 0 auto; }
h1 { margin: 0 0 .35rem; font-size: 1rem; font-weight: 600; color: var(--soft); overflow-wrap: anywhere; }
h2 { margin: 3rem 0 .35rem; font-size: 1.25rem; line-height: 1.3; letter-spacing: -.01em; }
h3 { margin: 2rem 0 .35rem; font-size: 1rem; overflow-wrap: anywhere; }
p { margin: .35rem 0 .8rem; max-width: 46rem; }
.verdict {
  margin: 0 0 .9rem; max-width: 50rem; font-size: 1.75rem; line-height: 1.28; font-weight: 600; letter-spacing: -.018em;
  text-wrap: pretty; overflow-wrap: anywhere;
}
.reason { font-size: 1.06rem; color: var(--ink); }
.soft, figcaption, caption { color: var(--soft); }
.meta { font-size: .9rem; color: var(--soft); max-width: none; overflow-wrap: anywhere; }
.good { color: var(--good); } .mixed { color: var(--mixed); } .bad { color: var(--bad); }
code, pre, .name { font-family: ui-monospace, SFMono-Regular, Menlo, Consolas, "Liberation Mono", monospace; font-size: .875em; }
.name { overflow-wrap: anywhere; } .whole { white-space: nowrap; }
pre { margin: .5rem 0 1rem; padding: .8rem 1rem; background: var(--card); border-radius: 6px; white-space: pre-wrap; overflow-wrap: anywhere; }
table { width: 100%; border-collapse: collapse; margin: .8rem 0 1rem; font-size: .92rem; }
caption { text-align: left; padding-bottom: .4rem; font-size: .9rem; }
th, td { padding: .5rem .6rem; border-bottom: 1px solid var(--line); text-align: left; vertical-align: baseline; }
th:first-child, td:first-child { padding-left: 0; } th:last-child, td:last-child { padding-right: 0; }
thead th { font-weight: 500; font-size: .84rem; color: var(--soft); vertical-align: bottom; }
tbody th { font-weight: 600; }
.scroll { overflow-x: auto; margin: 0 -.6rem; padding: 0 .6rem; }
td.full { min-width: 7rem; }
.number { text-align: right; white-space: nowrap; }
th.number { white-space: normal; }
.change { display: block; font-size: .82em; color: var(--soft); }
tr.best { background: color-mix(in srgb, var(--accent) 7%, transparent); box-shadow: -.6rem 0 0 color-mix(in srgb, var(--accent) 7%, transparent), .6rem 0 0 color-mix(in srgb, var(--accent) 7%, transparent); }
.tag { display: block; font-size: .78em; font-weight: 600; color: var(--accent); }
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(18rem, 1fr)); gap: 1.75rem 2.5rem; margin: 1.5rem 0 0; }
.histograms { display: grid; grid-template-columns: repeat(auto-fill, minmax(15rem, 1fr)); gap: 1.5rem 2rem; margin: 1rem 0; }
figure { margin: 0; min-width: 0; }
figure > h3 { margin: 0 0 .4rem; font-size: .95rem; }
figcaption { font-size: .84rem; line-height: 1.4; }
figcaption .name { display: block; color: var(--ink); }
.ends { display: flex; justify-content: space-between; font-size: .8rem; color: var(--soft); }
svg.chart { display: block; width: 100%; height: auto; max-width: 26rem; }
svg.histogram { max-width: none; } svg.wide { max-width: none; } svg.narrow { display: none; max-width: none; }
details { margin: .4rem 0; }
summary { cursor: pointer; color: var(--soft); font-size: .88rem; width: fit-content; }
summary:hover { color: var(--ink); } summary:focus-visible { outline: 2px solid var(--accent); outline-offset: 3px; }
details.part > summary { font-size: 1rem; font-weight: 600; color: var(--ink); margin: 1.5rem 0 .5rem; }
details.small table { width: auto; font-size: .84rem; }
.meter { display: inline-block; width: 4.5rem; height: .5rem; margin-left: .6rem; background: var(--line); border-radius: 2px; vertical-align: .05em; }
.meter > i { display: block; height: 100%; background: var(--accent); border-radius: 2px; }
ul.findings { list-style: none; padding: 0; margin: .8rem 0; }
.findings li { padding: .15rem 0 .15rem 1rem; margin: 0 0 1rem; border-left: 3px solid var(--quiet); max-width: 50rem; overflow-wrap: anywhere; }
.findings li.warning { border-color: var(--mixed); } .findings li.error { border-color: var(--bad); }
.findings b { font-weight: 600; } .remedy { display: block; color: var(--soft); }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .3rem 1.25rem; margin: .8rem 0; font-size: .92rem; }
dt { color: var(--soft); } dd { margin: 0; overflow-wrap: anywhere; min-width: 0; }
footer { margin-top: 3.5rem; padding-top: 1rem; border-top: 1px solid var(--line); font-size: .86rem; color: var(--soft); }
@media (max-width: 46rem) {
  body { padding: 1.5rem 1rem 3rem; }
  .verdict { font-size: 1.35rem; }
  svg.wide { display: none; } svg.narrow { display: block; }
  table.cards thead { position: absolute; clip-path: inset(50%); width: 1px; height: 1px; overflow: hidden; }
  table.cards, table.cards tbody, table.cards caption { display: block; }
  table.cards tr { display: grid; grid-template-columns: repeat(2, minmax(0, 1fr)); gap: .1rem 1.25rem; padding: .7rem 0; border-bottom: 1px solid var(--line); }
  table.cards tr.best { box-shadow: -1rem 0 0 color-mix(in srgb, var(--accent) 7%, transparent), 1rem 0 0 color-mix(in srgb, var(--accent) 7%, transparent); }
  table.cards th, table.cards td { display: flex; justify-content: space-between; gap: .75rem; padding: .12rem 0; border: 0; text-align: right; }
  table.cards tbody th, table.cards td.full { grid-column: 1 / -1; text-align: left; }
  table.cards tbody th { font-size: 1rem; }
  table.cards td.none { display: none; }
  table.cards td::before { content: attr(data-label); color: var(--soft); text-align: left; }
  table.cards td.full { justify-content: flex-start; } table.cards td.full::before { flex: none; }
  table.cards .change { white-space: nowrap; }
  .meter { display: none; }
  dl { grid-template-columns: 1fr; gap: 0; } dd { margin-bottom: .6rem; }
}
@media print {
  :root {
    --paper: #fff; --card: #f5f7f9; --ink: #000; --soft: #444; --line: #ccc;
    --accent: #1d6b86; --accent-soft: #8db9c8; --quiet: #b3bcc6; --range: rgba(29, 107, 134, .13);
    --good: #17703f; --mixed: #855400; --bad: #b3261e;
  }
  * { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
  body { padding: 0; font-size: 10.5pt; }
  .verdict { font-size: 16pt; }
  h2 { margin-top: 1.6rem; break-after: avoid; } h3, caption { break-after: avoid; }
  figure, tr, li, pre { break-inside: avoid; }
  details:not([open]) { display: none; } details[open] > summary { list-style: none; }
  .charts { grid-template-columns: repeat(3, 1fr); gap: 1rem; }
  .histograms { grid-template-columns: repeat(3, 1fr); }
  table { font-size: 8.5pt; } thead th { font-size: 7.5pt; } th, td { padding: .3rem .35rem; }
  .scroll { overflow: visible; } .meta { font-size: 9pt; }
}
`;
