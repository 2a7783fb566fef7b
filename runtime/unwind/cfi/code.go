package cfi

import (
	"debug/elf"
	"sort"

	"github.com/gotrace/gotrace/runtime/amd64"
)

// This file makes rows for code that has no call frame information, such as musl as
// distributions compile it, and functions in assembly. It follows the instructions from the
// start of each function and keeps track of the height of the stack.
//
// Functions start at symbols, at the targets of calls, at addresses that instructions
// compute, and after the end of other code. The code after a call is followed only if the
// called function is known to return. If two paths to an instruction disagree about a
// value, it is unknown there.

const (
	// maxCode is the maximum number of bytes of a file that are followed.
	maxCode = 8 << 20
	// longCode is the size in bytes of code that takes noticeably long to follow.
	longCode = 128 << 10
	// nearLabel is the maximum distance from an instruction to an address that it computes,
	// if the address is a label of the same function and not a function. For example, code of
	// Node stores the address to which its next call returns.
	nearLabel = 64
	// maxBlind is the maximum size in bytes of the code of a file without symbols in
	// which unreached functions are searched for. In more code, too many guesses would be
	// wrong.
	maxBlind = 512 << 10
	// fewCode is the size in bytes of the code of a file below which its imports are not
	// worth reading.
	fewCode = 8 << 10
	// maxLooks limits the work for unreached code, per byte of code.
	maxLooks = 2
	// maxRounds is the number of searches for unreached code.
	maxRounds = 4
	// minGap is the size of a range that is not just padding between functions.
	minGap = 16
)

// follower follows the code of a file.
type follower struct {
	arch   *Arch
	effect func(code []byte, addr uint64) (amd64.Effect, bool)
	gaps   []gap
	last   *gap // the gap that gapOf found last
	frames []frame
	index  map[frame]uint32
	work   []way
	labels []uint64 // these are functions only if no other code leads there, see nearLabel
	budget int      // instructions that fits may still decode
	funcs  []*routine
	starts map[uint64]*routine
	plain  map[uint64]bool // functions that are known to leave arguments on the stack
	ends   map[uint64]bool // stubs of functions of other files that do not return
}

// gap is a range of code without rows. For each offset it has the numbers of the frame
// and of the function, or 0 if no instruction was reached there.
type gap struct {
	start uint64
	data  []byte
	at    []uint32
	of    []uint32
	known []byte // of the instructions that were followed: the size, and flowsAway
	pops  bool   // functions in it remove arguments from the stack when they return
	wary  bool   // so the height of the stack after a call is not known, unless plain has the function
}

// flowsAway is the bit in gap.known of jumps to unknown addresses.
const flowsAway = 0x80

// routine is a function that was found.
type routine struct {
	number  uint32
	returns bool
	pops    bool       // it may remove arguments from the stack
	waiting []way      // calls of it: the code after them is followed only if it returns
	joined  []*routine // functions that continue in its code
}

// way is a path to an instruction of a function.
type way struct {
	to    uint64
	frame frame
	of    *routine
}

// fillCode adds rows for code that has none.
func (f *File) fillCode(e *elf.File, gaps []gap, arch *Arch) {
	w := follow(e, gaps, arch)
	var more Rows
	none := more.rule(Rule{})
	for i := range w.gaps {
		g := &w.gaps[i]
		if g.pops && !g.wary {
			continue
		}
		w.rows(g, &more)
		more.add(g.start+uint64(len(g.data)), none)
	}
	f.Fill(&more)
}

// follow follows the code in gaps. If it finds functions that remove arguments from the
// stack, it follows the code again with fewer assumptions.
func follow(e *elf.File, gaps []gap, arch *Arch) *follower {
	w := followOnce(e, gaps, arch, nil)
	again := false
	for i := range gaps {
		if g := &gaps[i]; g.pops {
			g.wary, again = true, true
		}
	}
	if !again {
		return w
	}
	for i := range gaps {
		clear(gaps[i].at)
		clear(gaps[i].of)
	}
	plain := map[uint64]bool{}
	for addr, f := range w.starts {
		plain[addr] = f.returns && !f.pops
	}
	return followOnce(e, gaps, arch, plain)
}

func followOnce(e *elf.File, gaps []gap, arch *Arch, plain map[uint64]bool) *follower {
	w := &follower{plain: plain, arch: arch, effect: amd64.EffectOf, index: map[frame]uint32{}, gaps: gaps, frames: make([]frame, 1), funcs: make([]*routine, 1), starts: map[uint64]*routine{}}
	total := sizeOf(gaps)
	if total == 0 {
		return w
	}
	w.budget = maxLooks * total
	if total > fewCode {
		w.ends = endingStubs(e)
	}
	first := entered
	first.outer = true
	w.enter(e.Entry, first)
	functions := functionsOf(e)
	// Find all of them first: a jump to a function may leave arguments on the stack that
	// count as the function's own.
	for _, addr := range functions {
		w.enter(addr, entered)
	}
	w.run()
	if len(functions) == 0 && total > maxBlind {
		return w
	}
	for round, more := 0, true; more && round < maxRounds; round++ {
		more = false
		for i := range w.gaps {
			more = w.sweep(&w.gaps[i]) || more
		}
	}
	return w
}

