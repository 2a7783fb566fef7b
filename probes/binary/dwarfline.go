package binary

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/gotrace/gotrace/runtime/outline"
)

// SourceLine is a position in source text.
type SourceLine struct {
	File      string // a path or its last elements
	Line, Col int    // from 1; Col 0: any
}

func (s SourceLine) String() string {
	if s.Col == 0 {
		return fmt.Sprintf("%s:%d", s.File, s.Line)
	}
	return fmt.Sprintf("%s:%d:%d", s.File, s.Line, s.Col)
}

// named reports whether s.File is the path of a file in a line table, or the last
// elements of the path.
func (s SourceLine) named(path string) bool {
	want := filepath.Clean(s.File)
	path = filepath.Clean(path)
	return path == want || strings.HasSuffix(path, "/"+strings.TrimPrefix(want, "/")) && !filepath.IsAbs(want)
}

// Addresses returns the addresses at which the code of a source line starts: one in
// each function and one in each inlined copy. It returns an error if the line has no
// code.
func (g *DebugInfo) Addresses(s SourceLine) ([]uint64, error) {
	type copyOf struct {
		unit, block uint64
	}
	first := map[copyOf]uint64{}
	seen := false // whether a unit has the file
	for _, unit := range g.units.Units() {
		var found []uint64
		if unit.Statements(s.named, func(addr uint64, line, col int) {
			if line == s.Line && (s.Col == 0 || col == s.Col) {
				found = append(found, addr)
			}
		}) {
			seen = true
		}
		slices.Sort(found)
		found = slices.Compact(found)
		for _, addr := range found {
			u := g.units.At(addr)
			if u != nil {
				u = u.Whole()
			}
			if u == nil {
				continue
			}
			if block, ok := u.Scope(addr, s.Line); ok {
				k := copyOf{unit.Root(), block}
				if _, ok := first[k]; !ok {
					first[k] = addr
				}
			}
		}
	}
	var list []uint64
	for _, addr := range first {
		list = append(list, addr)
	}
	slices.Sort(list)
	list = slices.Compact(list)
	switch {
	case !seen:
		return nil, outline.Errorf("No compilation unit matches %s", s.File)
	case len(list) == 0:
		return nil, outline.Errorf("Unable to map '%s' to address: no code starts there", s)
	}
	return list, nil
}
