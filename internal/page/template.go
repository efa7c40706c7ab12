package page

// pageHTML is the status page: it needs no script, and works without its style. STYLE stands for style, which the
// Content-Security-Policy knows by its hash.
const pageHTML = `<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="robots" content="noindex">
<title>Allowlist</title>
<link rel="icon" href="data:,">
<style>STYLE</style>
</head>
<body>
<header>
<h1>Allowlist</h1>
{{with .Viewer}}<p class="you {{if .Admitted}}in{{else}}out{{end}}">
{{- if .IP}}You come from <b class="ip">{{.IP}}</b>, which {{if .Admitted}}<strong>is let in</strong>.{{else}}<strong>isn’t on the list</strong>.{{end}}{{end}}
{{- with .Hint}} {{.}}{{end}}</p>{{end}}
{{with .Notice}}<p class="notice" role="status">{{.}} A device that still has its certificate comes back with its next proof: take it out by <code>identities</code>.</p>{{end}}
{{if .Searches}}<form class="search" role="search" action="{{.Path}}"><label>Address or identity <input type="search" name="find" value="{{.Find}}"></label> <button>Search</button>{{if .Find}} <a href="{{.Path}}">Show all</a>{{end}}</form>{{end}}
</header>
<main>
{{range .Stores}}{{$store := .Value}}
<section aria-label="Store {{.Name}}">
<div class="head">
<h2><bdi>{{.Name}}</bdi></h2>
{{if .Learns}}<p class="full">{{.IPs}} of {{.MaxIPs}} addresses
<svg class="bar" role="img" aria-label="{{.Full}} percent full" viewBox="0 0 100 6" preserveAspectRatio="none"><rect class="track" width="100" height="6"/><rect class="level" width="{{.Full}}" height="6"/></svg></p>{{end}}
</div>
{{range .Problems}}<p class="problem" role="alert"><strong>Problem:</strong> {{.}}</p>{{end}}
{{with .Range}}<p class="range">{{.}}</p>
{{end}}{{if .Grants}}
<ul class="grants">
{{range .Grants}}<li class="grant{{if .Yours}} yours{{end}}">
<h3><span class="ip">{{.IP}}</span>{{if .Yours}} <span class="tag">you</span>{{end}}</h3>
<p class="who"><bdi>{{.Identity}}</bdi>{{with .Others}}<br><small><bdi>{{.}}</bdi></small>{{end}}</p>
<p class="left"><svg class="bar" aria-hidden="true" viewBox="0 0 100 6" preserveAspectRatio="none"><rect class="track" width="100" height="6"/><rect class="level" width="{{.Left}}" height="6"/></svg>
{{template "time" .Expires}}</p>
<dl>
<div><dt>Last proof</dt><dd>{{template "time" .Proved}}</dd></div>
<div><dt>First proof</dt><dd>{{template "time" .Learned}}</dd></div>
{{with .Short}}<div><dt>Fingerprint</dt><dd><code>{{.}}…</code></dd></div>{{end}}
{{with .Serial}}<div><dt>Serial</dt><dd><code>{{.}}</code></dd></div>{{end}}
</dl>
<form method="post">
<input type="hidden" name="store" value="{{$store}}"><input type="hidden" name="ip" value="{{.Prefix}}"><input type="hidden" name="identity" value="{{.Name}}">
<button aria-label="Revoke {{.Identity}} at {{.IP}}">Revoke</button>
</form>
</li>
{{end}}</ul>
<details>
<summary>Revoke an address or an identity everywhere in <bdi>{{.Name}}</bdi></summary>
<div class="choices">
<ul>{{range .IPList}}<li><span class="ip">{{.Text}}</span> <small>{{.Count}}</small>
<form method="post"><input type="hidden" name="store" value="{{$store}}"><input type="hidden" name="ip" value="{{.Value}}"><button aria-label="Revoke all of {{.Text}}">Revoke all</button></form></li>
{{end}}</ul>
<ul>{{range .Who}}<li><bdi>{{.Text}}</bdi> <small>{{.Count}}</small>
<form method="post"><input type="hidden" name="store" value="{{$store}}"><input type="hidden" name="identity" value="{{.Value}}"><button aria-label="Revoke all of {{.Text}}">Revoke all</button></form></li>
{{end}}</ul>
</div>
</details>
{{else if .Total}}
{{else if .Learns}}
<p class="empty"><strong>Nobody is on this list.</strong> Open a service behind its learner with a client certificate: the address you come from stands here with that request.</p>
{{else}}
<p class="empty"><strong>Nobody learns for this list.</strong> Put a middleware with <code>mode: learn</code> and <code>store: <bdi>{{.Name}}</bdi></code> on the router that asks for certificates.</p>
{{end}}
<details open>
<summary>Last events</summary>
{{if .Events}}<ol class="events">{{range .Events}}<li><b class="what">{{.What}}</b> {{with .IP}}<span class="ip">{{.}}</span>{{end}} {{with .Who}}<bdi>{{.}}</bdi>{{end}} {{with .Why}}<span class="why">{{.}}</span>{{end}} {{template "time" .At}}</li>
{{end}}</ol>{{else}}<p class="empty">None since Traefik was started.</p>{{end}}
</details>
{{with .Replicated}}<p class="kept">{{.}}</p>
{{end}}<p class="kept">{{if .Kept}}Kept across restarts in <code>{{.Kept}}</code>.{{else if .IsReplicated}}Kept across restarts by Redis and the other replicas.{{else}}Kept in memory: a restart of Traefik empties it. <code>stateFile</code> keeps it.{{end}}</p>
</section>
{{end}}
{{if or .Newer .Older}}<nav>{{with .Newer}}<a href="{{.}}" rel="prev">Proved later</a>{{end}} {{with .Older}}<a href="{{.}}" rel="next">Proved earlier</a>{{end}}</nav>{{end}}
</main>
<footer>
<p>An address is shared by everybody behind it: this is a second lock, not a login.</p>
<p><a href="{{.Path}}">Look again</a> <a href="{{.Path}}grants">JSON</a> <a href="{{.Path}}metrics">Metrics</a> <time datetime="{{.Checked.RFC}}">{{.Checked.Exact}}</time></p>
</footer>
</body>
</html>
{{define "time"}}<time datetime="{{.RFC}}" title="{{.Exact}}">{{.Text}}</time>{{end}}
`

