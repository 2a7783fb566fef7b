package ast

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/gotrace/gotrace/lang/source"
)

// Dump returns the tree below n with one node on each line: its kind, its
// label, and its extent as line:column pairs, the end exclusive.
func Dump(n Node) string {
	var b bytes.Buffer
	dump(&b, n, 0, func(n Node) string { return label(n) + extent(n.Span()) })
	return b.String()
}

// Shape returns the tree below n without extents. Trees with the same shape have the same
// meaning. Variables of macros have their names in the script, because their internal
// names differ in each expansion.
func Shape(n Node) string {
	var b bytes.Buffer
	dump(&b, n, 0, func(n Node) string {
		if v, ok := n.(*Var); ok {
			return " $" + ShownName(v.Name)
		}
		return label(n)
	})
	return b.String()
}

func dump(b *bytes.Buffer, n Node, depth int, label func(Node) string) {
	if isNil(n) {
		return
	}
	kind := strings.TrimPrefix(fmt.Sprintf("%T", n), "*ast.")
	fmt.Fprintf(b, "%s%s%s\n", strings.Repeat("  ", depth), kind, label(n))
	children(n, func(c Node) { dump(b, c, depth+1, label) })
}

func extent(s source.Span) string {
	if !s.IsValid() {
		return ""
	}
	from, to := s.File.Position(s.Start), s.File.Position(s.End)
	return fmt.Sprintf(" %d:%d-%d:%d", from.Line, from.Col, to.Line, to.Col)
}

// label returns a space and the contents of a node without its children.
func label(n Node) string {
	switch n := n.(type) {
	case *Program:
		if n.Shebang != "" {
			return fmt.Sprintf(" %q", n.Shebang)
		}
	case *CItem:
		return fmt.Sprintf(" %q", n.Text)
	case *ConfigItem:
		return " " + n.Key.Text
	case *Import:
		return fmt.Sprintf(" %q", n.Path)
	case *Probe:
		if n.Angled {
			return " angled"
		}
	case *AttachPoint:
		name := ""
		if n.Name != "" {
			name = " " + n.Name + " ="
		}
		return fmt.Sprintf("%s %q", name, n.Parts)
	case *Event:
		return " " + n.Name.Text
	case *EventArg:
		return " " + n.Name.Text
	case *Place:
		if n.Else {
			return " else"
		}
	case *Macro:
		return " " + n.Name.Text
	case *MapDecl:
		return " " + n.Type.Text
	case *Func:
		return " " + n.Name.Text
	case *Assign:
		return " " + n.Op + "="
	case *Jump:
		return [...]string{Break: " break", Continue: " continue", Return: " return"}[n.Kind]
	case *Ident:
		return " " + n.Name
	case *IntLit:
		return fmt.Sprintf(" %s = %d", n.Text, n.Value)
	case *StrLit:
		return fmt.Sprintf(" %q", n.Value)
	case *BoolLit:
		return fmt.Sprintf(" %t", n.Value)
	case *Positional:
		return fmt.Sprintf(" %d", n.N)
	case *Var:
		return " $" + n.Name
	case *Map:
		return " @" + n.Name
	case *Field:
		if n.Arrow {
			return " ->" + n.Name.Text
		}
		return " ." + n.Name.Text
	case *Unary:
		if n.Postfix {
			return " postfix " + n.Op
		}
		return " " + n.Op
	case *Binary:
		return " " + n.Op
	case *Call:
		if n.Op != "" {
			return " " + n.Fn.Text + " " + n.Op
		}
		return " " + n.Fn.Text
	case *Offsetof:
		path := make([]string, len(n.Path))
		for i, f := range n.Path {
			path[i] = f.Text
		}
		return " " + strings.Join(path, ".")
	case *Record:
		names := make([]string, len(n.Names))
		for i, f := range n.Names {
			names[i] = f.Text
		}
		return " " + strings.Join(names, ", ")
	case *Block:
		if n.Value != nil {
			return " with value"
		}
	case *Type:
		short := *n
		if n.Typeof != nil || n.TypeofT != nil {
			short.Typeof, short.TypeofT = nil, &Type{Name: "…"} // it is a child
		}
		return " " + String(&short)
	}
	return ""
}
