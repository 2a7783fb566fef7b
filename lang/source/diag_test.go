package source

import "testing"

func TestRender(t *testing.T) {
	for _, c := range []struct {
		text       string
		start, end int
		msg, want  string
	}{
		{"begin { x }", 8, 9, "what is x", "stdin:1:9-10: ERROR: what is x\nbegin { x }\n        ~\n"},
		{"\tx", 1, 2, "m", "stdin:1:2-3: ERROR: m\n\tx\n\t~\n"},
		// Positions count bytes; the marks are below the marked text.
		{"\"é\" + \"ü\";", 7, 11, "m", "stdin:1:8-12: ERROR: m\n\"é\" + \"ü\";\n      ~~~\n"},
		// Control characters of a script do not reach the terminal.
		{"a\x1b[31m\xffb", 7, 8, "no \x1b[2J\x07", "stdin:1:8-9: ERROR: no ?[2J?\na?[31m?b\n       ~\n"},
		{"x", 1, 1, "end", "stdin:1:2-2: ERROR: end\nx\n ~\n"},
	} {
		d := Diag{Span: Span{NewFile("stdin", c.text), c.start, c.end}, Msg: c.msg}
		if got := d.Render(); got != c.want {
			t.Errorf("%q\n%s\nwant\n%s", c.text, got, c.want)
		}
	}
}
