package opt

import (
	"fmt"
	"slices"
	"testing"

	"github.com/gotrace/gotrace/codegen/ir"
)

// checkOrder returns an error about the first pass that is listed before one it has to
// follow.
func checkOrder(passes []Pass) error {
	ran := map[string]bool{}
	for _, p := range passes {
		for _, name := range p.After {
			if !ran[name] {
				return fmt.Errorf("opt: pass %s has to run after %s", p.Name, name)
			}
		}
		if ran[p.Name] {
			return fmt.Errorf("opt: two passes are named %s", p.Name)
		}
		ran[p.Name] = true
	}
	return nil
}

// TestOrder checks that the pipeline has the order that its rows require, and that
// checkOrder reports each pass that is moved before one it has to follow.
func TestOrder(t *testing.T) {
	passes := Passes(&ir.Module{})
	if err := checkOrder(passes); err != nil {
		t.Fatal(err)
	}
	for i, p := range passes {
		if i > 0 && len(p.After) == 0 {
			t.Errorf("%s does not say what it has to run after", p.Name)
		}
		for _, name := range p.After {
			k := slices.IndexFunc(passes, func(q Pass) bool { return q.Name == name })
			moved := slices.Insert(slices.Delete(slices.Clone(passes), i, i+1), k, p)
			if checkOrder(moved) == nil {
				t.Errorf("%s may run before %s", p.Name, name)
			}
		}
	}
	if checkOrder(append(passes, passes[0])) == nil {
		t.Error("two passes may have the same name")
	}
}
