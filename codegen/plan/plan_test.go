package plan_test

import (
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/gotrace/gotrace/builtins"
	"github.com/gotrace/gotrace/codegen"
	"github.com/gotrace/gotrace/lang/source"
	"github.com/gotrace/gotrace/probes"
	"github.com/gotrace/gotrace/probes/kernel"
	"github.com/gotrace/gotrace/runtime/store"
)

var frozen = sync.OnceValues(func() (*kernel.Kernel, error) {
	return kernel.Frozen(filepath.Join("..", "..", "tests", "kernels", "7.zip"))
})

// planOf returns the text of a script's plan.
func planOf(t *testing.T, text string) string {
	t.Helper()
	k, err := frozen()
	if err != nil {
		t.Fatal(err)
	}
	return planOn(t, k, text)
}

// planOn does the same for a kernel.
func planOn(t *testing.T, k *kernel.Kernel, text string) string {
	t.Helper()
	var diags source.Diags
	out := ""
	_, err := codegen.Compile(source.NewFile("stdin", text), codegen.Request{
		Env: &probes.Env{Kernel: k}, Invocation: &builtins.Invocation{},
		Dump: func(stage, text string) {
			if stage == "plan" {
				out = text
			}
		},
	}, &diags)
	if err == nil {
		err = diags.Err()
	}
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return out
}

