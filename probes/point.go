package probes

import (
	"cmp"

	"github.com/gotrace/gotrace/lang/source"
	"github.com/gotrace/gotrace/runtime/object"
)

// Point is a location to attach to. Kind determines which fields are used.
type Point struct {
	Kind      *Kind
	Name      string // canonical text, the value of the builtin probe
	Alias     string // the event of a provider for which the point stands, or ""
	Span      source.Span
	Target    string // module, category, binary path, interface, cgroup, unit of a rate …
	Func      string // function, event, symbol, iterator, signal, software event …
	NS        string // USDT provider
	Offset    uint64 // in bytes from the start of Func
	Addr      uint64 // absolute address, if HasAddr
	HasAddr   bool
	Count     uint64 // rate, sample count, watchpoint length …
	Mode      string // watchpoint mode, ingress/egress, pin path …
	PID       int    // only this process; 0: all
	Implied   bool   // a part was omitted, which denotes a wildcard
	Matched   bool   // it comes from a pattern: if it cannot be attached, others still are
	Event     uint64 // number of the kernel's event, in the namespace of the kind
	Anywhere  bool   // the session searches the files of all processes for Func
	Multi     bool   // the program is loaded for a link to many points at once
	EveryTask bool   // the flags that select processes do not confine the program
	AtInsn    bool   // for kinds of returns: the program runs at a return instruction, Offset bytes into Func

	// The location of the point in a file: the path for the kernel, the offset of the
	// instruction, and the offset of the USDT semaphore or 0.
	File       string
	FileOffset uint64
	Semaphore  uint64

	Library, Operands string // as in object.Point
	Bound             bool

	Aux any // data of the kind, passed from Parse and Expand to Context
}

// Shown returns the value of the builtin probe.
func (p *Point) Shown() string { return cmp.Or(p.Alias, p.Name) }

// Data returns the part of the point that attaching needs.
func (p *Point) Data() object.Point {
	return object.Point{
		Kind: p.Kind.Name, Name: p.Name, Span: p.Span, Target: p.Target, Func: p.Func, Mode: p.Mode,
		Offset: p.Offset, Addr: p.Addr, HasAddr: p.HasAddr, Count: p.Count, Event: p.Event, PID: p.PID, Multi: p.Multi, Matched: p.Matched,
		File: p.File, FileOffset: p.FileOffset, Semaphore: p.Semaphore, OnReturn: p.Kind.OnReturn, AtInsn: p.AtInsn, Anywhere: p.Anywhere,
		Library: p.Library, Operands: p.Operands, Bound: p.Bound,
	}
}
