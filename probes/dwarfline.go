package probes

import (
	"debug/dwarf"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// sourceLine is a place in source text that an attach point names.
type sourceLine struct {
	file      string
	line, col int // col 0: any
}

func (s sourceLine) String() string {
	if s.col == 0 {
		return fmt.Sprintf("%s:%d", s.file, s.line)
	}
	return fmt.Sprintf("%s:%d:%d", s.file, s.line, s.col)
}

// parseSourceLine splits the parts of binary@file:line[:col]; ok is false if
// they are not of that form. There may be an @ in either path: the last one is
// taken.
func parseSourceLine(parts []string) (binary string, s sourceLine, ok bool, err error) {
	if len(parts) < 3 || len(parts) > 4 {
		return "", s, false, nil
	}
	i := strings.LastIndexByte(parts[1], '@')
	if i < 0 {
		return "", s, false, nil
	}
	binary, s.file = parts[1][:i], parts[1][i+1:]
	nums := []*int{&s.line, &s.col}
	for n, text := range parts[2:] {
		v, perr := strconv.Atoi(text)
		if perr != nil {
			if _, err := os.Stat(parts[1]); err != nil && n == 0 && isWild(text) {
				return "", s, false, usage("Invalid line number: %s", text)
			}
			return "", s, false, nil // the @ is part of the binary's name
		}
		if v <= 0 {
			return "", s, false, usage("line and column numbers start at 1: %s", text)
		}
		*nums[n] = v
	}
	if s.file == "" {
		return "", s, false, usage("there is no file before the line: write uprobe:binary@file:line")
	}
	return binary, s, true, nil
}

// named reports whether a line table's file is what the attach point names: its
// path or the end of it.
func (s sourceLine) named(path string) bool {
	want := filepath.Clean(s.file)
	path = filepath.Clean(path)
	return path == want || strings.HasSuffix(path, "/"+strings.TrimPrefix(want, "/")) && !filepath.IsAbs(want)
}

// addresses are where the code of a source line starts: once in each function,
// and in each copy of a function that was inlined. A line without code of its
// own is an error.
func (g *debugInfo) addresses(s sourceLine) ([]uint64, error) {
	type copyOf struct{ unit, block dwarf.Offset }
	first := map[copyOf]uint64{}
	seen := false // the file
	r := g.d.Reader()
	for {
		unit, err := r.Next()
		if err != nil {
			return nil, err
		}
		if unit == nil {
			break
		}
		r.SkipChildren()
		if unit.Tag != dwarf.TagCompileUnit {
			continue
		}
		lines, err := g.d.LineReader(unit)
		if err != nil || lines == nil {
			continue
		}
		if !slices.ContainsFunc(lines.Files(), func(f *dwarf.LineFile) bool { return f != nil && s.named(f.Name) }) {
			continue
		}
		seen = true
		var found []uint64
		var e dwarf.LineEntry
		for {
			if err := lines.Next(&e); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				return nil, err
			}
			if e.IsStmt && !e.EndSequence && e.Line == s.line && (s.col == 0 || e.Column == s.col) && e.File != nil && s.named(e.File.Name) {
				found = append(found, e.Address)
			}
		}
		if len(found) == 0 {
			continue
		}
		slices.Sort(found)
		found = slices.Compact(found)
		for i, block := range g.blocks(unit, found, int64(s.line)) {
			k := copyOf{unit.Offset, block}
			if _, ok := first[k]; !ok && block != 0 {
				first[k] = found[i]
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
		return nil, usage("No compilation unit matches %s", s.file)
	case len(list) == 0:
		return nil, usage("Unable to map '%s' to address: no code starts there", s)
	}
	return list, nil
}

// blocks finds the innermost function, or inlined copy of one, around each of
// some addresses of a unit that are code of a line; 0 where there is none. The
// ranges of copies are not exact: code of the line that calls one is its
// caller's.
func (g *debugInfo) blocks(unit *dwarf.Entry, addrs []uint64, line int64) []dwarf.Offset {
	out := make([]dwarf.Offset, len(addrs))
	r := g.d.Reader()
	r.Seek(unit.Offset)
	if _, err := r.Next(); err != nil {
		return out
	}
	depth := 0
	for {
		e, err := r.Next()
		if err != nil || e == nil || e.Tag == dwarf.TagCompileUnit {
			return out
		}
		if e.Tag == 0 {
			if depth--; depth < 0 {
				return out
			}
			continue
		}
		switch e.Tag {
		case dwarf.TagSubprogram, dwarf.TagInlinedSubroutine:
			ranges, err := g.d.Ranges(e)
			if err != nil {
				break
			}
			inside := false
			call, _ := e.Val(dwarf.AttrCallLine).(int64)
			for i, a := range addrs {
				for _, span := range ranges {
					if span[0] <= a && a < span[1] {
						inside = true
						if call != line {
							out[i] = e.Offset // inner ones come later
						}
					}
				}
			}
			if !inside && e.Children {
				r.SkipChildren()
				continue
			}
		}
		if e.Children {
			depth++
		}
	}
}