const style = `
:root { color-scheme: light dark; --paper: #f6f7f4; --card: #fff; --ink: #1c231f; --soft: #59635d; --line: #dfe3dd; --good: #1d7a4c; --track: #e4e9e3; --warn: #a33a12; --warnpaper: #fdeee6; }
@media (prefers-color-scheme: dark) { :root { --paper: #121614; --card: #1b211e; --ink: #e7ece8; --soft: #9ca8a1; --line: #2e3733; --good: #56c48c; --track: #2a332e; --warn: #ff9e75; --warnpaper: #36211a; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 70rem; padding: 1rem; background: var(--paper); color: var(--ink); font: 16px/1.45 system-ui, sans-serif; overflow-wrap: anywhere; }
h1 { font-size: 1.6rem; margin: .5rem 0; letter-spacing: -.01em; }
h2 { font-size: 1.2rem; margin: 0; }
h3 { font-size: 1.05rem; margin: 0; display: flex; gap: .5rem; align-items: baseline; }
p { margin: .4rem 0; }
ul, ol { list-style: none; margin: 0; padding: 0; }
code, .ip { font-family: ui-monospace, "DejaVu Sans Mono", monospace; font-size: .95em; }
small, .kept, footer, dt, .why { color: var(--soft); }
a { color: inherit; }
.you { padding-left: .8rem; border-left: 4px solid var(--good); }
.you.out { border-color: var(--soft); }
.notice { padding: .6rem .8rem; background: var(--card); border: 1px solid var(--line); border-radius: .6rem; }
.problem { padding: .6rem .8rem; background: var(--warnpaper); color: var(--warn); border-radius: .6rem; }
section { margin: 2rem 0; }
.head { display: flex; flex-wrap: wrap; gap: .2rem 1.5rem; align-items: center; justify-content: space-between; margin-bottom: .8rem; }
.full { flex: 0 1 16rem; margin: 0; color: var(--soft); font-size: .9rem; }
.bar { display: block; width: 100%; height: 6px; border-radius: 3px; margin: .3rem 0; }
.track { fill: var(--track); }
.level { fill: var(--good); }
.grants { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(19rem, 100%), 1fr)); gap: .9rem; }
.grant { display: flex; flex-direction: column; background: var(--card); border: 1px solid var(--line); border-radius: .8rem; padding: 1rem; }
.grant.yours { border-color: var(--good); }
.grant form { margin-top: auto; }
.tag { font-size: .75rem; font-weight: 600; color: var(--card); background: var(--good); border-radius: 1rem; padding: 0 .5rem; }
.who { margin: .2rem 0 .6rem; }
.left { font-size: .9rem; margin: 0; }
dl { margin: .6rem 0 .8rem; font-size: .9rem; }
dl div { display: flex; justify-content: space-between; align-items: baseline; gap: 1rem; }
dt { flex: none; }
dd { margin: 0; text-align: right; }
dd code { font-size: .85em; }
time[title] { text-decoration: underline dotted; text-decoration-color: var(--line); text-underline-offset: .2em; }
button { font: inherit; min-height: 2.75rem; padding: .3rem 1rem; color: var(--warn); background: none; border: 1px solid var(--line); border-radius: .6rem; cursor: pointer; }
button:hover { background: var(--warnpaper); border-color: var(--warn); }
.grant button { width: 100%; }
:focus-visible { outline: 3px solid var(--good); outline-offset: 2px; border-radius: .3rem; }
details { margin: .8rem 0; }
summary { min-height: 2.75rem; padding: .6rem 0; cursor: pointer; color: var(--soft); }
.choices { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(22rem, 100%), 1fr)); gap: 0 2rem; }
.choices li { display: flex; gap: .6rem; align-items: center; padding: .3rem 0; border-top: 1px solid var(--line); }
.choices form { margin-left: auto; flex: none; }
nav a { display: inline-block; min-height: 2.75rem; padding: .6rem 1rem .6rem 0; }
.search { display: flex; flex-wrap: wrap; gap: .5rem; align-items: center; }
.search input { font: inherit; min-height: 2.75rem; max-width: 100%; padding: .3rem .6rem; color: inherit; background: var(--card); border: 1px solid var(--line); border-radius: .6rem; }
.search button { color: inherit; }
.range { color: var(--soft); font-size: .9rem; }
.empty { padding: 1rem; background: var(--card); border: 1px dashed var(--line); border-radius: .8rem; }
.events li { padding: .35rem 0; border-top: 1px solid var(--line); font-size: .9rem; }
.events time { float: right; color: var(--soft); }
.what { font-weight: 600; }
.kept { font-size: .85rem; }
footer { border-top: 1px solid var(--line); padding-top: .6rem; font-size: .85rem; }
footer a { margin-right: 1rem; }
@media (prefers-reduced-motion: no-preference) { button { transition: background .15s; } }
`
