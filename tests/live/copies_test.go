package live

import (
	"strings"
	"testing"
)

// TestInlinedCopies attaches to copies of functions that the compiler inlined, with their
// parameters, and checks that a probe at the function itself tells where the copies are.
func TestInlinedCopies(t *testing.T) {
	for i, name := range []string{"copies-O1", "copies-O2", "copies-Os", "copies-4", "copies-cpp"} {
		if name != "copies-O2" && elsewhere(i) {
			continue
		}
		t.Run(name, func(t *testing.T) {
			bin := fixture(t, name)
			prints(t, bin, `uprobe:BIN:inlined:turns { @ = count(); }`, `
@: 4`)
			if name == "copies-Os" {
				r := trace(t, "--dry-run", "-e", "uprobe:"+bin+":inlined:turns { print(args.n); }")
				if !strings.Contains(r.stderr, "args cannot be used here: a copy of turns in once starts with a loop") {
					t.Error(r.stderr)
				}
				return // the copies of the other functions are different
			}
			prints(t, bin, `uprobe:BIN:inlined:scaled { @[args.by] = count(); @x[args.by] = sum(args.x); }`, `
@[3]: 2
@[2]: 4
@[10]: 5
@x[2]: 6
@x[10]: 10
@x[3]: 204`)
			prints(t, bin, `uprobe:BIN:inlined:sum { print((probe, args.p->a, args.p->b)); }`, `(uprobe:BIN:inlined:sum, 5, 6)`)
			prints(t, bin, `uprobe:BIN:inlined:s* { @[probe] = count(); }`, `
@[uprobe:BIN:inlined:sum]: 1
@[uprobe:BIN:inlined:scaled]: 11`)
			if strings.Contains(name, "cpp") {
				return // the names in the messages have parameters
			}
			for script, want := range map[string]string{
				"uprobe:BIN:sum { }":                         "HINT: the compiler inlined sum at 1 place (pairs at copies.c:39): uprobe:BIN:inlined:sum sees its calls there",
				"uprobe:BIN:scaled { @ = count(); }":         "the compiler also inlined scaled at 3 places (",
				"uprobe:BIN:inlined:scaled { print(arg0); }": "an inlined copy of a function is not called, so no register has argument N: args has its parameters by name",
				"uprobe:BIN:inlined:leaf { }":                "No matches for uprobe BIN:inlined:leaf",
				"uretprobe:BIN:inlined:scaled { }":           "an inlined copy of one has no instruction that returns",
				"uprobe:/bin/sh:inlined:scaled { }":          "the inlined copies of scaled are not known: /bin/sh: no debug info",
				"uprobe:BIN:outlined:scaled { }":             "unsupported language type: outlined",
			} {
				r := trace(t, "--dry-run", "-e", strings.ReplaceAll(script, "BIN", bin))
				if got := strings.ReplaceAll(r.stderr, bin, "BIN"); !strings.Contains(got, want) {
					t.Errorf("%s\nprinted %s\nwant %s", script, got, want)
				}
			}
			if r := trace(t, "-l", "uprobe:"+bin+":inlined:*"); strings.ReplaceAll(r.stdout, bin, "BIN") != "uprobe:BIN:inlined:scaled\nuprobe:BIN:inlined:sum\nuprobe:BIN:inlined:turns\n" {
				t.Errorf("-l: %s%s", r.stdout, r.stderr)
			}
		})
	}
}
