// Package plan decides, before any code is made, what depends on all programs of a
// script: how each map is kept, which additions are atomic, and which programs
// the kernel can run as one. It goes through the checked script once (uses.go),
// lays the maps out (maps.go) and pairs entry with return probes (pairs.go).
package plan

import (
	"github.com/gotrace/gotrace/builtins"
	"github.com/gotrace/gotrace/codegen/ir"
	"github.com/gotrace/gotrace/lang/ast"
	"github.com/gotrace/gotrace/lang/check"
	"github.com/gotrace/gotrace/lang/source"
	"github.com/gotrace/gotrace/lang/types"
	"github.com/gotrace/gotrace/runtime/object"
	"github.com/gotrace/gotrace/runtime/store"
)

// Program is a checked script with the decisions about it.
type Program struct {
	*check.Program
	Stored map[*builtins.MapInfo]*Map // the maps that have values
	Order  []*Map                     // the same, in the order of their first use
	Kernel []*ir.Map                  // the kernel maps of the script's maps
	Sums   map[*ast.Assign]*Sum       // @m = @m + …
	Pairs  []Pair
	// Warnings says what will not be quite as in the script on this kernel.
	Warnings []source.Diag
}

// Map is a map of the script and how it is kept.
type Map struct {
	Info   *builtins.MapInfo
	Key    *types.Type // as it is stored, which may hold less than the checker's
	Uses   store.Use
	Store  store.Store
	Object object.Map
}

// Plan makes the decisions for p. foreign says that programs other than gotrace read
// the maps, so that each value must be whole in a kernel map. The error is a
// source.DiagError about what the kernel that p was checked against cannot keep.
func Plan(p *check.Program, foreign bool) (*Program, error) {
	u := findUses(p)
	out := &Program{Program: p, Stored: map[*builtins.MapInfo]*Map{}, Sums: u.sums}
	if err := out.layOut(u, foreign); err != nil {
		return nil, err
	}
	out.Pairs = findPairs(p)
	return out, nil
}
