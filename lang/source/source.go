// Package source holds the text that is compiled (files and spans of them) and the
// diagnostics about it. A position is a file and two byte offsets. Lines, columns,
// snippets and carets are computed only when a diagnostic is rendered.
package source

import (
	"fmt"
	"sort"
	"strings"
	"sync"
)

// File is one piece of source text: a script, an imported file, or -e's argument.
type File struct {
	Name string // as diagnostics print it: "stdin" for -e and standard input, otherwise the path
	Text string

	once  sync.Once
	lines []int // offset of the start of each line; computed on first use

	origins []origin // where the parts of a generated text come from, by offset
	words   func(string) string
}

// NewFile returns a file with the given name and text.
//
//go:noinline
func NewFile(name, text string) *File { return &File{Name: name, Text: text} }

// Span is the half-open byte range [Start, End) of a file. The zero Span refers to no
// file; nodes that the compiler creates have it.
type Span struct {
	File       *File
	Start, End int
}

// IsValid reports whether the span points into a file.
func (s Span) IsValid() bool { return s.File != nil }

// Text returns the source text that the span covers.
//
//go:noinline
func (s Span) Text() string {
	if s.File == nil || s.Start > s.End || s.End > len(s.File.Text) {
		return ""
	}
	return s.File.Text[s.Start:s.End]
}

// To returns the smallest span that covers both s and t.
func (s Span) To(t Span) Span {
	if s.File == nil {
		return t
	}
	if t.File != s.File {
		return s
	}
	return Span{s.File, min(s.Start, t.Start), max(s.End, t.End)}
}

// Position is a one-based line and a one-based column in bytes.
type Position struct{ Line, Col int }

// Position returns the line and column of an offset.
func (f *File) Position(offset int) Position {
	f.once.Do(func() {
		f.lines = append(f.lines, 0)
		for i := 0; i < len(f.Text); i++ {
			if f.Text[i] == '\n' {
				f.lines = append(f.lines, i+1)
			}
		}
	})
	offset = max(0, min(offset, len(f.Text)))
	line := sort.SearchInts(f.lines, offset+1) - 1
	return Position{line + 1, offset - f.lines[line] + 1}
}

// Offset returns the offset of the start of a one-based line, or the size of the text if
// there is no such line.
func (f *File) Offset(line int) int {
	f.Position(0)
	if line < 1 || line > len(f.lines) {
		return len(f.Text)
	}
	return f.lines[line-1]
}

// Line returns the text of a one-based line without its newline.
func (f *File) Line(n int) string {
	f.Position(0)
	if n < 1 || n > len(f.lines) {
		return ""
	}
	text := f.Text[f.lines[n-1]:]
	if i := strings.IndexByte(text, '\n'); i >= 0 {
		text = text[:i]
	}
	return strings.TrimSuffix(text, "\r")
}

// String returns the span as diagnostics print it: "name:line:col-col", or
// "name:line-line" if it covers several lines.
//
// In a generated text it is the place that the text comes from.
func (s Span) String() string {
	s = s.Origin()
	if s.File == nil {
		return "gotrace"
	}
	from, to := s.File.Position(s.Start), s.File.Position(s.End)
	if from.Line != to.Line {
		return fmt.Sprintf("%s:%d-%d", s.File.Name, from.Line, to.Line)
	}
	return fmt.Sprintf("%s:%d:%d-%d", s.File.Name, from.Line, from.Col, to.Col)
}
