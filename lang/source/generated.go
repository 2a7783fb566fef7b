package source

import (
	"bytes"
	"fmt"
	"sort"
)

// Builder builds the text of a script that is generated from other files, such as
// policies. It records which part of the text comes from which place, so that
// diagnostics about the script point at that place. The zero value is ready to use.
type Builder struct {
	// Words returns what to print instead of a message that names a setting of scripts, or
	// another means that users of the other files do not have. It may be nil.
	Words func(message string) string

	text    bytes.Buffer
	origins []origin
}

// origin is the place that the text from the offset start on comes from.
type origin struct {
	start int
	from  Span
}

// From sets the place that the text written from now on comes from. The zero Span is for text
// that comes from no place. Diagnostics about such text point at the place of the text before
// it or, if there is none, after it: users have not seen the generated text.
//
//go:noinline
func (b *Builder) From(at Span) {
	if n := len(b.origins); n > 0 && b.origins[n-1].from == at {
		return
	}
	b.origins = append(b.origins, origin{b.text.Len(), at})
}

// Printf appends text.
//
//go:noinline
func (b *Builder) Printf(format string, args ...any) { fmt.Fprintf(&b.text, format, args...) }

// Write appends text as it is.
//
//go:noinline
func (b *Builder) Write(text string) { b.text.WriteString(text) }

// Len returns the length of the text so far, in bytes.
func (b *Builder) Len() int { return b.text.Len() }

// File returns the text as a file. The builder must not be used afterwards.
//
//go:noinline
func (b *Builder) File(name string) *File {
	return &File{Name: name, Text: b.text.String(), origins: b.origins, words: b.Words}
}

// Words returns message in the words of the file that the text of s comes from.
//
//go:noinline
func (s Span) Words(message string) string {
	if s.File == nil || s.File.words == nil {
		return message
	}
	return s.File.words(message)
}

// Origin returns the place that the text of s comes from. If s is not in a generated
// file, Origin returns s.
func (s Span) Origin() Span {
	if s.File == nil || len(s.File.origins) == 0 {
		return s
	}
	list := s.File.origins
	i := sort.Search(len(list), func(i int) bool { return list[i].start > s.Start }) - 1
	for n := range list {
		j := i - n
		if j < 0 {
			j = n
		}
		if from := list[j].from; from.IsValid() {
			return from.Origin()
		}
	}
	return s
}
