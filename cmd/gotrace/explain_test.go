package main

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/gotrace/gotrace/tests/schema"
)

// explainScript has a probe of a kind that needs no privileges to compile.
const explainScript = `profile:hz:99 /pid > 1/ {
	@[comm] = count();
	if (cpu == 0) { @zero = count(); }
	for ($i : 0..300) { @sum = sum($i); }
}`

func TestExplainText(t *testing.T) {
	out, errs, status := gotrace(t, "explain", "-e", explainScript)
	if status != 0 || errs != "" {
		t.Fatalf("status %d, %q", status, errs)
	}
	for _, want := range []string{
		"profile:hz:99\n", " always    1: pid > 1\n", " if        2: @[comm] = count()\n", " rare      2: @[comm] = count()\n",
		" if        3: @zero = count()", " loop      4: @sum = sum($i)", "per iteration; there are 300",
		"  each event: ", "  the kernel itself: ", "of 512 bytes of stack", "  @: ", "  @zero: ",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
}

func TestExplainJSON(t *testing.T) {
	out, errs, status := gotrace(t, "explain", "-f", "json", "-e", explainScript)
	if status != 0 || errs != "" {
		t.Fatalf("status %d, %q", status, errs)
	}
	if err := schema.Reports([]byte(out)); err != nil {
		t.Error(err)
	}
	kinds := map[string]int{}
	for line := range strings.Lines(out) {
		var v struct {
			Type string
			Data explained
		}
		if err := json.Unmarshal([]byte(line), &v); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		kinds[v.Type]++
		if v.Type != "cost" {
			continue
		}
		if e := v.Data; e.Least <= 0 || e.Most <= e.Least || e.Instructions == 0 || len(e.Parts) < 5 {
			t.Errorf("estimate %+v", e)
		}
	}
	if kinds["cost"] != 1 || kinds["map_kept"] != 3 {
		t.Errorf("objects %v", kinds)
	}
}

func TestExplainRefuses(t *testing.T) {
	for _, args := range [][]string{
		{}, {"-l"}, {"--info"}, {"-f", "csv", "-e", "begin { }"}, {"--mode", "codegen", "-e", "begin { }"}, {"/nonexistent.bt"},
		{"-e", "begin { nonsense }"}, {"-e", ""},
	} {
		if out, errs, status := gotrace(t, append([]string{"explain"}, args...)...); status != 1 || out != "" || errs == "" {
			t.Errorf("%q: status %d, %q, %q", args, status, out, errs)
		}
	}
}

// TestExplainTurns checks that the turns of nested loops are multiplied, but not beyond what
// an int holds.
func TestExplainTurns(t *testing.T) {
	const loop = "for ($%s : 0..8388607) { "
	for n, want := range []string{"", "there are 8388607", "there are 70368727400449", "depends on the data"} {
		text := "profile:hz:99 { "
		for _, name := range []string{"i", "j", "k"}[:n] {
			text += strings.ReplaceAll(loop, "%s", name)
		}
		out, errs, status := gotrace(t, "explain", "-e", text+"@ = count(); "+strings.Repeat("} ", n)+"}")
		if status != 0 || errs != "" || !strings.Contains(out, want) {
			t.Errorf("%d loops: status %d, %q, no %q in\n%s", n, status, errs, want, out)
		}
	}
}