// TestUses checks, for every use of a map @m, what the plan records and how the map is
// stored as a result.
func TestUses(t *testing.T) {
	seen := map[string]bool{}
	for _, c := range []struct{ body, uses, kept string }{
		// Without keys.
		{`@m = 1;`, "assign", "slot"},
		{`@m++; @m += 2; --@m;`, "add", "slot"},
		{`$x = @m++;`, "change", "slot"},
		{`@m = 1; @m *= 2;`, "assign change", "slot"},
		{`@m = count();`, "add", "per-CPU slot"},
		{`@m = count(); print(@m); clear(@m);`, "add whole reset", "per-CPU slot"},
		{`@m = 1; delete(@m);`, "assign delete", "slot"},
		{`@m = 1; @x = (uint64)&@m;`, "assign address", "slot"},
		// With keys.
		{`@m[pid] = count();`, "add other-thread", "front"},
		{`@m[pid] = count(); print(@m, 5); zero(@m);`, "add whole reset other-thread", "front"},
		{`@m[pid]++; @m[pid] += 3;`, "add other-thread", "front"},
		{`@m[pid] = @m[pid] + 1;`, "add other-thread", "front"},
		{`@m[pid] = 3 + @m[pid] - pid;`, "add other-thread", "front"},
		{`@m[pid] = @m[tid] + 1;`, "read assign other-thread", "hash"},
		{`@m[nsecs] = @m[nsecs] + 1;`, "read assign other-thread", "hash"},
		{`@m[rand] = @m[rand] + 1;`, "read assign other-thread", "hash"},
		{`@m[pid] = @m[pid] + @m[pid];`, "read assign other-thread", "hash"},
		{`@m[pid] = @m[pid] * 2;`, "read assign other-thread", "hash"},
		{`$x = @m[pid]++;`, "change other-thread", "hash"},
		{`@m[pid] = 5;`, "assign other-thread", "hash"},
		{`@m[pid] = count(); print(@m[pid]);`, "add read other-thread", "hash"},
		{`@m[pid] = count(); if (has_key(@m, pid)) { @x = 1; }`, "add read other-thread", "hash"},
		{`@m[pid]++; let $v; if (find(@m, pid, $v)) { @x = $v; }`, "add read other-thread", "hash"},
		{`@m[pid] = count(); delete(@m, pid);`, "add delete other-thread", "hash"},
		{`@m[pid] = count(); delete(@m[pid]);`, "add delete other-thread", "hash"},
		{`@m[pid] = count(); @x = len(@m);`, "add count other-thread", "hash"},
		{`@m[pid] = count(); for ($kv : @m) { @x = 1; }`, "add iterate other-thread", "hash"},
		{`@m[comm, pid] = sum(1);`, "add other-thread", "front"},
		{`@m[str((uint8 *)0, 1024)] = count();`, "add other-thread", "split"},
		// By thread.
		{`@m[tid] = nsecs;`, "assign", "threads"},
		{`@m[tid] = nsecs; if (@m[tid]) { @x = nsecs - @m[tid]; delete(@m, tid); }`, "read assign delete", "threads"},
		{`@m[tid] = nsecs; if (has_key(@m, tid)) { delete(@m[tid]); }`, "read assign delete", "threads"},
		{`@m[tid] = nsecs; delete(@m, pid);`, "assign delete other-thread", "hash"},
		{`@m[tid] = nsecs; if (has_key(@m, pid)) { @x = 1; }`, "read assign other-thread", "hash"},
		{`@m[tid]++; print(@m);`, "add whole", "threads"},
		{`@m[tid] = 1; for ($kv : @m) { @x = 1; }`, "assign iterate other-thread", "hash"},
		{`@m[tid, 1] = 1;`, "assign other-thread", "hash"},
		// Unreachable code does not count.
		{`@m[pid] = count(); if (false) { print(@m[pid]); }`, "add other-thread", "front"},
		{`@m[pid] = count(); if (true) { @x = 1; } else { delete(@m, pid); }`, "add other-thread", "front"},
		{`@m[pid] = count(); @x = sizeof(@m[pid]);`, "add other-thread", "front"},
		// In places of all kinds.
		{`@m[pid] = count(); @x[@m[pid]] = 1;`, "add read other-thread", "hash"},
		{`@m[pid] = count(); printf("%d", @m[pid]);`, "add read other-thread", "hash"},
		{`@m[pid] = count(); while (@m[pid] < 1) { break; }`, "add read other-thread", "hash"},
		{`@m[pid] = count(); $x = pid ? (int64)@m[pid] : 1;`, "add read other-thread", "hash"},
		{`@m[pid]++; $x = (1, @m[pid]);`, "add read other-thread", "hash"},
		{`@m[pid]++; unroll (2) { @m[pid]++; }`, "add other-thread", "front"},
		{`@m[pid]++; for ($i : 0..9) { $x = @m[$i]; }`, "add read other-thread", "hash"},
		{`pid == 1 ? @m[pid]++ : 0;`, "add other-thread", "front"},
	} {
		text := planOf(t, "begin { "+c.body+" }")
		m := regexp.MustCompile(`(?m)^map @m[:\[].*\n  uses (.*)\n  kept (.*) in `).FindStringSubmatch(text)
		if m == nil || m[1] != c.uses || m[2] != c.kept {
			t.Errorf("%s\nis not %s, kept as %s:\n%s", c.body, c.uses, c.kept, text)
		}
		for u := range strings.FieldsSeq(c.uses) {
			seen[u] = true
		}
	}
	for u := range strings.FieldsSeq(store.Use(^store.Use(0)).String()) {
		if !seen[u] {
			t.Errorf("no map of this table has the use %q", u)
		}
	}
}

// TestThreadTables checks that the number of maps with a thread table is limited for each
// program, not for the script.
func TestThreadTables(t *testing.T) {
	one, each := "", ""
	for i := range 20 {
		store := fmt.Sprintf("@m%d[tid] = 1;", i)
		one += store
		each += "interval:s:1 { " + store + " }\n"
	}
	for text, want := range map[string]int{"begin { " + one + " }": 8, each: 20} {
		plan := planOf(t, text)
		if got := strings.Count(plan, "kept threads in"); got != want {
			t.Errorf("%s\nhas %d thread tables, want %d:\n%s", text, got, want, plan)
		}
	}
}

