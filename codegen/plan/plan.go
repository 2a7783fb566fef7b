// Package plan makes the decisions that depend on all programs of a script before code
// is generated: how each map is stored, which additions are atomic, and which programs
// the kernel can run as one. It finds what the programs do with each map (uses.go), chooses
// the layout of the maps (maps.go), names them for other systems (labels.go), finds the
// assignments that are sums (sums.go) and the strings to read again at returns (retry.go),
// pairs entry with return probes (pairs.go) and numbers the programs that can be sampled
// (sample.go). text.go prints the result.
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
	// Retries has the strings that are read again at the returns of calls, and RetriesAt
	// those of each program at returns. Forgets has the strings of earlier calls that a
	// program deletes when it starts.
	Retries   map[*builtins.Call]*Retry
	RetriesAt map[*check.Prog][]*Retry
	Forgets   map[*check.Prog][]*Retry
	// Sampled has the programs that can be sampled, and their numbers.
	Sampled map[*check.Prog]int
	// Warnings describes differences from the script that this kernel requires.
	Warnings []source.Diag
}

// Map is a map of the script and its layout.
type Map struct {
	Info   *builtins.MapInfo
	Key    *types.Type // as it is stored, possibly shorter than the checker's type
	Uses   store.Use
	Store  store.Store
	Object object.Map
}

// Plan makes the decisions for p. foreignReaders is set if programs other than gotrace read
// the maps, so that each value must be complete in a kernel map. The error is a
// source.DiagError about maps that the kernel of p cannot hold.
func Plan(p *check.Program, foreignReaders bool) (*Program, error) {
	u := findUses(p)
	out := &Program{Program: p, Stored: map[*builtins.MapInfo]*Map{}, Sums: u.sums,
		Retries: map[*builtins.Call]*Retry{}, RetriesAt: map[*check.Prog][]*Retry{}, Forgets: map[*check.Prog][]*Retry{}}
	if err := out.layOut(u, foreignReaders); err != nil {
		return nil, err
	}
	if err := out.nameParts(); err != nil {
		return nil, err
	}
	out.Pairs = findPairs(p)
	out.findRetries(u)
	return out, nil
}
