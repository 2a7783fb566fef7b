// Package cfi reads call frame information. For each instruction of a program, it
// describes how to find the caller's frame. Programs contain it in the section
// .eh_frame, for exceptions, or in .debug_frame, for debuggers.
//
// The information consists of a program in DWARF's byte code for each function. The
// program describes a table with a row for each range of instructions and a column for
// each register. This package executes the program and keeps the part of each row that
// unwinding needs: where the caller's frame, the return address and the saved frame
// pointer are. Rows are indexes into a list of distinct Rules, as even large programs
// have few different ones.
//
// The files are untrusted. Reading takes time and memory in proportion to a file's
// size, whatever its contents.
package cfi

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/gotrace/gotrace/runtime/outline"
)

// Kind is the way in which a Rule finds the caller's frame.
type Kind uint8

const (
	// NoTable means that nothing describes the instruction.
	NoTable Kind = iota
	// Register: the canonical frame address (CFA), which is the caller's stack
	// pointer, is the value of Reg plus CFA.
	Register
	// Deref: the CFA is the word at Reg+CFA, plus Add.
	Deref
	// PLT: the CFA is Reg+CFA. From byte Add of each 16-byte entry of the procedure
	// linkage table on, it is 8 more.
	PLT
	// Switch: the CFA is Reg+CFA, which is on another stack and so may have a lower address
	// than the stack pointer. The return address is at Reg+RA. Add is switchAdd.
	Switch
	// Signal is the frame that the kernel made for a signal handler. The caller's stack
	// pointer is at Reg+CFA, its instruction pointer at Reg+RA. The caller made no
	// call: the signal interrupted it at that instruction.
	Signal
	// End means that the function has no caller.
	End
	// Unknown means that this package does not support the rule.
	Unknown
)

// Save is the place where a register of the caller was saved.
type Save uint8

const (
	Same  Save = iota // not saved: the register still has the caller's value
	AtCFA             // at an offset from the CFA
	AtSP              // at an offset from the stack pointer
	AtFP              // at an offset from the frame pointer
	Lost              // cannot be restored
)

// Rule describes how to get from a frame to the caller's frame. The return address is
// at CFA+RA, except for Switch and Signal. The callee-saved registers that other rules
// depend on are the frame pointer (FP) and, in a few functions written in assembly, the
// base register (BX).
type Rule struct {
	Kind   Kind
	Reg    uint8 // DWARF's number
	FP, BX Save
	CFA    int32
	Add    int16
	RA     int16
	FPOff  int16
	BXOff  int16
}

// A Row applies to the addresses from PC up to the PC of the next row. Rule is an index
// into Rows.Rules.
type Row struct {
	PC   uint64
	Rule uint16
}

// Rows is a table of rows in the order of their addresses. The last row is NoTable.
type Rows struct {
	Rules []Rule
	List  []Row

	index map[Rule]uint16
}

// clone returns a copy.
func (t *Rows) clone() Rows {
	return Rows{slices.Clone(t.Rules), slices.Clone(t.List), maps.Clone(t.index)}
}

// maxRules is the maximum number of distinct rules of a table. The largest programs
// have a few thousand.
const maxRules = 1 << 15

// ErrFormat is wrapped by the errors about malformed call frame information.
var ErrFormat = errors.New("malformed call frame information")

func badf(format string, args ...any) error {
	return outline.Errorf("%w: %s", ErrFormat, fmt.Sprintf(format, args...))
}

// rule returns the index of r. If the table of rules is full, it returns the index of
// Unknown.
func (t *Rows) rule(r Rule) uint16 {
	if t.index == nil {
		t.index = map[Rule]uint16{}
		t.rule(Rule{})
		t.rule(Rule{Kind: Unknown})
	}
	n, ok := t.index[r]
	if !ok {
		if len(t.Rules) >= maxRules {
			return t.index[Rule{Kind: Unknown}]
		}
		n = uint16(len(t.Rules))
		t.Rules = append(t.Rules, r)
		t.index[r] = n
	}
	return n
}

// add appends a row. It leaves out rows that change nothing.
//
//go:noinline
func (t *Rows) add(pc uint64, rule uint16) {
	n := len(t.List)
	if n > 0 && t.List[n-1].PC == pc { // an empty range
		t.List[n-1].Rule = rule
		if n > 1 && t.List[n-2].Rule == rule {
			t.List = t.List[:n-1]
		}
		return
	}
	if n > 0 && t.List[n-1].Rule == rule {
		return
	}
	t.List = append(t.List, Row{pc, rule})
}

// At returns the rule for the instruction at pc.
func (t *Rows) At(pc uint64) Rule {
	lo, hi := 0, len(t.List)
	for lo < hi {
		if mid := (lo + hi) / 2; t.List[mid].PC <= pc {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	if lo == 0 {
		return Rule{}
	}
	return t.Rules[t.List[lo-1].Rule]
}
