package profile

import (
	"bufio"
	"fmt"
	"io"
	"strings"

	"github.com/gotrace/gotrace/runtime/output"
)

// WriteFolded writes one line for all samples with the same functions: the frames from
// the outermost to the innermost, separated by semicolons, a space, and the value.
// Labels precede the frames. If several maps have a profile, the map's name comes
// first. Samples with a value of 0 or less are left out.
func WriteFolded(w io.Writer, maps []output.Map) error {
	profiles, err := read(maps)
	if err != nil {
		return err
	}
	var order []string
	weights := map[string]int64{}
	for _, p := range profiles {
		for i := range p.list {
			s := &p.list[i]
			if s.weight() <= 0 {
				continue
			}
			var path []string
			for _, t := range s.path(p.name, len(profiles) > 1) {
				path = append(path, foldedName(t.Name))
			}
			line := strings.Join(path, ";")
			if _, ok := weights[line]; !ok {
				order = append(order, line)
			}
			weights[line] = saturated(weights[line], s.weight())
		}
	}
	b := bufio.NewWriter(w)
	for _, line := range order {
		fmt.Fprintf(b, "%s %d\n", line, weights[line])
	}
	return b.Flush()
}

// foldedName replaces the characters that separate frames and lines.
func foldedName(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == ';':
			return ':'
		case r < ' ' || r == 0x7f:
			return ' '
		}
		return r
	}, s)
}

// step is one box of a flame graph, or one part of a folded stack.
type step struct {
	Name string
	Kind Kind
	at   *frame // nil: it is a label
}

// Kind is the kind of a step.
type Kind uint8

const (
	Label Kind = iota // a part of the key that is not a stack
	UserCode
	KernelCode
	InlinedCode
)

// path returns the steps of a sample, the outermost first.
func (s *sample) path(mapName string, named bool) []step {
	var out []step
	if named {
		out = append(out, step{Name: mapName})
	}
	for _, l := range s.labels {
		if l != "" {
			out = append(out, step{Name: strings.ToValidUTF8(l, "\ufffd")})
		}
	}
	for i := len(s.stack) - 1; i >= 0; i-- {
		f := &s.stack[i]
		kind := UserCode
		switch {
		case f.Inlined:
			kind = InlinedCode
		case f.kernel:
			kind = KernelCode
		}
		out = append(out, step{f.title(), kind, f})
	}
	if len(s.stack) == 0 {
		out = append(out, step{Name: "[no stack]"})
	}
	return out
}
