// Package codegen turns a checked script into BPF: lower (AST to SSA), opt
// (SSA to SSA), bpf (SSA to instructions). The pipeline is the table in
// compile.go; what comes out is an Object, all that the runtime needs.
package codegen

import (
	"github.com/cilium/ebpf"

	"github.com/gotrace/gotrace/builtins"
	"github.com/gotrace/gotrace/lang/check"
	"github.com/gotrace/gotrace/lang/source"
	"github.com/gotrace/gotrace/runtime/object"
)

// Object is a compiled script.
type Object struct {
	Spec    *ebpf.CollectionSpec // programs by Prog.Name, maps by the kernel names in object
	Checked *check.Program       // attach points, configuration, session
	Defs    *builtins.Registry
	Maps    []object.Map   // the script's maps, in order of first use
	Events  []object.Event // by event number
	Sites   []object.Site  // by site number
	// Lines maps an instruction of a program to the source it came from, for
	// reporting what the kernel's verifier refuses.
	Lines map[string][]source.Span
}
