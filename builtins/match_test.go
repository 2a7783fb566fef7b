package builtins

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/gotrace/gotrace/codegen/ir"
	"github.com/gotrace/gotrace/lang/types"
)

// ofFirst compiles a checked call whose first argument is a parameter and the others are
// literals.
func ofFirst(t *testing.T, d *Def, args []Arg) *program {
	t.Helper()
	c := newTestChecker()
	call := &Call{Def: d, Args: args}
	if d.CheckArity(c, call) && d.CheckParams(c, call) {
		call.Type = d.Check(c, call)
	}
	if got := strings.Join(c.messages(), "\n"); strings.Contains(got, "ERROR") { // there may be warnings
		t.Error(got)
	}
	typ := ir.PtrSlot
	if args[0].Type.Kind == types.Int {
		typ = ir.Int
	}
	return compile(t, []ir.Type{typ}, func(g *testGen, in []*ir.Value) *ir.Value {
		g.arg[&call.Args[0]] = in[0]
		return d.Emit(g, call)
	})
}

// TestMatchers compares each matcher with its model in Go, on random strings, with one
// pattern and with several.
func TestMatchers(t *testing.T) {
	r := rand.New(rand.NewPCG(9, 10))
	texts := words(r, 14)
	patterns := texts[:25]
	expressions := []string{"a", "^ab", "b$", "^(ab)*$", "a+b+a", "^.{3}$", "[^a]b", `\bab`, "(?i)HELLO", "^$", "x{2}", "^a|b$"}
	fold := func(s string) string { return strings.ToLower(strings.ToValidUTF8(s, "\x01")) }
	for _, m := range []struct {
		def   *Def
		model func(s, p string) bool
		from  []string
	}{
		{startswith(), strings.HasPrefix, patterns},
		{endswith(), strings.HasSuffix, patterns},
		{contains(), strings.Contains, patterns},
		{icontains(), func(s, p string) bool { return strings.Contains(fold(s), fold(p)) }, []string{"", "A", "aB", "HeLLo", "bba", "Abab"}},
		{matches(), func(s, p string) bool { return regexp.MustCompile(p).MatchString(s) }, expressions},
		{glob(), func(s, p string) bool {
			return regexp.MustCompile("(?s)^" + strings.NewReplacer("*", ".*", "?", ".").Replace(p) + "$").MatchString(s)
		}, []string{"*", "a*", "*b", "?", "a?b*", "*a*b*", "", "hello"}},
	} {
		for _, size := range []int{3, 16, 21} {
			for n := range 6 {
				args := []Arg{argOf(types.NewString(size))}
				var list []string
				for range []int{1, 2, 9}[n%3] {
					p := m.from[r.IntN(len(m.from))]
					list = append(list, p)
					args = append(args, strLit(p))
				}
				p := ofFirst(t, m.def, args)
				for _, s := range texts {
					if len(s) >= size {
						continue
					}
					want := slices.ContainsFunc(list, func(p string) bool { return m.model(s, p) })
					if got := p.run(inMemory(s, size)); (got == 1) != want || got > 1 {
						t.Fatalf("%q %s %q in %d bytes = %d, want %v", s, m.def.Name, list, size, got, want)
					}
					lit := slices.Clone(args)
					lit[0] = strLit(s)
					if call := checkCall(t, m.def, lit, ""); call.Lit == nil || (call.Lit.Int == 1) != want {
						t.Fatalf("literal %q %s %q: %v, want %v", s, m.def.Name, list, call.Lit, want)
					}
				}
			}
		}
	}
}

func TestInTexts(t *testing.T) {
	r := rand.New(rand.NewPCG(11, 12))
	for _, n := range []int{1, 2, 15, 17, 40, 300} {
		for _, most := range []int{8, 20, 140} {
			args := []Arg{argOf(types.NewString(150))}
			set := map[string]bool{}
			var list []string
			for range n {
				b := make([]byte, r.IntN(most))
				for i := range b {
					b[i] = "abc\x80/"[r.IntN(5)]
				}
				s := string(b)
				set[s] = true
				list = append(list, s)
				args = append(args, strLit(s))
			}
			p := ofFirst(t, isIn(), args)
			for range 60 {
				s := list[r.IntN(n)]
				switch r.IntN(4) {
				case 0:
					s += "a"
				case 1:
					s = s[:len(s)/2]
				case 2:
					s = ""
				}
				if got := p.run(inMemory(s, 150)); (got == 1) != set[s] || got > 1 {
					t.Fatalf("%q in a list of %d = %d, want %v", s, n, got, set[s])
				}
			}
		}
	}
}