// sizeOf returns the number of bytes in gaps.
func sizeOf(gaps []gap) (n int) {
	for _, g := range gaps {
		n += len(g.data)
	}
	return n
}

// gapOf returns the gap that contains an address, or nil.
func (w *follower) gapOf(addr uint64) *gap {
	if g := w.last; g != nil && addr-g.start < uint64(len(g.data)) {
		return g
	}
	i := sort.Search(len(w.gaps), func(i int) bool { return w.gaps[i].start > addr }) - 1
	if i < 0 || addr-w.gaps[i].start >= uint64(len(w.gaps[i].data)) {
		return nil
	}
	w.last = &w.gaps[i]
	return w.last
}

// enter follows the function that starts at an address with a frame. It returns nil if the
// address is not in a gap.
func (w *follower) enter(addr uint64, f frame) *routine {
	if f := w.starts[addr]; f != nil {
		return f
	}
	g := w.gapOf(addr)
	if g == nil {
		return nil
	}
	fun := &routine{number: uint32(len(w.funcs))}
	w.funcs = append(w.funcs, fun)
	w.starts[addr] = fun
	w.reach(way{to: addr, frame: f, of: fun})
	return fun
}

// number returns the number of a frame.
func (w *follower) number(f frame) uint32 {
	n, ok := w.index[f]
	if !ok {
		n = uint32(len(w.frames))
		w.frames = append(w.frames, f)
		w.index[f] = n
	}
	return n
}

// reach records a path to an instruction. If it is new, the instruction will be followed.
func (w *follower) reach(x way) {
	g := w.gapOf(x.to)
	if g == nil { // other code, which is likely to return
		x.of.pops = true
		w.returns(x.of)
		return
	}
	off := x.to - g.start
	if n := g.at[off]; n != 0 {
		if owner := w.funcs[g.of[off]]; owner != x.of {
			x.of.pops = true
			owner.joined = append(owner.joined, x.of)
			if owner.returns {
				w.returns(x.of)
			}
		}
		if w.starts[x.to] != nil { // a call or a jump to another function
			return
		}
		if x.frame = w.frames[n].join(x.frame); x.frame == w.frames[n] {
			return
		}
	} else {
		g.of[off] = x.of.number
	}
	g.at[off] = w.number(x.frame)
	w.work = append(w.work, x)
}

// returns records that a function may return.
func (w *follower) returns(f *routine) {
	if f.returns {
		return
	}
	f.returns = true
	for _, x := range f.waiting {
		w.reach(x)
	}
	f.waiting = nil
	for _, o := range f.joined {
		w.returns(o)
	}
	f.joined = nil
}

// run follows all paths.
func (w *follower) run() {
	for {
		for len(w.work) > 0 {
			x := w.work[len(w.work)-1]
			w.work = w.work[:len(w.work)-1]
			w.step(x)
		}
		if len(w.labels) == 0 {
			return
		}
		addr := w.labels[len(w.labels)-1]
		w.labels = w.labels[:len(w.labels)-1]
		if g := w.gapOf(addr); g != nil && g.at[addr-g.start] == 0 {
			w.enter(addr, entered)
		}
	}
}

// step follows one instruction.
func (w *follower) step(x way) {
	g := w.gapOf(x.to)
	off := x.to - g.start
	if w.frames[g.at[off]] != x.frame {
		return // the frame has become less certain meanwhile
	}
	e, ok := w.effect(g.data[off:], x.to)
	if !ok {
		w.returns(x.of)
		return
	}
	if g.known[off] = byte(e.Size); e.Flow == amd64.FlowAway {
		g.known[off] |= flowsAway
	}
	next := way{x.to + uint64(e.Size), x.frame, x.of}
	next.frame.apply(e)
	switch {
	case e.Taken > x.to && e.Taken-x.to <= nearLabel:
		w.labels = append(w.labels, e.Taken)
	case e.Taken != 0:
		w.enter(e.Taken, entered)
	}
	target := next
	target.to = e.Target
	switch e.Flow {
	case amd64.FlowNext:
		w.reach(next)
	case amd64.FlowBranch:
		w.reach(target)
		w.reach(next)
	case amd64.FlowJump:
		w.reach(target)
	case amd64.FlowAway:
		x.of.pops = true
		w.returns(x.of)
	case amd64.FlowReturn:
		x.of.pops = x.of.pops || e.N != 0 || x.frame.height != 8
		g.pops = g.pops || e.N != 0
		w.returns(x.of)
	case amd64.FlowCall:
		reads := e.Target == next.to // the instruction pointer
		if reads || g.wary && !w.plain[e.Target] {
			next.frame.height = unknown
		}
		if reads {
			w.reach(next)
			return
		}
		switch f := w.enter(e.Target, entered); {
		case f != nil && !f.returns:
			f.waiting = append(f.waiting, next)
		case f != nil || !w.ends[e.Target]:
			w.reach(next)
		}
	}
}

