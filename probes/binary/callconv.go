package binary

import (
	"fmt"
	"sort"

	"github.com/gotrace/gotrace/codegen/ir"
	"github.com/gotrace/gotrace/lang/types"
)

// callConv is a calling convention.
type callConv uint8

const (
	convC    callConv = iota // System V on amd64, AAPCS64 on arm64
	convGo                   // Go's ABIInternal: each scalar of an object in a register
	convGo0                  // Go's ABI0, for assembly: all on the stack
	convRust                 // Rust's own: like C, except for structs
)

// passing assigns registers and stack slots to the parameters of a function, in
// order.
type passing struct {
	a      *Arch
	conv   callConv
	ints   []string // free integer registers
	floats int      // number of free floating-point registers
	stack  int      // offset from the stack pointer of the next parameter on the stack
	lost   string   // first parameter with an unknown location; all later locations are unknown too
}

// goStackArgs is the offset from the stack pointer of Go's first argument on the stack.
// The return address, or the slot reserved for it, precedes it.
const goStackArgs = 8

//go:noinline
func newPassing(a *Arch, conv callConv) *passing {
	p := &passing{a: a, conv: conv, ints: a.Args, floats: 8, stack: a.stack}
	switch conv {
	case convGo:
		p.ints, p.floats, p.stack = a.GoArgs, a.goFloats, goStackArgs
	case convGo0:
		p.ints, p.floats, p.stack = nil, 0, goStackArgs
	}
	return p
}

const (
	errFloat       = "it is in a floating-point register, which cannot be read"
	errFloatNumber = "it is a floating-point number, which scripts do not have"
	errLost        = "how '%s' before it is passed is not known"
)

// dictionary skips the register of the dictionary of types that a generic Go function
// has before parameter i.
func (p *passing) dictionary(i int, abi ABI) {
	if (abi == ABIGoDict && i == 0 || abi == ABIGoRecvDict && i == 1) && len(p.ints) > 0 {
		p.takeInt()
	}
}

// results continues with the results of a Go function, after its parameters. They use
// the same registers. Those on the stack follow the parameters there.
func (p *passing) results() {
	again := newPassing(p.a, p.conv)
	p.ints, p.floats = again.ints, again.floats
	p.stack = types.RoundUp(p.stack, 8)
}

// next returns the location of the next parameter.
func (p *passing) next(name string, t *dwarfType) *types.Loc {
	if p.lost != "" {
		return &types.Loc{Err: fmt.Sprintf(errLost, p.lost)}
	}
	switch {
	case p.conv == convGo || p.conv == convGo0:
		return p.nextGo(t)
	case p.conv == convRust && (t.class == classStruct || t.class == classVariant || t.class == classUnion):
		return p.nextRust(name, t)
	}
	return p.nextC(t)
}

// result skips the register, if the convention uses one, that contains the address to
// which the function writes its result.
func (p *passing) result(t *dwarfType) {
	if t.t.Kind == types.Void || p.conv == convGo || p.conv == convGo0 || !p.a.resultInArgs {
		return
	}
	if p.conv == convRust && t.class != classX87 {
		// Results of up to two words are returned in registers.
		if t.t.Size > 16 {
			p.ints = p.ints[1:]
		}
		return
	}
	if _, memory := classify(t); t.indirect() || memory {
		p.ints = p.ints[1:]
	}
}

// returned returns the location of a struct or union when its function returns.
func (p *passing) returned(t *dwarfType) *types.Loc {
	p.ints, p.floats = []string{p.a.ret, p.a.ret2}, 8
	_, memory := classify(t)
	if p.a.largeByRef {
		memory = t.t.Size > 16
	}
	if p.conv == convRust {
		leaves, known := scalars(t, 0, nil, 0)
		memory = t.t.Size > 16
		if t.class != classStruct || !memory && t.t.Size > 8 && (!known || len(leaves) > 2) {
			return &types.Loc{Err: "how Rust returns it is not known"}
		}
	}
	switch {
	case !memory && !t.indirect():
		return p.next("", t)
	case p.a.resultInArgs: // the function also returns the address
		return &types.Loc{Memory: true, Base: p.a.regs.Get()[p.a.ret]}
	}
	return &types.Loc{Err: "its address is not known where the function returns"}
}

func (p *passing) onStack(size, align int) *types.Loc {
	// The alignment is relative to the first argument.
	base := p.a.stack
	p.stack = base + types.RoundUp(p.stack-base, max(align, 8))
	l := &types.Loc{Memory: true, Base: p.a.regs.Get()[p.a.sp], Disp: int64(p.stack)}
	p.stack += types.RoundUp(size, 8)
	return l
}

// byAddress returns the location of an object whose address is passed.
func (p *passing) byAddress() *types.Loc {
	if len(p.ints) == 0 {
		p.onStack(8, 8)
		return &types.Loc{Err: "its address is passed on the stack"}
	}
	return &types.Loc{Memory: true, Base: p.a.regs.Get()[p.takeInt()]}
}

