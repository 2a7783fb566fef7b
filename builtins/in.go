package builtins

import (
	"net/netip"
	"slices"

	"github.com/gotrace/gotrace/builtins/code"
	"github.com/gotrace/gotrace/builtins/match"
	"github.com/gotrace/gotrace/codegen/ir"
	"github.com/gotrace/gotrace/lang/pattern"
	"github.com/gotrace/gotrace/lang/types"
	"github.com/gotrace/gotrace/runtime/decode"
	"github.com/gotrace/gotrace/runtime/outline"
)

func isIn() *Def {
	return &Def{
		Name:   "in",
		Kind:   Function,
		Syntax: Syntax{Operator: "in"},
		Params: []Param{{Name: "x", Chars: true, Keep: holdsAddress}, {Name: "value", Variadic: true, Ranges: true}},
		Doc: Doc{
			Summary: "Whether a value is one of a list: x in (1, 2, 5..9), comm in (\"sh\", \"bash\"), address in 10.0.0.0/8, address in (10.0.0.0/8, fd00::/8). A range includes both its ends. " +
				"Addresses and prefixes are written as they are or as strings. They are compared with a result of ntop(), an array of 4 or 16 bytes, or a 32-bit integer in network byte order, as in packets and in the kernel (__be32). " +
				"An IPv4 address inside IPv6, as ::ffff:10.0.0.1, is an IPv6 address. port() and proto() know ports and protocols by name. Long lists of literals become tables.",
			Examples: []string{
				`tracepoint:syscalls:sys_enter_openat /comm in ("sh", "bash", "dash")/ { print(str(args.filename)); }`,
				`tracepoint:syscalls:sys_exit_read /args.ret in (1..9, 4096)/ { @ = count(); }`,
				`cgroup_skb:/sys/fs/cgroup:egress /pkt.daddr in (10.0.0.0/8, 192.168.0.0/16, fd00::/8) && pkt.dport in (port("https"), 8000..8999)/ { @[pkt.daddr] = count(); }`,
			},
		},
		Check: func(c Checker, call *Call) *types.Type {
			t := call.typeOf(0)
			for _, a := range call.Args[1:] {
				if a.Lit != nil && a.Lit.IsAddress && t.Kind != types.Invalid && (!mayBeAddress(t) || call.Args[0].isNumber()) {
					c.ErrorHint(call.Args[0].Span, "ntop() makes an address of the bytes of one", "%s can only be compared with an internet address (%s provided)", a.Lit.Str, className(t))
					return types.TInvalid
				}
			}
			switch {
			case t.Kind == types.Invalid:
				return types.TInvalid
			case isAddress(t), allPrefixes(call):
				return checkPrefixes(c, call)
			case t.IsInteger() || t.Castable:
				return checkNumbers(c, call)
			case t.Kind == types.String, decode.IsText(t):
				return checkWords(c, call)
			case t.Kind == types.Opaque && call.InPred:
				return checkMatch(c, call, asLiteral(pattern.AtStart|pattern.AtEnd, false), never, nil)
			}
			if c.Final() {
				c.Errorf(call.Args[0].Span, "in expects an integer, a string or an internet address (%s provided)", className(t))
			}
			return types.TInvalid
		},
		Emit: func(g Gen, call *Call) *ir.Value {
			if call.Lit != nil {
				return emitLit(g, call)
			}
			return call.Data.(membership).emit(g, call)
		},
	}
}

// membership computes whether the first argument of a call is one of the others.
type membership interface {
	emit(g Gen, call *Call) *ir.Value
}

// maxCompared is the maximum number of literals that are compared one by one. More
// literals become a table.
const maxCompared = 16

// numbers is a list of integers. The literals are intervals, ordered as in the type of
// the first operand. If that is signed, the highest bit is inverted.
type numbers struct {
	literals []match.Interval
	others   []*Arg // not known at compile time
	flip     int64
}

