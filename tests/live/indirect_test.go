package live

import (
	"fmt"
	"strings"
	"testing"
)

// TestIndirectFunctions counts calls of functions with several implementations, one of
// which is selected when a program starts. The C library calls some of them too, but
// equally often each time.
func TestIndirectFunctions(t *testing.T) {
	if *peer {
		t.Skip("it probes what chooses them")
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
	for _, name := range []string{
		"gt_chosen", "strlen", "strnlen", "memcpy", "memmove", "memset", "memcmp", "memchr", "strchr", "index",
		"strrchr", "strcmp", "strcasecmp", "strcpy", "strcat", "strstr", "strspn", "wcslen",
	} {
		t.Run(name, func(t *testing.T) {
			if name != "strlen" {
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
