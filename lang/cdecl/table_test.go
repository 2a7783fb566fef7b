package cdecl

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/gotrace/gotrace/lang/source"
)

// TestKnown checks constants that scripts use, from each kind of header, and some that
// differ between kernels.
func TestKnown(t *testing.T) {
	for _, c := range []struct {
		release [3]int
		values  map[string]int64
	}{
		{[3]int{6, 12}, map[string]int64{
			"AF_INET": 2, "AF_INET6": 10, "SOCK_STREAM": 1, "EPERM": 1, "ETIMEDOUT": 110, "ERESTARTSYS": 512,
			"TASK_RUNNING": 0, "TASK_UNINTERRUPTIBLE": 2, "TASK_COMM_LEN": 16, "PF_KTHREAD": 0x200000,
			"DT_REG": 8, "S_IFMT": 0o170000, "O_CREAT": 0o100, "O_DIRECTORY": 0o200000, "PROT_EXEC": 4, "MAP_ANONYMOUS": 0x20,
			"SIGKILL": 9, "ICMP_ECHO": 8, "ETH_P_IP": 0x800, "NF_ACCEPT": 1, "CLONE_NEWPID": 0x20000000,
			"PAGE_SIZE": 4096, "HZ": 250, "MSEC_PER_SEC": 1000, "NSEC_PER_SEC": 1e9, "PATH_MAX": 4096, "NAME_MAX": 255,
			"UINT_MAX": 1<<32 - 1, "INT_MAX": 1<<31 - 1, "INT_MIN": -1 << 31, "MINORBITS": 20,
			"FIONREAD": 0x541b, "TIOCGWINSZ": 0x5413, "FUTEX_WAIT": 0, "SEEK_END": 2, "AT_FDCWD": -100, "RLIMIT_NOFILE": 7,
			"BLKGETSIZE64": 0x80081272, "FS_IOC_GETFLAGS": 0x80086601,

			"CLOCKS_PER_SEC": 1e6, "ADJ_OFFSET_SINGLESHOT": 0x8001, "FAN_EVENT_METADATA_LEN": 24, "TPACKET2_HDRLEN": 52,

			// Headers define these only if the C library has not.
			"IFNAMSIZ": 16, "IFF_UP": 1, "IFF_RUNNING": 0x40, "IFF_LOWER_UP": 1 << 16, "IPPROTO_TCP": 6, "IPPROTO_MPTCP": 262,
			"INADDR_LOOPBACK": 0x7f000001, "IPV6_ADD_MEMBERSHIP": 20, "IPPROTO_ICMPV6": 58, "XATTR_CREATE": 1,
		}},
		{[3]int{5, 10}, map[string]int64{"TASK_DEAD": 0x80, "AF_MAX": 45, "CLONE_NEWTIME": 0x80}},
		{[3]int{6, 1}, map[string]int64{"AF_MAX": 46}},
		{[3]int{4, 19}, map[string]int64{"AF_MAX": 45}},
	} {
		u := NewUnit(Includes{Release: c.release}, &source.Diags{})
		for name, want := range c.values {
			if got, ok := u.Known(name); !ok || got.Int != want {
				t.Errorf("%s of %v is %d (%v), want %d", name, c.release, got.Int, ok, want)
			}
		}
	}
	u := NewUnit(Includes{Release: [3]int{6, 12}}, &source.Diags{})
	if c, ok := u.Known("ULONG_MAX"); !ok || !c.Unsigned || c.Int != -1 {
		t.Errorf("ULONG_MAX is %+v", c)
	}
	if _, ok := u.Known("NOSUCH"); ok {
		t.Error("NOSUCH is known")
	}
}

