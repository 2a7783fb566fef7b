// Package pattern converts patterns on text to automata that read each byte once.
//
// A pattern is a regular expression of Go's regexp/syntax, or is rewritten as one.
// Several patterns become one automaton: a state knows which of them have matched.
// Text is UTF-8 and means what it means to Go's package regexp: a byte that is not
// part of a valid sequence is one character, U+FFFD.
package pattern

import (
	"bytes"
	"fmt"
	"regexp/syntax"
	"strings"
	"unicode/utf8"

	"github.com/gotrace/gotrace/runtime/outline"
)

// Pattern is a parsed pattern.
type Pattern struct {
	Text string // as written, for messages
	expr string // the regular expression
	re   *syntax.Regexp
}

// MaxPatterns is the maximum number of patterns that one automaton can distinguish.
const MaxPatterns = 64

// Regexp parses a regular expression. It matches anywhere in a text.
func Regexp(text string) (Pattern, error) {
	re, err := syntax.Parse(text, syntax.Perl)
	if err != nil {
		if e, ok := err.(*syntax.Error); ok {
			err = outline.Errorf("%s: %q", e.Code, e.Expr)
		}
		return Pattern{}, err
	}
	return Pattern{text, text, re}, nil
}

// Expr returns a regular expression of package regexp that matches a text if one of
// patterns does.
func Expr(patterns []Pattern) string {
	list := make([]string, len(patterns))
	for i, p := range patterns {
		list[i] = "(?:" + p.re.String() + ")"
	}
	return strings.Join(list, "|")
}

// Anchor is the part of a text in which a literal is searched for.
type Anchor uint8

const (
	Anywhere Anchor = 0
	AtStart  Anchor = 1 << (iota - 1)
	AtEnd
)

// Literal returns a pattern for a literal text. With fold, the case of ASCII letters
// does not matter. ok is false if the text is not valid UTF-8, or contains U+FFFD,
// which a pattern cannot distinguish from an invalid byte.
func Literal(text string, at Anchor, fold bool) (p Pattern, ok bool) {
	if !utf8.ValidString(text) || strings.ContainsRune(text, utf8.RuneError) {
		return Pattern{}, false
	}
	var b bytes.Buffer
	b.WriteString(`(?s)`)
	if at&AtStart != 0 {
		b.WriteString(`\A`)
	}
	for _, r := range text {
		writeRune(&b, r, fold)
	}
	if at&AtEnd != 0 {
		b.WriteString(`\z`)
	}
	return parsed(text, b.String()), true
}

func writeRune(b *bytes.Buffer, r rune, fold bool) {
	lower := r | 0x20
	if fold && 'a' <= lower && lower <= 'z' && r < utf8.RuneSelf {
		fmt.Fprintf(b, "[%c%c]", lower, lower-0x20)
		return
	}
	fmt.Fprintf(b, `\x{%x}`, r)
}

func parsed(text, re string) Pattern {
	p, err := Regexp(re)
	if err != nil {
		panic(fmt.Sprintf("pattern: %q became %q: %v", text, re, err))
	}
	p.Text = text
	return p
}

// Glob parses a file name pattern, which matches a whole text. In it, * is any text, also with
// slashes, ? is any character, [a-z] is one of a set, and [!a-z] is none of a set. After \ a
// character stands for itself. If fold is set, the case of ASCII letters does not matter.
func Glob(text string, fold bool) (Pattern, error) {
	if !utf8.ValidString(text) {
		return Pattern{}, outline.Errorf("it is not valid UTF-8")
	}
	var b bytes.Buffer
	b.WriteString(`(?s)`)
	// Without the * at its ends a pattern needs no anchors there. Automata for many patterns
	// that begin or end with any text would be too large.
	inner := strings.TrimLeft(text, "*")
	if len(inner) == len(text) {
		b.WriteString(`\A`)
	}
	rs := []rune(inner)
	for i := 0; i < len(rs); i++ {
		switch r := rs[i]; r {
		case '*':
			if strings.Trim(string(rs[i:]), "*") == "" {
				return parsed(text, b.String()), nil
			}
			b.WriteString(`.*`)
		case '?':
			b.WriteString(`.`)
		case '[':
			n, err := globSet(&b, rs[i:], fold)
			if err != nil {
				return Pattern{}, err
			}
			i += n - 1
		case '\\':
			if i++; i == len(rs) {
				return Pattern{}, outline.Errorf(`nothing follows the last \`)
			}
			writeRune(&b, rs[i], fold)
		default:
			writeRune(&b, r, fold)
		}
	}
	b.WriteString(`\z`)
	return parsed(text, b.String()), nil
}

// globSet writes the set at the start of rs and returns its length. A ] right after the
// opening bracket is a member. A bracket that nothing closes stands for itself.
func globSet(b *bytes.Buffer, rs []rune, fold bool) (int, error) {
	i := 1
	not := i < len(rs) && (rs[i] == '!' || rs[i] == '^')
	if not {
		i++
	}
	var set bytes.Buffer
	next := func() rune {
		if rs[i] == '\\' && i+1 < len(rs) {
			i++
		}
		r := rs[i]
		i++
		return r
	}
	for first := i; i < len(rs) && (rs[i] != ']' || i == first); {
		lo := next()
		hi := lo
		if i+1 < len(rs) && rs[i] == '-' && rs[i+1] != ']' {
			i++
			hi = next()
		}
		if hi < lo {
			return 0, outline.Errorf("the range %c-%c is empty", lo, hi)
		}
		fmt.Fprintf(&set, `\x{%x}-\x{%x}`, lo, hi)
		if fold {
			foldRange(&set, lo, hi)
		}
	}
	if i >= len(rs) {
		writeRune(b, '[', false)
		return 1, nil
	}
	if not {
		fmt.Fprintf(b, "[^%s]", &set)
	} else {
		fmt.Fprintf(b, "[%s]", &set)
	}
	return i + 1, nil
}

// foldRange adds the letters of the other case for those in a range.
func foldRange(set *bytes.Buffer, lo, hi rune) {
	for r := max(lo, 'A'); r <= min(hi, 'z'); r++ {
		if l := r | 0x20; 'a' <= l && l <= 'z' {
			fmt.Fprintf(set, `\x{%x}`, r^0x20)
		}
	}
}
