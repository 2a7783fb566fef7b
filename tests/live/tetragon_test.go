package live

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/gotrace/gotrace/tests/schema"
)

// tracingPolicy writes a tracing policy with a list of hooks to a file.
func tracingPolicy(t *testing.T, spec string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "policy.yaml")
	text := "apiVersion: cilium.io/v1alpha1\nkind: TracingPolicy\nmetadata: {name: test}\nspec:\n" + spec
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// TestTracingPolicies makes a directory that a policy watches. The event has the
// arguments, and with --unsafe the call fails if the policy demands it.
func TestTracingPolicies(t *testing.T) {
	if *peer {
		t.Skip("bpftrace has no policies")
	}
	needRoot(t)
	// Before Linux 5.17, whose programs can loop, the kernel takes seconds to load a session.
	slow := release().less(version{5, 17})
	for i, c := range []struct {
		name, spec, need, skip string
		want                   string // the arguments in JSON, with PATH for the directory
		errno                  unix.Errno
	}{
		{"system call", `  kprobes:
  - call: sys_mkdirat
    return: true
    returnArg: {index: 0, type: int}
    args: [{index: 0, type: int}, {index: 1, type: string, label: dir}, {index: 2, type: uint32}]
    selectors: [{matchArgs: [{index: 1, operator: Equal, values: [PATH]}]}]
`, "", "", `"args":[{"int_arg":-100},{"string_arg":"PATH","label":"dir"},{"uint_arg":448}],"return":{"int_arg":0}`, 0},
		{"tracepoint", `  tracepoints:
  - subsystem: syscalls
    event: sys_enter_mkdirat
    args: [{index: 6, type: string}, {index: 7, type: uint32}]
    selectors: [{matchArgs: [{index: 6, operator: Prefix, values: [PATH]}, {index: 7, operator: Mask, values: [64, 8]}]}]
`, "", "", `"args":[{"string_arg":"PATH"},{"uint_arg":448}]`, 0},
		{"function", `  kprobes:
  - call: security_inode_mkdir
    syscall: false
    args: [{index: 1, type: dentry}, {index: 2, type: uint16}]
    selectors:
    - matchArgs: [{index: 1, operator: Postfix, values: [/NAME]}]
      matchActions: [{action: Override, argError: -13}]
`, "kprobe", "", `{"uint_arg":448}`, unix.EACCES},
		{"security hook", `  lsmhooks:
  - hook: inode_mkdir
    args: [{index: 1, type: dentry}]
    selectors:
    - matchArgs: [{index: 1, operator: SubString, values: [NAME]}]
      matchActions: [{action: Override, argError: -1}]
`, "fentry", "BPF among its security modules", `"path_arg":{"path":`, unix.EPERM},
		{"system call that fails", `  kprobes:
  - call: sys_mkdirat
    args: [{index: 1, type: string}]
    selectors:
    - matchArgs: [{index: 1, operator: Equal, values: [PATH]}]
      matchActions: [{action: Override, argError: -28}]
`, "fentry", "", `"args":[{"string_arg":"PATH"}]`, unix.ENOSPC},
	} {
		for _, allowed := range []bool{false, true} {
			if allowed && c.errno == 0 || testing.Short() && !allowed && i > 0 || slow && c.name != "function" {
				continue
			}
			t.Run(fmt.Sprintf("%s %v", c.name, allowed), func(t *testing.T) {
				if c.need != "" {
					if why := missing(c.need); why != "" {
						t.Skip(why)
					}
				}
				path := filepath.Join(t.TempDir(), fmt.Sprintf("made%d", os.Getpid()))
				named := strings.NewReplacer("PATH", path, "NAME", filepath.Base(path))
				args := []string{"policy", tracingPolicy(t, named.Replace(c.spec))}
				if allowed {
					args = append(args, "--unsafe")
				}
				s := start(t, args...)
				s.attachedOr(c.skip)
				want := error(nil)
				if allowed {
					want = c.errno
				}
				if err := unix.Mkdirat(unix.AT_FDCWD, path, 0o700); err != want {
					t.Errorf("the call returned %v, want %v", err, want)
				}
				s.signal(unix.SIGINT)
				checkTraced(t, s.wait(), named.Replace(c.want), c.errno != 0 && !allowed)
			})
		}
	}
}

// TestManyTracingPolicies has more hooks at one tracepoint than the kernel runs programs there.
func TestManyTracingPolicies(t *testing.T) {
	if *peer || testing.Short() {
		t.Skip("it takes long, and bpftrace has no policies")
	}
	needRoot(t)
	path := filepath.Join(t.TempDir(), "many")
	spec := "  kprobes:\n"
	for i := range 70 {
		spec += fmt.Sprintf("  - {call: sys_mkdirat, message: m%d, args: [{index: 1, type: string}], "+
			"selectors: [{matchArgs: [{index: 1, operator: Equal, values: [%s%d]}]}]}\n", i, path, i/10)
	}
	s := start(t, "policy", tracingPolicy(t, spec))
	s.attachedOr("")
	if err := unix.Mkdirat(unix.AT_FDCWD, path+"4", 0o700); err != nil {
		t.Fatal(err)
	}
	s.signal(unix.SIGINT)
	res := s.wait()
	for i := range 70 {
		want := 0
		if i/10 == 4 {
			want = 1
		}
		if n := strings.Count(res.stdout, fmt.Sprintf(`"message":"m%d"`, i)); n != want {
			t.Errorf("hook %d has %d events, want %d: %s", i, n, want, res.stderr)
		}
	}
}

// checkTraced checks that a session has shown one event of a policy, with some text and
// with AUDIT or without it, and that all its lines are JSON.
func checkTraced(t *testing.T, res result, want string, audit bool) {
	t.Helper()
	if err := schema.Events([]byte(res.stdout)); err != nil {
		t.Error(err)
	}
	n := 0
	for line := range strings.Lines(res.stdout) {
		if strings.HasPrefix(line, `{"process_exec"`) || strings.HasPrefix(line, `{"process_exit"`) {
			continue
		}
		n++
		if !strings.Contains(line, want) {
			t.Errorf("the event lacks %s: %s", want, line)
		}
		if strings.Contains(line, `"verdict":"AUDIT"`) != audit {
			t.Errorf("AUDIT is wanted: %v: %s", audit, line)
		}
	}
	if n != 1 {
		t.Errorf("there are %d events, want 1: %s\n%s", n, res.stdout, res.stderr)
	}
}