// TestTableRoundTrip checks that encoding what the table holds produces the same data.
func TestTableRoundTrip(t *testing.T) {
	text := inflate(constants)
	r := newTableReader(text)
	tab := &Table{Headers: map[string]bool{}, Functions: r.functions}
	for i := range r.headers.ends {
		tab.Headers[r.headers.at(i)] = true
	}
	for k, v := range r.kernels {
		values := map[string]Const{}
		for i := range r.constants.ends {
			name := r.constants.at(i)
			if c, ok := r.value(name, k); ok {
				values[name] = c
			}
		}
		name := strings.TrimSuffix(fmt.Sprintf("%d.%d", v[0], v[1]), ".0")
		tab.Kernels = append(tab.Kernels, TableKernel{Name: name, Values: values})
	}
	if got := tab.Encode(); string(got) != text {
		t.Errorf("%d bytes become %d", len(text), len(got))
	}
	if len(constants) > 220<<10 {
		t.Errorf("the table takes %d bytes", len(constants))
	}
}

// TestTableEncoding checks constants that only some kernels define or that differ
// between kernels.
func TestTableEncoding(t *testing.T) {
	tab := &Table{Headers: map[string]bool{"linux/a.h": true, "linux/ab.h": true}, Functions: map[string]string{"F": "(x) x"}}
	for i, values := range []map[string]Const{
		{"ALWAYS": {Int: 1}, "FIRST": {Int: -2}, "CHANGES": {Int: 3}, "BACK": {Int: 4}},
		{"ALWAYS": {Int: 1}, "CHANGES": {Int: -1, Unsigned: true}, "SECOND": {Int: 5}},
		{"ALWAYS": {Int: 1}, "CHANGES": {Int: -1}, "BACK": {Int: 4}, "LAST": {Int: 6}, "ALWAYS_LONGER": {Int: 7}},
	} {
		tab.Kernels = append(tab.Kernels, TableKernel{Name: strconv.Itoa(5 + i), Values: values})
	}
	r := newTableReader(string(tab.Encode()))
	for i, k := range tab.Kernels {
		for _, name := range []string{"ALWAYS", "ALWAYS_LONGER", "FIRST", "CHANGES", "BACK", "SECOND", "LAST", "A", "Z", ""} {
			want, defined := k.Values[name]
			if got, ok := r.value(name, i); ok != defined || got != want {
				t.Errorf("%s of kernel %s is %+v (%v), want %+v (%v)", name, k.Name, got, ok, want, defined)
			}
		}
	}
	for name, want := range map[string]bool{"linux/a.h": true, "linux/ab.h": true, "linux/": false, "linux/abc.h": false} {
		if _, ok := r.headers.find(name); ok != want {
			t.Errorf("header %s is found: %v", name, ok)
		}
	}
}

// TestStandIn includes headers that do not exist on this machine, by their names in the
// kernel and in libc.
func TestStandIn(t *testing.T) {
	for name, ok := range map[string]bool{
		"<linux/sched/mm.h>": true, "<net/inet_sock.h>": true, "<uapi/linux/bpf.h>": true, "<asm/ptrace.h>": true, "<asm/ioctls.h>": true, "<asm/errno.h>": true,
		"<linux/nosuch.h>": false, "<nosuch.h>": false, `"mine.h"`: false, "<net/nosuch.h>": false,
	} {
		_, diags := parse(t, "#include "+name+"\n")
		if diags.HasErrors() == ok {
			t.Errorf("%s: %v", name, diags.Err())
		}
	}
	for _, name := range libcHeaders.Get() {
		var diags source.Diags
		if u := NewUnit(Includes{}, &diags); !u.standIn(name) {
			t.Errorf("%s is not known", name)
		}
	}
	u, diags := parse(t, "#include <linux/sched/coredump.h>\n#if AF_INET == 2 && !defined(NOSUCH)\nstruct x { char c[TASK_COMM_LEN]; };\n#endif\n")
	if diags.HasErrors() || u.Type("struct x") == nil || u.Type("struct x").Size != 16 {
		t.Errorf("constants of headers in a declaration: %v", diags.Err())
	}
}

