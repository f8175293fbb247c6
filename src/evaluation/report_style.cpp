#include "report_parts.h"

namespace elbo::detail {

// Colours: eight that stay apart for all common kinds of colour vision (after Okabe & Ito 2008), darkened on paper and lightened
// on black until each has a contrast of 3:1; markers differ too.
std::string_view report_style() {
  return R"css(
:root{color-scheme:light dark;--bg:#fbfaf8;--card:#fff;--ink:#1d2126;--soft:#5b636d;--line:#e3e1dc;--grid:#eceae5;--hi:#fff3d6;--hi-ink:#6b4a00;
--warn:#fdf0ea;--warn-ink:#8a2f0b;--off:#c3c6ca;--c0:#0b62a8;--c1:#c4500c;--c2:#00795a;--c3:#a03f86;--c4:#8a6a00;--c5:#2a84b8;--c6:#6a51a3;--c7:#50575e}
@media (prefers-color-scheme:dark){:root{--bg:#14171a;--card:#1c2024;--ink:#e8eaed;--soft:#a2abb5;--line:#31373d;--grid:#2a2f35;--hi:#3a3118;
--hi-ink:#f5d98f;--warn:#3a2219;--warn-ink:#ffbb9e;--off:#4a5158;--c0:#6db3f2;--c1:#ff9a57;--c2:#43cc9f;--c3:#e597cf;--c4:#e0bf4d;--c5:#9bd6fb;--c6:#b9a7ec;--c7:#c3c9cf}}
*{box-sizing:border-box}
body{margin:0;background:var(--bg);color:var(--ink);font:16px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",sans-serif}
main,header,footer{max-width:1180px;margin:0 auto;padding:0 20px}
header{padding-top:36px}
header .over{color:var(--soft);font-size:.82rem;letter-spacing:.08em;text-transform:uppercase;margin:0}
h1{font-size:clamp(1.5rem,4vw,2.2rem);line-height:1.2;margin:.15em 0 .3em;overflow-wrap:anywhere}
h2{font-size:1.25rem;margin:2.4em 0 .7em;padding-bottom:.3em;border-bottom:1px solid var(--line)}
h3{font-size:1rem;margin:1.4em 0 .5em}
p{margin:.4em 0}.soft,figcaption,caption{color:var(--soft);font-size:.88rem}
nav{display:flex;flex-wrap:wrap;gap:4px 18px;margin:14px 0 0;font-size:.92rem}
a{color:var(--c0);text-underline-offset:3px}
:focus-visible{outline:2px solid var(--c0);outline-offset:2px}
.runs{list-style:none;margin:.6em 0 0;padding:0}.runs li{display:flex;gap:8px;align-items:baseline;margin:.2em 0;overflow-wrap:anywhere}
.cards{display:grid;grid-template-columns:repeat(auto-fill,minmax(165px,1fr));gap:12px;margin:1.2em 0 0;padding:0}
.cards>div{background:var(--card);border:1px solid var(--line);border-radius:10px;padding:12px 14px}
.cards dt{color:var(--soft);font-size:.84rem}.cards dd{margin:0;font-size:1.4rem;font-weight:600;font-variant-numeric:tabular-nums}
.cards dd small{display:block;font-size:.8rem;font-weight:400;color:var(--soft)}
.charts{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,350px),1fr));gap:16px}
.panel{background:var(--card);border:1px solid var(--line);border-radius:10px;padding:12px 14px 8px;margin:0;min-width:0}
.panel figcaption{color:var(--ink);font-weight:600;font-size:.95rem;margin-bottom:4px;overflow-wrap:anywhere}
.panel figcaption span{font-weight:400;color:var(--soft)}
svg{display:block;width:100%;height:auto}
svg text{font:12px system-ui,sans-serif;fill:var(--soft);font-variant-numeric:tabular-nums}
svg .e{text-anchor:end}svg .a{text-anchor:middle}svg .n{font-size:11px;font-style:italic}
svg .g{stroke:var(--grid);stroke-width:1}svg .x{stroke:var(--soft);stroke-width:1}
svg .t,svg .v{fill:none;stroke-linejoin:round;stroke-linecap:round}svg .v{stroke-width:2.2}svg .t{stroke-width:1.3}
.many svg .t{stroke-dasharray:4 3.5}svg .off{fill:var(--off)}svg .m{stroke:var(--card);stroke-width:1}
svg .t.c0,svg .v.c0{stroke:var(--c0)}svg .t.c1,svg .v.c1{stroke:var(--c1)}svg .t.c2,svg .v.c2{stroke:var(--c2)}svg .t.c3,svg .v.c3{stroke:var(--c3)}
svg .t.c4,svg .v.c4{stroke:var(--c4)}svg .t.c5,svg .v.c5{stroke:var(--c5)}svg .t.c6,svg .v.c6{stroke:var(--c6)}svg .t.c7,svg .v.c7{stroke:var(--c7)}
svg .m.c0,svg .b.c0{fill:var(--c0)}svg .m.c1,svg .b.c1{fill:var(--c1)}svg .m.c2,svg .b.c2{fill:var(--c2)}svg .m.c3,svg .b.c3{fill:var(--c3)}
svg .m.c4,svg .b.c4{fill:var(--c4)}svg .m.c5,svg .b.c5{fill:var(--c5)}svg .m.c6,svg .b.c6{fill:var(--c6)}svg .m.c7,svg .b.c7{fill:var(--c7)}
.sign{display:inline-block;width:28px;height:14px;flex:none}
.legend{display:flex;flex-wrap:wrap;gap:6px 20px;margin:0 0 12px;padding:0;list-style:none;font-size:.92rem}
.legend li{display:flex;align-items:center;gap:8px;overflow-wrap:anywhere}
.scroll{overflow-x:auto;background:var(--card);border:1px solid var(--line);border-radius:10px;margin:.6em 0}
table{border-collapse:collapse;width:100%;font-size:.92rem}
caption{text-align:left;padding:10px 14px 4px}
th,td{padding:6px 14px;text-align:left;vertical-align:top;border-top:1px solid var(--grid)}
thead th{border-top:0;color:var(--soft);font-weight:600;white-space:nowrap}
tbody th{font-weight:400}
td.num,th.num{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}
td small{color:var(--soft)}td.best{font-weight:700}
code,.code td,.code tbody th{font-family:ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;font-size:.86rem;overflow-wrap:anywhere}
.code tbody th{white-space:nowrap}
tr.diff td,tr.diff th{background:var(--hi);color:var(--hi-ink)}
details{margin:.8em 0}summary{cursor:pointer;color:var(--c0)}
.pictures{display:grid;gap:16px;align-items:start}
.two{grid-template-columns:repeat(auto-fit,minmax(min(100%,430px),1fr))}
.strip{display:flex;gap:12px;overflow-x:auto;padding-bottom:6px}.strip figure{flex:none;margin:0}
.strip img{width:176px;height:176px;object-fit:none;object-position:0 0;border-radius:6px}
figure{margin:0}figure>img{display:block;max-width:100%;height:auto;border-radius:6px}
.remarks{background:var(--warn);color:var(--warn-ink);border-radius:10px;padding:10px 16px;margin:1em 0}
.remarks ul{margin:.3em 0;padding-left:1.2em}.remarks li{overflow-wrap:anywhere}
footer{color:var(--soft);font-size:.85rem;padding-top:40px;padding-bottom:40px}
@media (max-width:560px){main,header,footer{padding-left:14px;padding-right:14px}th,td{padding:6px 10px}.code tbody th{white-space:normal}}
@media print{nav{display:none}.panel,.scroll{break-inside:avoid}}
)css";
}

}  // namespace elbo::detail
