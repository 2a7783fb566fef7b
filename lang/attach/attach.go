// Package attach resolves the attach points of a script. It finds the points that each
// of them matches in the kernel and in the traced programs, and the data that a program
// can read there.
package attach

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/cilium/ebpf"

	"github.com/gotrace/gotrace/builtins"
	"github.com/gotrace/gotrace/lang/ast"
	"github.com/gotrace/gotrace/lang/config"
	"github.com/gotrace/gotrace/lang/source"
	"github.com/gotrace/gotrace/probes"
)

// Block is a probe of the script with the points that its attach points match.
type Block struct {
	Decl   *ast.Probe
	Points []Point
}

// Point is a point to attach to, and the data that a program can read there.
type Point struct {
	*probes.Point
	Ctx *probes.Context
}

// resolver holds the inputs and the state of Resolve.
type resolver struct {
	env    *probes.Env
	cfg    *config.Config
	params []string // positional parameters
	diags  *source.Diags
	doubts map[string]bool        // warnings that have been reported
	named  map[string]source.Span // points whose kind is Unique, by name
	lacks  string                 // why the patterns of the current block match nothing, or ""
}

// A script is crowded if a probe's attach points, and the declarations, are more than
// manyPoints.
const manyPoints = 16

// Resolve resolves the attach points of all probes of p, in order. params are the
// positional parameters, which attach points may contain. If apart is set, each point gets
// its own hook, because package runtime does not attach the programs, or because they
// read the kernel's stack. If a block has errors, points may be missing in it.
func Resolve(p *ast.Program, env *probes.Env, cfg *config.Config, params []string, apart bool, diags *source.Diags) []Block {
	r := &resolver{env: env, cfg: cfg, params: params, diags: diags, doubts: map[string]bool{}, named: map[string]source.Span{}}
	var decls []*ast.Probe
	var found [][]*probes.Point // of each of decls
	var alone *probes.Point     // a point that allows no others
	total, beside := 0, 0       // beside: points that may be beside alone
	links := 0
	for _, d := range p.Decls {
		d, ok := d.(*ast.Probe)
		if !ok {
			continue
		}
		env.Crowded = len(p.Decls)+len(d.Points) > manyPoints
		points := r.probe(d)
		total += len(points)
		links += countLinks(points)
		r.unique(points)
		for _, pt := range points {
			if alone == nil && pt.Kind.Alone {
				alone = pt
			}
			if pt.Kind.Runs == probes.AtBegin || pt.Kind.Runs == probes.AtEnd {
				beside++
			}
		}
		if links > cfg.MaxProbes {
			diags.ErrorHint(d.Span(), "if the machine can handle more probes, increase the max_probes config variable",
				"Can't attach to %d probes because it exceeds the current limit of %d probes.", links, cfg.MaxProbes)
			return nil
		}
		decls, found = append(decls, d), append(found, points)
	}
	if !apart {
		r.gather(found)
	}
	var blocks []Block
	left := 0
	for i, d := range decls {
		b := Block{d, r.contexts(found[i])}
		left += len(b.Points)
		blocks = append(blocks, b)
	}
	if alone != nil && total-beside > 1 {
		diags.Errorf(alone.Span, "%s cannot be mixed with other probes than begin and end, not even with another %s", alone.Name, alone.Kind.Name)
	}
	if left == 0 && !diags.HasErrors() {
		diags.Add(source.Diag{Msg: "No probes to attach"})
	}
	return blocks
}

// ReadsKernelStack reports whether a function, or a probe of a kind whose points may be
// attached together, reads the kernel's stack. It looks for the names of builtins, as the
// types of expressions are computed after the points are known.
func ReadsKernelStack(p *ast.Program, defs *builtins.Registry) bool {
	found := false
	for _, d := range p.Decls {
		if pr, ok := d.(*ast.Probe); ok && !slices.ContainsFunc(pr.Points, func(ap *ast.AttachPoint) bool {
			return slices.ContainsFunc(probes.Matching(ap.Parts[0]), func(k *probes.Kind) bool { return k.Gather != nil })
		}) {
			continue
		}
		ast.Inspect(d, func(n ast.Node) bool {
			name := ""
			switch n := n.(type) {
			case *ast.Ident:
				name = n.Name
			case *ast.Call:
				name = n.Fn.Text
			}
			if def := defs.Lookup(name); name != "" && def != nil && def.KernelStack {
				found = true
			}
			return !found
		})
	}
	return found
}

