package check

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/gotrace/gotrace/lang/ast"
	"github.com/gotrace/gotrace/lang/source"
	"github.com/gotrace/gotrace/probes"
)

// attach resolves the attach points of all probes, in order.
func (c *checker) attach(p *ast.Program) []*unit {
	var units []*unit
	var alone *probes.Point // one that allows no other
	block, total := 0, 0
	for _, d := range p.Decls {
		d, ok := d.(*ast.Probe)
		if !ok {
			continue
		}
		points := c.probePoints(d)
		total += len(points)
		for _, pt := range points {
			if alone == nil && pt.Kind.Alone {
				alone = pt
			}
		}
		if total > c.cfg.MaxProbes {
			c.diags.ErrorHint(d.Span(), "raise it with the max_probes config variable, if the machine can bear it",
				"Can't attach to %d probes because it exceeds the current limit of %d probes.", total, c.cfg.MaxProbes)
			return nil
		}
		if len(points) == 0 && c.diags.HasErrors() {
			units = append(units, c.pointless(d, block))
		}
		units = append(units, c.group(d, block, points)...)
		block++
	}
	if alone != nil && total > 1 {
		c.diags.Errorf(alone.Span, "%s can't be mixed with other probes, not even with another %s", alone.Name, alone.Kind.Name)
	}
	if total == 0 && !c.diags.HasErrors() {
		c.diags.Add(source.Diag{Msg: "No probes to attach"})
	}
	return units
}

// probePoints resolves the attach points of one probe.
func (c *checker) probePoints(d *ast.Probe) []*probes.Point {
	var points []*probes.Point
	before := c.diags.HasErrors()
	missing := false
	for _, ap := range d.Points {
		found, ok := c.attachPoint(ap, len(d.Points) == 1)
		missing = missing || !ok
		points = append(points, found...)
	}
	switch {
	case len(points) > 0 || !before && c.diags.HasErrors():
	case c.cfg.MissingProbes == "warn":
		c.diags.Warnf(spanOf(d.Points), noPoints+" It is being removed which may cause issues with program behavior.")
	case !missing:
		c.missing(spanOf(d.Points), "", noPoints)
	}
	return c.filter(points)
}

const noPoints = "Probe has no valid attach points."

func spanOf(points []*ast.AttachPoint) source.Span {
	return points[0].Span().To(points[len(points)-1].Span())
}

// missing reports that there is nothing to attach to, with the severity that
// the setting missing_probes chooses.
func (c *checker) missing(span source.Span, hint, format string, args ...any) {
	switch c.cfg.MissingProbes {
	case "ignore":
	case "warn":
		c.diags.Add(source.Diag{Span: span, Severity: source.Warning, Msg: fmt.Sprintf(format, args...) + " Skipping.", Hint: hint})
	default:
		if hint == "" {
			hint = "if this is expected, set the missing_probes config variable to warn"
		}
		c.diags.ErrorHint(span, hint, format, args...)
	}
}

// attachPoint resolves an attach point to the points it matches. ok is false if
// it was reported as an error or warning. only tells that the block has no
// other attach point.
func (c *checker) attachPoint(ap *ast.AttachPoint, only bool) (points []*probes.Point, ok bool) {
	parts := c.substitute(ap.Parts)
	provider := parts[0]
	if strings.Contains(provider, "*") {
		return c.anyProvider(ap, parts)
	}
	kind := probes.Lookup(provider)
	if kind == nil {
		c.diags.ErrorHint(ap.Span(), didYouMean(strings.ToLower(provider), providerNames()), "Invalid probe type: %s", provider)
		return nil, false
	}
	pt, err := kind.Parse(c.env, parts)
	if err != nil {
		c.pointError(ap, nil, kind, err)
		return nil, false
	}
	pt.Span = ap.Span()
	points, err = kind.Expand(c.env, pt)
	if err != nil {
		c.pointError(ap, pt, kind, err)
		return nil, false
	}
	wild := hasWildcard(parts[1:])
	markMatched(points, wild)
	if !wild && kind.Doubt != nil && c.cfg.MissingProbes != "ignore" {
		if text := kind.Doubt(c.env, pt); text != "" && !c.doubts[text] {
			c.doubts[text] = true
			c.diags.Warnf(ap.Span(), "%s", text)
		}
	}
	if len(points) == 0 && !wild {
		msg := fmt.Sprintf("No matches for %s %s.", kind.Name, strings.Join(parts[1:], ":"))
		if pt.Implied && only && c.cfg.MissingProbes == "error" {
			msg = noPoints
		}
		c.missing(ap.Span(), c.suggest(pt, kind), "%s", msg)
		return nil, false
	}
	return points, true
}

