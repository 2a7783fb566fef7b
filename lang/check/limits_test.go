package check

import (
	"fmt"
	"strings"
	"testing"
)

// TestChains: maps that take their types from each other settle whichever way
// the chain runs.
func TestChains(t *testing.T) {
	const n = 300
	var down, up strings.Builder
	for i := range n {
		fmt.Fprintf(&down, "@a%d = @a%d; ", i, i+1)
		fmt.Fprintf(&up, "@a%d = @a%d; ", n-i-1, n-i)
	}
	for _, body := range []string{
		fmt.Sprintf("begin { @a%d = comm; %s }", n, up.String()),
		fmt.Sprintf("begin { %s } end { @a%d = comm; }", up.String(), n),
	} {
		p, diags := checkText("test", body)
		if p == nil {
			t.Fatal(diags.Err())
		}
		for _, m := range p.Maps {
			if m.Value.String() != "string[16]" {
				t.Fatalf("%s is %s", m.Name, m.Value)
			}
		}
	}
	// A chain of blocks, each of which needs the next.
	script := "config = { max_probes=1000 } "
	for i := range 5 {
		script += fmt.Sprintf("begin { @a%d = @a%d; } ", i, i+1)
	}
	p, diags := checkText("test", script+"end { @a5 = comm; }")
	if p == nil {
		t.Fatal(diags.Err())
	}
	// One that no order of walking settles soon is refused, not looped over.
	p, diags = checkText("test", "begin { "+down.String()+fmt.Sprintf("@a%d = comm; }", n))
	if p != nil || !strings.Contains(diags.Err().Error(), "have not settled") {
		t.Errorf("got %v", diags.Err())
	}
}

// TestDeep: what the parser lets through nests no deeper than checking can go.
func TestDeep(t *testing.T) {
	for _, script := range []string{
		"begin { $x = 1" + strings.Repeat(" + pid", 1500) + "; }",
		"begin { $x = " + strings.Repeat("{ ", 600) + "1" + strings.Repeat(" }", 600) + "; }",
		"begin { " + strings.Repeat("if (pid) { ", 600) + strings.Repeat("} ", 600) + "}",
		"begin { $x = " + strings.Repeat("(", 900) + "1" + strings.Repeat(", 2)", 900) + "; }",
	} {
		if p, diags := checkText("test", script); p == nil && !strings.Contains(diags.Err().Error(), "nest") {
			t.Errorf("%.40s…: %v", script, diags.Err())
		}
	}
}
