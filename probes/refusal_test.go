package probes

import (
	"fmt"
	"strings"
	"testing"

	"github.com/gotrace/gotrace/runtime/object"
)

// symbolKernel is a kernel that has only symbols.
type symbolKernel struct {
	Kernel
	names []string // in the order of their addresses, 16 bytes apart
}

func (k symbolKernel) Symbol(name string) (uint64, bool) {
	for i, n := range k.names {
		if n == name {
			return 0x1000 + 16*uint64(i), true
		}
	}
	return 0, false
}

func (k symbolKernel) SymbolAt(addr uint64) (name, module string, offset uint64, ok bool) {
	i := (addr - 0x1000) / 16
	if addr < 0x1000 || i >= uint64(len(k.names)) {
		return "", "", 0, false
	}
	return k.names[i], "vmlinux", addr % 16, true
}

func (k symbolKernel) Functions() ([]string, error) {
	return []string{"vmlinux:vfs_read", "vmlinux:__x64_sys_read", "vmlinux:tcp_send.isra.0", "vmlinux:do_fork"}, nil
}

func (k symbolKernel) FuncProto(module, name string) (*FuncProto, error) {
	if name == "vfs_read" {
		return &FuncProto{}, nil
	}
	return nil, fmt.Errorf("%s: %w", name, ErrNotFound)
}

var someSymbols = symbolKernel{names: []string{"_sinittext", "start_kernel", "_einittext", "do_int3", "vfs_read", "vfs_write", "memcpy"}}

func TestRefusal(t *testing.T) {
	const blacklist = "0x0000000000001030-0x0000000000001040\tdo_int3\n0x0-0x1\tvfs_read_not\n"
	for _, c := range []struct {
		fn     string
		offset uint64
		why    string
	}{
		{"start_kernel", 0, "while the system boots"},
		{"do_int3", 0, kprobeBlacklist},
		{"do_int3", 8, kprobeBlacklist},
		{"vfs_read", 0, ""},
		{"vfs_read", 15, ""},
		{"vfs_read", 16, "16 bytes after the start of vfs_read is vfs_write"},
		{"vfs_read", 1000, ""},
		{"nosuch", 0, ""},
	} {
		why := refusal(someSymbols, &object.Point{Func: c.fn, Offset: c.offset}, blacklist)
		if (why == "") != (c.why == "") || !strings.Contains(why, c.why) {
			t.Errorf("%s+%d: %q, want %q", c.fn, c.offset, why, c.why)
		}
	}
}

func TestFentryRefusal(t *testing.T) {
	e := &Env{Kernel: someSymbols}
	for fn, want := range map[string]string{
		"start_kernel": "while the system boots",
		"vfs_write":    "marked notrace",
		"vfs_read":     "does not attach programs",
	} {
		if why := fentryRefusal(e, &object.Point{Target: "vmlinux", Func: fn}, noFentry); !strings.Contains(why, want) {
			t.Errorf("%s: %q, want %q", fn, why, want)
		}
	}
}

func TestMissingFunctions(t *testing.T) {
	e := &Env{Kernel: someSymbols}
	for fn, want := range map[string]string{
		"memcpy":   "kprobe:memcpy does not need it",
		"vfs_red":  "",
		"vfs_read": "",
	} {
		if got := withoutBTF(e, &Point{Func: fn}); (got == "") != (want == "") || !strings.Contains(got, want) {
			t.Errorf("%s lacks %q, want %q", fn, got, want)
		}
	}
	for fn, want := range map[string]string{
		"vfs_red":          "vfs_read",
		"sys_read":         "__x64_sys_read",
		"__arm64_sys_read": "__x64_sys_read",
		"SyS_read":         "__x64_sys_read",
		"tcp_send":         "tcp_send.isra.0",
		"fork":             "do_fork",
	} {
		if got := suggestFunction(e, &Point{Func: fn}); got != want {
			t.Errorf("for %s, %q is suggested, want %q", fn, got, want)
		}
	}
}

// TestOnlyBlacklisted checks the reason why a pattern of a kprobe matches nothing.
func TestOnlyBlacklisted(t *testing.T) {
	const list = "0x10-0x20\tdo_int3\n0x20-0x30\tdo_int1\n0x30-0x40\tentry_x\n0x40-0x50\tdo_int3\n"
	for _, c := range []struct{ module, pattern, list, want string }{
		{"", "do_*", list, "2 functions match, such as do_int1, but are on the kernel's list"},
		{"", "entry*", list, "entry_x matches, but is on the kernel's list"},
		{"vmlinux", "entry*", list, "entry_x matches"},
		{"ext4", "entry*", list, ""},
		{"", "entry_x", list, ""},
		{"", "vfs_*", list, ""},
		{"", "*", "", ""},
		{"", "*", "\n0x1\n", ""},
	} {
		got := onlyBlacklisted(&Point{Target: c.module, Func: c.pattern}, c.list)
		if (got == "") != (c.want == "") || !strings.HasPrefix(got, c.want) {
			t.Errorf("%s:%s: %q, want %q", c.module, c.pattern, got, c.want)
		}
	}
}
