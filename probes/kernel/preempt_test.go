package kernel

import (
	"strings"
	"testing"
)

// TestPreemptMode reads both sources of the running kernel. If both contain the mode,
// they must agree.
func TestPreemptMode(t *testing.T) {
	debugfs, err := preemptMode()
	logged := loggedPreemptMode()
	if err != nil || logged == "" {
		t.Skipf("only one source or none here: debugfs: %v, log: %q", err, logged)
	}
	if !strings.Contains(debugfs, strings.Split(logged, " ")[0]) {
		t.Errorf("debugfs says %q, the log %q", debugfs, logged)
	}
}
