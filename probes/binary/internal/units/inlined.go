package units

import "slices"

// Copy is a copy of a function that the compiler inlined into another function.
type Copy struct {
	Name    string // of the function that was inlined; mangled, if Mangled is set
	Mangled bool
	Addr    uint64 // where its code starts
	File    string // where it was called; "" if it is not known
	Line    int
	Entry   uint64 // offset of its entry in Unit.Whole
	Unit    *Unit

	Ranges [][2]uint64 // the first addresses of its code and after its code
}

// Covers reports whether an address is in the code of the copy.
func (c *Copy) Covers(addr uint64) bool {
	return slices.ContainsFunc(c.Ranges, func(r [2]uint64) bool { return r[0] <= addr && addr < r[1] })
}

// Inlined returns the copies of the functions for whose names wanted returns true, in the
// order of the debug information.
func (d *Data) Inlined(wanted func(name string, mangled bool) bool) []Copy {
	var out []Copy
	for _, u := range d.Units() {
		out = append(out, u.Inlined(wanted)...)
	}
	return out
}

// Inlined returns the copies of functions in the unit, as Data.Inlined does.
func (u *Unit) Inlined(wanted func(name string, mangled bool) bool) []Copy {
	whole := u.Whole()
	if whole == nil || whole.kind == kindType || whole.kind == kindSplitType {
		return nil
	}
	var out []Copy
	scopes := whole.functions().scopes
	for i := 0; i < len(scopes); {
		first, s := i, scopes[i]
		for i++; i < len(scopes) && scopes[i].entry == s.entry; i++ {
		}
		if !s.inlined {
			continue
		}
		name, mangled := whole.nameOf(s.entry)
		if name == "" || !wanted(name, mangled) {
			continue
		}
		var ranges [][2]uint64
		for _, r := range scopes[first:i] {
			ranges = append(ranges, [2]uint64{r.lo, r.hi})
		}
		out = append(out, Copy{
			Name: name, Mangled: mangled, Addr: whole.firstInsn(scopes[first:i]),
			File: whole.file(uint64(s.callFile)), Line: int(s.callLine), Entry: s.entry, Unit: u, Ranges: ranges,
		})
	}
	return out
}

// firstInsn returns the address at which the code of a copy starts. ranges are those of
// its code, at least one.
func (u *Unit) firstInsn(ranges []scope) uint64 {
	lowest := ranges[0].lo
	for _, r := range ranges {
		lowest = min(lowest, r.lo)
	}
	var e entry
	if !u.read(ranges[0].entry, &e) || e.entryPC.form == 0 {
		return lowest
	}
	at, ok := u.addr(e.entryPC)
	if !ok { // relative to its first range
		at = ranges[0].lo + e.entryPC.n
	}
	for _, r := range ranges {
		if r.lo <= at && at < r.hi {
			return at
		}
	}
	return lowest
}
