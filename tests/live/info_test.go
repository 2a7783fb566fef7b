package live

import (
	"strings"
	"testing"
)

// TestInfoIsTrue compares the output of --info about kinds of probes with a probe of
// each, and checks that the error for a missing kind gives a reason.
func TestInfoIsTrue(t *testing.T) {
	needRoot(t)
	if *peer {
		t.Skip("its --info has other words")
	}
	info := trace(t, "--info").stdout
	for name, probe := range map[string]string{
		"kprobe": "kprobe:schedule", "fentry": "fentry:schedule", "iter": "iter:task",
	} {
		r := trace(t, "-e", probe+" { exit(); }")
		yes := strings.Contains(info, "\n  "+name+": yes\n")
		if !yes && !strings.Contains(info, "\n  "+name+": no") || yes != (r.status == 0) {
			t.Errorf("%s: status %d\n%s\n%s", probe, r.status, r.stderr, info)
		}
		if r.status != 0 && !strings.Contains(r.stderr, "this kernel") && !strings.Contains(r.stderr, "operation not permitted, even for root (") {
			t.Errorf("%s: no reason: %s", probe, r.stderr)
		}
	}
}
