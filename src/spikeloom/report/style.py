"""The style sheet of every report: one light column, system fonts, no file to load."""

from __future__ import annotations

from .palette import BLUE, FAINT, GRID, INK, MUTED, PAPER

FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"
MONO = "ui-monospace, 'SF Mono', Menlo, Consolas, 'Liberation Mono', monospace"

CSS = f"""
:root {{ color-scheme: light; }}
* {{ box-sizing: border-box; }}
body {{ margin: 0; background: {PAPER}; color: {INK}; font: 15px/1.55 {FONT}; }}
main {{ max-width: 1120px; margin: 0 auto; padding: 36px 32px 56px; }}
.kind {{ margin: 0; color: {MUTED}; font-size: 13px; }}
.kind b {{ color: {BLUE}; font-weight: 600; }}
h1 {{ margin: 2px 0 6px; font-size: 30px; line-height: 1.2; font-weight: 650; overflow-wrap: anywhere; }}
.headline {{ margin: 0 0 22px; font-size: 18px; max-width: 52em; overflow-wrap: anywhere; }}
h2 {{ margin: 0 0 4px; font-size: 18px; font-weight: 650; }}
h3 {{ margin: 0 0 4px; font-size: 14px; font-weight: 600; }}
section {{ margin-top: 40px; }}
.note {{ margin: 0 0 12px; color: {MUTED}; font-size: 14px; max-width: 64em; overflow-wrap: anywhere; }}
.cards {{ display: flex; flex-wrap: wrap; gap: 14px 36px; margin: 0; padding: 16px 0;
  border-top: 1px solid {GRID}; border-bottom: 1px solid {GRID}; }}
.cards div {{ display: flex; flex-direction: column-reverse; min-width: 84px; max-width: 100%; }}
.cards dt {{ color: {MUTED}; font-size: 13px; overflow-wrap: anywhere; }}
.cards dd {{ margin: 0; font-size: 21px; line-height: 1.3; font-weight: 600;
  font-variant-numeric: tabular-nums; overflow-wrap: anywhere; }}
.split h3:not(:first-child) {{ margin-top: 26px; }}
.split {{ display: grid; grid-template-columns: 176px minmax(0, 1fr); gap: 28px; align-items: start; }}
.pair {{ display: grid; grid-template-columns: repeat(auto-fit, minmax(min(430px, 100%), 1fr)); gap: 36px; }}
.wide-pair {{ display: grid; grid-template-columns: minmax(0, 1fr) auto; gap: 36px; align-items: start; }}
.pair > *, .split > *, .wide-pair > * {{ min-width: 0; }}
figure {{ margin: 0; position: sticky; top: 20px; }}
figure img {{ display: block; width: 100%; max-width: 176px; border-radius: 4px;
  image-rendering: pixelated; }}
figcaption {{ margin-top: 10px; font-size: 14px; overflow-wrap: anywhere; }}
figcaption b {{ font-weight: 600; }}
figcaption span {{ display: block; color: {MUTED}; }}
table {{ border-collapse: collapse; font-size: 14px; max-width: 100%; }}
th, td {{ padding: 4px 20px 4px 0; border-bottom: 1px solid {GRID}; text-align: left; vertical-align: top;
  overflow-wrap: anywhere; }}
th {{ color: {MUTED}; font-weight: 400; white-space: nowrap; }}
td {{ font-variant-numeric: tabular-nums; }}
td.number {{ text-align: right; padding-right: 6px; }}
td table {{ margin: -4px 0; }}
td table tr:last-child > * {{ border-bottom: 0; }}
details {{ border-top: 1px solid {GRID}; }}
details:last-of-type {{ border-bottom: 1px solid {GRID}; }}
summary {{ padding: 10px 0; cursor: pointer; font-weight: 600; }}
summary:focus-visible {{ outline: 2px solid {BLUE}; outline-offset: 2px; }}
details > div {{ padding: 0 0 16px 18px; overflow-x: auto; }}
.equations {{ margin: 0; padding: 0; list-style: none; }}
.equations li {{ padding: 7px 0; overflow-x: auto; }}
.equations svg {{ display: block; }}
code {{ font: 14px/1.5 {MONO}; white-space: pre-wrap; overflow-wrap: anywhere; }}
footer {{ margin-top: 44px; padding-top: 12px; border-top: 1px solid {FAINT};
  color: {MUTED}; font-size: 13px; }}
@media (max-width: 860px) {{
  main {{ padding: 24px 18px 40px; }}
  .split, .wide-pair {{ grid-template-columns: minmax(0, 1fr); gap: 18px; }}
  figure {{ position: static; display: flex; gap: 16px; align-items: flex-end; }}
  figure img {{ width: 96px; }}
}}
@media print {{ section {{ break-inside: avoid; }} }}
"""
