package builtins

import (
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/gotrace/gotrace/codegen/ir"
	"github.com/gotrace/gotrace/lang/types"
)

// emitted compiles a checked call whose arguments are literals or, as parameters of the
// program in the order of the call, strings in memory.
func emitted(t *testing.T, d *Def, args []Arg) (*program, *Call) {
	t.Helper()
	call := checkCall(t, d, args, "")
	params := make([]ir.Type, len(args))
	for i := range params {
		params[i] = ir.PtrSlot
	}
	return compile(t, params, func(g *testGen, in []*ir.Value) *ir.Value {
		for i := range call.Args {
			g.arg[&call.Args[i]] = in[i]
		}
		return d.Emit(g, call)
	}), call
}

// inMemory returns s as a string of the given size, with garbage after its NUL.
func inMemory(s string, size int) []byte {
	b := []byte(strings.Repeat("lo\x7f\x80\xff", size/5+1))[:size]
	copy(b, s+"\x00")
	return b
}

func words(r *rand.Rand, most int) []string {
	list := []string{"", "a", "ab", "aab", "aabaab", "abababac", "hello", "\x80\xff\x80", "aaaaaaab"}
	for range 40 {
		b := make([]byte, r.IntN(most))
		for i := range b {
			b[i] = "ab\x80"[r.IntN(3)]
		}
		list = append(list, string(b))
	}
	return list
}

func TestStrlen(t *testing.T) {
	for size := 1; size <= 35; size++ {
		p, _ := emitted(t, strlen(), []Arg{argOf(types.NewString(size))})
		for n := range size {
			s := strings.Repeat("\x80\x01\xff", n)[:n]
			if got := p.run(inMemory(s, size)); got != uint64(n) {
				t.Fatalf("strlen of %q in %d bytes = %d", s, size, got)
			}
		}
	}
}

func TestStrstr(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	hay := words(r, 24)
	needles := append(words(r, 6), "aabaabaab", "abababababababababababababababababababababababababababababababc")
	for _, needle := range needles {
		lit, _ := emitted(t, strstr(), []Arg{argOf(types.NewString(24)), strLit(needle)})
		has, _ := emitted(t, strcontains(), []Arg{argOf(types.NewString(24)), strLit(needle)})
		var mem *program
		if len(needle) < 24 {
			mem, _ = emitted(t, strstr(), []Arg{argOf(types.NewString(24)), argOf(types.NewString(24))})
		}
		for _, h := range hay {
			want := strings.Index(h, needle)
			if got := int64(lit.run(inMemory(h, 24), 0)); got != int64(want) {
				t.Fatalf("strstr(%q, literal %q) = %d, want %d", h, needle, got, want)
			}
			if got := has.run(inMemory(h, 24), 0); (got == 1) != (want >= 0) || got > 1 {
				t.Fatalf("strcontains(%q, literal %q) = %d", h, needle, got)
			}
			if mem == nil {
				continue
			}
			if got := int64(mem.run(inMemory(h, 24), inMemory(needle, 24))); got != int64(want) {
				t.Fatalf("strstr(%q, %q) = %d, want %d", h, needle, got, want)
			}
		}
	}
	long := strings.Repeat("ab", 30)
	p, _ := emitted(t, strstr(), []Arg{argOf(types.NewString(100)), strLit(long)})
	if got := p.run(inMemory("xx"+long, 100), 0); got != 2 {
		t.Errorf("a needle of 60 characters is found at %d", got)
	}
}

