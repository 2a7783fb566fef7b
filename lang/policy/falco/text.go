package falco

import (
	"slices"
	"strings"

	"github.com/gotrace/gotrace/lang/policy/yaml"
	"github.com/gotrace/gotrace/lang/source"
)

// text is a text of the file, which may be joined from several values.
type text struct{ parts []*part }

// part is a value that is part of a text.
type part struct {
	*yaml.Node
	places []int32 // offsets in the file of the value's bytes and of its end; nil until needed
}

func (t text) with(n *yaml.Node) text {
	return text{append(slices.Clone(t.parts), &part{Node: n})}
}

//go:noinline
func (t text) String() string {
	var list []string
	for _, p := range t.parts {
		list = append(list, p.Value)
	}
	return strings.Join(list, " ")
}

// at returns the place of a part of the text.
func (t text) at(from, to int) source.Span {
	for _, p := range t.parts {
		if n := len(p.Value); from <= n {
			return p.at(from, min(to, n))
		}
		from, to = from-len(p.Value)-1, to-len(p.Value)-1
	}
	return source.Span{}
}

func (p *part) at(from, to int) source.Span {
	if p.places == nil {
		p.locate()
	}
	out := source.Span{File: p.At.File, Start: int(p.places[from]), End: int(p.places[from])}
	if to > from {
		out.End = int(p.places[to-1]) + 1
	}
	if out.Start < 0 || out.End <= out.Start {
		return p.At
	}
	return out
}

// maxBlank is the maximum distance in the file of two bytes of a value.
const maxBlank = 1000

// locate finds the bytes of the value in the file, where it may be spread over lines and
// have more blanks. Bytes that are not found have the offset -1.
func (p *part) locate() {
	p.places = make([]int32, len(p.Value)+1)
	file := p.At.File
	pos := p.At.Start
	if file == nil {
		file = &source.File{}
	}
	if p.Quoted && pos < len(file.Text) && strings.IndexByte(">|", file.Text[pos]) >= 0 {
		for pos < len(file.Text) && file.Text[pos] != '\n' {
			pos++ // the line that introduces a block of text
		}
	}
	lost := false
	for i := range p.places {
		p.places[i] = -1
		if lost || i == len(p.Value) {
			continue
		}
		c := p.Value[i]
		if c == ' ' || c == '\n' || c == '\t' {
			continue
		}
		end := min(len(file.Text), pos+maxBlank)
		n := strings.IndexByte(file.Text[min(pos, end):end], c)
		if lost = n < 0; !lost {
			pos += n
			p.places[i] = int32(pos)
			pos++
		}
	}
}