//go:noinline
func (p *passing) takeInt() string {
	r := p.ints[0]
	p.ints = p.ints[1:]
	return r
}

// nextC returns the location of a parameter in the C convention. An object of up to two
// words is in registers, whose kind depends on the contents of each word. If too few
// registers are free, the whole object is on the stack.
func (p *passing) nextC(t *dwarfType) *types.Loc {
	size := t.t.Size
	if size == 0 {
		return &types.Loc{}
	}
	words, memory := classify(t)
	if p.a.largeByRef && t.class != classFloat && t.class != classX87 {
		// On arm64, up to four floating-point numbers of one size have a register
		// each. Everything else is passed as words.
		if leaves, known := scalars(t, 0, nil, 0); known && len(leaves) > 0 && len(leaves) <= 4 && allFloat(leaves) {
			if p.floats -= len(leaves); p.floats >= 0 {
				return &types.Loc{Err: errFloat}
			}
			p.floats = 0
			return p.onStack(size, t.alignment())
		}
		for i := range words {
			words[i] = classWord
		}
		if memory = size > 16; !memory && words == nil {
			words = make([]typeClass, (size+7)/8)
		}
	}
	if t.indirect() || memory && p.a.largeByRef && t.class != classX87 {
		return p.byAddress()
	}
	if memory {
		return p.onStack(size, t.alignment())
	}
	ints, floats := 0, 0
	for _, w := range words {
		if w == classFloat {
			floats++
		} else {
			ints++
		}
	}
	if t.class == classFloat { // a vector is one register, whatever its size
		floats = 1
	}
	if p.a.evenPairs && ints == 2 && t.alignment() == 16 && (len(p.a.Args)-len(p.ints))%2 == 1 && len(p.ints) > 0 {
		p.takeInt()
	}
	if ints > len(p.ints) || floats > p.floats {
		if p.a.evenPairs && ints > 0 { // on arm64, later parameters do not use the remaining registers
			p.ints = nil
		}
		return p.onStack(size, t.alignment())
	}
	l := &types.Loc{}
	p.floats -= floats
	for i, w := range words {
		if w == classFloat {
			l.Err = errFloat
			continue
		}
		l.Parts = append(l.Parts, types.Part{From: p.a.regs.Get()[p.takeInt()], Off: 8 * i, Size: min(8, size-8*i)})
	}
	return l
}

// classify returns the class of each word of an object. memory is true if the
// object is passed in memory because it is larger than two words or not aligned.
func classify(t *dwarfType) (words []typeClass, memory bool) {
	size := t.t.Size
	if t.class == classFloat {
		return []typeClass{classFloat}, false
	}
	if size > 16 || t.class == classX87 {
		return nil, true
	}
	words = make([]typeClass, (size+7)/8)
	for i := range words {
		words[i] = classFloat // until mark finds something else in the word
	}
	if !mark(words, t, 0, 0) {
		return nil, true
	}
	return words, false
}

// mark sets the classes of the words that t covers at offset off. It reports whether
// all scalars of t are aligned.
func mark(words []typeClass, t *dwarfType, off, depth int) bool {
	size := t.t.Size
	if size == 0 {
		return true
	}
	if depth > maxTypeDepth || off < 0 || off+size > 8*len(words) {
		return false
	}
	switch {
	case t.class == classX87:
		return false
	case t.class == classFloat:
		return off%max(1, min(t.align, 8)) == 0
	case t.parts != nil && t.class != classVariant:
		for _, m := range t.parts.Get() {
			if m.BitSize > 0 {
				for b := m.Off + m.BitOff/8; b <= m.Off+(m.BitOff+m.BitSize-1)/8 && (off+b)/8 < len(words); b++ {
					words[(off+b)/8] = classWord
				}
				continue
			}
			if !mark(words, m.of, off+m.Off, depth+1) {
				return false
			}
		}
		return true
	case t.elem != nil && t.elem.t.Size > 0:
		for i := 0; i < size; i += t.elem.t.Size {
			if !mark(words, t.elem, off+i, depth+1) {
				return false
			}
		}
		return true
	}
	for w := off / 8; w <= (off+size-1)/8; w++ {
		words[w] = classWord
	}
	return t.t.Kind == types.Array || off%size == 0
}

func allFloat(list []dwarfMember) bool {
	for _, m := range list {
		if m.of.class == classWord || m.of.class == classArray || m.of.t.Size != list[0].of.t.Size {
			return false
		}
	}
	return true
}

// indirect reports whether an object is passed by its address.
func (t *dwarfType) indirect() bool { return t.byRef != nil && t.byRef() }

// alignment returns the natural alignment of a type in bytes.
func (t *dwarfType) alignment() int {
	if t.align == 0 {
		t.align = 1 // ends the recursion if damaged debug info contains a struct that contains itself
		if t.parts != nil {
			a := 1
			for _, m := range t.parts.Get() {
				a = max(a, m.of.alignment())
			}
			t.align = a
		}
	}
	return t.align
}

