package probes

import (
	"fmt"
	"strings"
	"testing"

	"github.com/gotrace/gotrace/lang/types"
	"github.com/gotrace/gotrace/probes/binary"
	"github.com/gotrace/gotrace/runtime/object"
)

func TestParseCPUs(t *testing.T) {
	for text, want := range map[string]string{"0\n": "[0]", "0-2,5\n": "[0 1 2 5]", "x": "error", "3-1": "error", "": "error"} {
		got, err := parseCPUs(text)
		s := fmt.Sprint(got)
		if err != nil {
			s = "error"
		}
		if s != want {
			t.Errorf("%q: %s, want %s", text, s, want)
		}
	}
}

func TestParseCount(t *testing.T) {
	for text, want := range map[string]string{
		"0": "0", "10": "10", "0x1F": "31", "0b101": "5", "010": "8", "1_000": "1000", "1e3": "1000", "5us": "5000 duration", "2ms": "2000000 duration",
		"1m": "60000000000 duration", "1d": "86400000000000 duration", "7ns": "7 duration",
		"": "error", "-1": "error", "x": "error", "1__0": "error", "08": "error", "1x": "error", "18446744073709551616": "error", "ms": "error", "1e": "error", "0x": "error", "1_ms": "error", "300000d0": "error",
	} {
		n, duration, err := parseCount(text)
		got := fmt.Sprint(n)
		if duration {
			got += " duration"
		}
		if err != nil {
			got = "error"
		}
		if got != want {
			t.Errorf("%q: %s, want %s (%v)", text, got, want, err)
		}
	}
}

// newest is a kernel with all features.
type newest struct{ Kernel }

func (newest) Has(Feature) bool { return true }

// TestNoSession checks that disabling a feature disables the sessions of all kinds,
// because --max-overhead needs a separate program for each probe.
func TestNoSession(t *testing.T) {
	kinds := 0
	for _, k := range Kinds() {
		if k.Session == nil {
			continue
		}
		kinds++
		if k.Session(&Env{Kernel: newest{}}) == 0 {
			t.Errorf("%s has no sessions", k.Name)
		}
		if k.Session(&Env{Kernel: newest{}, NoFeature: map[string]bool{string(FeatKprobeSession): true}}) != 0 {
			t.Errorf("%s has sessions though they are disabled", k.Name)
		}
	}
	if kinds < 2 {
		t.Errorf("%d kinds have sessions", kinds)
	}
}

func TestTracingContext(t *testing.T) {
	task := &types.Type{Kind: types.Struct, Name: "struct task", Size: 8, Space: types.Kernel}
	pair := &types.Type{Kind: types.Struct, Name: "struct pair", Size: 16, Space: types.Kernel}
	proto := &FuncProto{Params: []types.Field{
		{Name: "t", Type: types.NewPointer(task, types.Kernel)}, {Name: "p", Type: pair, Off: 8}, {Name: "b", Type: types.TBool, Off: 24},
	}}
	c := tracingContext(&Env{}, &Point{Name: "fentry:x"}, proto)
	if c.Args.N != 4 || c.Args.Type.Size != 32 {
		t.Errorf("%d slots, %d bytes", c.Args.N, c.Args.Type.Size)
	}
	f, _ := c.Args.Type.Field("t")
	if f.Type.Space != types.BTF || f.Type.Elem.Space != types.BTF {
		t.Error("a pointer to a kernel struct is not one that the verifier knows")
	}
	f, _ = c.Args.Type.Field("p")
	if f.Type.Space != types.Ctx || f.Off != 8 {
		t.Error("a struct by value is not in the context")
	}
	if got := c.Args.Type.Space; got != types.Ctx {
		t.Error(got)
	}
}

