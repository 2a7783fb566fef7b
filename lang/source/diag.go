package source

import (
	"bytes"
	"fmt"
	"slices"
	"sort"
	"strings"
	"unicode/utf8"
)

// Severity is the severity of a diagnostic. Errors stop the compilation, warnings do
// not.
type Severity uint8

const (
	Error Severity = iota
	Warning
)

func (s Severity) String() string {
	if s == Warning {
		return "WARNING"
	}
	return "ERROR"
}

// Diag is a diagnostic: an error or a warning about the source.
type Diag struct {
	Span     Span
	Severity Severity
	Msg      string // one plain sentence, without position or severity
	Hint     string // how to fix it, if known
	From     *Call  // the macro call that Span comes from, or nil
	Notes    [2]Note
}

// Call is a call of a macro. From is the call of another macro that it comes from, or
// nil.
type Call struct {
	At   Span
	From *Call
}

// Chain returns the places of the call and of those that it comes from. The last one is
// in the script, outside of any macro.
func (c *Call) Chain() (at []Span) {
	for ; c != nil; c = c.From {
		at = append(at, c.At)
	}
	return at
}

// Note is a remark about another position in the source. If Msg is "", there is no
// note.
type Note struct {
	Span Span
	Msg  string
}

// Diags collects diagnostics. The zero value is ready to use.
type Diags struct {
	list   []Diag
	seen   map[Diag]bool
	errors int // number of errors in list
}

// Add records d unless an equal diagnostic has been recorded: in a block that is
// compiled for many attach points, each error is reported once.
//
//go:noinline
func (ds *Diags) Add(d Diag) {
	if ds.seen[d] {
		return
	}
	if ds.seen == nil {
		ds.seen = map[Diag]bool{}
	}
	ds.seen[d] = true
	ds.list = append(ds.list, d)
	if d.Severity == Error {
		ds.errors++
	}
}

// Errorf records an error at s.
func (ds *Diags) Errorf(s Span, format string, args ...any) {
	ds.Add(Diag{Span: s, Msg: fmt.Sprintf(format, args...)})
}

// ErrorHint records an error with a hint.
func (ds *Diags) ErrorHint(s Span, hint, format string, args ...any) {
	ds.Add(Diag{Span: s, Msg: fmt.Sprintf(format, args...), Hint: hint})
}

// Warnf records a warning at s.
func (ds *Diags) Warnf(s Span, format string, args ...any) {
	ds.Add(Diag{Span: s, Severity: Warning, Msg: fmt.Sprintf(format, args...)})
}

// HasErrors reports whether any diagnostic is an error.
func (ds *Diags) HasErrors() bool { return ds.errors > 0 }

// Errors returns the number of errors.
func (ds *Diags) Errors() int { return ds.errors }

// All returns the diagnostics in the order of the source.
func (ds *Diags) All() []Diag {
	out := slices.Clone(ds.list)
	sort.SliceStable(out, func(i, j int) bool {
		a, b := out[i].Span, out[j].Span
		return a.File == b.File && a.Start < b.Start
	})
	return out
}

// Err returns the diagnostics as an error, or nil if there are no errors.
func (ds *Diags) Err() error {
	if !ds.HasErrors() {
		return nil
	}
	return DiagError(ds.All())
}

// DiagError is the error of a failed compilation: its diagnostics, in order.
type DiagError []Diag

func (e DiagError) Error() string {
	var b bytes.Buffer
	for _, d := range e {
		b.WriteString(d.Render())
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// Render returns the diagnostic as it is printed: the position and the message, the
// source line, a row of carets under the span, the same for the notes, and the hint. It
// ends with a newline.
func (d Diag) Render() string {
	d.Hint, d.Span = d.Span.Words(d.Hint), d.Span.Origin()
	var b bytes.Buffer
	if d.Span.IsValid() {
		fmt.Fprintf(&b, "%s: ", d.Span)
	}
	fmt.Fprintf(&b, "%s: %s\n", d.Severity, shown(d.Msg))
	if d.Span.IsValid() {
		b.WriteString(d.Span.Snippet())
	}
	for _, n := range d.Notes {
		if n.Msg != "" {
			b.WriteString(Diag{Span: n.Span, Severity: d.Severity, Msg: n.Msg}.Render())
		}
	}
	for c := d.From; c != nil; c = c.From {
		b.WriteString(Diag{Span: c.At, Severity: d.Severity, Msg: "expanded from"}.Render())
	}
	if d.Hint != "" {
		fmt.Fprintf(&b, "HINT: %s\n", d.Hint)
	}
	return b.String()
}

// maxSnippet is the maximum width of a quoted source line, in bytes.
const maxSnippet = 240

// Snippet returns the line in which a valid span starts, or the part of a long one that
// is around it, and below it a line that marks the span.
func (s Span) Snippet() string {
	from, to := s.File.Position(s.Start), s.File.Position(s.End)
	line := s.File.Line(from.Line)
	start, end := from.Col-1, len(line)
	if to.Line == from.Line {
		end = min(to.Col-1, len(line))
	}
	start = min(start, len(line))
	end = max(end, start+1)
	if len(line) > maxSnippet { // show the part around the span
		lo := max(0, start-maxSnippet/2)
		hi := min(len(line), lo+maxSnippet)
		line, start, end = line[lo:hi], start-lo, min(end, hi)-lo
		end = max(end, start+1)
	}
	pad := strings.Map(func(r rune) rune {
		if r == '\t' {
			return r
		}
		return ' '
	}, shown(line[:start]))
	marked := utf8.RuneCountInString(shown(line[start:min(end, len(line))]))
	return fmt.Sprintf("%s\n%s%s\n", shown(line), pad, strings.Repeat("~", max(marked, 1)))
}

// shown returns text that is safe to print on a terminal: control characters and
// invalid UTF-8 are replaced by question marks.
func shown(text string) string {
	return strings.Map(func(r rune) rune {
		if r == utf8.RuneError || r < ' ' && r != '\t' && r != '\n' || r == 0x7f {
			return '?'
		}
		return r
	}, text)
}

// DidYouMean returns a hint with a candidate that is similar to name, or "".
func DidYouMean(name string, candidates []string) string {
	if len(strings.TrimLeft(name, "$@")) < 3 { // such a short name is similar to too many others
		return ""
	}
	if near := Nearest(name, candidates); near != "" {
		return "did you mean '" + near + "'?"
	}
	return ""
}

// Nearest returns the candidate that is most similar to name, for a
// did-you-mean hint, or "" if none is similar enough.
func Nearest(name string, candidates []string) string {
	best, bestDist := "", 1+max(1, len(name)/3)
	for _, c := range candidates {
		if diff := abs(len(c) - len(name)); diff > bestDist || diff == bestDist && diff > 0 {
			continue
		}
		d := editDistance(name, c)
		// Two swapped letters are more likely than a missing letter.
		if d < bestDist || d == bestDist && best != "" && len(c) == len(name) && len(best) != len(name) {
			best, bestDist = c, d
		}
	}
	return best
}

func abs(n int) int { return max(n, -n) }

// editDistance returns the number of letters to insert, delete, replace or swap with
// their neighbour to convert one word to the other.
func editDistance(a, b string) int {
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		before, last, row = last, row, before
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := last[j-1]
			if a[i-1] != b[j-1] {
				cost++
			}
			row[j] = min(cost, last[j]+1, row[j-1]+1)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
	}
	return row[len(b)]
}
