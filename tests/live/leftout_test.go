package live

import (
	"strings"
	"testing"
)

// TestLeftOut checks that a pattern leaves out, and names, the functions that
// the kernel cannot attach to. Naming such a function is an error.
func TestLeftOut(t *testing.T) {
	if *peer {
		t.Skip("it says it otherwise")
	}
	if why := missing("fentry"); why != "" {
		t.Skip(why)
	}
	for _, c := range []struct{ pattern, name, since string }{
		{"fexit:do_*exit*", "fexit:vmlinux:do_exit", "6.12"},                     // does not return
		{"fentry:tcp_v4_*", "fentry:vmlinux:tcp_v4_init_seq_and_ts_off", "6.12"}, // returns a union
	} {
		if release().less(parseRelease(c.since)) {
			continue
		}
		r := trace(t, "-e", c.pattern+` { @ = count(); } begin { printf("begin\n"); exit(); }`)
		if !strings.Contains(r.stdout, "begin") || r.status != 0 {
			t.Errorf("%s: status %d, stdout %q\n%s", c.pattern, r.status, r.stdout, r.stderr)
		}
		if strings.Contains(r.stderr, "WARNING") && !strings.Contains(r.stderr, c.name) {
			t.Errorf("%s: %s is not named:\n%s", c.pattern, c.name, r.stderr)
		}
		if strings.Contains(r.stderr, c.name) { // this kernel has the function
			if r := trace(t, "-e", c.name+" { }"); r.status == 0 || !strings.Contains(r.stderr, "ERROR") {
				t.Errorf("%s: status %d\n%s", c.name, r.status, r.stderr)
			}
		}
	}
}