// sweep follows the unreached code of a gap: functions that start at multiples of 16
// bytes, and code that is reached through a table of addresses. It reports whether there
// was any.
func (w *follower) sweep(g *gap) (found bool) {
	var jump *way // the last jump to an unknown address
	block := true // the instruction may be the first of a block
	for off := 0; off < len(g.data); {
		if n, known := g.at[off], g.known[off]; n != 0 && known != 0 {
			if known&flowsAway != 0 {
				jump = &way{frame: w.frames[n], of: w.funcs[g.of[off]]}
			}
			off, block = off+int(known&^flowsAway), true
			continue
		}
		addr := g.start + uint64(off)
		e, ok := w.effect(g.data[off:], addr)
		if !ok {
			off, jump, block = off+1, nil, true
			continue
		}
		padding := e.Change == amd64.NoChange && e.Flow == amd64.FlowNext && isNop(g.data[off:off+e.Size]) || g.data[off] == 0xcc
		switch {
		case padding || !block:
		case jump != nil && w.fits(addr, jump.frame):
			jump.to = addr
			w.reach(*jump)
			found = true
		case (addr%16 == 0 || off == 0) && w.fits(addr, entered):
			w.enter(addr, entered)
			found = true
		}
		w.run()
		block = padding || e.Flow != amd64.FlowNext && e.Flow != amd64.FlowBranch
		off += e.Size
	}
	return found
}

// maxEvidence is the number of instructions after which fits gives up.
const maxEvidence = 300

// fits reports whether a frame before an instruction is consistent with the following
// instructions. At a return, and at a jump to another function, the stack must have only the
// return address. At an instruction whose frame is known, the two frames must agree.
func (w *follower) fits(addr uint64, f frame) bool {
	for range maxEvidence {
		if w.budget--; w.budget < 0 {
			return false
		}
		g := w.gapOf(addr)
		if g == nil {
			return f.height == 8
		}
		off := addr - g.start
		if n := g.at[off]; n != 0 {
			known := w.frames[n]
			return f.height != unknown && f.height == known.height || g.wary && f.fp != unknown && f.fp == known.fp
		}
		e, ok := w.effect(g.data[off:], addr)
		if !ok {
			return false
		}
		f.apply(e)
		addr += uint64(e.Size)
		switch e.Flow {
		case amd64.FlowReturn:
			return f.height == 8
		case amd64.FlowJump:
			addr = e.Target
		case amd64.FlowBranch:
			if g := w.gapOf(e.Target); g != nil && g.at[e.Target-g.start] != 0 {
				addr = e.Target
			}
		case amd64.FlowCall:
			if callee := w.starts[e.Target]; w.ends[e.Target] || callee != nil && !callee.returns {
				return false
			}
			if g.wary && !w.plain[e.Target] {
				f.height = unknown
			}
		case amd64.FlowAway, amd64.FlowEnd:
			return false
		}
	}
	return false
}

// isNop reports whether an instruction does nothing: nop, also with operands, or endbr64.
func isNop(b []byte) bool {
	for len(b) > 0 && (b[0] == 0x66 || b[0] == 0x2e || b[0] == 0xf3) {
		b = b[1:]
	}
	return len(b) > 0 && b[0] == 0x90 || len(b) > 1 && b[0] == 0x0f && b[1] == 0x1f
}

// rows adds the rows of a gap.
func (w *follower) rows(g *gap, rows *Rows) {
	none := rows.rule(Rule{})
	numbers := map[uint32]uint16{}
	end := 0
	for off := range g.at {
		n := g.at[off]
		if n == 0 {
			if off == end {
				rows.add(g.start+uint64(off), none)
			}
			continue
		}
		end = off + max(int(g.known[off]&^flowsAway), 1)
		rule, ok := numbers[n]
		if !ok {
			rule = none
			if r, known := w.frames[n].rule(w.arch); known {
				rule = rows.rule(r)
			}
			numbers[n] = rule
		}
		rows.add(g.start+uint64(off), rule)
	}
}
