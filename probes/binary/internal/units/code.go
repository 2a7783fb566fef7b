package units

import (
	"slices"
	"sort"

	"github.com/gotrace/gotrace/runtime/sorted"
)

// code lists the functions of a unit and the functions that were inlined into them.
type code struct {
	funcs  []function // sorted by lo
	scopes []scope
}

// function is a range of a function's code. scopes[first:last] are the ranges of the
// function and of the functions inlined into it, outer ones first.
type function struct {
	lo, hi      uint64
	first, last uint32
}

// scope is a range of a function or of an inlined copy of one.
type scope struct {
	lo, hi             uint64
	entry              uint64 // offset of its entry in .debug_info
	callFile, callLine uint32 // where an inlined copy was called
	inlined            bool
}

// Frame is a function at an address: the one that contains the code, or one that was
// inlined there.
type Frame struct {
	Name    string // "" if it is not known; mangled, if Mangled is set
	Mangled bool
	File    string // "" if it is not known
	Line    int
	Inlined bool
}

// Frames returns the functions at an address, the innermost first. The last one is the
// function that contains the code.
func (d *Data) Frames(pc uint64) []Frame {
	u := d.At(pc)
	if u == nil {
		return nil
	}
	file, line := u.Line(pc)
	whole := u.Whole()
	if whole == nil {
		return []Frame{{File: file, Line: line}}
	}
	chain := whole.scopesAt(pc)
	if len(chain) == 0 {
		return []Frame{{File: file, Line: line}}
	}
	out := make([]Frame, 0, len(chain))
	for i := len(chain) - 1; i >= 0; i-- {
		s := chain[i]
		f := Frame{File: file, Line: line, Inlined: s.inlined}
		f.Name, f.Mangled = whole.nameOf(s.entry)
		out = append(out, f)
		file, line = whole.file(uint64(s.callFile)), int(s.callLine)
	}
	return out
}

// scopesAt returns the scopes that contain an address, outer ones first.
func (u *Unit) scopesAt(pc uint64) []scope {
	c := u.functions()
	i := sort.Search(len(c.funcs), func(i int) bool { return c.funcs[i].lo > pc })
	if i--; i < 0 || pc >= c.funcs[i].hi {
		return nil
	}
	var out []scope
	for _, s := range c.scopes[c.funcs[i].first:c.funcs[i].last] {
		if s.lo <= pc && pc < s.hi {
			out = append(out, s)
		}
	}
	return out
}

// Scope returns the offset of the innermost scope at an address that was not called
// from the given line, or false. The ranges of copies are not exact: code of the line
// that contains a call belongs to the caller.
func (u *Unit) Scope(pc uint64, line int) (entry uint64, ok bool) {
	for _, s := range u.scopesAt(pc) {
		if !s.inlined || int(s.callLine) != line {
			entry, ok = s.entry, true
		}
	}
	return entry, ok
}

// Function returns the entry of the function that starts at an address.
func (u *Unit) Function(pc uint64) (entry uint64, ok bool) {
	for _, s := range u.scopesAt(pc) {
		if !s.inlined && s.lo == pc {
			return s.entry, true
		}
	}
	return 0, false
}

// functions returns the unit's functions. It reads them at the first call.
func (u *Unit) functions() *code {
	if u.code == nil {
		c := &code{}
		u.walk(c)
		sorted.By(c.funcs, func(f *function) uint64 { return f.lo })
		c.funcs, c.scopes = slices.Clip(c.funcs), slices.Clip(c.scopes)
		u.code = c
		u.d.grow(24*len(c.funcs) + 40*len(c.scopes))
		u.code = c // grow may have released it
	}
	return u.code
}

// level is an entry with children whose children walk visits.
type level struct {
	open   []int // indexes of the ranges of the function that contains it
	owns   bool  // it is a function with its own code
	inside bool  // in a function
}