// countLinks returns how many of a block's points count for the limit of attach points.
// Points that are attached with one link, to functions of the kernel or of one file, count
// once.
func countLinks(points []*probes.Point) int {
	n := 0
	shared := map[string]bool{}
	for _, pt := range points {
		link := pt.Kind.Name + pt.File
		if !pt.Multi || !shared[link] {
			n++
		}
		shared[link] = shared[link] || pt.Multi
	}
	return n
}

// gather calls the kinds' functions that mark the points to be attached together.
func (r *resolver) gather(found [][]*probes.Point) {
	byKind := map[*probes.Kind][]*probes.Point{}
	for _, points := range found {
		for _, pt := range points {
			if pt.Kind.Gather != nil {
				byKind[pt.Kind] = append(byKind[pt.Kind], pt)
			}
		}
	}
	for kind, points := range byKind {
		kind.Gather(r.env, points)
	}
}

// unique reports points with the name of an earlier one if results are reported by that
// name.
func (r *resolver) unique(points []*probes.Point) {
	for _, pt := range points {
		if !pt.Kind.Unique {
			continue
		}
		if old, ok := r.named[pt.Name]; ok {
			r.diags.Add(source.Diag{Span: pt.Span, Msg: fmt.Sprintf("%q was used as the name for more than one %s probe", pt.Func, strings.ToUpper(pt.Kind.Name)),
				Notes: [2]source.Note{{Span: old, Msg: "this is the other instance"}}})
			continue
		}
		r.named[pt.Name] = pt.Span
	}
}

// probe resolves the attach points of one probe.
func (r *resolver) probe(d *ast.Probe) []*probes.Point {
	var points []*probes.Point
	before := r.diags.HasErrors()
	missing := false
	r.lacks = ""
	for _, ap := range d.Points {
		found, ok := r.point(ap, len(d.Points) == 1)
		missing = missing || !ok
		points = append(points, found...)
	}
	switch {
	case len(points) > 0 || !before && r.diags.HasErrors():
	case r.cfg.MissingProbes == "warn":
		r.diags.Warnf(spanOf(d.Points), removed)
	case !missing:
		r.missing(spanOf(d.Points), r.lacks, noPoints)
	}
	return r.filter(points)
}

const (
	noPoints = "Probe has no valid attach points."
	removed  = noPoints + " It is being removed which may cause issues with program behavior."
)

func spanOf(points []*ast.AttachPoint) source.Span {
	return points[0].Span().To(points[len(points)-1].Span())
}

// filter removes the points that the probe filter rejects.
func (r *resolver) filter(points []*probes.Point) []*probes.Point {
	if r.env.Filter == nil {
		return points
	}
	return slices.DeleteFunc(points, func(pt *probes.Point) bool { return !pt.Kind.Outermost && !r.env.Filter(pt.Name) })
}

// point resolves an attach point to the points that it matches. ok is false if it has
// reported an error or a warning. only is set if the block has no other attach point.
func (r *resolver) point(ap *ast.AttachPoint, only bool) (points []*probes.Point, ok bool) {
	parts := substitute(ap.Parts, r.params)
	provider := parts[0]
	if strings.Contains(provider, "*") {
		return r.anyProvider(ap, parts), true
	}
	kind := probes.Lookup(provider)
	if kind == nil {
		r.diags.ErrorHint(ap.Span(), source.DidYouMean(strings.ToLower(provider), probes.Names()), "Invalid probe type: %s", provider)
		return nil, false
	}
	pt, err := kind.Parse(r.env, parts)
	if err != nil {
		r.wrong(ap, nil, err)
		return nil, false
	}
	pt.Span, pt.Alias, pt.EveryTask = ap.Span(), ap.Alias, ap.EveryTask
	points, err = kind.Expand(r.env, pt)
	if err != nil {
		r.wrong(ap, pt, err)
		return nil, false
	}
	wild := slices.ContainsFunc(parts[1:], func(s string) bool { return strings.Contains(s, "*") })
	markMatched(points, wild)
	if !wild && kind.Doubt != nil && r.cfg.MissingProbes != "ignore" {
		r.doubt(ap.Span(), kind.Doubt(r.env, pt))
	}
	if len(points) == 0 && wild && kind.Lacks != nil {
		r.lacks = kind.Lacks(r.env, pt)
	}
	if len(points) == 0 && !wild {
		msg := fmt.Sprintf("No matches for %s %s.", kind.Name, strings.Join(parts[1:], ":"))
		if pt.Implied && only && r.cfg.MissingProbes == "error" {
			msg = noPoints
		}
		r.missing(ap.Span(), probes.Hint(r.env, pt), "%s", msg)
		return nil, false
	}
	return points, true
}

