package picture

import (
	"bufio"
	"bytes"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/gotrace/gotrace/runtime/output"
	"github.com/gotrace/gotrace/runtime/value"
)

// script zooms into boxes of flame graphs and searches them. style has the colours.
var (
	//go:embed picture.js
	script string
	//go:embed picture.css
	style string
	//go:embed page.css
	pageStyle string
)

// ErrNothing is the error if there is nothing to draw.
var ErrNothing = errors.New("no map has an entry that can be drawn")

// help explains how to use a flame graph.
const help = "click a box to zoom in, the lowest one to zoom out; / or Ctrl-F to search; Tab, arrows and Enter to move"

// WriteSVG writes a picture of all maps.
func WriteSVG(w io.Writer, r Results) error {
	var all []panel
	height := 30
	flames := false
	for _, m := range r.Maps {
		for _, p := range r.panels(m) {
			all = append(all, p)
			height += p.height + row + margin
			flames = flames || p.class == "flame"
		}
	}
	if len(all) == 0 {
		return ErrNothing
	}
	if flames {
		height += row
	}
	b := bufio.NewWriter(w)
	fmt.Fprintf(b, `<?xml version="1.0" encoding="UTF-8"?>
<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %d %d" font-family="monospace" font-size="11">
<style>%s</style>
<rect class="bg" width="100%%" height="100%%"/>
<text x="%d" y="20" font-size="14">%s</text>
`, width, height, width, height, style, margin, escape(r.Title()))
	y := 30
	if flames {
		fmt.Fprintf(b, `<text id="info" class="d" x="%d" y="%d">%s</text>`+"\n", margin, y+8, help)
		y += row
	}
	for _, p := range all {
		fmt.Fprintf(b, `<text x="%d" y="%d" font-weight="bold">%s</text>`+"\n", margin, y+12, escape(shorten(p.title, 170)))
		y += row
		p.write(b, fmt.Sprintf(`y="%d" width="%d" height="%d" `, y, width, p.height))
		y += p.height + margin
	}
	if flames {
		fmt.Fprintf(b, "<script><![CDATA[\n%s]]></script>\n", script)
	}
	io.WriteString(b, "</svg>\n")
	return b.Flush()
}

// write writes the svg element of a panel.
func (p *panel) write(w io.Writer, attributes string) {
	focus := ""
	if p.class == "flame" {
		focus = ` tabindex="0"`
	}
	fmt.Fprintf(w, `<svg %sviewBox="0 0 %d %d" class="%s"%s>`+"\n", attributes, width, p.height, p.class, focus)
	p.draw(w)
	io.WriteString(w, "</svg>\n")
}

// maxTable is the greatest number of entries in the table of a map.
const maxTable = 1000

// WriteHTML writes a page with all maps, as drawings and as tables, and the end of what the
// script printed.
func WriteHTML(w io.Writer, r Results) error {
	b := bufio.NewWriter(w)
	fmt.Fprintf(b, `<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'">
<title>%s</title>
<style>%s%s</style>
</head>
<body>
<header><h1>%s</h1><label>Search <input id="find" type="search"></label> <span id="info" class="d" aria-live="polite"></span></header>
<p class="d noprint">In flame graphs: %s.</p>
`, escape(r.Title()), style, pageStyle, escape(r.Title()), help)
	shown := 0
	for _, m := range r.Maps {
		panels := r.panels(m)
		if len(m.Entries) == 0 && len(panels) == 0 {
			continue
		}
		shown++
		fmt.Fprintf(b, "<section>\n<h2>%s</h2>\n", escape(m.Name))
		for _, p := range panels {
			if p.title != m.Name {
				fmt.Fprintf(b, "<h3>%s</h3>\n", escape(p.title))
			}
			p.write(b, "")
		}
		switch {
		case len(m.Entries) == 0:
		case len(panels) == 0:
			writeTable(b, m, " open")
		case panels[0].class == "flame":
			writeTable(b, m, ` class="stacks"`) // closed on paper too
		default:
			writeTable(b, m, "")
		}
		io.WriteString(b, "</section>\n")
	}
	if r.Events != nil {
		if lines, more := r.Events.lines(); len(lines) > 0 {
			shown++
			title := "Output"
			if more {
				title = fmt.Sprintf("Output (the last %d lines)", len(lines))
			}
			fmt.Fprintf(b, "<section>\n<h2>%s</h2>\n<pre>", title)
			for _, l := range lines {
				io.WriteString(b, escape(strings.ReplaceAll(l, "\t", "    "))+"\n")
			}
			io.WriteString(b, "</pre>\n</section>\n")
		}
	}
	if shown == 0 {
		io.WriteString(b, "<p>The script counted and printed nothing.</p>\n")
	}
	fmt.Fprintf(b, "<script>\n%s</script>\n</body>\n</html>\n", script)
	return b.Flush()
}

// writeTable writes the entries of a map, those with the greatest values first. The
// attributes are those of the element around the table.
func writeTable(w io.Writer, m output.Map, attributes string) {
	fmt.Fprintf(w, "<details%s><summary>Table</summary>\n<table>\n", attributes)
	for _, e := range last(m.Entries, maxTable) {
		io.WriteString(w, "<tr>")
		if e.Key != nil {
			fmt.Fprintf(w, "<td>%s</td>", lines(value.Text(e.Key, "")))
		}
		fmt.Fprintf(w, "<td>%s</td></tr>\n", lines(text(e.Value)))
	}
	io.WriteString(w, "</table>\n")
	if n := len(m.Entries) - maxTable; n > 0 {
		fmt.Fprintf(w, "<p>%d more entries</p>\n", n)
	}
	io.WriteString(w, "</details>\n")
}

// text returns the text of a value in a table.
func text(v value.Value) string {
	h, ok := v.(value.Hist)
	if !ok {
		return value.Text(v, "")
	}
	var b bytes.Buffer
	for _, k := range h.Buckets {
		fmt.Fprintf(&b, "%s %d\n", k.Label, k.Count)
	}
	return b.String()
}

// lines escapes a text of several lines for HTML.
func lines(s string) string {
	list := strings.Split(strings.Trim(s, "\n"), "\n")
	for i, l := range list {
		list[i] = escape(strings.ReplaceAll(l, "\t", "    "))
	}
	return strings.Join(list, "<br>")
}
