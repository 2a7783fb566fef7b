package tetragon

import (
	"fmt"
	"strings"
	"testing"

	"github.com/gotrace/gotrace/lang/policy"
	"github.com/gotrace/gotrace/lang/source"
)

// TestSharedPrograms has more hooks at one tracepoint than the kernel runs programs
// there, so they share programs. The decision of one hook about a call must not hide the
// call from others.
func TestSharedPrograms(t *testing.T) {
	spec := "  kprobes:\n"
	for i := range 70 {
		spec += fmt.Sprintf("  - {call: sys_openat, return: true, args: [{index: 1, type: string}], selectors: [{matchArgs: [{index: 1, operator: Prefix, values: [/%d]}]}]}\n", i)
	}
	for i := range 3 {
		spec += fmt.Sprintf("  - {call: security_file_open, syscall: false, selectors: [{matchPIDs: [{operator: In, values: [%d]}], matchActions: [{action: Override, argError: -%d}]}]}\n", i+2, i/2+1)
	}
	k := frozen(t)
	if msg := compiled(t, k, policyWith(spec), true); msg != "" {
		t.Fatal(msg)
	}
	var diags source.Diags
	tr := Translate(documents(policyWith(spec), &diags), &Machine{Namespaces: InitialNamespaces()}, &policy.Terms{Kernel: k, Unsafe: true}, &diags)
	script := tr.Script.Text[tr.preamble:]
	for text, want := range map[string]int{
		"tracepoint:syscalls:sys_enter_openat\n{": 24, "tracepoint:syscalls:sys_exit_openat\n{": 24, "report(": 73,
		"fmod_ret:security_file_open\n{": 1, "deny(1)": 1, "deny(2)": 1, "$deny = 1;": 2,
	} {
		if n := strings.Count(script, text); n != want {
			t.Errorf("%s: %d times, want %d", text, n, want)
		}
	}
}

// TestNoPostTracks records the owner of a socket that a function returns, without sending
// an event.
func TestNoPostTracks(t *testing.T) {
	spec := "  kprobes:\n  - {call: vfs_read, syscall: false, return: true, returnArg: {index: 0, type: sock}, returnArgAction: TrackSock,\n" +
		"     selectors: [{matchActions: [{action: NoPost}]}, {matchPIDs: [{operator: In, values: [7]}]}]}\n"
	var diags source.Diags
	tr := Translate(documents(policyWith(spec), &diags), &Machine{Namespaces: InitialNamespaces()}, &policy.Terms{Kernel: frozen(t)}, &diags)
	if tr == nil || !strings.Contains(tr.Script.Text, "if ($s != 1) {\n        report(0,") || !strings.Contains(tr.Script.Text, "@tg_sock[(uint64)$r] =") {
		t.Errorf("%v", diags.All())
	}
}
