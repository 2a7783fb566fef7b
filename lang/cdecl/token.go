package cdecl

import (
	"strings"

	"github.com/gotrace/gotrace/lang/source"
)

// tokenKind is the class of a C token.
type tokenKind uint8

const (
	tEOF tokenKind = iota
	tIdent
	tNumber
	tString
	tChar
	tPunct
)

// token is a C preprocessing token and its position. space is set if white space
// precedes it; #define uses it to distinguish f(x) from f (x).
type token struct {
	kind  tokenKind
	text  string
	span  source.Span
	space bool
}

//go:noinline
func (t token) is(text string) bool { return t.kind != tString && t.kind != tChar && t.text == text }

var puncts = []string{
	"...", "<<=", ">>=", "->", "++", "--", "<<", ">>", "<=", ">=", "==", "!=", "&&", "||", "##",
	"+=", "-=", "*=", "/=", "%=", "&=", "|=", "^=",
}

func isIdentStart(c byte) bool {
	return c == '_' || c == '$' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || c >= 0x80
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

// line is one logical line of a file, with continuation lines joined.
type line struct {
	toks      []token
	directive bool // it starts with #, which is not in toks
	span      source.Span
}

// scanLines splits the range [start, end) of a file into logical lines of tokens. It
// accepts any text: an unknown byte becomes a token.
func scanLines(f *source.File, start, end int) []line {
	var lines []line
	cur := line{}
	text := f.Text[:end]
	space := false
	flush := func() {
		if len(cur.toks) > 0 || cur.directive {
			lines = append(lines, cur)
		}
		cur = line{}
	}
	for i := start; i < end; {
		c := text[i]
		switch {
		case c == '\\' && strings.HasPrefix(text[i+1:], "\n"):
			i += 2
			space = true
			continue
		case c == '\\' && strings.HasPrefix(text[i+1:], "\r\n"):
			i += 3
			space = true
			continue
		case c == '\n':
			flush()
			i++
			continue
		case c == ' ' || c == '\t' || c == '\r' || c == '\v' || c == '\f':
			i++
			space = true
			continue
		case strings.HasPrefix(text[i:], "//"):
			for i < end && text[i] != '\n' {
				i++
			}
			continue
		case strings.HasPrefix(text[i:], "/*"):
			if n := strings.Index(text[i+2:], "*/"); n >= 0 {
				i += n + 4
			} else {
				i = end
			}
			space = true
			continue
		}
		from := i
		kind := tPunct
		switch {
		case isIdentStart(c):
			kind = tIdent
			for i < end && (isIdentStart(text[i]) || isDigit(text[i])) {
				i++
			}
		case isDigit(c) || c == '.' && i+1 < end && isDigit(text[i+1]):
			kind = tNumber
			for i < end && (isIdentStart(text[i]) || isDigit(text[i]) || text[i] == '.' ||
				(text[i] == '+' || text[i] == '-') && strings.IndexByte("eEpP", text[i-1]) >= 0 && !strings.HasPrefix(text[from:], "0x")) {
				i++
			}
		case c == '"' || c == '\'':
			kind = tString
			if c == '\'' {
				kind = tChar
			}
			for i++; i < end && text[i] != c && text[i] != '\n'; i++ {
				if text[i] == '\\' && i+1 < end {
					i++
				}
			}
			if i < end && text[i] == c {
				i++
			}
		default:
			i++
			for _, p := range puncts {
				if strings.HasPrefix(text[from:], p) {
					i = from + len(p)
					break
				}
			}
		}
		t := token{kind: kind, text: text[from:min(i, end)], span: source.Span{File: f, Start: from, End: min(i, end)}, space: space}
		space = false
		if t.is("#") && len(cur.toks) == 0 && !cur.directive {
			cur.directive, cur.span = true, t.span
			continue
		}
		cur.toks = append(cur.toks, t)
		cur.span = cur.span.To(t.span)
	}
	flush()
	return lines
}

func fileLines(f *source.File) []line { return scanLines(f, 0, len(f.Text)) }
