package builtins

import (
	"fmt"
	"strings"

	"github.com/gotrace/gotrace/codegen/ir"
	"github.com/gotrace/gotrace/lang/types"
	"github.com/gotrace/gotrace/probes"
)

// The search for a literal takes one pass over the string. A needle of up to eight
// characters is compared with a word through which the characters are shifted. For a
// longer one, the pass runs the shift-and automaton (Baeza-Yates, Gonnet). It has a bit
// for each prefix of the needle that ends at the current character, and a table with a
// mask for each character. If the needle is not a literal, or is too long, the kernel's
// bpf_strstr does the search. If the kernel has no such function and the strings are
// short, each position is compared.
const (
	wordNeedle = 8
	bitNeedle  = 63
	// maxPlaces limits the steps of the comparison of each position. The verifier
	// follows all of them.
	maxPlaces  = 1 << 13
	strstrFunc = "bpf_strstr"
	notFound   = -1
)

func strcontains() *Def {
	return &Def{
		Name:   "strcontains",
		Kind:   Function,
		Params: []Param{{Name: "haystack", Chars: true}, {Name: "needle", Chars: true}},
		Doc: Doc{
			Summary:  "Whether a string contains another one.",
			Examples: []string{`tracepoint:syscalls:sys_enter_openat /strcontains(str(args.filename), "passwd")/ { print(comm); }`},
		},
		Check: func(c Checker, call *Call) *types.Type {
			at, known, ok := checkSearch(c, call)
			if !ok {
				return types.TInvalid
			}
			if known {
				call.Lit = boolLit(at >= 0)
			}
			return types.TBool
		},
		Emit: func(g Gen, call *Call) *ir.Value {
			if call.Lit != nil {
				return emitLit(g, call)
			}
			at := search(g, call)
			return g.B().Op(ir.OpSLe, g.B().Const(0), at)
		},
	}
}

// checkSearch checks the arguments of a search. If both are known at compile time, at
// is the result.
func checkSearch(c Checker, call *Call) (at int, known, ok bool) {
	if !wantStr(c, call, 0) || !wantStr(c, call, 1) {
		return 0, false, false
	}
	hay, isHay := call.litStr(0)
	needle, isNeedle := call.litStr(1)
	if isHay && isNeedle {
		return strings.Index(hay, needle), true, true
	}
	if isNeedle && len(needle) <= bitNeedle || !c.Final() {
		return 0, false, true
	}
	if _, found := c.Kernel().Kfunc(strstrFunc); !found && call.typeOf(0).Size*call.typeOf(1).Size > maxPlaces {
		what := fmt.Sprintf("%s() of strings of %d and %d bytes", call.Def.Name, call.typeOf(0).Size, call.typeOf(1).Size)
		c.ErrorHint(call.Span, fmt.Sprintf("search for a literal of at most %d characters", bitNeedle), "%s", probes.Needs(c.Kernel(), what, probes.FeatStrstr))
		return 0, false, false
	}
	return 0, false, true
}

// search computes the index of the needle, or a negative number.
func search(g Gen, call *Call) *ir.Value {
	hay, needle := &call.Args[0], &call.Args[1]
	lit, isLit := call.litStr(1)
	switch id, found := g.Kernel().Kfunc(strstrFunc); {
	case isLit && len(lit) <= bitNeedle:
		return searchText(g, hay, lit)
	case found:
		p, q := g.Addr(hay), g.Addr(needle)
		b := g.B()
		at := b.Extend(b.Kfunc(strstrFunc, int64(id), ir.Int, p, q), 4, true)
		// All errors have the same meaning here.
		return b.Op(ir.OpOr, at, b.Op(ir.OpSar, at, b.Const(63)))
	}
	return searchPlaces(g, hay, needle)
}

// searchText is search for a literal of at most bitNeedle bytes.
func searchText(g Gen, hay *Arg, needle string) *ir.Value {
	switch {
	case needle == "":
		return g.B().Const(0)
	case len(needle) <= wordNeedle:
		return searchWord(g, hay, needle)
	}
	return searchBits(g, hay, needle)
}

// scan iterates over the characters of hay. step processes one character. It returns a
// value that is 0 if the needle of n characters ends there. An iteration has only one
// branch, because the verifier keeps a list of all branches of a program.
func scan(g Gen, hay *Arg, n int, step func(b *ir.Builder, c *ir.Value) *ir.Value) *ir.Value {
	p := g.Addr(hay)
	b := g.B()
	differs, at := &ir.Var{Name: "differs", Type: ir.Int}, &ir.Var{Name: "at", Type: ir.Int}
	b.Write(differs, b.Const(1))
	b.Write(at, b.Const(0))
	b.Count(hay.Type.Size, func(i *ir.Value, out *ir.Block) {
		c := byteAt(b, p, i)
		d := step(b, c)
		b.Write(differs, d)
		b.Write(at, i)
		// Compute 1 if d is not 0, without a branch.
		some := b.Op(ir.OpShr, b.Op(ir.OpOr, d, b.Op(ir.OpNeg, d)), b.Const(63))
		b.Leave(b.Op(ir.OpEq, b.Op(ir.OpMul, c, some), b.Const(0)), out)
	})
	found := g.B().IfElse(b.Read(differs),
		func() *ir.Value { return b.Const(notFound) },
		func() *ir.Value { return b.Op(ir.OpSub, b.Read(at), b.Const(int64(n-1))) })
	return forget(g, found, hay.Type.Size)
}

