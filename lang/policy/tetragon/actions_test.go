package tetragon

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/gotrace/gotrace/probes/kernel"
)

// TestActions uses each action in each kind of hook, with and without permission to act,
// on each frozen kernel. A policy either compiles or is an error that names the action.
func TestActions(t *testing.T) {
	needs := map[string]string{
		"Signal": ", argSig: 10", "Override": ", argError: -1", "GetUrl": ", argUrl: 'http://a.b/'", "DnsLookup": ", argFqdn: a.b",
		"NotifyEnforcer": ", argError: -1, argSig: 9", "TrackSock": ", argSock: 0", "UntrackSock": ", argSock: 0", "Set": ", argIndex: 0, argValue: 1",
	}
	hooks := []struct{ name, text string }{
		{"function", "kprobes:\n  - call: security_file_open\n    syscall: false\n"},
		{"system call", "kprobes:\n  - call: sys_openat\n"},
		{"fentry", "fentries:\n  - call: security_file_open\n    syscall: false\n"},
		{"tracepoint", "tracepoints:\n  - subsystem: syscalls\n    event: sys_enter_openat\n"},
		{"raw tracepoint", "tracepoints:\n  - subsystem: sched\n    event: sched_process_exec\n    raw: true\n"},
		{"uprobe", "uprobes:\n  - path: /no/such/program\n    symbols: [f]\n"},
		{"usdt", "usdts:\n  - path: /no/such/program\n    provider: a\n    name: b\n"},
	}
	// Actions that only some kinds of hooks support. TrackSock and UntrackSock need a
	// socket, which no hook here has.
	only := map[string][]string{
		"Override": {"function", "system call", "fentry", "uprobe"}, "Set": {"usdt"}, "TrackSock": {}, "UntrackSock": {},
	}
	for _, version := range []string{"5.10", "6.1", "6.12", "6.18", "7"} {
		if testing.Short() && version != "6.12" {
			continue
		}
		k, err := kernel.Frozen("../../../tests/kernels/" + version + ".zip")
		if err != nil {
			t.Fatal(err)
		}
		for _, action := range keys(actionNames.Get()) {
			for _, h := range hooks {
				for _, unsafe := range []bool{false, true} {
					spec := "  lists: [{name: l, type: syscalls, values: [sys_openat]}]\n  enforcers: [{calls: ['list:l']}]\n  " + h.text +
						fmt.Sprintf("    selectors: [{matchPIDs: [{operator: In, values: [7]}], matchActions: [{action: %s%s}]}]\n", action, needs[action])
					msg := compiled(t, k, policyWith(spec), unsafe)
					places, some := only[action]
					can := !some || slices.Contains(places, h.name)
					if strings.Contains(msg, "this kernel") || strings.Contains(msg, "the action Override of a uprobe needs Linux 6.19") {
						continue // the frozen kernel lacks the hook, or a way to act
					}
					if can && msg != "" && !strings.Contains(msg, "/no/such/program") || !can && msg == "" {
						t.Errorf("%s: %s in a %s, unsafe %v: possible %v: %s", version, action, h.name, unsafe, can, msg)
					}
				}
			}
		}
	}
}
