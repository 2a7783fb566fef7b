// Package yaml reads YAML documents as trees of nodes with their positions in the
// source. Aliases and merge keys are resolved. The size of the result is bounded, so
// that hostile input ends with an error.
package yaml

import (
	"errors"
	"io"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"

	"github.com/gotrace/gotrace/lang/source"
	"github.com/gotrace/gotrace/runtime/lazy"
)

// Kind is the kind of a node.
type Kind uint8

const (
	Null Kind = iota
	Scalar
	List
	Map
)

// String returns the name of the kind for messages.
func (k Kind) String() string {
	return [...]string{"nothing", "a value", "a list", "a mapping"}[k]
}

// Node is one node of a document.
type Node struct {
	Kind   Kind
	Value  string // of a Scalar, without quotes
	Quoted bool   // whether the scalar is quoted, or a block of text
	Items  []*Node
	Fields []Field // in the order of the text; no key occurs twice
	At     source.Span
}

// Field is one entry of a mapping.
type Field struct {
	Key   string
	At    source.Span // of the key
	Value *Node
}

// MaxSize is the maximum size of a file, in bytes.
const MaxSize = 4 << 20

// maxNodes is the maximum number of nodes in a file, with all aliases resolved. maxDepth
// is the maximum depth of nested nodes, and maxDocs the maximum number of documents.
const (
	maxNodes = 1 << 18
	maxDepth = 200
	maxDocs  = 1 << 12
)

// tooMany returns the offset from which a text has more line breaks and commas than nodes
// are allowed, or -1. The library builds the tree of a whole document before its nodes can
// be counted, which takes seconds for a million of them.
func tooMany(text string) int {
	n := 0
	for i := range len(text) {
		if c := text[i]; c == '\n' || c == ',' || c == '\r' && !strings.HasPrefix(text[i+1:], "\n") {
			if n++; n > maxNodes {
				return i
			}
		}
	}
	return -1
}

// Read reads the documents of a file. It adds errors to diags.
func Read(f *source.File, diags *source.Diags) (docs []*Node) {
	if len(f.Text) > MaxSize {
		diags.Errorf(source.Span{File: f}, "the file is larger than %d MB", MaxSize>>20)
		return nil
	}
	if at := tooMany(f.Text); at >= 0 {
		diags.Errorf(source.Span{File: f, Start: at, End: at}, "the file has more than %d lines and values", maxNodes)
		return nil
	}
	r := &reader{file: f, diags: diags, open: map[*yaml.Node]bool{}, lines: map[int]*line{}, aliased: map[*yaml.Node]aliased{}}
	dec := yaml.NewDecoder(strings.NewReader(f.Text))
	for count := 0; ; {
		var doc yaml.Node
		err := dec.Decode(&doc)
		if errors.Is(err, io.EOF) {
			return docs
		}
		if err != nil {
			r.syntax(err)
			return nil
		}
		if count++; count > maxDocs {
			r.fail(&doc, "the file has more than %d documents", maxDocs)
			return nil
		}
		if n := r.node(&doc, 0); n.Kind != Null {
			docs = append(docs, n)
		}
		if r.failed {
			return nil
		}
	}
}

type reader struct {
	file   *source.File
	diags  *source.Diags
	nodes  int                 // number of nodes so far
	open   map[*yaml.Node]bool // aliases that are being resolved
	lines  map[int]*line
	failed bool

	aliased map[*yaml.Node]aliased // the nodes of aliases
	deepest int                    // the largest depth so far
}

// aliased is the node that an alias stands for. All uses of the alias share it.
type aliased struct {
	node          *Node
	nodes, height int // number of nodes in it, and how deep they are nested
}

// lineOf matches the line number in the library's messages, and aliasOf the alias in one
// that has no number.
var (
	lineOf  = lazy.Regexp{Expr: `^line (\d+): `}
	aliasOf = lazy.Regexp{Expr: `^unknown anchor '(.+)' referenced`}
)

// syntax reports an error of the library.
func (r *reader) syntax(err error) {
	msg := strings.TrimPrefix(err.Error(), "yaml: ")
	at := source.Span{File: r.file}
	if m := lineOf.Get().FindStringSubmatch(msg); m != nil {
		line, _ := strconv.Atoi(m[1]) // the number is not a line of the file
		at = r.span(line, 1, len(r.file.Line(line)))
		msg = msg[len(m[0]):]
	} else if m := aliasOf.Get().FindStringSubmatch(msg); m != nil {
		if i := strings.Index(r.file.Text, "*"+m[1]); i >= 0 {
			at.Start, at.End = i, i+1+len(m[1])
		}
	}
	r.diags.Errorf(at, "this is not YAML: %s", msg)
}

func (r *reader) fail(n *yaml.Node, format string, args ...any) *Node {
	if !r.failed {
		r.diags.Errorf(r.span(n.Line, n.Column, max(len(n.Value), 1)), format, args...)
	}
	r.failed = true
	return &Node{}
}

func (r *reader) tooLarge(n *yaml.Node) *Node {
	return r.fail(n, "the file has more than %d values, with its aliases resolved", maxNodes)
}

func (r *reader) tooDeep(n *yaml.Node) *Node {
	return r.fail(n, "values are nested more than %d deep", maxDepth)
}

// span returns the span of size bytes from a line and a column, both from 1 on. It ends
// with the line.
func (r *reader) span(line, col, size int) source.Span {
	l := r.line(line)
	at := min(l.offset(col), len(l.text))
	return source.Span{File: r.file, Start: l.start + at, End: l.start + min(at+size, len(l.text))}
}

