package parse

import (
	"strings"

	"github.com/alecthomas/participle/v2/lexer"
)

// scanDecl scans the first token of a declaration.
func (s *scanner) scanDecl() lexer.Token {
	if s.text[s.pos] == '#' {
		if s.identAt(s.after(s.pos+1)) == "" {
			return s.badToken(1, "expected a preprocessor directive after '#'; comments start with //")
		}
		return s.token(tCItem, s.directive())
	}
	// A word is a keyword unless the text after it makes it an attach point.
	word := s.identAt(s.pos)
	next := s.byteAt(s.pos + len(word))
	rest := strings.TrimLeft(s.text[s.pos+len(word):], "<")
	opens := rest == "" || endsAttach(rest[0])
	switch word {
	case "struct", "union", "enum", "typedef":
		if opens {
			return s.scanC()
		}
	case "config":
		opens = opens || next == '='
	case "import":
		opens = opens || next == '"'
	case "let":
		opens = opens || next == '@'
	case "macro", "fn":
	case "probe":
		if opens {
			s.mode, s.heading = modePoints, true
			return s.token(tKeyword, len(word))
		}
	default:
		opens = false
	}
	if opens {
		s.code()
		s.isImport, s.isLet = word == "import", word == "let"
		return s.token(tKeyword, len(word))
	}
	s.mode = modePoints
	return s.scanPoints()
}

// code switches to scanning the statements and expressions of a declaration.
//
//go:noinline
func (s *scanner) code() {
	s.mode = modeCode
	s.isImport, s.isLet, s.pred, s.angled = false, false, false, false
	s.braces, s.parens, s.first, s.prev = 0, 0, "", lexer.Token{}
}

// directive returns the length of the preprocessor line at pos, including its
// continuation lines.
func (s *scanner) directive() int {
	end := s.pos
	for {
		n := strings.IndexByte(s.text[end:], '\n')
		if n < 0 {
			end = len(s.text)
			break
		}
		line := strings.TrimSuffix(s.text[s.pos:end+n], "\r")
		if !strings.HasSuffix(line, `\`) {
			end += n
			break
		}
		end += n + 1
	}
	return len(strings.TrimRight(s.text[s.pos:end], " \t\r\n"))
}

// scanC scans a type definition of the C section. It ends at the closing brace and the
// attributes and semicolon that follow, or at a semicolon.
func (s *scanner) scanC() lexer.Token {
	typedef := s.identAt(s.pos) == "typedef"
	depth, end := 0, s.pos
	for end < len(s.text) {
		switch c := s.text[end]; {
		case c == '/':
			if next := s.after(end); next > end {
				end = next
				continue
			}
		case c == '{' || c == '(':
			depth++
		case c == '}' || c == ')':
			depth--
			if depth == 0 && c == '}' && !typedef {
				return s.token(tCItem, s.tailC(end+1)-s.pos)
			}
		case c == ';' && depth == 0:
			return s.token(tCItem, end+1-s.pos)
		}
		end++
	}
	return s.badToken(len(s.identAt(s.pos)), "this C definition has no end")
}

// tailC returns the end of the attributes and semicolon that may follow the
// closing brace of a C definition.
func (s *scanner) tailC(end int) int {
	next := s.after(end)
	for s.identAt(next) == "__attribute__" {
		open := s.after(next + len("__attribute__"))
		closed := s.closeParen(open)
		if closed < 0 {
			break
		}
		end, next = closed, s.after(closed)
	}
	if s.byteAt(next) == ';' {
		return next + 1
	}
	return end
}

// closeParen returns the offset after the parenthesis that closes the one at
// open, or -1.
func (s *scanner) closeParen(open int) int {
	if s.byteAt(open) != '(' {
		return -1
	}
	depth := 0
	for i := open; i < len(s.text); i++ {
		switch s.text[i] {
		case '(':
			depth++
		case ')':
			if depth--; depth == 0 {
				return i + 1
			}
		}
	}
	return -1
}
