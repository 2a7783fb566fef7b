package falco

import (
	"strings"

	"github.com/gotrace/gotrace/lang/source"
)

// Segment is a part of an output: a text, or a field to show.
type Segment struct {
	Text string
	Term *Term  // nil for a text
	Key  string // the field as it is written, without %
}

// parseOutput parses the output of a rule. A * at its start is ignored.
func parseOutput(text string, at func(from, to int) source.Span, diags *source.Diags) (list []Segment, ok bool) {
	ok = true
	text, offset := strings.TrimRight(text, "\r\n"), 0
	if rest, star := strings.CutPrefix(text, "*"); star {
		text, offset = rest, 1
	}
	for text != "" {
		n := strings.IndexByte(text, '%')
		if n < 0 {
			n = len(text)
		}
		if n > 0 {
			list = append(list, Segment{Text: text[:n]})
			text, offset = text[n:], offset+n
			continue
		}
		if strings.HasPrefix(text, "%%") {
			list = append(list, Segment{Text: "%"})
			text, offset = text[2:], offset+2
			continue
		}
		if rest, ok := strings.CutPrefix(text, "%container.info"); ok { // an obsolete name for fields that Falco now adds itself
			text, offset = rest, offset+len(text)-len(rest)
			continue
		}
		base := offset
		p := &parser{text: text[:1+fieldEnd(text[1:])], pos: 1, at: func(from, to int) source.Span { return at(base+from, base+to) }}
		t, err := p.outputTerm()
		if t == nil {
			if err == nil {
				err = &syntaxError{at: at(offset, offset+len(p.nextAt(0))), msg: "expected a field after '%'"}
			}
			diags.Add(source.Diag{Span: err.at, Msg: err.msg, Hint: err.hint})
			return nil, false
		}
		ok = bind(t, diags) && ok
		list = append(list, Segment{Term: t, Key: text[1:p.pos]})
		text, offset = text[p.pos:], offset+p.pos
	}
	return list, ok
}

// fieldEnd returns the end of the part of a text that begins with a field. If no field
// has the whole name, the field is its longest prefix that is one, and the rest is text.
func fieldEnd(text string) int {
	name := fieldOf.Get().FindString(text)
	if _, _, _, msg := lookupField(name, "", false); msg == "" || Fields.Get()[name] != nil {
		return len(text)
	}
	for end := len(name) - 1; end > 0; end-- {
		if f := Fields.Get()[name[:end]]; f != nil && f.Arg == NoArg {
			return end
		}
	}
	return len(text)
}

// outputTerm parses the field after a %.
func (p *parser) outputTerm() (t *Term, err *syntaxError) {
	defer func() {
		if e, failed := recover().(*syntaxError); failed {
			err = e
		}
	}()
	return p.term(), nil
}

// bind looks up the fields of a term of an output. It reports whether they exist.
func bind(t *Term, diags *source.Diags) bool {
	ok := true
	for _, a := range t.Args {
		ok = bind(a, diags) && ok
	}
	if t.Name == "" || t.Field != nil {
		return ok
	}
	if _, fn := transformers[t.Name]; fn {
		return ok
	}
	f, arg, hasArg, msg := lookupField(t.Name, t.Arg, t.HasArg)
	switch {
	case msg != "":
		diags.ErrorHint(t.At, suggest(t.Name), "%s", msg)
	case f.FilterOnly:
		diags.Errorf(t.At, "the field '%s' is only for conditions", f.Name)
	default:
		t.Field, t.Arg, t.HasArg = f, arg, hasArg
		return ok
	}
	return false
}
