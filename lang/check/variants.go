package check

import (
	"bytes"
	"cmp"
	"strings"

	"github.com/gotrace/gotrace/lang/ast"
	"github.com/gotrace/gotrace/lang/attach"
	"github.com/gotrace/gotrace/probes"
)

// A block is compiled to one or more programs. Which points can share a program is
// known only after the block has been checked, since its types depend on the data at
// its points. So the checker starts with few programs (group). After each pass it
// divides those whose block depends on the point (split).

// place identifies an attach point. Those of an inlined function, of a static probe or at
// the return instructions of a function have the same name.
type place struct {
	name, file           string
	fileOff, offset, abs uint64
}

// group returns variants for the blocks. Points of a block share a variant if their contexts
// are the same for a program that reads no arguments. A point that a block has several
// times needs as many programs, since the kernel attaches a program to a tracepoint only once.
func (c *checker) group(blocks []attach.Block) []*variant {
	var variants []*variant
	for i, b := range blocks {
		if len(b.Points) == 0 && c.diags.HasErrors() {
			variants = append(variants, newVariant(b.Decl, i))
		}
		byShape := map[string]*variant{}
		times := map[place]int{}
		for _, pt := range b.Points {
			ctx := cmp.Or(pt.Ctx.Shared, pt.Ctx)
			shape := cmp.Or(ctx.Load.BareShape, ctx.Load.Shape)
			at := place{pt.Name, pt.File, pt.FileOffset, pt.Offset, pt.Addr}
			key := pt.Kind.Name + strings.Repeat("\x00", 1+times[at]) + shape
			times[at]++
			u := byShape[key]
			if u == nil || shape == "" {
				u = newVariant(b.Decl, i)
				variants = append(variants, u)
				byShape[key] = u
			}
			u.add(pt.Point, ctx, pt.Ctx)
		}
	}
	return variants
}

// newVariant returns a variant for a block, with a clone of it. As long as it has no points,
// checking it finds only errors that do not depend on the point.
func newVariant(d *ast.Probe, block int) *variant {
	return &variant{decl: d, block: block, prog: &Prog{Pred: ast.Clone(d.Pred), Body: ast.Clone(d.Body), Span: d.Span()}}
}

// add adds an attach point to u's program. The first one determines the program's name
// and context, ctx. own is the context of a program for this point alone.
func (u *variant) add(pt *probes.Point, ctx, own *probes.Context) {
	p := u.prog
	if len(p.Points) == 0 {
		p.Name, p.Point, p.Ctx = progName(pt), pt, ctx
	} else {
		p.Point = nil
	}
	p.Points = append(p.Points, pt)
	u.contexts, u.own = append(u.contexts, ctx), append(u.own, own)
}

// splits reports whether u's points need several programs, or its only point needs a
// program with another context.
func (u *variant) splits() bool {
	switch len(u.contexts) {
	case 0:
		return false
	case 1:
		return u.named && u.contexts[0] != u.own[0]
	}
	return u.named || u.shaped
}

// split divides the variants that need a program for each shape or each point. It reports
// whether there were any.
func (c *checker) split() bool {
	var variants []*variant
	changed := false
	for _, u := range c.variants {
		if !u.splits() {
			variants = append(variants, u)
			continue
		}
		byShape := map[string]*variant{}
		var parts []*variant
		for i, pt := range u.prog.Points {
			ctx := u.contexts[i]
			if u.named {
				ctx = u.own[i]
			}
			v := byShape[ctx.Load.Shape]
			if v == nil || ctx.Load.Shape == "" || u.named {
				v = newVariant(u.decl, u.block)
				byShape[ctx.Load.Shape] = v
				parts = append(parts, v)
			}
			v.add(pt, ctx, u.own[i])
		}
		if len(parts) == 1 && parts[0].prog.Ctx == u.prog.Ctx { // all of them have the same shape
			u.shaped = false
			variants = append(variants, u)
			continue
		}
		changed = true
		variants = append(variants, parts...)
	}
	c.variants = variants
	return changed
}

// progName returns a name for a program that the kernel accepts. The caller appends a
// number.
func progName(pt *probes.Point) string {
	var b bytes.Buffer
	b.WriteString(pt.Kind.Name)
	if pt.Func != "" {
		b.WriteByte('_')
		b.WriteString(pt.Func)
	}
	name := b.Bytes()
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

// maxProgName is the maximum length of the readable part of a program's name, in bytes.
const maxProgName = 64