// anyProvider expands an attach point with a wildcard in its provider. It tries every
// kind that matches, and skips kinds for which the rest of the attach point is invalid.
func (r *resolver) anyProvider(ap *ast.AttachPoint, parts []string) []*probes.Point {
	var points []*probes.Point
	for _, kind := range probes.Matching(parts[0]) {
		these := slices.Clone(parts)
		these[0] = kind.Name
		pt, err := kind.Parse(r.env, these)
		if err != nil {
			continue
		}
		pt.Span = ap.Span()
		found, err := kind.Expand(r.env, pt)
		if err != nil {
			continue
		}
		points = append(points, found...)
	}
	markMatched(points, true)
	return points
}

// markMatched records in each point whether it comes from a pattern, or from a name that
// denotes several points.
func markMatched(points []*probes.Point, wild bool) {
	for _, pt := range points {
		pt.Matched = (wild || pt.Matched) && len(points) > 1
	}
}

// maxUnfit is the number of points of a pattern that contexts reports by name. A pattern
// for all functions of the kernel has hundreds at which no program can run.
const maxUnfit = 3

// contexts adds to each point its context. It reports and leaves out points at which no
// program can run.
func (r *resolver) contexts(points []*probes.Point) []Point {
	var out []Point
	unfit := 0 // number of points of the current pattern
	for i, pt := range points {
		ctx, err := probes.NewContext(r.env, pt)
		switch {
		case err != nil && pt.Matched:
			if unfit++; unfit <= maxUnfit {
				r.diags.Warnf(pt.Span, "%s is left out: %v", pt.Name, err)
			}
		case err != nil:
			r.unfit(pt.Span, fmt.Errorf("%s: %w", pt.Name, err))
		default:
			for _, text := range ctx.Only.Unconfined {
				r.doubt(pt.Span, text)
			}
			out = append(out, Point{pt, ctx})
		}
		if i+1 == len(points) || points[i+1].Span != pt.Span {
			if unfit > maxUnfit {
				r.diags.Warnf(pt.Span, "%d more are left out: no program can be attached to them either", unfit-maxUnfit)
			}
			unfit = 0
		}
	}
	if len(out) == 0 && len(points) > 0 && r.cfg.MissingProbes == "warn" {
		r.diags.Warnf(points[0].Span.To(points[len(points)-1].Span), removed)
	}
	return out
}

// doubt reports a warning, unless text is empty or was reported before.
func (r *resolver) doubt(at source.Span, text string) {
	if text != "" && !r.doubts[text] {
		r.doubts[text] = true
		r.diags.Warnf(at, "%s", text)
	}
}

// missing reports that there is nothing to attach to. The setting missing_probes
// determines the severity.
func (r *resolver) missing(span source.Span, hint, format string, args ...any) {
	switch r.cfg.MissingProbes {
	case "ignore":
	case "warn":
		r.diags.Add(source.Diag{Span: span, Severity: source.Warning, Msg: strings.TrimSuffix(fmt.Sprintf(format, args...), ".") + ". Skipping.", Hint: hint})
	default:
		if hint == "" {
			hint = "if this is expected, set the missing_probes config variable to warn"
		}
		r.diags.ErrorHint(span, hint, format, args...)
	}
}

// wrong reports an attach point that is invalid, does not exist or is not supported.
func (r *resolver) wrong(ap *ast.AttachPoint, pt *probes.Point, err error) {
	switch {
	case errors.Is(err, probes.ErrNotFound):
		r.missing(ap.Span(), probes.Hint(r.env, pt), "%v", err)
	case errors.Is(err, ebpf.ErrNotSupported):
		r.unfit(ap.Span(), err)
	default:
		r.diags.Errorf(ap.Span(), "%v", err)
	}
}

// unfit reports that the kernel cannot attach a program. The setting missing_probes
// determines the severity, but an error does not recommend it.
func (r *resolver) unfit(span source.Span, err error) {
	if r.cfg.MissingProbes == "error" {
		r.diags.Errorf(span, "%v", err)
		return
	}
	r.missing(span, "", "%v", err)
}
