package probes

import (
	"github.com/gotrace/gotrace/codegen/ir"
)

// Verdict describes the results by which the programs of a kind that decides refuse what
// they see: drop() and deny(). All functions emit code for the result.
type Verdict struct {
	What string // what is refused, for messages: "packet", "call"
	// Drop is the result that drops the packet. nil: the kind has no packets.
	Drop func(b *ir.Builder) *ir.Value
	// Deny is the result that refuses the call with an error number, from 1 to 4095. nil:
	// the kind cannot.
	Deny func(b *ir.Builder, errno *ir.Value) *ir.Value
	// OnlyEPERM says that the kernel does not take another error number than EPERM, and
	// why. "": it does.
	OnlyEPERM string
}

// drops returns the Verdict of a kind that drops a packet by a constant result.
func drops(result int64) Verdict {
	return Verdict{What: "packet", Drop: func(b *ir.Builder) *ir.Value { return b.Const(result) }}
}

// deniesNegative is the Verdict of kinds whose result is a negative error number.
var deniesNegative = Verdict{What: "call", Deny: func(b *ir.Builder, errno *ir.Value) *ir.Value {
	return b.Op(ir.OpSub, b.Const(0), errno)
}}