func checkNumbers(c Checker, call *Call) *types.Type {
	n := &numbers{}
	if call.typeOf(0).Signed {
		n.flip = -1 << 63
	}
	for i := 1; i < len(call.Args); i++ {
		a := &call.Args[i]
		for _, end := range []*Arg{a, a.To} {
			if end == nil {
				continue
			}
			if end.Type.Kind != types.Invalid && !end.Type.IsInteger() && !end.Type.Castable {
				if c.Final() {
					c.Errorf(end.Span, "in compares an integer with each element of the list (%s provided)", className(end.Type))
				}
				return types.TInvalid
			}
		}
		if a.Lit == nil || a.To != nil && a.To.Lit == nil {
			n.others = append(n.others, a)
			continue
		}
		lo := uint64(a.Lit.Int) ^ uint64(n.flip)
		hi := lo
		if a.To != nil {
			if hi = uint64(a.To.Lit.Int) ^ uint64(n.flip); hi < lo {
				c.Errorf(a.Span, "The range is empty: its end is less than its start")
				return types.TInvalid
			}
		}
		n.literals = append(n.literals, match.Interval{Lo: match.Wide{0, lo}, Hi: match.Wide{0, hi}})
	}
	n.literals = match.Merged(n.literals, 1)
	call.Data = membership(n)
	if l := call.Args[0].Lit; l != nil && len(n.others) == 0 {
		x := match.Wide{0, uint64(l.Int) ^ uint64(n.flip)}
		call.Lit = boolLit(slices.ContainsFunc(n.literals, func(v match.Interval) bool { return v.Lo.Compare(x) <= 0 && x.Compare(v.Hi) <= 0 }))
	}
	return types.TBool
}

func (n *numbers) emit(g Gen, call *Call) *ir.Value {
	x := g.Value(&call.Args[0])
	var conds []func() *ir.Value
	flipped := func(x *ir.Value) *ir.Value {
		if n.flip == 0 {
			return x
		}
		return g.B().Op(ir.OpXor, x, g.B().Const(n.flip))
	}
	if len(n.literals) <= maxCompared {
		for _, v := range n.literals {
			conds = append(conds, func() *ir.Value {
				b := g.B()
				if v.Lo == v.Hi {
					return b.Op(ir.OpEq, x, b.Const(int64(v.Lo[1])^n.flip))
				}
				above := b.Op(ir.OpSub, flipped(x), b.Const(int64(v.Lo[1])))
				return b.Op(ir.OpULe, above, b.Const(int64(v.Hi[1]-v.Lo[1])))
			})
		}
	} else {
		conds = append(conds, func() *ir.Value { return match.InIntervals(g, []*ir.Value{flipped(x)}, n.literals) })
	}
	for _, a := range n.others {
		conds = append(conds, func() *ir.Value {
			lo := g.Value(a)
			if a.To == nil {
				return g.B().Op(ir.OpEq, x, lo)
			}
			lo, hi := flipped(lo), flipped(g.Value(a.To))
			b := g.B()
			return b.Op(ir.OpAnd, b.Op(ir.OpULe, lo, flipped(x)), b.Op(ir.OpULe, flipped(x), hi))
		})
	}
	return match.Any(g.B(), conds)
}

// textList is a list of strings.
type textList struct {
	literals []string
	others   []*Arg
}

func checkWords(c Checker, call *Call) *types.Type {
	w := &textList{}
	seen := map[string]bool{}
	for i := 1; i < len(call.Args); i++ {
		a := &call.Args[i]
		switch lit, known := call.litStr(i); {
		case a.To != nil:
			c.Errorf(a.Span, "There are no ranges of strings")
			return types.TInvalid
		case known && !seen[lit]:
			seen[lit] = true
			w.literals = append(w.literals, lit)
		case known, a.Type.Kind == types.Invalid:
		case a.Type.Kind == types.String, decode.IsText(a.Type):
			w.others = append(w.others, a)
		default:
			if c.Final() {
				c.Errorf(a.Span, "in compares a string with each element of the list (%s provided)", className(a.Type))
			}
			return types.TInvalid
		}
	}
	call.Data = membership(w)
	warnTooLong(c, call, w.literals)
	if x, known := call.litStr(0); known && len(w.others) == 0 {
		call.Lit = boolLit(seen[x])
	}
	return types.TBool
}

func (w *textList) emit(g Gen, call *Call) *ir.Value {
	a := &call.Args[0]
	p := g.Addr(a)
	var conds []func() *ir.Value
	var hashed []string
	for _, lit := range w.literals {
		switch {
		case len(lit) >= a.Type.Size: // cannot be equal
		case len(lit) < match.MaxHashed && len(w.literals) > maxCompared:
			hashed = append(hashed, lit)
		default:
			conds = append(conds, func() *ir.Value { return match.Equal(g.B(), p, append([]byte(lit), 0)) })
		}
	}
	if len(hashed) > 0 {
		conds = append(conds, func() *ir.Value { return match.InTexts(g, p, a.Type.Size, hashed) })
	}
	for _, o := range w.others {
		conds = append(conds, func() *ir.Value {
			n := min(a.Type.Size, o.Type.Size)
			return g.B().Op(ir.OpEq, stringsDiffer(g, a, o, n), g.B().Const(0))
		})
	}
	return match.Any(g.B(), conds)
}

