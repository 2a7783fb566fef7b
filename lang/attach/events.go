package attach

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/gotrace/gotrace/lang/ast"
	"github.com/gotrace/gotrace/lang/source"
	"github.com/gotrace/gotrace/probes"
	"github.com/gotrace/gotrace/runtime/wildcard"
)

// chooser replaces probes of events by probes at the places where the events happen on
// this kernel.
type chooser struct {
	env    *probes.Env
	params []string
	diags  *source.Diags
	events []*ast.Event
	places map[*ast.Event][]int        // numbers of the places of an event on this kernel
	keeps  map[string]*ast.AttachPoint // by the name of a map: the probe of the event that keeps its state there
	uses   map[string]int              // number of uses of an event, or of a map of a provider
	decls  []*ast.MapDecl              // the declarations of maps
	copies []ast.Decl                  // the declarations of copies of maps, and of events with such maps
}

// Events returns p with each probe of an event replaced by one for each place where the
// event happens on this kernel. Package macro expands the blocks of these probes.
// params are the positional parameters.
func Events(p *ast.Program, env *probes.Env, params []string, diags *source.Diags) *ast.Program {
	c := &chooser{env: env, params: params, diags: diags, places: map[*ast.Event][]int{}, keeps: map[string]*ast.AttachPoint{}, uses: map[string]int{}}
	for _, d := range p.Decls {
		switch d := d.(type) {
		case *ast.Event:
			if c.valid(d) {
				c.events = append(c.events, d)
			}
		case *ast.MapDecl:
			c.decls = append(c.decls, d)
		}
	}
	if len(c.events) == 0 {
		return p
	}
	flat := map[*ast.Event]*ast.Event{}
	for i, e := range c.events {
		flat[e] = c.flat(e, nil)
		c.events[i] = flat[e]
	}
	out := *p
	out.Decls = nil
	for _, d := range p.Decls {
		switch e := d.(type) {
		case *ast.Probe:
			out.Decls = append(out.Decls, c.probe(e)...)
			continue
		case *ast.Event:
			if flat[e] != nil {
				d = flat[e]
			}
		}
		out.Decls = append(out.Decls, d)
	}
	out.Decls = append(c.copies, out.Decls...)
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

// flat returns an event in which each place that is another event is replaced by the
// places of that event. within are the events that are derived from e.
func (c *chooser) flat(e *ast.Event, within []*ast.Event) *ast.Event {
	of := func(ap *ast.AttachPoint) int {
		return slices.IndexFunc(c.events, func(e *ast.Event) bool { return e.Name.Text == strings.Join(ap.Parts, ":") })
	}
	if !slices.ContainsFunc(e.Places, func(p *ast.Place) bool {
		return slices.ContainsFunc(p.Points, func(ap *ast.AttachPoint) bool { return of(ap) >= 0 })
	}) {
		return e
	}
	out := *e
	out.Places = nil
	for _, p := range e.Places {
		rest := *p
		rest.Points = nil
		for _, ap := range p.Points {
			i := of(ap)
			switch {
			case i < 0:
				rest.Points = append(rest.Points, ap)
			case slices.Contains(within, c.events[i]) || c.events[i] == e:
				c.diags.Errorf(ap.Span(), "The event %s is made of itself", ap.Text)
			default:
				inner := c.flat(c.events[i], append(within, e))
				for _, q := range inner.Places {
					out.Places = append(out.Places, special(p, inner, q))
				}
			}
		}
		if len(rest.Points) > 0 {
			out.Places = append(out.Places, &rest)
		}
	}
	return &out
}

// special returns the place p, which is the event e, for the place q of e.
func special(p *ast.Place, e *ast.Event, q *ast.Place) *ast.Place {
	out := *q
	out.At, out.Pred = p.At, p.Pred
	out.Before = slices.Clone(q.Before)
	if q.Pred != nil {
		out.Before = append(out.Before, q.Pred)
	}
	out.Args = nil
	named := map[string]bool{}
	for _, a := range q.Saved {
		named[a.Name.Text] = true
	}
	for _, list := range [][]*ast.EventArg{p.Args, q.Args, e.Args} {
		var more []*ast.EventArg
		for _, a := range list {
			if !named[a.Name.Text] && a.Value != nil {
				more = append(more, a)
			}
		}
		for _, a := range more {
			named[a.Name.Text] = true
		}
		out.Args = append(more, out.Args...)
	}
	return &out
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
			c.alone(e, ap)
			own, number := c.own(e)
			for _, n := range c.places[e] {
				p := probeAt(d, ap, own, n)
				p.Of.Number = number
				out = append(out, p)
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

// mapsOf returns the names of the maps in which an event keeps its state.
func mapsOf(e *ast.Event) map[string]bool {
	names := map[string]bool{}
	ast.Walk(e, func(n ast.Node) {
		if m, ok := n.(*ast.Map); ok {
			names[m.Name] = true
		}
	})
	return names
}

// own returns an event for one of its uses, and the number of the use. Each use after the
// first has copies of the maps of providers, so that it has its own state.
func (c *chooser) own(e *ast.Event) (*ast.Event, int) {
	number := c.uses[e.Name.Text]
	c.uses[e.Name.Text]++
	copies := map[string]string{} // the names of copies of maps
	for name := range mapsOf(e) {
		if n := c.uses[name]; ast.OfProvider(name) {
			if n > 0 {
				copies[name] = fmt.Sprint(name, ":", n)
			}
			c.uses[name]++
		}
	}
	if number == 0 && len(copies) == 0 {
		return e, 0
	}
	rename := func(node ast.Node) {
		if m, ok := node.(*ast.Map); ok && copies[m.Name] != "" {
			m.Name = copies[m.Name]
		}
	}
	for _, d := range c.decls {
		if copies[d.Map.Name] != "" {
			d = ast.Clone(d)
			ast.Walk(d, rename)
			c.copies = append(c.copies, d)
		}
	}
	e = ast.Clone(e)
	ast.Walk(e, rename)
	c.copies = append(c.copies, e)
	return e, number
}

// alone reports two probes of events of the script that keep their state in the same map:
// each would change the state that the other one needs.
func (c *chooser) alone(e *ast.Event, ap *ast.AttachPoint) {
	mine := mapsOf(e)
	maps.DeleteFunc(mine, func(name string, _ bool) bool { return ast.OfProvider(name) })
	for name := range mine {
		if old := c.keeps[name]; old != nil {
			c.diags.Add(source.Diag{Span: ap.Span(), Msg: e.Name.Text + " can be used once in a script, because it keeps state",
				Hint:  "put the code for it into one block, with if",
				Notes: [2]source.Note{{Span: old.Span(), Msg: "it is used here"}}})
			break
		}
	}
	for name := range mine {
		c.keeps[name] = ap
	}
}

// match returns the events that an attach point names.
func (c *chooser) match(ap *ast.AttachPoint, parts []string) []*ast.Event {
	pattern := strings.Join(parts, ":")
	wild := strings.Contains(pattern, "*")
	var list []*ast.Event
	var names, left []string
	for _, e := range c.events {
		names = append(names, e.Name.Text)
		if !wildcard.Match(pattern, e.Name.Text) {
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
		if !wild && len(e.Places) > 0 { // otherwise it is made of itself, which is reported
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
	last := false // the previous place, or one that it replaces, exists
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
// the attach point that names the event.
func probeAt(d *ast.Probe, ap *ast.AttachPoint, e *ast.Event, n int) *ast.Probe {
	out := *d
	out.Points = nil
	place := e.Places[n]
	for _, p := range place.Points {
		at := *p
		at.Pos, at.Alias, at.EveryTask = ap.Pos, e.Name.Text, place.EveryTask()
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
