package live

import (
	"strings"
	"testing"
)

// closedArgs lists functions with parameters that the verifier does not let programs
// load: pointers to functions, to pointers and to enums, and on old kernels to
// integers.
var closedArgs = []struct{ function, param string }{
	{"call_rcu", "func"},
	{"smp_call_function_single", "func"},
	{"call_usermodehelper_setup", "argv"},
	{"vfs_read", "pos"},
	{"do_splice_direct", "ppos"},
	{"get_user_pages_fast", "pages"},
	{"stop_machine", "fn"},
}

// TestClosedArguments uses these parameters in every way that args can be used.
func TestClosedArguments(t *testing.T) {
	needRoot(t)
	if *peer {
		t.Skip("the verifier refuses its programs")
	}
	loaded := 0
	for i, c := range closedArgs {
		for j, kind := range []string{"fentry", "fexit"} {
			if testing.Short() && i%2 != j {
				continue // in emulation each takes seconds
			}
			script := strings.ReplaceAll(kind+":"+c.function+` { print(args.X); @[ksym(args.X)] = count(); print(args); $a = args; print($a.X); @k[args] = 1; @v = args.X; @t = (1, args.X); printf("%p\n", args.X); if (args.X == 0) { print(1); } print((uint64)args.X); }`, "X", c.param)
			r := trace(t, "--dry-run", "-e", script)
			switch {
			case r.status == 0:
				loaded++
			case strings.Contains(r.stderr, "Unable to attach probe"), // it was loaded
				strings.Contains(r.stderr, "No matches"), strings.Contains(r.stderr, "not in BTF"), strings.Contains(r.stderr, "does not permit"), strings.Contains(r.stderr, "not permitted"):
				t.Logf("%s: %s", script, r.stderr)
			default:
				t.Errorf("%s\n%s", script, r.stderr)
			}
		}
	}
	t.Logf("%d loaded", loaded)
	if loaded == 0 {
		t.Skip("this kernel has no fentry")
	}
	// The value must be that of the register.
	r := trace(t, "-c", *work+" read 3 8", "-e", `
		fentry:vfs_read /pid == cpid/ { @arg[tid] = (uint64)args.pos; }
		kprobe:vfs_read /pid == cpid/ { @reg[tid] = arg3; }
		fexit:vfs_read /pid == cpid/ { @same[@arg[tid] == @reg[tid], @arg[tid] == (uint64)args.pos] = count(); }
		end { clear(@arg); clear(@reg); }`)
	if strings.Contains(r.stdout, "false") || !strings.Contains(r.stdout, "@same[true, true]: ") {
		t.Errorf("%s\n%s", r.stdout, r.stderr)
	}
}