// TestListedTarget checks that with a process, the binary can be omitted in a pattern, and
// that without one a pattern for all kinds lists only files that it names.
func TestListedTarget(t *testing.T) {
	for _, c := range []struct {
		pid        int
		in         string
		want, rest string
		ok         bool
	}{
		{0, "uprobe", "*", "*", true},
		{0, "uprobe:*", "*", "*", true},
		{0, "usdt:*:*:*", "*", "*:*", true},
		{0, "uprobe:libc", "libc", "*", true},
		{0, "uprobe:/bin/x:main", "/bin/x", "main", true},
		{7, "uprobe:*main", "*", "*main", true},
		{7, "uprobe:/bin/x", "/bin/x", "*", true},
		{7, "uprobe::main", "*", "main", true},
		{7, "usdt:libc:a:b", "libc", "a:b", true},
		{7, "*:*", "*", "*", true},
		{0, "*", "*", "*", false},
		{0, "*:*", "*", "*", false},
		{0, "u*:*:*", "*", "*", false},
		{0, "*:u*", "u*", "*", false},
		{0, "*::main", "*", "main", false},
		{0, "*:/bin/x:main", "/bin/x", "main", true},
		{0, "u*:/bin/x*:*", "/bin/x*", "*", true},
		{0, "*:libc:malloc", "libc", "malloc", true},
	} {
		target, rest, ok := listedTarget(&Env{PID: c.pid}, strings.Split(c.in, ":"))
		if got := strings.Join(rest, ":"); target != c.want || got != c.rest || ok != c.ok {
			t.Errorf("%s of %d: %s and %s, %v, want %s and %s, %v", c.in, c.pid, target, got, ok, c.want, c.rest, c.ok)
		}
	}
}

// TestUSDTArgTypes checks that an argument whose location is unknown is an error where
// it is used, and that one that does not exist is 0, with a warning.
func TestUSDTArgTypes(t *testing.T) {
	k := usdtKind()
	at := &uprobePlace{args: binary.ParseUSDTArgs("amd64", "-4@%weird -4@%eax 8@%rax", nil)}
	c, err := k.Context(&Env{Kernel: fakeArch{}, Unsafe: true}, &Point{Kind: k, Name: "usdt:x:y", Aux: at})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := c.Args.TypeOf(0); err == nil || !strings.Contains(err.Error(), "%weird") {
		t.Errorf("arg0: %v", err)
	}
	for n, want := range map[int]*types.Type{1: types.TInt64, 2: types.TUint64, 3: types.TInt64} {
		if got, warning, err := c.Args.TypeOf(n); got != want || err != nil || (warning != "") != (n == 3) {
			t.Errorf("arg%d is %v, %q, %v", n, got, warning, err)
		}
	}
}

type fakeArch struct{ Kernel }

func (fakeArch) Arch() string { return "amd64" }

// TestNeverReturns checks the reason why the return of a function cannot be probed.
func TestNeverReturns(t *testing.T) {
	for want, r := range map[string]binary.Returns{
		"it has no instruction that returns, so it never does":                                {},
		"it ends with a jump to main.other, which returns to the caller: probe that function": {Jumps: []string{"main.other"}},
		"it ends with a jump to another function, which returns to the caller":                {Jumps: []string{""}},
	} {
		if err := neverReturns(r); err.Error() != want {
			t.Errorf("%+v: %v, want %q", r, err, want)
		}
	}
}

// TestLibraryOfProgram checks that a library's name denotes the one that the program of -c
// or -p finds, if the program has its own.
func TestLibraryOfProgram(t *testing.T) {
	child := []string{"/app/prog", "/app/lib/ld-linux.so.2", "/app/lib/libmine.so.2", "/app/lib/libc.so.6"}
	for _, c := range []struct {
		env    Env
		target string
		want   string
	}{
		{Env{ChildFiles: func() []string { return child }}, "libmine", "/app/lib/libmine.so.2"},
		{Env{ChildFiles: func() []string { return child }}, "libmine.so", "/app/lib/libmine.so.2"},
		{Env{ChildFiles: func() []string { return child }}, "libmine.so.2", "/app/lib/libmine.so.2"},
		{Env{ChildFiles: func() []string { return child }}, "libc", "/app/lib/libc.so.6"},
		{Env{ChildFiles: func() []string { return child }}, "prog", "/app/prog"},
		{Env{ChildFiles: func() []string { return child }}, "libmin", ""},
		{Env{ChildFiles: func() []string { return child }}, "libmine.so.1", ""},
		{Env{ChildFiles: func() []string { return child }}, "sh", FindTarget("sh")},
		{Env{}, "libmine", ""},
		{Env{}, "sh", FindTarget("sh")},
	} {
		c.env.Needs = new(object.Needs)
		got, err := resolveBinaries(&c.env, "uprobe", c.target)
		if c.want == "" && err == nil || c.want != "" && (err != nil || len(got) != 1 || got[0] != c.want) {
			t.Errorf("%s: %v, %v, want %q", c.target, got, err, c.want)
		}
		if there := strings.HasPrefix(c.want, "/app/"); there != (c.env.Needs.OnlyNow != "") {
			t.Errorf("%s: depends on %q", c.target, c.env.Needs.OnlyNow)
		}
	}
}
