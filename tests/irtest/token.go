package irtest

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/gotrace/gotrace/codegen/ir"
)

// tokens splits a line into tokens.
func (p *parser) tokens(line string) error {
	p.toks = p.toks[:0]
	for i := 0; i < len(line); {
		switch c := line[i]; {
		case c == ' ' || c == '\t' || c == '\r':
			i++
		case c == '#':
			return nil
		case c == '(' || c == ')' || c == '=':
			p.toks = append(p.toks, line[i:i+1])
			i++
		case c == '"':
			j := i + 1
			for j < len(line) && line[j] != '"' {
				if line[j] == '\\' {
					j++
				}
				j++
			}
			if j >= len(line) {
				return fmt.Errorf("ir: line %d: unterminated string", p.line)
			}
			p.toks = append(p.toks, line[i:j+1])
			i = j + 1
		default:
			j := i
			for j < len(line) && !strings.ContainsRune(" \t\r#()=\"", rune(line[j])) {
				j++
			}
			p.toks = append(p.toks, line[i:j])
			i = j
		}
	}
	return nil
}

func (p *parser) peek() string {
	if len(p.toks) == 0 {
		return ""
	}
	return p.toks[0]
}

func (p *parser) next() string {
	t := p.peek()
	if len(p.toks) > 0 {
		p.toks = p.toks[1:]
	}
	return t
}

func (p *parser) accept(word string) bool {
	if p.peek() == word {
		p.next()
		return true
	}
	return false
}

func (p *parser) expect(word string) error {
	if !p.accept(word) {
		return fmt.Errorf("expected %q, found %q", word, p.peek())
	}
	return nil
}

func (p *parser) name() (string, error) {
	t := p.next()
	if t == "" {
		return "", fmt.Errorf("expected a name at the end of the line")
	}
	if t[0] == '"' {
		return strconv.Unquote(t)
	}
	return t, nil
}

func (p *parser) int() (int64, error) {
	t := p.next()
	if t == "" {
		return 0, fmt.Errorf("expected a number at the end of the line")
	}
	n, err := strconv.ParseInt(t, 0, 64)
	if err != nil {
		return 0, fmt.Errorf("%q is not a number", t)
	}
	return n, nil
}

func (p *parser) ref(prefix byte) (int, error) {
	t := p.next()
	what := "value"
	if prefix == 'b' {
		what = "block"
	}
	if len(t) < 2 || t[0] != prefix {
		return 0, fmt.Errorf("expected a %s, found %q", what, t)
	}
	n, err := strconv.ParseUint(t[1:], 10, 20)
	if err != nil {
		return 0, fmt.Errorf("%q is not a %s", t, what)
	}
	return int(n), nil
}

func (p *parser) typ(name string) (ir.Type, error) {
	if t, ok := ir.TypeNamed(name); ok {
		return t, nil
	}
	return 0, fmt.Errorf("unknown type %q", name)
}
