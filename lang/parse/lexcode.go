package parse

import (
	"net/netip"
	"strings"
	"unicode/utf8"

	"github.com/alecthomas/participle/v2/lexer"
)

// operators lists all operators by their length. Longer ones are tried first.
var operators = [...]string{
	3: "<<=>>=",
	2: "++--<<>><=>===!=&&||+=-=*=/=%=&=|=^=->..",
	1: "+-*/%&|^~!<>=()[]{},;:?.",
}

// operatorAt returns the length of the operator at the start of text, or 0.
func operatorAt(text string) int {
	for n := min(3, len(text)); n > 0; n-- {
		for i := 0; i < len(operators[n]); i += n {
			if operators[n][i:i+n] == text[:n] {
				return n
			}
		}
	}
	return 0
}

// scanCode scans a token of a statement or an expression.
func (s *scanner) scanCode() lexer.Token {
	rest := s.text[s.pos:]
	c := rest[0]
	if s.angled && s.braces == 0 && s.parens == 0 {
		afterBlock := s.prev.Value == "}" && blockStatement(s.first)
		if word := s.identAt(s.pos); s.startsStatement() || afterBlock && word != "else" && c != '>' {
			s.first = word
			if c == '{' {
				s.first = "{"
			}
		}
	}
	if n := s.addressLen(); n > 0 {
		return s.token(tAddress, n)
	}
	switch {
	case isDigit(c):
		n := 1
		for n < len(rest) && isIdent(rest[n]) {
			n++
		}
		return s.token(tInt, n)
	case isIdent(c):
		return s.token(tIdent, len(s.identAt(s.pos)))
	case c == '$':
		return s.scanDollar(rest)
	case c == '@':
		return s.token(tMap, 1+len(s.identAt(s.pos+1)))
	case c == '"':
		return s.scanString(rest)
	case c == '\'':
		return s.badToken(1, "strings are written in double quotes")
	case c == '>' && s.closesAngled():
		t := s.token(tAngleClose, 1)
		s.mode = modeDecl
		return t
	case c == '/' && s.pred && s.braces == 0 && s.parens == 0 && s.endsPredicate(s.pos):
		t := s.token(tPredClose, 1)
		s.pred = false
		s.mode = modePoints
		return t
	}
	return s.scanOperator(rest)
}

// scanDollar scans a variable or a positional parameter, at the start of rest.
func (s *scanner) scanDollar(rest string) lexer.Token {
	if strings.HasPrefix(rest, "$#") {
		return s.token(tPositional, 2)
	}
	n := 1
	for n < len(rest) && isDigit(rest[n]) {
		n++
	}
	if n > 1 {
		return s.token(tPositional, n)
	}
	name := s.identAt(s.pos + 1)
	if name == "" {
		return s.badToken(1, "expected a variable name or a number immediately after '$'")
	}
	return s.token(tVar, 1+len(name))
}

// scanString scans a string, at the start of rest.
func (s *scanner) scanString(rest string) lexer.Token {
	for n := 1; n < len(rest) && rest[n] != '\n'; n++ {
		if rest[n] == '\\' && n+1 < len(rest) && rest[n+1] != '\n' {
			n++
		} else if rest[n] == '"' {
			return s.token(tString, n+1)
		}
	}
	return s.badToken(1, "unterminated string")
}

// scanOperator scans an operator, a bracket or a separator, at the start of rest. If it
// ends the declaration, or an argument of an event, the scanner changes its mode. It
// counts brackets to find that end.
func (s *scanner) scanOperator(rest string) lexer.Token {
	n := operatorAt(rest)
	if n == 0 {
		_, size := utf8.DecodeRuneInString(rest)
		why := "unexpected character " + quoteChar(rest)
		if rest[0] == '#' {
			why += "; comments start with //"
		}
		return s.badToken(size, why)
	}
	t := s.token(tPunct, n)
	switch t.Value {
	case "(", "[":
		s.parens++
	case ")", "]":
		s.parens--
		if s.isLet && s.parens == 0 && s.braces == 0 {
			s.mode = modeDecl
		}
	case "{":
		s.braces++
	case "}":
		s.braces--
		switch {
		case s.event > 0 && s.braces < 0 && !s.pred: // the ";" is missing
			s.event--
			s.mode = s.outer()
		case s.event == 0 && s.braces == 0 && !s.pred && !s.angled:
			s.mode = modeDecl
		}
	case ";":
		if s.event > 0 && s.braces == 0 && s.parens == 0 {
			s.mode = modeEvent
		}
		if s.isImport && s.braces == 0 {
			s.mode = modeDecl
		}
	}
	return t
}

// addressLen returns the length of the internet address at pos, and of the length of a
// prefix that follows it (10.0.0.0/8), or 0 if there is none. Text that could also be
// something else is not an address: an IPv6 address must have "::" or all its eight
// parts.
func (s *scanner) addressLen() int {
	rest := s.text[s.pos:]
	if !isHex(rest[0]) && !strings.HasPrefix(rest, "::") || s.prev.Value == "." || s.prev.Value == "->" {
		return 0
	}
	n := 0
	for n < len(rest) && (isHex(rest[n]) || rest[n] == '.' || rest[n] == ':') {
		n++
	}
	text, _, _ := strings.Cut(rest[:n], "..") // a range
	n = len(text)
	colons := strings.Count(text, ":")
	if colons == 0 && strings.Count(text, ".") != 3 || colons > 0 && colons != 7 && !strings.Contains(text, "::") {
		return 0
	}
	if n < len(rest) && isIdent(rest[n]) {
		return 0
	}
	if _, err := netip.ParseAddr(text); err != nil {
		return 0
	}
	end := n + 1
	for end < len(rest) && isDigit(rest[end]) {
		end++
	}
	if n < len(rest) && rest[n] == '/' && end > n+1 && (end == len(rest) || !isIdent(rest[end])) {
		return end
	}
	return n
}
