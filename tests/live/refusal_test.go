package live

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
)

// TestVerifierLogNames loads several programs, one of which the verifier refuses. The
// error and the log of -v must be those of the refused program, regardless of its
// position.
func TestVerifierLogNames(t *testing.T) {
	if *peer {
		t.Skip("it is about our own messages")
	}
	const refused = `{ $j = 0; while ($j < 10) { } }` // the verifier detects that it does not end
	points := []string{"begin", "interval:s:1", "tracepoint:sched:sched_process_exit", "tracepoint:sched:sched_process_exec", "end"}
	for bad, point := range points {
		var script strings.Builder
		for i, p := range points {
			body := fmt.Sprintf(`{ @m%d = count(); printf("%d\n"); }`, i, i)
			if i == bad {
				body = refused
			}
			fmt.Fprintf(&script, "%s %s\n", p, body)
		}
		r := trace(t, "-v", "-e", script.String())
		logs := regexp.MustCompile(`The verifier's log of (.*):`).FindAllStringSubmatch(r.stderr, -1)
		if len(logs) != 1 || logs[0][1] != point {
			t.Errorf("%s: logs of %q", point, logs)
		}
		if want := fmt.Sprintf("stdin:%d:", bad+1); r.status == 0 || !strings.Contains(r.stderr, want) || !strings.Contains(r.stderr, "refuses "+point+": the verifier cannot tell that a loop ends (infinite loop") {
			t.Errorf("%s: status %d\n%s", point, r.status, r.stderr)
		}
	}
}

// TestWarningsWithJSON checks that with -f json warnings of the compiler and of the
// session go to stderr, and that every line of stdout is valid JSON.
func TestWarningsWithJSON(t *testing.T) {
	for _, c := range []struct{ script, warning string }{
		{`begin { exit(); printf("x"); }`, "Unreachable statement"},
		{`begin { nsecs; exit(); }`, "Return value discarded"},
		{`begin { print(cpid); exit(); }`, "No child command"},
		{`begin { print($1); exit(); }`, "Positional parameter $1"},
		{`begin { let $x; print(1); exit(); }`, "never assigned"},
		{`begin { let $x; print($x); $x = 1; exit(); }`, "used before it was assigned"},
		{`begin { print(bswap((uint8)1)); exit(); }`, "does nothing"},
		{`begin { debugf("x"); exit(); }`, "debugf"},
		{`begin { @c = stats(1); print(@c, 3, 2); exit(); }`, "top and div"},
		{`begin { print("x" + 3); exit(); }`, "always be empty"},
		{`begin { @c = tseries(1, 1s, 3); exit(); }`, "unstable feature"},
		{`let @m = hash(1); begin { print(1); exit(); }`, "Unused map"},
		{`config = { missing_probes = "warn"; } begin { print(1); exit(); } tracepoint:sched:nosuch { print(2); }`, "nosuch"},
		{`let @m = hash(1); begin { @m[1] = 1; @m[2] = 2; print(@m); exit(); }`, ""}, // the peer's JSON has a type for it
		{`begin { nsecs; print(bswap((uint8)1)); print(cpid); exit(); print(2); }`, "Unreachable statement"},
	} {
		r := trace(t, "-f", "json", "-e", c.script)
		if r.status != 0 {
			t.Errorf("%s: status %d\n%s", c.script, r.status, r.stderr)
		}
		if !*peer && c.warning != "" && (!strings.Contains(r.stderr, "WARNING") || !strings.Contains(r.stderr, c.warning)) {
			t.Errorf("%s: stderr does not warn of %q:\n%s", c.script, c.warning, r.stderr)
		}
		if n := len(jsonLines(t, r.stdout)); n == 0 {
			t.Errorf("%s: no output", c.script)
		}
	}
}

// TestFunctionsNotAttached names kernel functions that do not exist, or that the kernel
// does not attach to. The message must distinguish these.
func TestFunctionsNotAttached(t *testing.T) {
	if *peer {
		t.Skip("it is about our own messages")
	}
	if why := missing("kprobe"); why != "" {
		t.Skip(why)
	}
	for i, c := range []struct{ point, want string }{
		{"kprobe:vfs_raed", "did you mean 'vfs_read'?"},
		{"kprobe:sys_read", "did you mean '__x64_sys_read'?"},
		{"kprobe:__arm64_sys_read", "did you mean '__x64_sys_read'?"},
		{"kprobe:no_such_function_at_all", "No matches for kprobe no_such_function_at_all."},
		{"kprobe:start_kernel", "runs only while the system boots"},
		{"kretprobe:start_kernel", "runs only while the system boots"},
		{"fentry:start_kernel", "runs only while the system boots"},
		{"kprobe:entry_SYSCALL_64", "kprobes/blacklist"},
		{"kretprobe:entry_SYSCALL_64", "kprobes/blacklist"},
		{"fentry:entry_SYSCALL_64", "no BTF for the function"},
		{"fexit:entry_SYSCALL_64", "kprobe:entry_SYSCALL_64 does not need it"},
		{"kprobe:sched_clock", "marked notrace"},
		{"fmod_ret:vfs_read", "lets programs replace only the security hooks"},
		{"fentry:nosuchmodule:f", "module nosuchmodule is not loaded"},
		{"kprobe:entry_SYSCALL*", "but are on the kernel's list of functions that must not be probed"},
		{"kprobe:vfs_read+1", "in the middle of an instruction"},
		{"kprobe:vfs_read+100000", "the offset is outside the function"},
		{"kprobe:nosuchmodule:f", "specified module nosuchmodule"},
	} {
		if elsewhere(i) {
			continue
		}
		r := trace(t, "--dry-run", "-e", c.point+" { }")
		if r.status == 0 || !strings.Contains(r.stderr, c.want) {
			t.Errorf("%s: status %d, want %q in\n%s", c.point, r.status, c.want, r.stderr)
		}
	}
}
