package cfi

import "github.com/gotrace/gotrace/runtime/amd64"

// maxHeight is the maximum plausible height of a stack frame, in bytes.
const maxHeight = 1 << 28

// frame is the known state before an instruction.
type frame struct {
	height int32    // bytes from the stack pointer to the CFA, or unknown
	fp     int32    // bytes from the frame pointer to the CFA, or unknown
	saved  [2]int32 // where FP and BX were saved: bytes below the CFA, 0 if they were not
	lost   [2]bool  // they were neither saved nor kept
	outer  bool     // the function has no caller: it has cleared the frame pointer
	moving bool     // the return address is in a register, or elsewhere on the stack
}

const unknown = -1 << 31

// entered is the frame at the start of a function.
var entered = frame{height: 8, fp: unknown}

// join returns the values on which two frames agree.
func (f frame) join(o frame) frame {
	if f.height != o.height {
		f.height = unknown
	}
	if f.fp != o.fp {
		f.fp = unknown
	}
	for i := range f.saved {
		if f.saved[i] != o.saved[i] || f.lost[i] != o.lost[i] {
			f.saved[i], f.lost[i] = 0, true
		}
	}
	f.outer = f.outer || o.outer
	f.moving = f.moving || o.moving
	return f
}

// apply changes a frame like an instruction does.
func (f *frame) apply(e amd64.Effect) {
	add := func(n int64) { // to the height
		if f.height == unknown {
			return
		}
		if h := int64(f.height) + n; h >= -8 && h < maxHeight {
			f.height = int32(h)
		} else {
			f.height = unknown
		}
	}
	n := int(e.Reg) - 1 // of the register in saved and lost
	// at returns the position that is off bytes above the stack pointer.
	at := func(off int64) int32 {
		if f.height == unknown || off < 0 || off >= int64(f.height) {
			return 0
		}
		return f.height - int32(off)
	}
	if e.Reg == amd64.FramePointer && e.Change != amd64.Push && e.Change != amd64.StoreReg {
		f.fp = unknown
	}
	switch e.Change {
	case amd64.Push:
		add(8)
		if n >= 0 {
			f.save(n, at(0))
		}
	case amd64.StoreReg:
		f.save(n, at(e.N))
	case amd64.Pop:
		if n >= 0 {
			f.restore(n, at(0))
		}
		f.moving = f.moving || f.height == 8
		add(-8)
	case amd64.LoadReg:
		f.restore(n, at(e.N))
	case amd64.AddSP:
		add(-e.N)
	case amd64.LoseSP:
		f.height = unknown
	case amd64.FPFromSP:
		if f.moving && e.N == 0 && f.saved[0] != 0 && f.saved[0] == f.height {
			// The function has put arguments below its own ones, then the return
			// address and the frame pointer.
			f.height, f.saved, f.moving = 16, [2]int32{16, 0}, false
		}
		if f.height != unknown {
			f.fp = f.height - int32(e.N)
		}
		f.change(n)
	case amd64.SPFromFP:
		f.height = unknown
		if f.fp != unknown {
			f.height = f.fp - int32(e.N)
		}
	case amd64.LeaveFrame:
		f.height = f.fp
		f.restore(0, at(0))
		f.fp = unknown
		add(-8)
	case amd64.ClearReg:
		if e.Reg == amd64.FramePointer && f.saved[0] == 0 && f.height <= 8 {
			f.outer = true
		}
		f.change(n)
	case amd64.LoseReg:
		f.change(n)
	}
}

// save records that a register was saved, if it still had the caller's value.
func (f *frame) save(n int, at int32) {
	if f.saved[n] == 0 && !f.lost[n] {
		f.saved[n] = at
	}
}

// restore records that a register has been loaded from a position.
func (f *frame) restore(n int, at int32) {
	if at != 0 && f.saved[n] == at {
		f.saved[n] = 0
	} else {
		f.change(n)
	}
}

// change records that a register has a new, unknown value.
func (f *frame) change(n int) {
	if n >= 0 && f.saved[n] == 0 {
		f.lost[n] = true
	}
}

// rule returns the rule of a frame. ok is false if the caller cannot be found.
func (f frame) rule(a *Arch) (r Rule, ok bool) {
	if f.outer {
		return Rule{Kind: End}, true
	}
	r = Rule{Kind: Register, Reg: uint8(a.SP), CFA: f.height, RA: -8}
	if f.height == unknown {
		r.Reg, r.CFA = uint8(a.FP), f.fp
	}
	if r.CFA == unknown || r.CFA < 8 || f.moving {
		return r, false
	}
	for i, at := range f.saved {
		save, off := Same, -int64(at)
		switch {
		case at != 0 && fits16(off):
			save = AtCFA
		case at != 0 || f.lost[i]:
			save, off = Lost, 0
		}
		if i == 0 {
			r.FP, r.FPOff = save, int16(off)
		} else {
			r.BX, r.BXOff = save, int16(off)
		}
	}
	return r, true
}