// nextRust returns the location of a struct in Rust's convention. Two scalars are in
// two registers, an object that fits a word is in one register, and other objects are
// passed by address. It is not known how an enum with data is passed.
func (p *passing) nextRust(name string, t *dwarfType) *types.Loc {
	size := t.t.Size
	if size == 0 {
		return &types.Loc{}
	}
	leaves, known := scalars(t, 0, nil, 0)
	switch {
	case known && len(leaves) == 1:
		return p.nextC(leaves[0].of)
	case known && len(leaves) == 2:
		l := &types.Loc{}
		sort.Slice(leaves, func(i, j int) bool { return leaves[i].Off < leaves[j].Off })
		for _, m := range leaves {
			one := p.nextC(m.of)
			if one.Memory {
				one.Err = "it is in pieces on the stack"
			}
			if one.Err != "" {
				l.Err = one.Err
			}
			for _, part := range one.Parts {
				part.Off += m.Off
				l.Parts = append(l.Parts, part)
			}
		}
		return l
	case t.class == classVariant || t.class == classUnion || !known:
		p.lost = name
		return &types.Loc{Err: "how Rust passes it is not known"}
	case size <= 8:
		if len(p.ints) == 0 {
			return p.onStack(size, 8)
		}
		return &types.Loc{Parts: []types.Part{{From: p.a.regs.Get()[p.takeInt()], Size: size}}}
	}
	return p.byAddress()
}

// scalars appends the scalar members of a struct, and of the structs in it, to list.
// known is false if t contains anything else.
func scalars(t *dwarfType, off int, list []dwarfMember, depth int) (out []dwarfMember, known bool) {
	switch {
	case depth > maxTypeDepth:
		return nil, false
	case t.t.Size == 0:
		return list, true
	case t.class == classStruct && t.parts != nil:
		for _, m := range t.parts.Get() {
			ok := false
			if list, ok = scalars(m.of, off+m.Off, list, depth+1); !ok {
				return nil, false
			}
		}
		return list, true
	case t.class == classWord || t.class == classFloat || t.class == classX87:
		return append(list, dwarfMember{Field: types.Field{Off: off}, of: t}), true
	case t.class == classArray && t.elem != nil: // three members, so that it is not treated as one or two scalars
		m := dwarfMember{Field: types.Field{Off: off}, of: t}
		return append(list, m, m, m), true
	}
	return nil, false
}

// nextGo returns the location of a parameter in Go's conventions: all scalars of
// the object are in registers, or the whole object is on the stack.
func (p *passing) nextGo(t *dwarfType) *types.Loc {
	size := t.t.Size
	if size == 0 {
		return &types.Loc{}
	}
	try := *p
	l := &types.Loc{}
	if p.conv == convGo && try.assignGo(t, 0, l, 0) {
		p.ints, p.floats = try.ints, try.floats
		return l
	}
	p.stack = types.RoundUp(p.stack, min(t.alignment(), 8))
	l = &types.Loc{Memory: true, Base: p.a.regs.Get()[p.a.sp], Disp: int64(p.stack)}
	p.stack += size
	return l
}

func (p *passing) assignGo(t *dwarfType, off int, l *types.Loc, depth int) bool {
	size := t.t.Size
	switch {
	case size == 0:
		return true
	case depth > maxTypeDepth:
		return false
	case t.class == classFloat:
		n := 1
		if t.align < size { // complex
			n = 2
		}
		p.floats -= n
		l.Err = errFloat
		return p.floats >= 0
	case t.class == classStruct && t.parts != nil:
		for _, m := range t.parts.Get() {
			if !p.assignGo(m.of, off+m.Off, l, depth+1) {
				return false
			}
		}
		return true
	case t.class == classArray:
		return t.elem != nil && t.elem.t.Size == size && p.assignGo(t.elem, off, l, depth+1)
	case size > 8 || len(p.ints) == 0:
		return false
	}
	l.Parts = append(l.Parts, types.Part{From: p.a.regs.Get()[p.takeInt()], Off: off, Size: size})
	return true
}

// StoreParts emits code that assembles an object at dst + off from its parts.
func StoreParts(b *ir.Builder, ctx *ir.Value, parts []types.Part, dst *ir.Value, off int64) {
	for _, part := range parts {
		for at := 0; at < part.Size; {
			n := 8
			for n > part.Size-at || at%n != 0 || (part.Off+at)%n != 0 || !part.Fixed && (part.From+at)%n != 0 {
				n /= 2
			}
			var piece *ir.Value
			switch {
			case part.Fixed:
				piece = b.Const(int64(part.Value >> (8 * at)))
			case part.Value != 0:
				piece = b.AddImm(b.Load(ctx, int64(part.From), 8, false), int64(part.Value))
				if at > 0 {
					piece = b.Op(ir.OpShr, piece, b.Const(int64(8*at)))
				}
			default:
				piece = b.Load(ctx, int64(part.From+at), n, false)
			}
			b.Store(dst, off+int64(part.Off+at), n, piece)
			at += n
		}
	}
}