// line is a line of the file.
type line struct {
	start   int
	text    string
	offsets []int32 // of its characters; nil if all have one byte
}

// line returns a line, counted from 1.
func (r *reader) line(n int) *line {
	l := r.lines[n]
	if l == nil {
		l = &line{start: r.file.Offset(n), text: r.file.Line(n)}
		if len(l.text) != utf8.RuneCountInString(l.text) {
			for i := range l.text {
				l.offsets = append(l.offsets, int32(i))
			}
		}
		r.lines[n] = l
	}
	return l
}

// offset returns the offset of a column, in bytes. The library counts characters.
func (l *line) offset(col int) int {
	switch {
	case l.offsets == nil:
		return max(col-1, 0)
	case col > len(l.offsets):
		return len(l.text)
	}
	return int(l.offsets[max(col-1, 0)])
}

func (r *reader) node(n *yaml.Node, depth int) *Node {
	if r.nodes++; r.nodes > maxNodes {
		return r.tooLarge(n)
	}
	if depth > maxDepth {
		return r.tooDeep(n)
	}
	r.deepest = max(r.deepest, depth)
	if r.failed {
		return &Node{}
	}
	switch n.Kind {
	case yaml.DocumentNode:
		if len(n.Content) == 0 {
			return &Node{At: source.Span{File: r.file}}
		}
		return r.node(n.Content[0], depth)
	case yaml.AliasNode:
		if n.Alias == nil || r.open[n.Alias] {
			return r.fail(n, "the alias *%s contains itself", n.Value)
		}
		return r.alias(n, depth)
	case yaml.SequenceNode:
		out := &Node{Kind: List, At: r.span(n.Line, n.Column, 1)}
		for _, item := range n.Content {
			out.Items = append(out.Items, r.node(item, depth+1))
		}
		return out
	case yaml.MappingNode:
		return r.mapping(n, depth)
	}
	at := r.span(n.Line, n.Column, max(1, len(n.Value)))
	quoted := n.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle|yaml.LiteralStyle|yaml.FoldedStyle) != 0
	if n.Tag == "!!null" && !quoted {
		return &Node{At: at}
	}
	return &Node{Kind: Scalar, Value: n.Value, Quoted: quoted, At: at}
}

// alias returns the node that an alias stands for.
func (r *reader) alias(n *yaml.Node, depth int) *Node {
	if a, ok := r.aliased[n.Alias]; ok {
		r.deepest = max(r.deepest, depth+a.height)
		switch r.nodes += a.nodes; {
		case r.nodes > maxNodes:
			return r.tooLarge(n)
		case depth+a.height > maxDepth:
			return r.tooDeep(n)
		}
		return a.node
	}
	r.open[n.Alias] = true
	nodes, deepest := r.nodes, r.deepest
	r.deepest = depth
	out := r.node(n.Alias, depth+1)
	delete(r.open, n.Alias)
	r.aliased[n.Alias] = aliased{out, r.nodes - nodes, r.deepest - depth}
	r.deepest = max(r.deepest, deepest)
	return out
}

// mapping returns a mapping. The entries of merge keys come last.
func (r *reader) mapping(n *yaml.Node, depth int) *Node {
	out := &Node{Kind: Map, At: r.span(n.Line, n.Column, 1)}
	index := map[string]bool{}
	var merged []*Node
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		if key.Tag == "!!merge" {
			m := r.node(value, depth+1)
			if m.Kind == List {
				merged = append(merged, m.Items...)
			} else {
				merged = append(merged, m)
			}
			continue
		}
		k := key
		if k.Kind == yaml.AliasNode {
			k = k.Alias
		}
		if k == nil || k.Kind != yaml.ScalarNode {
			return r.fail(key, "a key must be a single value")
		}
		if index[k.Value] {
			return r.fail(key, "the key '%s' is given twice", k.Value)
		}
		index[k.Value] = true
		out.Fields = append(out.Fields, Field{
			Key: k.Value, At: r.span(key.Line, key.Column, len(k.Value)), Value: r.node(value, depth+1),
		})
	}
	for _, m := range merged {
		if m.Kind != Map {
			return r.fail(n, "only mappings can be merged with '<<'")
		}
		for _, f := range m.Fields {
			if !index[f.Key] {
				index[f.Key] = true
				out.Fields = append(out.Fields, f)
			}
		}
	}
	return out
}

// Get returns the value of a key of a mapping. It returns a Null node at the position of
// n if n is not a mapping or has no such key.
//
//go:noinline
func (n *Node) Get(key string) *Node {
	for _, f := range n.Fields {
		if f.Key == key {
			return f.Value
		}
	}
	return &Node{At: n.At}
}

// Has reports whether a mapping has a key.
//
//go:noinline
func (n *Node) Has(key string) bool {
	for _, f := range n.Fields {
		if f.Key == key {
			return true
		}
	}
	return false
}

// Bool returns the value of a scalar that is a boolean; ok is false if it is none.
//
//go:noinline
func (n *Node) Bool() (value, ok bool) {
	if n.Kind != Scalar || n.Quoted {
		return false, false
	}
	switch n.Value {
	case "true", "True", "TRUE", "yes", "Yes", "on", "On":
		return true, true
	case "false", "False", "FALSE", "no", "No", "off", "Off":
		return false, true
	}
	return false, false
}
