// Package code has the part of the code generator that knows nothing of builtins and
// their calls. The packages below builtins build their code with it.
package code

import (
	"github.com/gotrace/gotrace/codegen/ir"
	"github.com/gotrace/gotrace/lang/source"
	"github.com/gotrace/gotrace/lang/types"
	"github.com/gotrace/gotrace/probes"
	"github.com/gotrace/gotrace/runtime/object"
)

// Gen builds the code of one function of a program.
type Gen interface {
	Memory
	Maps
	Functions

	Kernel() probes.Kernel
	// B returns the builder at the current position. It is the same for the whole
	// function.
	B() *ir.Builder
	// Ctx returns the program's context pointer.
	Ctx() *ir.Value
	// Count increments the counter of a new error site.
	Count(kind object.SiteKind, s source.Span, what string)
}

// Memory reads traced memory and allocates the program's own memory.
type Memory interface {
	// Read copies size bytes (a constant) from address src in space to dst. On a fault
	// it zeroes dst and counts the error. It returns the helper's result.
	Read(dst *ir.Value, off int64, size int, src *ir.Value, space types.Space, what string) *ir.Value
	// ReadStr copies a NUL-terminated string of at most size bytes, including the NUL.
	// It returns the length including the NUL. On a fault it counts the error, makes
	// dst an empty string and returns a negative number.
	ReadStr(dst *ir.Value, off int64, size *ir.Value, max int, src *ir.Value, space types.Space) *ir.Value
	// Temp returns the address of size bytes that are valid for the rest of the
	// program.
	Temp(size int) *ir.Value
	// Rodata returns the address of constant bytes.
	Rodata(data []byte) *ir.Value
}

// Maps returns kernel maps.
type Maps interface {
	// KernelMap returns the additional kernel map with the name of m. The first call
	// creates it with the properties of m.
	KernelMap(m ir.Map) *ir.Map
}

// Functions builds code that is long or is used many times.
type Functions interface {
	// Function returns the program's function with a name. The first call emits it with
	// build. It has no parameters. The verifier checks it once, however often it is
	// called.
	Function(name string, build func(g Gen) *ir.Value) *ir.Func
	// Once returns the address of size bytes that fill writes. This code runs once, at
	// the start of the function, however often Once is called with the name. If the
	// program has so many branches that the kernel's verifier could not follow all paths,
	// the memory is of a kind whose content it does not track.
	Once(name string, size int, fill func(p *ir.Value)) *ir.Value
	// Repeat runs body up to turns times. p is memory that the iterations and the code
	// after the loop share. body may become a function of its own, so it must use only
	// its own g and p, and no other value.
	Repeat(turns int, p *ir.Value, body func(g Gen, p *ir.Value, leave Leave))
}

// Leave ends a loop if cond is not 0. It runs last first, unless that is nil.
type Leave func(cond *ir.Value, last func())

// SessionWord emits code that reads the u64 at byte off of object.SessionMap, which the
// runtime writes before it attaches the programs.
//
//go:noinline
func SessionWord(g Gen, off int) *ir.Value {
	m := g.KernelMap(ir.Map{Name: object.SessionMap, Type: ir.Array, KeySize: 4, ValueSize: object.SessionSize, MaxEntries: 1})
	return g.B().Load(g.B().MapValue(m, int64(off)), 0, 8, false)
}