func TestStrncmp(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	list := words(r, 12)
	differ := func(a, b string, n int) uint64 {
		if a[:min(n, len(a))] != b[:min(n, len(b))] {
			return 1
		}
		return 0
	}
	for _, n := range []int{0, 1, 2, 3, 5, 8, 11, 20} {
		both, _ := emitted(t, strncmp(), []Arg{argOf(types.NewString(12)), argOf(types.NewString(16)), intLit(int64(n))})
		for _, b := range list {
			right, _ := emitted(t, strncmp(), []Arg{argOf(types.NewString(12)), strLit(b), intLit(int64(n))})
			left, _ := emitted(t, strncmp(), []Arg{strLit(b), argOf(types.NewString(12)), intLit(int64(n))})
			for _, a := range list {
				want := differ(a, b, n)
				if got := right.run(inMemory(a, 12), 0, 0); got != want {
					t.Fatalf("strncmp(%q, literal %q, %d) = %d", a, b, n, got)
				}
				if got := left.run(0, inMemory(a, 12), 0); got != want {
					t.Fatalf("strncmp(literal %q, %q, %d) = %d", b, a, n, got)
				}
				if got := both.run(inMemory(a, 12), inMemory(b, 16), 0); got != want {
					t.Fatalf("strncmp(%q, %q, %d) = %d", a, b, n, got)
				}
			}
		}
	}
	for _, c := range []struct {
		a, b string
		n    int64
		want int64
	}{{"abc", "abd", 2, 0}, {"abc", "abd", 3, 1}, {"he", "hello", 5, 1}, {"he", "hello", 2, 0}} {
		call := checkCall(t, strncmp(), []Arg{strLit(c.a), strLit(c.b), intLit(c.n)}, "")
		if call.Lit == nil || call.Lit.Int != c.want {
			t.Errorf("strncmp(%q, %q, %d) of literals: %v", c.a, c.b, c.n, call.Lit)
		}
	}
}

func TestMemcmp(t *testing.T) {
	p, _ := emitted(t, memcmp(), []Arg{argOf(types.NewString(4)), argOf(types.NewArray(types.TUint8, 4)), intLit(3)})
	for _, c := range []struct {
		a, b string
		want int64
	}{{"abcx", "abcy", 0}, {"abc\x00", "abd\x00", -1}, {"b\x00\x00\x00", "a\x00\x00\x00", 1}, {"\xff\x00\x00\x00", "\x01\x00\x00\x00", 254}, {"a\x00b\x00", "a\x00c\x00", -1}} {
		if got := int64(p.run([]byte(c.a), []byte(c.b), 0)); got != c.want {
			t.Errorf("memcmp(%q, %q, 3) = %d, want %d", c.a, c.b, got, c.want)
		}
	}
}

func TestTextTables(t *testing.T) {
	for _, c := range []struct {
		def  *Def
		n    int64
		want string
	}{
		{strerror(), 2, "No such file or directory"}, {strerror(), -2, "No such file or directory"}, {strerror(), 0, "Success"},
		{strerror(), 5, "I/O error"}, {strerror(), 11, "Try again (operation would block)"}, {strerror(), 41, "Unknown error"},
		{strerror(), 95, "Operation not supported on transport endpoint"}, {strerror(), -125, "Operation Canceled"},
		{signalName(), 9, "Killed"}, {signalName(), 0, "Unknown signal 0"}, {signalName(), 64, "Real-time signal 30"},
		{signalName(), 65, "N/A"}, {signalName(), -1, "N/A"},
		{strerror(), 9999, "Unknown error"}, {strerror(), -1 << 31, "Unknown error"}, {strerror(), 133, "Memory page has hardware error"}, {strerror(), 134, "Unknown error"},
		{signalName(), 99, "N/A"}, {signalName(), 31, "Bad system call"},
		{syscallName(), 0, "read"}, {syscallName(), 1, "write"}, {syscallName(), 2, "Unknown syscall"}, {syscallName(), -1, "Unknown syscall"},
	} {
		call := checkCall(t, c.def, []Arg{argOf(types.TInt64)}, "")
		size := call.Type.Size + 8
		p := compile(t, []ir.Type{ir.Int, ir.PtrSlot}, func(g *testGen, in []*ir.Value) *ir.Value {
			g.arg[&call.Args[0]] = in[0]
			c.def.Store(g, call, Dest{Ptr: in[1], Size: size, Padded: true})
			return nil
		})
		out := []byte(strings.Repeat("x", size))
		p.run(uint64(c.n), out)
		if got := strings.TrimRight(string(out), "\x00"); got != c.want {
			t.Errorf("%s(%d) = %q, want %q", c.def.Name, c.n, got, c.want)
		}
	}
}
