package check

import (
	"fmt"
	"strings"
	"testing"
)

// TestChains checks that the types of maps that depend on each other settle, in
// whatever order the maps are assigned.
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
	// A chain that settles slowly in either order is refused.
	p, diags = checkText("test", "begin { "+down.String()+fmt.Sprintf("@a%d = comm; }", n))
	if p != nil || !strings.Contains(diags.Err().Error(), "have not settled") {
		t.Errorf("got %v", diags.Err())
	}
}

// TestWide checks the limits of tuples, records and keys.
func TestWide(t *testing.T) {
	many := strings.Repeat("1, ", 2000) + "1"
	var fields strings.Builder
	for i := range 2000 {
		fmt.Fprintf(&fields, "f%d=1, ", i)
	}
	for script, want := range map[string]string{
		"begin { $x = (" + many + "); }":                 "A tuple can have up to 1024 parts (2001 given)",
		"begin { $x = (" + fields.String() + "end=1); }": "A record can have up to 1024 parts (2001 given)",
		"begin { @[" + many + "] = 1; }":                 "A key can have up to 1024 parts (2001 given)",
	} {
		if _, diags := checkText("test", script); diags.Err() == nil || !strings.Contains(diags.Err().Error(), want) {
			t.Errorf("%.40s…: %v, want %s", script, diags.Err(), want)
		}
	}
}

// TestUnknownNames checks that each of many unknown names is reported, and that only
// some of them are compared with every known name.
func TestUnknownNames(t *testing.T) {
	var script strings.Builder
	script.WriteString("begin {")
	for i := range 3000 {
		fmt.Fprintf(&script, " print(elapsedd%d);", i)
	}
	script.WriteString(" }")
	_, diags := checkText("test", script.String())
	if n := len(diags.All()); n != 3000 {
		t.Errorf("%d errors", n)
	}
}

// TestDeep checks that the checker does not overflow the stack on any script that the
// parser accepts.
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