// TestVersion compares versions as scripts do. The header is that of the kernel, not that
// of a package on this machine.
func TestVersion(t *testing.T) {
	for _, name := range []string{"linux/version.h", "uapi/linux/version.h", "generated/uapi/linux/version.h"} {
		for condition, want := range map[string]bool{
			"LINUX_VERSION_CODE >= KERNEL_VERSION(6, 12, 5)": true, "LINUX_VERSION_CODE < KERNEL_VERSION(6,13,0)": true,
			"LINUX_VERSION_CODE == KERNEL_VERSION(6,12,255)": true, "LINUX_VERSION_CODE > KERNEL_VERSION(6,12,300)": false,
			"defined(KERNEL_VERSION) && LINUX_VERSION_MAJOR == 6 && LINUX_VERSION_PATCHLEVEL == 12": true,
		} {
			var diags source.Diags
			u := NewUnit(Includes{Reader: &source.Files{}, Release: [3]int{6, 12, 300}}, &diags)
			text := "#include <" + name + ">\n#if " + condition + "\nstruct x { int a; };\n#endif\n"
			u.Add(source.Span{File: source.NewFile("test.bt", text), End: len(text)})
			if got := u.Type("struct x") != nil; got != want || diags.HasErrors() {
				t.Errorf("%s: %s is %v; %v", name, condition, got, diags.Err())
			}
		}
	}
}

// TestTypesOfConstants checks values that depend on the C types of literals and
// operators.
func TestTypesOfConstants(t *testing.T) {
	for text, want := range map[string]int64{
		"~0U": 1<<32 - 1, "~0": -1, "1 << 31": -1 << 31, "1U << 31": 1 << 31, "1UL << 40": 1 << 40, "1 << 40": 0,
		"-1U": 1<<32 - 1, "0xffffffff": 1<<32 - 1, "0xffffffff + 1": 0, "4294967295 + 1": 1 << 32, "-1 < 1U": 0, "-1 < 1": 1,
		"(unsigned char)300": 44, "(signed char)200": -56, "(unsigned short)-1": 65535, "(int)0xffffffff": -1, "(long)-1": -1,
		"(unsigned)-1": 1<<32 - 1, "-1 / 2U": 1<<31 - 1, "-8 >> 1": -4, "~0U >> 4": 1<<28 - 1, "sizeof(int) - 5 > 0": 1,
		"1 ? -1 : 0U": 1<<32 - 1, "!0": 1, "(_Bool)4": 1, "0x80000000": 1 << 31, "2147483648": 1 << 31, "010": 8,
	} {
		u, diags := parse(t, "#define X ("+text+")\n")
		if c, ok := u.Const("X"); !ok || c.Int != want {
			t.Errorf("%s is %d (%v), want %d; %v", text, c.Int, ok, want, diags.Err())
		}
	}
}

// BenchmarkTable reads the table, as the first unknown name in a script does.
func BenchmarkTable(b *testing.B) {
	for b.Loop() {
		if r := newTableReader(inflate(constants)); r.kernels[0][0] != 5 {
			b.Fatal(r.kernels[0])
		}
	}
}

// TestUnknownSize checks that a constant with the size of a type that is not defined is
// not known. It was computed with the size 0.
func TestUnknownSize(t *testing.T) {
	u := NewUnit(Includes{Alone: true}, &source.Diags{})
	f := source.NewFile("test", "struct s { int a[3]; };\n#define N (8 + sizeof(struct nosuch))\n#define A sizeof(struct nosuch[2])\n#define V sizeof(void)\n#define S (8 + sizeof(struct s))\n#define P sizeof(struct nosuch *)\n")
	u.Add(source.Span{File: f, End: len(f.Text)})
	for _, name := range []string{"N", "A", "V"} {
		if c, ok := u.Const(name); ok {
			t.Errorf("%s is %d", name, c.Int)
		}
	}
	for name, want := range map[string]int64{"S": 20, "P": 8} {
		if c, ok := u.Const(name); !ok || c.Int != want {
			t.Errorf("%s is %d (%v), want %d", name, c.Int, ok, want)
		}
	}
}