// walk adds the functions of the unit to c.
func (u *Unit) walk(c *code) {
	var e entry
	if !u.read(u.entries, &e) || !e.children {
		return
	}
	levels := []level{{}}
	off := e.next
	for len(levels) > 0 && len(c.scopes) < maxScopesOfUnit {
		at := off
		if !u.read(at, &e) {
			break
		}
		off = e.next
		if e.tag == 0 {
			c.leave(levels[len(levels)-1])
			levels = levels[:len(levels)-1]
			continue
		}
		top := levels[len(levels)-1]
		next := level{open: top.open, inside: top.inside}
		skip := false
		switch e.tag {
		case tagSubprogram:
			// A function without code may contain a lambda with its own code.
			next = level{}
			if ranges := u.rangesOf(&e); len(ranges) > 0 {
				next = level{owns: true, inside: true}
				for _, r := range ranges {
					next.open = append(next.open, len(c.funcs))
					c.funcs = append(c.funcs, function{lo: r[0], hi: r[1], first: uint32(len(c.scopes))})
				}
				c.add(ranges, scope{entry: at})
				if !e.children {
					c.leave(next)
				}
			}
		case tagInlined:
			if top.inside {
				c.add(u.rangesOf(&e), scope{entry: at, callFile: uint32(e.callFile.n), callLine: uint32(e.callLine.n), inlined: true})
			}
		case tagLexicalBlock, tagNamespace, tagModule, tagClassType, tagStructType, tagUnionType, tagInterfaceType:
		default:
			skip = !top.inside
		}
		if !e.children {
			continue
		}
		if to, ok := u.siblingOf(&e); skip && ok {
			off = to
			continue
		}
		if len(levels) >= maxNesting {
			break
		}
		levels = append(levels, next)
	}
	for i := len(levels) - 1; i >= 0; i-- { // levels that are left open in damaged data
		c.leave(levels[i])
	}
}

func (c *code) add(ranges [][2]uint64, s scope) {
	for _, r := range ranges {
		s.lo, s.hi = r[0], r[1]
		c.scopes = append(c.scopes, s)
	}
}

// leave ends the list of scopes of a function.
func (c *code) leave(l level) {
	if l.owns {
		for _, i := range l.open {
			c.funcs[i].last = uint32(len(c.scopes))
		}
	}
}

// siblingOf returns the offset of the entry after an entry and its children.
func (u *Unit) siblingOf(e *entry) (uint64, bool) {
	if e.sibling.form == 0 {
		return 0, false
	}
	_, off, ok := u.target(e.sibling)
	return off, ok && off >= e.next && off < u.end
}

// target returns the entry that a reference refers to.
func (u *Unit) target(v value) (*Unit, uint64, bool) {
	switch v.form {
	case formRef1, formRef2, formRef4, formRef8, formRefUdata:
		return u, u.start + v.n, u.start+v.n > u.start
	case formRefAddr:
		to := u.d.unitAt(v.n)
		return to, v.n, to != nil
	case formRefSig8:
		if at, ok := u.d.Signed(v.n); ok {
			to := u.d.unitAt(at)
			return to, at, to != nil
		}
	case formGNURefAlt, formRefSup4, formRefSup8:
		if alt := u.d.AltData(); alt != nil {
			to := alt.unitAt(v.n)
			return to, v.n, to != nil
		}
	}
	return nil, 0, false
}

// nameOf returns the name of a function's entry. It prefers the linkage name, as that
// contains the namespaces and types.
func (u *Unit) nameOf(off uint64) (name string, mangled bool) {
	for range maxOrigins {
		var e entry
		if !u.read(off, &e) {
			break
		}
		if e.linkage.form != 0 {
			if s := u.text(e.linkage); s != "" {
				return s, true
			}
		}
		if name == "" && e.name.form != 0 {
			name = u.text(e.name)
		}
		ref := e.origin
		if ref.form == 0 {
			ref = e.spec
		}
		to, at, ok := u.target(ref)
		if !ok {
			break
		}
		u, off = to, at
	}
	return name, false
}
