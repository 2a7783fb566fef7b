package builtins

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"strings"
)

// kindTitles are the titles of the sections of the reference.
var kindTitles = [...]string{
	Variable:    "Variables",
	Function:    "Functions",
	Aggregation: "Aggregations",
	Action:      "Actions",
}

// Macro documents a macro of the standard library.
type Macro struct {
	Topic  string // its file: "math"
	Name   string
	Params []string
	Doc    string // a sentence that begins with a call of the macro
}

// Use returns a use of the macro, with its parameters: name(x, y) or, for a member, whose
// first parameter is the record, record.name.
func (m *Macro) Use() string {
	params := m.Params
	if strings.Contains(m.Name, ".") {
		if params = params[1:]; len(params) == 0 {
			return m.Name
		}
	}
	return m.Name + "(" + strings.Join(params, ", ") + ")"
}

// Reference writes the documentation of all builtins, and of the library written
// in the language itself, as Markdown.
func Reference(w io.Writer, defs []*Def, library []Macro) error {
	out := bufio.NewWriter(w)
	fmt.Fprintln(out, "# Builtins")
	fmt.Fprintln(out, "\nGenerated from the table in package builtins; `go generate ./builtins` updates it.")
	for kind, title := range kindTitles {
		fmt.Fprintf(out, "\n## %s\n", title)
		for _, d := range defs {
			if d.Kind == Kind(kind) {
				d.reference(out)
			}
		}
	}
	fmt.Fprintln(out, "\n## Standard library")
	fmt.Fprintln(out, "\nMacros written in the language itself (`lang/stdlib`); a script's own of the same name come first.")
	topic := ""
	for _, m := range library {
		if m.Topic != topic {
			topic = m.Topic
			fmt.Fprintf(out, "\n### %s\n\n", topic)
		}
		call := m.Use()
		fmt.Fprintf(out, "- `%s`%s\n", call, strings.TrimPrefix(m.Doc, call))
	}
	return out.Flush()
}

func (d *Def) reference(out io.Writer) {
	fmt.Fprintf(out, "\n### `%s`\n\n%s\n", d.Synopsis(), d.Doc.Summary)
	for _, e := range d.Doc.Examples {
		fmt.Fprintf(out, "\n```\n%s\n```\n", e)
	}
}

// Synopsis returns the syntax of a use of the builtin: name(a, b[, c[, d]]).
func (d *Def) Synopsis() string {
	name := d.Name
	if name == argFamily {
		name = "arg0, arg1, …"
	}
	if len(d.Params) == 0 && d.Kind == Variable {
		return name
	}
	var s bytes.Buffer
	s.WriteString(name + "(")
	optional := 0
	for i, p := range d.Params {
		if p.Optional || p.Variadic {
			s.WriteString("[")
			optional++
		}
		if i > 0 {
			s.WriteString(", ")
		}
		switch p.Kind {
		case MapArg:
			s.WriteString("@" + p.Name)
		case MapOrEntry:
			s.WriteString(p.Name)
		case VarArg:
			s.WriteString("$" + p.Name)
		default:
			s.WriteString(p.Name)
		}
		if p.Variadic {
			s.WriteString("…")
		}
	}
	s.WriteString(strings.Repeat("]", optional) + ")")
	return s.String()
}
