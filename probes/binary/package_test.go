package binary

import (
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/gotrace/gotrace/lang/types"
	"github.com/gotrace/gotrace/tests/testkit"
)

// form is a way of storing the types of a program: in the unit that uses them or in
// separate units, in the program, in .dwo files or in a package of them.
type form struct {
	name, flags string
	pack        string // the program that makes the package, pack for that of this test, or ""
}

// forms returns all forms that the tools on this machine can make.
func forms() (list []form) {
	for _, version := range []string{"4", "5"} {
		for _, units := range []string{"", " -fdebug-types-section"} {
			flags := "-gdwarf-" + version + units
			name := "DWARF " + version
			if units != "" {
				name += ", units of types"
			}
			list = append(list, form{name, flags, ""}, form{name + ", split", flags + " -gsplit-dwarf", ""},
				form{name + ", package", flags + " -gsplit-dwarf", "pack"})
			if version == "4" {
				list = append(list, form{name + ", dwp", flags + " -gsplit-dwarf", "dwp"})
			}
		}
	}
	return list
}

// build compiles sources of testdata to the program dir/p and its package dir/p.dwp.
func (f *form) build(t testing.TB, dir, compiler string, sources ...string) {
	t.Helper()
	link := []string{compiler, "-o", "p"}
	for i, src := range sources {
		path, err := filepath.Abs(filepath.Join("testdata", src))
		if err != nil {
			t.Fatal(err)
		}
		object := fmt.Sprintf("p%d.o", i)
		testkit.Run(t, dir, append([]string{compiler, "-g", "-O1", "-c", "-o", object, path}, strings.Fields(f.flags)...)...)
		link = append(link, object)
	}
	testkit.Run(t, dir, link...)
	switch f.pack {
	case "":
	case "pack":
		pack(t, dir)
	default:
		testkit.Run(t, dir, f.pack, "-e", "p", "-o", "p.dwp")
		testkit.Run(t, dir, "sh", "-c", "rm *.dwo")
	}
}

// layout returns the members of a struct, those of structs inside of it, and those of
// structs that it points to down to a depth: "a int32@0, next *{…}@8".
func layout(t *types.Type, depth int) string {
	switch {
	case t.Kind == types.Pointer && depth > 0:
		return "*" + layout(t.Elem, depth-1)
	case t.Kind == types.Pointer:
		return "*"
	case t.Kind != types.Struct:
		return t.String()
	}
	var out []string
	for _, m := range t.Members() {
		s := fmt.Sprintf("%s %s@%d", m.Name, layout(m.Type, depth), m.Off)
		if m.BitSize > 0 {
			s += fmt.Sprintf(":%d:%d", m.BitOff, m.BitSize)
		}
		out = append(out, s)
	}
	return "{" + strings.Join(out, ", ") + "}"
}

// TestTypeUnits reads the same types in each form.
func TestTypeUnits(t *testing.T) {
	const (
		inner = "{a int32@0, b int64@8}"
		both  = "{i int32@0, f uint8[4]@0, c string[8]@0}"
		node  = "{next *%s@0, in " + inner + "@8, col enum colour@24, u " + both + "@28, list int32[3]@36, bits uint32@48:0:3}"
		pair  = "{s1 int16@0, s2 int16@2}"
	)
	one := fmt.Sprintf(node, "")
	for _, f := range forms() {
		t.Run(f.name, func(t *testing.T) {
			dir := t.TempDir()
			f.build(t, dir, "gcc", "types1.c", "types2.c")
			x, g := openInfo(t, dir)
			defer x.Close()
			for _, c := range []struct{ fn, want string }{
				{"work", "{n *" + one + "@0, c enum colour@8, q *" + pair + "@16}"},
				{"deep", "{o *{z int32@0, back *@8}@0}"},
				{"other", "{p *" + one + "@0, q *" + pair + "@8}"},
			} {
				if got := layout(argsOf(t, x, g, c.fn), 1); got != c.want {
					t.Errorf("%s has the arguments %s, want %s", c.fn, got, c.want)
				}
			}
			for name, want := range map[string]string{
				"struct only": "{z int32@0, back *" + one + "@8}", "struct inner": inner, "pair": pair, "union both": both,
			} {
				if ty := g.Type(name); ty == nil {
					t.Errorf("no type %s", name)
				} else if got := layout(ty, 1); got != want {
					t.Errorf("%s is %s, want %s", name, got, want)
				}
			}
			if e := g.Type("enum colour"); e == nil || e.Kind != types.Enum || fmt.Sprint(e.Consts.Values) != "[{red 0} {green 7}]" {
				t.Errorf("enum colour is %v", e)
			}
			if ty := g.Type("struct none"); ty != nil {
				t.Errorf("struct none is %v", ty)
			}
			if addrs, err := g.Addresses(SourceLine{File: "types2.c", Line: 10}); err != nil || len(addrs) != 1 || addrs[0] != x.Named("deep")[0].Addr {
				t.Errorf("line 10 is at %#x, %v", addrs, err)
			}
		})
		t.Run(f.name+", C++", func(t *testing.T) {
			dir := t.TempDir()
			f.build(t, dir, "g++", "types.cc")
			x, g := openInfo(t, dir)
			defer x.Close()
			args := argsOf(t, x, g, "take")
			const want = "{v {a int32@0, b int32@4}@0, o {p int32@0}@8, b *{val int64@0, pl {a int32@0, b int32@4}@8, next *@16}@16, r *{a int32@0, b int32@4}@24}"
			if got := layout(args, 1); got != want {
				t.Errorf("take has the arguments %s, want %s", got, want)
			}
			// An object with a destructor is passed by reference.
			if o := args.Members()[1]; o.Loc.Err != "" || !o.Loc.Memory {
				t.Errorf("o is at %+v", o.Loc)
			}
		})
	}
}

func openInfo(t *testing.T, dir string) (*File, *DebugInfo) {
	t.Helper()
	x, err := Open(filepath.Join(dir, "p"))
	if err != nil {
		t.Fatal(err)
	}
	g, err := x.DebugInfo()
	if err != nil {
		t.Fatal(err)
	}
	return x, g
}

func argsOf(t *testing.T, x *File, g *DebugInfo, name string) *types.Type {
	t.Helper()
	fn, ok := g.Function(x.Named(name)[0].Addr)
	if !ok {
		t.Fatalf("no function %s", name)
	}
	return fn.Args(AMD64, name, name, ABIC)
}

// TestRustSplit looks up inlined functions in split debug information that LLVM wrote. It
// has no separate list of files.
func TestRustSplit(t *testing.T) {
	for _, kind := range []string{"off", "unpacked", "packed"} {
		t.Run(kind, func(t *testing.T) {
			dir := t.TempDir()
			src, err := filepath.Abs("testdata/inlined.rs")
			if err != nil {
				t.Fatal(err)
			}
			testkit.Run(t, dir, "rustc", "-g", "-O", "-C", "split-debuginfo="+kind, "-o", "p", src)
			x, g := openInfo(t, dir)
			defer x.Close()
			pc := callOf(t, x, "work", "leaf")
			if got, want := frameText(x.Frames(pc)), regexp.MustCompile(`^\[inlined\] \S*inner\S*@inlined\.rs:18 work@inlined\.rs:13$`); !want.MatchString(got) {
				t.Errorf("frames %q, want %s", got, want)
			}
			if got, want := layout(argsOf(t, x, g, "work"), 1), "{p *{a int32@0, b int64@8}@0}"; got != want {
				t.Errorf("arguments %s, want %s", got, want)
			}
		})
	}
}