func TestInNumbers(t *testing.T) {
	r := rand.New(rand.NewPCG(13, 14))
	near := func() int64 {
		base := []int64{0, 100, -100, 1 << 40, -1 << 63, 1<<63 - 1, 1 << 31}[r.IntN(7)]
		return base + int64(r.IntN(40)) - 20
	}
	for _, typ := range []*types.Type{types.TInt64, types.TUint64} {
		for range 60 {
			args := []Arg{argOf(typ)}
			var list [][2]int64
			for range 1 + r.IntN(60) {
				lo, hi := near(), int64(0)
				if hi = lo; r.IntN(3) == 0 {
					hi = near()
				}
				if typ.Signed && hi < lo || !typ.Signed && uint64(hi) < uint64(lo) {
					lo, hi = hi, lo
				}
				list = append(list, [2]int64{lo, hi})
				a, to := intLit(lo), intLit(hi)
				if lo != hi {
					a.To = &to
				}
				args = append(args, a)
			}
			p := ofFirst(t, isIn(), args)
			for range 60 {
				x := near()
				want := slices.ContainsFunc(list, func(v [2]int64) bool {
					if typ.Signed {
						return v[0] <= x && x <= v[1]
					}
					return uint64(v[0]) <= uint64(x) && uint64(x) <= uint64(v[1])
				})
				if got := p.run(uint64(x)); (got == 1) != want || got > 1 {
					t.Fatalf("%s %d in %v = %d, want %v", typ, x, list, got, want)
				}
			}
		}
	}
}

func TestInPrefixes(t *testing.T) {
	r := rand.New(rand.NewPCG(15, 16))
	addr := func(v6 bool) netip.Addr {
		if v6 {
			a := [16]byte{0xfd, byte(r.IntN(2)), 8: byte(r.IntN(2)), 15: byte(r.IntN(4))}
			if r.IntN(8) == 0 {
				a = [16]byte{10: 0xff, 11: 0xff, 12: 10, 15: byte(r.IntN(4))}
			}
			return netip.AddrFrom16(a)
		}
		return netip.AddrFrom4([4]byte{byte(10 + r.IntN(2)), byte(r.IntN(2)) << 7, byte(r.IntN(2)), byte(r.IntN(4))})
	}
	for range 40 {
		n := 1 + r.IntN(30)
		list := map[bool][]netip.Prefix{}
		var all []netip.Prefix
		for range n {
			a := addr(r.IntN(2) == 0)
			p := netip.PrefixFrom(a, r.IntN(a.BitLen()+1))
			list[a.Is6()] = append(list[a.Is6()], p)
			all = append(all, p)
		}
		check := func(typ *types.Type, prefixes []netip.Prefix, v6 func() bool, encode func(netip.Addr) any) {
			if len(prefixes) == 0 {
				return
			}
			args := []Arg{argOf(typ)}
			for _, p := range prefixes {
				args = append(args, strLit(p.String()))
			}
			p := ofFirst(t, isIn(), args)
			for range 20 {
				a := addr(v6())
				want := slices.ContainsFunc(prefixes, func(p netip.Prefix) bool { return p.Contains(a) })
				if got := p.run(encode(a)); (got == 1) != want || got > 1 {
					t.Fatalf("%s %s in %v = %d, want %v", typ, a, prefixes, got, want)
				}
			}
		}
		always := func(v bool) func() bool { return func() bool { return v } }
		bytes := func(a netip.Addr) any { return a.AsSlice() }
		check(types.NewArray(types.TUint8, 4), list[false], always(false), bytes)
		check(types.NewArray(types.TUint8, 16), list[true], always(true), bytes)
		check(types.TUint32, list[false], always(false), func(a netip.Addr) any { return uint64(binary.LittleEndian.Uint32(a.AsSlice())) })
		check(inetType, all, func() bool { return r.IntN(2) == 0 }, func(a netip.Addr) any {
			data := make([]byte, inetSize)
			data[0] = afInet
			if a.Is6() {
				data[0] = afInet6
			}
			copy(data[8:], a.AsSlice())
			return data
		})
	}
}

func TestMatchErrors(t *testing.T) {
	str := argOf(types.NewString(16))
	name := str
	name.From = comm()
	for _, c := range []struct {
		def  *Def
		args []Arg
		want string
	}{
		{matches(), []Arg{str, strLit("a(")}, "missing closing )"},
		{matches(), []Arg{str, strLit(`(a)\1`)}, "invalid escape"},
		{matches(), []Arg{str, strLit("[ab]*a[ab]{900}")}, "too large"},
		{glob(), []Arg{str, strLit("[z-a]")}, "empty"},
		{icontains(), []Arg{str, strLit("\xff")}, "UTF-8"},
		{startswith(), []Arg{str, str}, "string literal"},
		{startswith(), []Arg{name, strLit("sixteen bytes ok")}, "never matches"},
		{startswith(), []Arg{argOf(types.TInt64), strLit("a")}, "string arguments"},
		{isIn(), []Arg{str, intLit(1)}, "compares a string"},
		{isIn(), []Arg{argOf(types.TInt64), strLit("a")}, "compares an integer"},
		{isIn(), []Arg{argOf(inetType), strLit("10.0.0.0/33")}, "not an internet address"},
		{isIn(), []Arg{argOf(types.NewArray(types.TUint8, 4)), strLit("::1")}, "never equal"},
	} {
		var got string
		c0 := newTestChecker()
		call := &Call{Def: c.def, Args: c.args}
		c.def.Check(c0, call)
		if got = fmt.Sprint(c0.messages()); !strings.Contains(got, c.want) {
			t.Errorf("%s%v: %s, want %q", c.def.Name, c.args, got, c.want)
		}
	}
}
