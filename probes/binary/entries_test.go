package binary

import (
	"debug/dwarf"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"reflect"
	"slices"
	"testing"

	"github.com/gotrace/gotrace/tests/testkit"
)

// TestEntries compares all entries and the statements of programs with those that package
// debug/dwarf reads.
func TestEntries(t *testing.T) {
	for _, flags := range [][]string{
		{"-gdwarf-2"}, {"-gdwarf-3"}, {"-gdwarf-4"}, {"-gdwarf-5"}, {"-gdwarf-5", "-gdwarf64"},
		{"-gdwarf-4", "-fdebug-types-section"}, {"-gdwarf-5", "-fdebug-types-section"}, {"-gdwarf-5", "-gz=zlib"},
	} {
		t.Run(fmt.Sprint(flags), func(t *testing.T) {
			dir := t.TempDir()
			src, err := filepath.Abs("testdata/types.cc")
			if err != nil {
				t.Fatal(err)
			}
			testkit.Run(t, dir, append([]string{"g++", "-O2", "-o", "p", src}, flags...)...)
			x, err := Open(filepath.Join(dir, "p"))
			if err != nil {
				t.Fatal(err)
			}
			defer x.Close()
			d, err := x.elf.DWARF()
			if err != nil {
				t.Fatal(err)
			}
			g, err := x.DebugInfo()
			if err != nil {
				t.Fatal(err)
			}
			compareEntries(t, g, d)
		})
	}
}

func compareEntries(t *testing.T, g *DebugInfo, d *dwarf.Data) {
	r := d.Reader()
	n, statements := 0, 0
	for {
		want, err := r.Next()
		if err != nil {
			t.Fatal(err)
		}
		if want == nil {
			break
		}
		if want.Tag == 0 {
			continue
		}
		n++
		got := g.units.Entry(want.Offset)
		if got == nil {
			t.Fatalf("no entry at %#x, but %v", want.Offset, want)
		}
		if got.Tag != want.Tag || got.Children != want.Children || len(got.Field) != len(want.Field) {
			t.Fatalf("at %#x:\n%v\nwant\n%v", want.Offset, got, want)
		}
		for i, f := range want.Field {
			if g := got.Field[i]; g.Attr != f.Attr || !reflect.DeepEqual(g.Val, f.Val) {
				t.Errorf("at %#x, %s: %#v, want %#v", want.Offset, f.Attr, g.Val, f.Val)
			}
		}
		if want.Tag == dwarf.TagCompileUnit {
			statements += compareStatements(t, g, d, want)
		}
	}
	if n < 50 || statements < 10 {
		t.Errorf("%d entries and %d statements were compared", n, statements)
	}
}

// compareStatements compares the statements of a unit, and returns their number.
func compareStatements(t *testing.T, g *DebugInfo, d *dwarf.Data, unit *dwarf.Entry) int {
	lines, err := d.LineReader(unit)
	if err != nil {
		t.Fatal(err)
	}
	var got, want []string
	var e dwarf.LineEntry
	for {
		if err := lines.Next(&e); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		if e.IsStmt && !e.EndSequence && filepath.Base(e.File.Name) == "types.cc" {
			want = append(want, fmt.Sprintf("%#x %d:%d", e.Address, e.Line, e.Column))
		}
	}
	for _, u := range g.units.Units() {
		if u.Root() == uint64(unit.Offset) {
			u.Statements(SourceLine{File: "types.cc"}.named, func(addr uint64, line, col int) {
				got = append(got, fmt.Sprintf("%#x %d:%d", addr, line, col))
			})
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("statements\n%q\nwant\n%q", got, want)
	}
	return len(want)
}
