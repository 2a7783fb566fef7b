package live

import (
	"debug/elf"
	"fmt"
	"os/exec"
	"strings"
	"testing"
)

// TestIndirectFunctions counts calls of functions with several implementations, one of
// which is selected when a program starts. The C library calls some of them too, but
// equally often each time.
func TestIndirectFunctions(t *testing.T) {
	if *peer {
		t.Skip("it probes the functions that select them")
	}
	const n = 1000
	// count runs the workload and returns how often each probe ran: the one on the
	// function by name, the one on its returns, and the one on a pattern, which matches
	// other functions too.
	count := func(t *testing.T, name string, n int) (calls [3]int) {
		r := trace(t, "-c", fmt.Sprintf("%s chosen %s %d", *work, name, n), "-e", fmt.Sprintf(`
			begin { @call = count(); @pattern = count(); @return = count(); }
			uprobe:%[1]s:%[2]s { @call = count(); }
			uretprobe:%[1]s:%[2]s { @return = count(); }
			uprobe:%[1]s:%[3]s* /probe == "uprobe:%[1]s:%[2]s"/ { @pattern = count(); }`, *work, name, name[:len(name)-1]))
		if _, err := fmt.Sscanf(strings.Join(strings.Fields(r.stdout), " "), "@call: %d @pattern: %d @return: %d", &calls[0], &calls[1], &calls[2]); err != nil {
			t.Fatalf("%s: %q\n%s", name, r.stdout, r.stderr)
		}
		return calls
	}
	names := []string{"gt_chosen", "strlen", "memcpy", "memset", "memcmp", "strchr", "strcmp", "strstr", "wcslen"}
	if *thorough {
		names = append(names, "strnlen", "memmove", "memchr", "index", "strrchr", "strcasecmp", "strcpy", "strcat", "strspn")
	}
	for _, name := range names {
		t.Run(name, func(t *testing.T) {
			if name != "gt_chosen" && name != "strlen" {
				native(t)
			}
			all, none := count(t, name, n), count(t, name, 0)
			for i := range all {
				if got := all[i] - none[i]; got != n {
					t.Errorf("%s: %d of %d", []string{"calls", "calls by a pattern", "returns"}[i], got, n)
				}
			}
		})
	}
	if r := trace(t, "-l", "uprobe:"+*work+":gt_chose?"); strings.Contains(r.stdout, "gt_chosen") {
		t.Errorf("listed: %q", r.stdout)
	}
	if r := trace(t, "-l", "uprobe:"+*work+":gt_chosen"); strings.Count(r.stdout, "gt_chosen\n") != 1 {
		t.Errorf("listed: %q", r.stdout)
	}
}

// TestEveryIndirectFunction checks that there can be probes on every indirect function of
// the C library's files. Those of which some code is the kernel's have a warning.
func TestEveryIndirectFunction(t *testing.T) {
	native(t)
	needRoot(t)
	if *peer {
		t.Skip("it probes the functions that select them")
	}
	for _, name := range []string{"libc.so.6", "libm.so.6"} {
		path := "/lib/x86_64-linux-gnu/" + name
		f, err := elf.Open(path)
		if err != nil {
			t.Skip(err)
		}
		defer f.Close()
		syms, err := f.DynamicSymbols()
		if err != nil {
			t.Fatal(err)
		}
		var script strings.Builder
		n := 0
		for _, s := range syms {
			if elf.ST_TYPE(s.Info) == elf.STT_GNU_IFUNC && s.Section != elf.SHN_UNDEF {
				fmt.Fprintf(&script, ",uprobe:%[1]s:%[2]s,uretprobe:%[1]s:%[2]s", path, s.Name)
				n++
			}
		}
		r := trace(t, "--emit-elf", t.TempDir()+"/object", "-e", script.String()[1:]+" { @ = count(); }")
		for line := range strings.Lines(r.stderr) {
			if strings.Contains(line, "ERROR") || strings.Contains(line, "WARNING") && !strings.Contains(line, "the kernel's own in the vDSO") {
				t.Errorf("%s: %s", name, line)
			}
		}
		if n < 50 || r.status != 0 {
			t.Errorf("%s: %d functions, status %d", name, n, r.status)
		}
	}
}

// TestProbedInstructions compares the results of vector instructions with and without
// probes on them. Those that the kernel would execute wrongly are left out.
func TestProbedInstructions(t *testing.T) {
	bin := fixture(t, "vectors")
	bare, err := exec.Command(bin).Output()
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(bare), "signal") {
		t.Skip("this processor has not all of the instructions")
	}
	r := trace(t, "-q", "-c", bin, "-e", "uprobe:"+bin+":v_* { @ = count(); }")
	got, _, _ := strings.Cut(r.stdout, "\n\n")
	if got != strings.TrimSpace(string(bare)) {
		t.Errorf("with probes:\n%s\nwithout:\n%s\n%s", got, bare, r.stderr)
	}
	if left := strings.Count(r.stderr, "is left out"); left == 0 || left > strings.Count(string(bare), "\n")/2 {
		t.Errorf("%d functions are left out:\n%s", left, r.stderr)
	}
}
