package bpf

import (
	"strings"
	"testing"

	"github.com/gotrace/gotrace/tests/irtest"
)

// TestDistrust has functions that use the current task. The verifier accepts a cast task as
// an argument of no helper.
func TestDistrust(t *testing.T) {
	for _, c := range []struct {
		name, body string
		casts      int
	}{
		{"a number", "v2 = load64 v1", 0},
		{"a pointer", "v2:btf = load64 v1 +8\n\tv3 = load64 v2 +16", 1},
		{"a pointer, and the task for a helper", "v2:btf = load64 v1 +8\n\tv3 = load64 v2 +16\n\tv4 = call task_pt_regs v1", 1},
		{"two tasks", "v2:btf = load64 v1 +8\n\tv3 = load64 v2\n\tv4 = call get_current_task_btf\n\tv5:btf = load64 v4", 2},
		{"a pointer for a helper", "v2:btf = load64 v1 +8\n\tv3 = slot 8\n\tv4 = const 8\n\tv5 = call d_path v2 v3 v4", 0},
		{"a pointer that is read", "v2:btf = load64 v1 +8\n\tv3 = slot 8\n\tv4 = const 8\n\tv5 = call probe_read_kernel v3 v4 v2", 1},
	} {
		m, err := irtest.Parse("prog p kind \"tracepoint\"\nfunc main(ctx)\nb0:\n\tv0 = param 0\n\tv1 = call get_current_task_btf\n\t" + c.body + "\n\tv9 = const 0\n\tret v9\n")
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		f := m.Progs[0].Main
		for _, target := range []*Target{{}, {Cast: func() (int64, int64) { return 0, 0 }}} {
			before := m.String()
			if distrust(f, target); m.String() != before {
				t.Errorf("%s: changed without the function: %s", c.name, m)
			}
		}
		distrust(f, &Target{Cast: func() (int64, int64) { return 7, 9 }})
		text := m.String()
		if n := strings.Count(text, "bpf_rdonly_cast"); n != c.casts {
			t.Errorf("%s: %d casts, want %d:\n%s", c.name, n, c.casts, text)
		}
		for line := range strings.Lines(text) { // v1 is the cast
			if strings.HasSuffix(line, "call task_pt_regs v1\n") {
				t.Errorf("%s: the helper gets the cast task:\n%s", c.name, text)
			}
		}
	}
}