// isAddress reports whether t can only be an internet address.
func isAddress(t *types.Type) bool { return t.Kind == types.Opaque && t.Name == inetType.Name }

// mayBeAddress reports whether t can hold an internet address: it is one, or it has 4
// or 16 bytes.
func mayBeAddress(t *types.Type) bool {
	switch t.Kind {
	case types.Int:
		return t.Size == 4 || t.Size == 8
	case types.Array, types.Struct:
		return t.Size == 4 || t.Size == 16
	}
	return isAddress(t)
}

// isNumber reports whether the argument is an integer that is not an internet address: it comes
// from a builtin for numbers, or is a signed one of 32 bits, such as a process ID or a descriptor.
func (a *Arg) isNumber() bool {
	return a.From != nil && a.From.Traits.Counts || a.Type.Kind == types.Int && a.Type.Size == 4 && a.Type.Signed
}

// parsePrefix parses an address or a prefix. An address is a prefix of all its bits.
func parsePrefix(text string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(text); err == nil && a.Zone() == "" {
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	p, err := netip.ParsePrefix(text)
	if err != nil {
		return p, outline.Errorf("%q is not an internet address or a prefix of addresses, such as 10.0.0.0/8", text)
	}
	return p, nil
}

// holdsAddress reports whether t is an array that is compared with addresses.
func holdsAddress(t *types.Type, after []string) bool {
	for _, text := range after {
		if _, err := parsePrefix(text); err != nil {
			return false
		}
	}
	return t.Kind == types.Array && mayBeAddress(t)
}

// allPrefixes reports whether a value that may be an address is compared only with
// addresses.
func allPrefixes(call *Call) bool {
	for i := 1; i < len(call.Args); i++ {
		text, ok := call.litStr(i)
		if _, err := parsePrefix(text); !ok || err != nil {
			return false
		}
	}
	return mayBeAddress(call.typeOf(0))
}

// prefixes is a list of prefixes of addresses, by family.
type prefixes struct{ v4, v6 []netip.Prefix }

func checkPrefixes(c Checker, call *Call) *types.Type {
	l := &prefixes{}
	size := call.typeOf(0).Size
	if call.typeOf(0).Kind == types.Int {
		size = 4
	}
	for i := 1; i < len(call.Args); i++ {
		a := &call.Args[i]
		text, ok := call.litStr(i)
		if !ok {
			if c.Final() && call.known(i) {
				c.Errorf(a.Span, "in compares an address with literals, such as 10.0.0.0/8 (%s provided)", className(a.Type))
			}
			return types.TInvalid
		}
		p, err := parsePrefix(text)
		if err != nil {
			c.Errorf(a.Span, "%v", err)
			return types.TInvalid
		}
		if a.To != nil {
			c.Errorf(a.Span, "There are no ranges of addresses; write a prefix, such as 10.0.0.0/8")
			return types.TInvalid
		}
		if bytes := p.Addr().BitLen() / 8; !isAddress(call.typeOf(0)) && bytes != size {
			c.Errorf(a.Span, "%s is never equal to an address of %d bytes", text, size)
			return types.TInvalid
		}
		if p.Addr().Is4() {
			l.v4 = append(l.v4, p.Masked())
		} else {
			l.v6 = append(l.v6, p.Masked())
		}
	}
	call.Data = membership(l)
	return types.TBool
}

func (l *prefixes) emit(g Gen, call *Call) *ir.Value {
	a, b := &call.Args[0], g.B()
	var gen code.Gen = g
	in4 := func(p *ir.Value) *ir.Value { return match.InPrefixes(gen, p, l.v4, 1) }
	in6 := func(p *ir.Value) *ir.Value { return match.InPrefixes(gen, p, l.v6, 2) }
	switch {
	case isAddress(a.Type):
		p := g.Addr(a)
		family := b.Load(p, 0, 8, false)
		addr := b.AddImm(p, 8)
		return b.IfElse(b.Op(ir.OpEq, family, b.Const(afInet)), func() *ir.Value { return in4(addr) }, func() *ir.Value {
			return b.IfElse(b.Op(ir.OpEq, family, b.Const(afInet6)), func() *ir.Value { return in6(addr) }, func() *ir.Value { return b.Const(0) })
		})
	case a.Type.Kind == types.Int:
		p := g.Temp(8)
		b.Store(p, 0, 4, g.Value(a))
		return in4(p)
	}
	p := g.Temp(a.Type.Size)
	copyObject(g, a, p, 0, a.Type.Size)
	if a.Type.Size == 4 {
		return in4(p)
	}
	return in6(p)
}
