package probes

import (
	"github.com/gotrace/gotrace/codegen/ir"
)

// Verdict describes the results by which the programs of a kind refuse packets or
// calls: drop() and deny(). All functions emit code for the result.
type Verdict struct {
	What string // the refused object, for messages: "packet", "call"
	// Drop is the result that drops the packet, or nil if the kind has no packets.
	Drop func(b *ir.Builder) *ir.Value
	// Deny is the result that refuses the call with an error number from 1 to 4095, or
	// nil if the kind cannot refuse calls.
	Deny func(b *ir.Builder, errno *ir.Value) *ir.Value
	// OnlyEPERM is the reason why the kernel accepts no error number but EPERM, or ""
	// if it accepts others.
	OnlyEPERM string
}

// drops returns the Verdict of a kind that drops a packet by a constant result.
//
//go:noinline
func drops(result int64) Verdict {
	return Verdict{What: "packet", Drop: func(b *ir.Builder) *ir.Value { return b.Const(result) }}
}

// deniesNegative is the Verdict of kinds whose result is a negative error number.
var deniesNegative = Verdict{What: "call", Deny: func(b *ir.Builder, errno *ir.Value) *ir.Value {
	return b.Op(ir.OpSub, b.Const(0), errno)
}}
