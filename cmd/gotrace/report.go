package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/fatih/color"

	"github.com/gotrace/gotrace/lang/source"
)

// reporter writes errors and warnings for the user, in colour on terminals.
type reporter struct {
	w          io.Writer
	color      bool
	noWarnings bool
}

func newReporter(w io.Writer) *reporter { return &reporter{w: w} }

func (r *reporter) setup(o *options) {
	r.noWarnings = o.noWarnings
	mode := os.Getenv("BPFTRACE_COLOR")
	switch mode {
	case "always":
		r.color = true
	case "never":
	default:
		r.color = terminal(r.w) && terminal(os.Stdout)
		if mode != "" && mode != "auto" {
			r.warnf("BPFTRACE_COLOR can be auto, always or never, not %q", mode)
		}
	}
}

func terminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	st, err := f.Stat()
	return err == nil && st.Mode()&os.ModeCharDevice != 0 && os.Getenv("TERM") != "dumb"
}

func (r *reporter) errorf(format string, args ...any) {
	r.diag(source.Diag{Msg: fmt.Sprintf(format, args...)})
}

func (r *reporter) warnf(format string, args ...any) {
	r.diag(source.Diag{Severity: source.Warning, Msg: fmt.Sprintf(format, args...)})
}

// err reports an error, which may contain diagnostics.
func (r *reporter) err(err error) {
	var list source.DiagError
	if errors.As(err, &list) {
		r.diags(list)
		return
	}
	r.errorf("%v", err)
}

// maxDiags is the maximum number of errors, and of warnings, that are shown at
// once.
const maxDiags = 100

func (r *reporter) diags(list []source.Diag) {
	count := map[source.Severity]int{}
	for _, d := range list {
		if count[d.Severity]++; count[d.Severity] <= maxDiags {
			r.diag(d)
		}
	}
	if n := count[source.Error] - maxDiags; n > 0 {
		r.errorf("There are %d more errors", n)
	}
	if n := count[source.Warning] - maxDiags; n > 0 {
		r.warnf("There are %d more warnings", n)
	}
}

func (r *reporter) diag(d source.Diag) {
	if d.Severity == source.Warning && r.noWarnings {
		return
	}
	text := d.Render()
	if r.color {
		text = paint(d, text)
	}
	io.WriteString(r.w, text)
}

// paint colours the severity and the carets of a rendered diagnostic.
func paint(d source.Diag, text string) string {
	c := color.New(color.FgRed, color.Bold)
	if d.Severity == source.Warning {
		c = color.New(color.FgYellow, color.Bold)
	}
	c.EnableColor()
	word := d.Severity.String() + ":"
	text = strings.Replace(text, word, c.Sprint(word), 1)
	lines := strings.SplitAfter(text, "\n")
	for i, line := range lines {
		if carets := strings.TrimSpace(line); carets != "" && strings.Trim(carets, "~^") == "" {
			lines[i] = strings.Replace(line, carets, c.Sprint(carets), 1)
		}
	}
	return strings.Join(lines, "")
}