func searchWord(g Gen, hay *Arg, needle string) *ir.Value {
	b := g.B()
	window := &ir.Var{Name: "window", Type: ir.Int}
	b.Write(window, b.Const(0))
	var want uint64
	for i := range len(needle) {
		want = want<<8 | uint64(needle[i])
	}
	mask := int64(-1)
	if len(needle) < 8 {
		mask = 1<<(8*len(needle)) - 1
	}
	return scan(g, hay, len(needle), func(b *ir.Builder, c *ir.Value) *ir.Value {
		w := b.Op(ir.OpOr, b.Op(ir.OpShl, b.Read(window), b.Const(8)), c)
		if mask != -1 {
			w = b.Op(ir.OpAnd, w, b.Const(mask))
		}
		b.Write(window, w)
		return b.Op(ir.OpXor, w, b.Const(int64(want)))
	})
}

func searchBits(g Gen, hay *Arg, needle string) *ir.Value {
	m := newMasks(needle)
	next, _ := m.step(g)
	return scan(g, hay, len(needle), func(b *ir.Builder, c *ir.Value) *ir.Value {
		end := int64(1) << (len(needle) - 1)
		return b.Op(ir.OpXor, b.Op(ir.OpAnd, next(b, c), b.Const(end)), b.Const(end))
	})
}

// masks is the shift-and automaton of one or more needles, one after the other. begin has a
// bit for the first character of each, and table a mask for each character.
type masks struct {
	table []byte
	begin int64
}

func newMasks(needle string) *masks {
	m := &masks{table: make([]byte, 8*256), begin: 1}
	for i := range len(needle) {
		m.add(needle[i], i)
	}
	return m
}

// add lets c be the character i of the needles.
func (m *masks) add(c byte, i int) { m.table[8*int(c)+i/8] |= 1 << (i % 8) }

// step returns a function that emits a step of the automaton, and the variable of its state.
func (m *masks) step(g Gen) (func(b *ir.Builder, c *ir.Value) *ir.Value, *ir.Var) {
	b := g.B()
	t := g.Rodata(m.table)
	state := &ir.Var{Name: "prefixes", Type: ir.Int}
	b.Write(state, b.Const(0))
	return func(b *ir.Builder, c *ir.Value) *ir.Value {
		mask := b.Load(b.Op(ir.OpAdd, t, b.Op(ir.OpShl, c, b.Const(3))), 0, 8, false)
		s := b.Op(ir.OpOr, b.Op(ir.OpShl, b.Read(state), b.Const(1)), b.Const(m.begin))
		s = b.Op(ir.OpAnd, s, mask)
		b.Write(state, s)
		return s
	}, state
}

// searchPlaces compares the needle with each position in hay.
func searchPlaces(g Gen, hay, needle *Arg) *ir.Value {
	p, q := g.Addr(hay), g.Addr(needle)
	b := g.B()
	at := &ir.Var{Name: "found", Type: ir.Int}
	b.Write(at, b.Const(notFound))
	b.Count(hay.Type.Size, func(i *ir.Value, out *ir.Block) {
		start := b.Op(ir.OpAdd, p, i)
		match := &ir.Var{Name: "match", Type: ir.Int}
		b.Write(match, b.Const(0))
		b.Count(needle.Type.Size, func(j *ir.Value, over *ir.Block) {
			c := byteAt(b, q, j)
			end := b.Op(ir.OpEq, c, b.Const(0))
			b.Write(match, end)
			b.Leave(end, over)
			// No byte after the end of hay is read, as its NUL differs from c.
			inside := b.Op(ir.OpULt, b.Op(ir.OpAdd, i, j), b.Const(int64(hay.Type.Size)))
			b.Leave(b.Op(ir.OpEq, inside, b.Const(0)), over)
			b.Leave(b.Op(ir.OpNe, c, byteAt(b, start, j)), over)
		})
		m := b.Read(match)
		b.Write(at, b.Op(ir.OpSub, b.Op(ir.OpMul, m, b.Op(ir.OpAdd, i, b.Const(1))), b.Const(1)))
		b.Leave(m, out)
		b.Leave(b.Op(ir.OpEq, byteAt(b, p, i), b.Const(0)), out)
	})
	return forget(g, b.Read(at), hay.Type.Size)
}
