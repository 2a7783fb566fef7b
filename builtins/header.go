package builtins

import (
	"strings"

	"github.com/gotrace/gotrace/codegen/ir"
	"github.com/gotrace/gotrace/lang/types"
)

func httpHeader() *Def {
	return &Def{
		Name:   "header",
		Kind:   Function,
		Params: []Param{{Name: "s", Chars: true}, {Name: "name"}, {Name: "most", Kind: Literal, Optional: true}},
		Doc: Doc{
			Summary: "The value of a header in an HTTP/1 request or answer, without the blanks around it; empty if there is no such header before the empty line. " +
				"name is a literal, and the case of its letters does not matter. With most, a number, the value is cut to that many characters.",
			Examples: []string{`http:request { @[header(args.text, "User-Agent", 64)] = count(); }`},
		},
		Check: func(c Checker, call *Call) *types.Type {
			ok := wantStr(c, call, 0)
			name, isName := wantString(c, call, 1)
			if !ok || !isName {
				return types.TInvalid
			}
			if name == "" || len(headerStart(name)+headersEnd) > bitNeedle || strings.Trim(strings.ToLower(name), headerLetters) != "" {
				c.Errorf(call.Args[1].Span, "header() needs the name of a header: one to %d letters, digits and dashes", bitNeedle-len(headerStart("")+headersEnd))
				return types.TInvalid
			}
			return partOf(c, call, 2)
		},
		Store: func(g Gen, call *Call, dst Dest) {
			name := call.Args[1].Lit.Str
			at := searchHeader(g, &call.Args[0], name)
			storePart(g, call, dst, piece{at: at, skip: len(headerStart(name)), ends: "\r\n", trim: true})
		},
	}
}

const (
	headerLetters = "abcdefghijklmnopqrstuvwxyz0123456789-_"
	// headersEnd is the text that ends the headers: the end of a line and an empty line.
	headersEnd = "\r\n\r\n"
)

// headerStart returns the text before the value of a header, in lower case.
func headerStart(name string) string { return "\r\n" + strings.ToLower(name) + ":" }

// searchHeader computes the index of a header, or notFound. A single pass searches for it and for
// the end of the headers.
func searchHeader(g Gen, hay *Arg, name string) *ir.Value {
	start := headerStart(name)
	m := newMasks(start + headersEnd)
	for i := range len(start) {
		if c := start[i]; 'a' <= c && c <= 'z' {
			m.add(c-'a'+'A', i)
		}
	}
	found := int64(1) << (len(start) - 1)
	ended := int64(1) << (len(start) + len(headersEnd) - 1)
	m.begin |= 1 << len(start)
	next, state := m.step(g)
	at := scan(g, hay, len(start), func(b *ir.Builder, c *ir.Value) *ir.Value {
		either := b.Op(ir.OpAnd, next(b, c), b.Const(found|ended))
		// Compute 0 if either is not 0, without a branch.
		some := b.Op(ir.OpShr, b.Op(ir.OpOr, either, b.Op(ir.OpNeg, either)), b.Const(63))
		return b.Op(ir.OpXor, some, b.Const(1))
	})
	b := g.B()
	return b.IfElse(b.Op(ir.OpAnd, b.Read(state), b.Const(found)), func() *ir.Value { return at }, func() *ir.Value { return g.B().Const(notFound) })
}
