package attach

import (
	"slices"
	"strings"

	"github.com/gotrace/gotrace/lang/ast"
	"github.com/gotrace/gotrace/lang/source"
	"github.com/gotrace/gotrace/probes"
)

// chooser replaces the probes of events by probes at the places where the events happen
// on this kernel.
type chooser struct {
	env    *probes.Env
	params []string
	diags  *source.Diags
	events []*ast.Event
	places map[*ast.Event][]int // numbers of the places of an event on this kernel
}

// Events returns p with each probe of an event replaced by one for each place where the
// event happens on this kernel. Package macro expands the blocks of these probes.
// params are the positional parameters.
func Events(p *ast.Program, env *probes.Env, params []string, diags *source.Diags) *ast.Program {
	c := &chooser{env: env, params: params, diags: diags, places: map[*ast.Event][]int{}}
	for _, d := range p.Decls {
		if e, ok := d.(*ast.Event); ok && c.valid(e) {
			c.events = append(c.events, e)
		}
	}
	if len(c.events) == 0 {
		return p
	}
	out := *p
	out.Decls = nil
	for _, d := range p.Decls {
		if d, ok := d.(*ast.Probe); ok {
			out.Decls = append(out.Decls, c.probe(d)...)
			continue
		}
		out.Decls = append(out.Decls, d)
	}
	return &out
}

// valid reports an event whose name is taken.
func (c *chooser) valid(e *ast.Event) bool {
	provider, _, _ := strings.Cut(e.Name.Text, ":")
	if k := probes.Lookup(provider); k != nil {
		c.diags.Errorf(e.Name.Span(), "%s is a kind of probe, so it cannot have events: write %s", provider, k.Syntax)
		return false
	}
	for _, old := range c.events {
		if old.Name.Text == e.Name.Text {
			c.diags.Add(source.Diag{Span: e.Name.Span(), Msg: "There are two events with the name " + e.Name.Text,
				Notes: [2]source.Note{{Span: old.Name.Span(), Msg: "this is the other one"}}})
			return false
		}
	}
	return true
}

// probe returns the probes that replace d.
func (c *chooser) probe(d *ast.Probe) []ast.Decl {
	var rest []*ast.AttachPoint
	var out []ast.Decl
	for _, ap := range d.Points {
		parts := substitute(ap.Parts, c.params)
		if !slices.ContainsFunc(c.events, func(e *ast.Event) bool { return strings.HasPrefix(e.Name.Text, parts[0]+":") }) {
			rest = append(rest, ap)
			continue
		}
		for _, e := range c.match(ap, parts) {
			for _, n := range c.places[e] {
				out = append(out, probeAt(d, ap, e, n))
			}
		}
	}
	if len(rest) > 0 {
		other := *d
		other.Points = rest
		out = append([]ast.Decl{&other}, out...)
	}
	return out
}

// match returns the events that an attach point names.
func (c *chooser) match(ap *ast.AttachPoint, parts []string) []*ast.Event {
	pattern := strings.Join(parts, ":")
	wild := strings.Contains(pattern, "*")
	var list []*ast.Event
	var names, left []string
	for _, e := range c.events {
		names = append(names, e.Name.Text)
		if !probes.Match(pattern, e.Name.Text) {
			continue
		}
		if _, ok := c.places[e]; !ok {
			c.places[e] = c.here(e)
		}
		if len(c.places[e]) > 0 {
			list = append(list, e)
			continue
		}
		left = append(left, e.Name.Text)
		if !wild {
			c.diags.ErrorHint(ap.Span(), "it is made of "+strings.Join(placesOf(e), ", "), "This kernel has no attach point for %s", e.Name.Text)
		}
	}
	switch {
	case wild && len(left) > 0:
		c.diags.Warnf(ap.Span(), "%s left out: this kernel has no attach points for them", strings.Join(left, ", "))
	case len(list) == 0 && len(left) == 0:
		hint := source.DidYouMean(pattern, names)
		c.diags.ErrorHint(ap.Span(), hint, "There is no event %s", pattern)
	}
	return list
}

// here returns the numbers of the places where an event happens on this kernel.
func (c *chooser) here(e *ast.Event) []int {
	var list []int
	last := false // the place before, or one that it replaces, exists
	for n, p := range e.Places {
		if p.Else && last {
			continue
		}
		last = c.exists(p.Points) && (len(p.Entry) == 0 || c.exists(p.Entry))
		if last {
			list = append(list, n)
		}
	}
	return list
}

// exists reports whether the kernel has one of the attach points.
func (c *chooser) exists(points []*ast.AttachPoint) bool {
	return slices.ContainsFunc(points, c.has)
}

func (c *chooser) has(ap *ast.AttachPoint) bool {
	kind := probes.Lookup(ap.Parts[0])
	if kind == nil {
		c.diags.Errorf(ap.Span(), "Invalid probe type: %s", ap.Parts[0])
		return false
	}
	pt, err := kind.Parse(c.env, ap.Parts)
	if err != nil {
		c.diags.Errorf(ap.Span(), "%v", err)
		return false
	}
	found, err := kind.Expand(c.env, pt)
	return err == nil && len(found) > 0
}

// probeAt returns the probe for one place of an event. Its attach points get the span of
// the one that names the event.
func probeAt(d *ast.Probe, ap *ast.AttachPoint, e *ast.Event, n int) *ast.Probe {
	out := *d
	out.Points = nil
	place := e.Places[n]
	for _, p := range place.Points {
		at := *p
		at.Pos, at.Alias = ap.Pos, e.Name.Text
		out.Points = append(out.Points, &at)
	}
	out.Of = &ast.PlaceOf{Event: e, Place: place, Index: n, Probe: d}
	return &out
}

// placesOf lists the attach points of an event.
func placesOf(e *ast.Event) []string {
	var list []string
	for _, p := range e.Places {
		for _, ap := range p.Points {
			list = append(list, ap.Text)
		}
	}
	return list
}
