package live

import (
	"bufio"
	"embed"
	"flag"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
)

var recordCosts = flag.String("costs", "", "write the verifier's work for the golden corpus to this `file` instead of comparing it")

// Testdata/verified has a file for each kernel, named by its release. It lists the
// number of instructions that the kernel's verifier processes for the scripts of the
// golden corpus, as costTable prints it. "go run ./tests/all -costs" records them.
//
//go:embed testdata/verified/*.txt
var costFiles embed.FS

// costTable maps the scripts of the golden corpus to the number of instructions
// that the verifier processed for them.
type costTable map[string]int

func (c costTable) String() string {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(c)) {
		fmt.Fprintf(&b, "%s %d\n", name, c[name])
	}
	return b.String()
}

// costSlack is the number of instructions by which any script may exceed its record, in
// addition to a fifth of it.
const costSlack = 20

// grown returns the scripts that cost over a fifth more than recorded, one per line.
func (c costTable) grown(recorded costTable) []string {
	var list []string
	for _, name := range slices.Sorted(maps.Keys(c)) {
		if old, ok := recorded[name]; ok && c[name] > old+old/5+costSlack {
			list = append(list, fmt.Sprintf("%s: %d instructions, recorded %d", name, c[name], old))
		}
	}
	return list
}

// check compares c with the record for this kernel, or records it.
func (c costTable) check(t *testing.T) {
	t.Helper()
	if *recordCosts != "" {
		if err := os.WriteFile(*recordCosts, []byte(c.String()), 0o644); err != nil {
			t.Error(err)
		}
		return
	}
	name := fmt.Sprintf("%d.%d.txt", release()[0], release()[1])
	f, err := costFiles.Open("testdata/verified/" + name)
	if err != nil {
		t.Logf("the verifier's work is not recorded for this kernel: no %s", name)
		return
	}
	defer f.Close()
	recorded := costTable{}
	for in := bufio.NewScanner(f); in.Scan(); {
		var script string
		var n int
		if _, err := fmt.Sscanf(in.Text(), "%s %d", &script, &n); err != nil {
			t.Fatalf("%s: %q: %v", name, in.Text(), err)
		}
		recorded[script] = n
	}
	for _, line := range c.grown(recorded) {
		t.Errorf("%s: the verifier's work has grown: %s", name, line)
	}
}

func TestCostGrown(t *testing.T) {
	old := costTable{"a": 1000, "b": 1000, "c": 10, "d": 10}
	got := costTable{"a": 1220, "b": 1221, "c": 32, "d": 33, "new": 9000}.grown(old)
	want := []string{"b: 1221 instructions, recorded 1000", "d: 33 instructions, recorded 10"}
	if !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}