// TestSockets checks which maps are kept in the memory of sockets.
func TestSockets(t *testing.T) {
	const state = "rawtracepoint:inet_sock_set_state { "
	for text, want := range map[string]string{
		state + "@m[args.sk] = 1; $x = @m[args.sk]; }":                        "sockets",
		state + "if (!@m[args.sk]) { @m[args.sk] = 2; } }":                    "sockets",
		state + "@m[args.sk] = (nsecs, comm); delete(@m, args.sk); }":         "sockets",
		state + "@m[args.sk] = 1; delete(@m, args.sk); }":                     "sockets",
		state + "@m[args.sk] = 1; if (has_key(@m, args.sk)) { clear(@m); } }": "sockets",
		state + "@m[args.sk] = 1; } fentry:tcp_close { print(@m[args.sk]); }": "sockets",
		"fexit:tcp_close { @m[args.sk] = 1; delete(@m[args.sk]); }":           "sockets",
		state + "$sk = args.sk; @m[$sk] = 1; delete(@m[$sk]); }":              "sockets",
		// Results.
		state + "@m[args.sk] = 1; }":                                                      "hash",
		state + "@m[args.sk]++; print(@m[args.sk]); }":                                    "hash",
		state + "@m[args.sk] += 3; delete(@m[args.sk]); }":                                "hash",
		state + "@m[args.sk] = 1; @m[args.sk] *= 3; }":                                    "hash",
		state + "@m[args.sk] = count(); }":                                                "hash",
		state + "@m[args.sk, 1] = 1; }":                                                   "hash",
		state + "@m[args.sk] = 1; @n = len(@m); }":                                        "hash",
		state + "@m[args.sk] = 1; for ($kv : @m) { @x = 1; } }":                           "hash",
		state + "@m[args.sk] = 1; } kprobe:tcp_close { @m[(struct sock*)arg0] = 1; }":     "hash",
		state + "@m[(struct sock*)5] = 1; }":                                              "hash",
		state + "@m[args.sk] = 1; } kprobe:tcp_close { delete(@m, (struct sock*)arg0); }": "hash",
		"let @m = lruhash(10); " + state + "@m[args.sk] = 1; }":                           "hash",
	} {
		if out := planOf(t, text); !strings.Contains(out, "  kept "+want+" in AT_m") {
			t.Errorf("%s\nis not kept as %s:\n%s", text, want, out)
		}
	}
}

// TestUsesElsewhere checks that the plan finds uses in predicates, functions and other
// programs.
func TestUsesElsewhere(t *testing.T) {
	const counts = "begin { @m[pid] = count(); } "
	for _, text := range []string{
		counts + "tracepoint:syscalls:sys_enter_read /@m[pid] > 5/ { @x = 1; }",
		counts + "fn f($a : int64) : int64 { return @m[1] + $a; } end { @x = f(1); }",
		counts + "end { for ($i : 0..1000) { if (@m[$i]) { @x = 1; } } }",
	} {
		if out := planOf(t, text); !strings.Contains(out, "uses add read other-thread\n  kept hash in AT_m") {
			t.Errorf("%s\n%s", text, out)
		}
	}
}

// TestPairs checks which kprobes and kretprobes become one.
func TestPairs(t *testing.T) {
	const entry, ret = "kprobe:vfs_read { @a[tid] = 1; } ", "kretprobe:vfs_read { @b = count(); } "
	for _, c := range []struct {
		text string
		pair bool
	}{
		{entry + ret, true},
		{ret + entry, true},
		{entry + "kretprobe:vfs_write { @b = count(); }", false},
		{entry + ret + entry, false}, // a pair would change the order of the blocks
		{entry + ret + ret, false},
		{"kprobe:vfs_read { return 1; } " + ret, false}, // the value would determine whether the return is intercepted
		{"kprobe:vfs_read+4 { @a[tid] = 1; } " + ret, false},
	} {
		if got := strings.Contains(planOf(t, c.text), "one with"); got != c.pair {
			t.Errorf("%s: paired %t", c.text, got)
		}
	}
}
