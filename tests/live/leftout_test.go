package live

import (
	"runtime"
	"strings"
	"testing"
)

// TestLeftOut checks that a pattern omits, and reports, the functions that the kernel
// cannot attach to. Naming such a function is an error.
func TestLeftOut(t *testing.T) {
	if *peer {
		t.Skip("its messages are different")
	}
	if why := missing("fentry"); why != "" {
		t.Skip(why)
	}
	for _, c := range []struct{ pattern, name, since string }{
		{"fexit:do_*exit*,fexit:vfs_open", "fexit:vmlinux:do_exit", "6.12"},      // does not return; patterns do not match it
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
		if strings.Contains(r.stderr, c.name) || strings.HasPrefix(c.name, "fexit:") { // this kernel has the function
			if r := trace(t, "-e", c.name+" { }"); r.status == 0 || !strings.Contains(r.stderr, "ERROR") {
				t.Errorf("%s: status %d\n%s", c.name, r.status, r.stderr)
			}
		}
	}
}

// TestLeftOutOfProgram checks patterns that match locations of a program on which the
// kernel sets no breakpoint. They are omitted and reported, and the others count. A
// function whose symbol has no size can be probed at its start, and after it only with
// --unsafe.
func TestLeftOutOfProgram(t *testing.T) {
	if runtime.GOARCH != "amd64" {
		t.Skip("the instruction is one of amd64")
	}
	bin := fixture(t, "unfit")
	for _, c := range []struct {
		probe, flag string
		want        []string // lines of the output
		says        string   // on stderr; "": nothing
		fails       bool
	}{
		{"uprobe:BIN:f_*", "", []string{"@[f_first]: 3", "@[f_unsized]: 3", "@[f_last]: 3"}, "WARNING: uprobe:BIN:f_unfit is left out", false},
		{"uretprobe:BIN:f_*", "", []string{"@[f_first]: 3", "@[f_unsized]: 3", "@[f_last]: 3"}, "WARNING: uretprobe:BIN:f_unfit is left out", false},
		{"usdt:BIN:unfit:*", "", []string{"@[main]: 3", "@[main]: 3"}, "WARNING: usdt:BIN:unfit:u_unfit is left out", false},
		{"usdt:BIN:*", "", []string{"@[main]: 3", "@[main]: 3"}, "WARNING: usdt:BIN:unfit:u_unfit is left out", false},
		{"uprobe:BIN:f_unfit", "", nil, "ERROR: uprobe:BIN:f_unfit: the kernel puts no breakpoint", true},
		{"uretprobe:BIN:f_unfit", "", nil, "ERROR: uretprobe:BIN:f_unfit: the kernel puts no breakpoint", true},
		{"usdt:BIN:unfit:u_unfit", "", nil, "ERROR: usdt:BIN:unfit:u_unfit: the kernel puts no breakpoint", true},
		{"uprobe:BIN:f_unsized", "", []string{"@[f_unsized]: 3"}, "", false},
		{"uprobe:BIN:f_unsized+1", "", nil, "symbol has size 0", true},
		{"uprobe:BIN:f_unsized+1", "--unsafe", []string{"@[f_unsized]: 3"}, "symbol has size 0", false},
	} {
		args := []string{"-q", "-c", bin, "-e", strings.ReplaceAll(c.probe, "BIN", bin) + " { @[func] = count(); }"}
		if c.flag != "" {
			args = append(args, c.flag)
		}
		r := trace(t, args...)
		stderr := strings.ReplaceAll(r.stderr, bin, "BIN")
		for _, line := range c.want {
			if !strings.Contains(r.stdout, line+"\n") {
				t.Errorf("%s %s: no %q in\n%s", c.probe, c.flag, line, r.stdout)
			}
		}
		if strings.Count(r.stdout, "@[") != len(c.want) || (r.status != 0) != c.fails || !strings.Contains(stderr, c.says) || c.says == "" && stderr != "" {
			t.Errorf("%s %s: status %d, stdout %q\n%s", c.probe, c.flag, r.status, r.stdout, stderr)
		}
	}
}