// filter removes the points that the probe filter rejects.
func (c *checker) filter(points []*probes.Point) []*probes.Point {
	if c.env.Filter == nil {
		return points
	}
	return slices.DeleteFunc(points, func(pt *probes.Point) bool { return !pt.Kind.Outermost && !c.env.Filter(pt.Name) })
}

// pointError reports an attach point that is wrong or does not exist.
func (c *checker) pointError(ap *ast.AttachPoint, pt *probes.Point, kind *probes.Kind, err error) {
	if errors.Is(err, probes.ErrNotFound) {
		c.missing(ap.Span(), c.suggest(pt, kind), "%s", sentence(err))
		return
	}
	c.diags.Errorf(ap.Span(), "%s", sentence(err))
}

// sentence returns the text of an error for a diagnostic.
func sentence(err error) string { return err.Error() }

func (c *checker) suggest(pt *probes.Point, kind *probes.Kind) string {
	if kind.Suggest == nil || pt == nil {
		return ""
	}
	if near := kind.Suggest(c.env, pt); near != "" {
		return "did you mean '" + near + "'?"
	}
	return ""
}

// anyProvider expands an attach point with a wildcard in its provider. It tries
// every kind that matches, and skips those that the rest of the attach point
// makes no sense for.
func (c *checker) anyProvider(ap *ast.AttachPoint, parts []string) ([]*probes.Point, bool) {
	var points []*probes.Point
	for _, kind := range probes.Matching(parts[0]) {
		these := slices.Clone(parts)
		these[0] = kind.Name
		pt, err := kind.Parse(c.env, these)
		if err != nil {
			continue
		}
		pt.Span = ap.Span()
		found, err := kind.Expand(c.env, pt)
		if err != nil {
			continue
		}
		points = append(points, found...)
	}
	markMatched(points, true)
	return points, true
}

// markMatched notes in each point whether it is one of several that a pattern
// matches.
func markMatched(points []*probes.Point, wild bool) {
	for _, pt := range points {
		pt.Matched = wild && len(points) > 1
	}
}

func hasWildcard(parts []string) bool {
	return slices.ContainsFunc(parts, func(s string) bool { return strings.Contains(s, "*") })
}

func providerNames() []string {
	var names []string
	for _, k := range probes.Kinds() {
		names = append(names, k.Name)
	}
	return names
}

// substitute puts positional parameters into the parts of an attach point. A
// parameter that contains colons gives several parts.
func (c *checker) substitute(parts []string) []string {
	if !slices.ContainsFunc(parts, func(s string) bool { return strings.Contains(s, "$") }) {
		return parts
	}
	var out []string
	for _, part := range parts {
		text, changed := c.substituteText(part)
		if changed {
			out = append(out, strings.Split(text, ":")...)
			continue
		}
		out = append(out, part)
	}
	return out
}

func (c *checker) substituteText(s string) (string, bool) {
	var b strings.Builder
	changed := false
	for i := 0; i < len(s); i++ {
		if s[i] != '$' || i+1 == len(s) {
			b.WriteByte(s[i])
			continue
		}
		if s[i+1] == '#' {
			fmt.Fprint(&b, len(c.sess.Params))
			i, changed = i+1, true
			continue
		}
		n, j := 0, i+1
		for j < len(s) && s[j] >= '0' && s[j] <= '9' && n < 1e6 {
			n = n*10 + int(s[j]-'0')
			j++
		}
		if n == 0 {
			b.WriteByte(s[i])
			continue
		}
		if n <= len(c.sess.Params) {
			b.WriteString(c.sess.Params[n-1])
		}
		i, changed = j-1, true
	}
	return b.String(), changed
}

// group makes units of the points of a block. Points share a unit if their
// contexts are the same to a program that reads no arguments.
func (c *checker) group(d *ast.Probe, block int, points []*probes.Point) []*unit {
	var units []*unit
	byShape := map[string]*unit{}
	for _, pt := range points {
		ctx, err := probes.NewContext(c.env, pt)
		if err != nil && pt.Matched {
			c.diags.Warnf(pt.Span, "%s is left out: %s", pt.Name, sentence(err))
			continue
		} else if err != nil {
			c.diags.Errorf(pt.Span, "%s: %s", pt.Name, sentence(err))
			continue
		}
		if text := ctx.Unconfined; text != "" && !c.doubts[text] {
			c.doubts[text] = true
			c.diags.Warnf(pt.Span, "%s", text)
		}
		shape := ctx.BareShape
		if shape == "" {
			shape = ctx.Shape
		}
		key := pt.Kind.Name + "\x00" + shape
		if u := byShape[key]; u != nil && shape != "" {
			u.add(pt, ctx)
			continue
		}
		u := c.newUnit(d, block, pt, ctx)
		byShape[key] = u
		units = append(units, u)
	}
	return units
}

// pointless returns a unit for a block with wrong attach points. Only errors
// that do not depend on the attach point are reported in it.
func (c *checker) pointless(d *ast.Probe, block int) *unit {
	u := &unit{decl: d, block: block, prog: &Prog{Span: d.Span()}}
	c.fill(u)
	return u
}

// newUnit returns a block compiled for pt. Other points of the same kind can be
// added to it.
func (c *checker) newUnit(d *ast.Probe, block int, pt *probes.Point, ctx *probes.Context) *unit {
	u := &unit{decl: d, block: block}
	u.prog = &Prog{Name: c.progName(pt), Point: pt, Ctx: ctx, Span: d.Span()}
	u.add(pt, ctx)
	c.fill(u)
	return u
}

// fill gives u's program its own copy of the block.
func (c *checker) fill(u *unit) {
	u.prog.Pred, u.prog.Body = ast.Clone(u.decl.Pred), ast.Clone(u.decl.Body)
}

func (u *unit) add(pt *probes.Point, ctx *probes.Context) {
	u.prog.Points = append(u.prog.Points, pt)
	u.contexts = append(u.contexts, ctx)
	if len(u.prog.Points) > 1 {
		u.prog.Point = nil
	}
}

// split divides the units that turned out to need a program for each shape or
// each point. It reports whether there were any.
func (c *checker) split() bool {
	var units []*unit
	changed := false
	for _, u := range c.units {
		if len(u.prog.Points) < 2 || !u.named && !u.shaped {
			units = append(units, u)
			continue
		}
		byShape := map[string]*unit{}
		var parts []*unit
		for i, pt := range u.prog.Points {
			ctx := u.contexts[i]
			if v := byShape[ctx.Shape]; v != nil && ctx.Shape != "" && !u.named {
				v.add(pt, ctx)
				continue
			}
			v := c.newUnit(u.decl, u.block, pt, ctx)
			byShape[ctx.Shape] = v
			parts = append(parts, v)
		}
		if len(parts) == 1 { // all of one shape after all
			u.shaped = false
			units = append(units, u)
			continue
		}
		changed = true
		units = append(units, parts...)
	}
	c.units = units
	return changed
}

// progName returns a name for a program that the kernel accepts. The caller
// adds a number.
func (c *checker) progName(pt *probes.Point) string {
	var b strings.Builder
	b.WriteString(pt.Kind.Name)
	if pt.Func != "" {
		b.WriteByte('_')
		b.WriteString(pt.Func)
	}
	name := []byte(b.String())
	for i, ch := range name {
		if !(ch == '_' || ch >= '0' && ch <= '9' || ch >= 'a' && ch <= 'z' || ch >= 'A' && ch <= 'Z') {
			name[i] = '_'
		}
	}
	if len(name) > maxProgName {
		name = name[:maxProgName]
	}
	return string(name)
}

// maxProgName bounds the readable part of a program's name, in bytes.
const maxProgName = 64
