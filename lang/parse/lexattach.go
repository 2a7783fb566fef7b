package parse

import (
	"strings"

	"github.com/alecthomas/participle/v2/lexer"
)

// scanPoints scans a token of a probe's head: an attach point, the comma after it, or
// the character that begins the predicate or the body.
func (s *scanner) scanPoints() lexer.Token {
	switch c := s.text[s.pos]; c {
	case ',':
		s.mode = modePoints
		switch s.byteAt(s.after(s.pos + 1)) {
		case '{', '<', '/':
			return s.token(tLastComma, 1)
		}
		return s.token(tPunct, 1)
	case '{':
		if s.heading || s.event > 0 {
			s.heading = false
			s.event++
			s.mode = modeEvent
			return s.token(tPunct, 1)
		}
		s.code()
		s.braces = 1
		return s.token(tPunct, 1)
	case '<':
		if s.event > 0 {
			return s.badToken(1, "an event is written in braces")
		}
		s.code()
		s.angled = true
		s.prev = s.token(tAngleOpen, 1)
		return s.prev
	case '/':
		s.code()
		s.pred = true
		return s.token(tPredOpen, 1)
	case ';', '}', ')', ']', '(', '=':
		// A ";" may follow a map declaration or end a place. The others begin nothing.
		s.mode = s.outer()
		return s.token(tPunct, 1)
	}
	return s.scanAttach()
}

// scanAttach scans one attach point. It ends at white space, a comma or an opening
// brace outside of quotes. So "/" and ">" are ordinary characters in it, which paths
// and C++ names require: a predicate starts only after white space. A "<" at the end of
// the attach point is not part of it but begins the body.
func (s *scanner) scanAttach() lexer.Token {
	end, quote := s.pos, -1
	for ; end < len(s.text); end++ {
		c := s.text[end]
		if quote >= 0 {
			switch c {
			case '\\':
				end++
			case '\n':
				end = len(s.text)
			case '"':
				quote = -1
			}
			continue
		}
		if c == '"' {
			quote = end
		} else if endsAttach(c) || c == ';' && s.event > 0 {
			break
		} else if c < ' ' || c == 0x7f {
			s.pos = end
			return s.badToken(1, "unexpected character "+quoteChar(s.text[end:]))
		}
	}
	if quote >= 0 {
		s.pos = quote
		return s.badToken(1, "this quote is not closed")
	}
	return s.token(tAttach, len(strings.TrimRight(s.text[s.pos:end], "<")))
}

// endsAttach reports whether an attach point ends before c, outside its quotes.
func endsAttach(c byte) bool { return isSpace(c) || c == ',' || c == '{' }

// endsPredicate reports whether the "/" at pos ends the predicate that contains it. The
// slash is outside of all brackets. It divides if an operand follows, and ends the
// predicate if the body follows. A "{" could begin either, since a block may be an
// operand; it counts as the body.
func (s *scanner) endsPredicate(pos int) bool {
	next := s.after(pos + 1)
	if next >= len(s.text) {
		return true
	}
	c := s.text[next]
	return !isIdent(c) && !strings.ContainsRune(`"$@(-!~*&+`, rune(c))
}

// closesAngled reports whether a ">" closes the < … > body. It does so outside of all
// brackets where a statement could begin: after the opening "<", after ";", and after
// the "}" of a statement that needs no semicolon.
func (s *scanner) closesAngled() bool {
	if !s.angled || s.pred || s.braces != 0 || s.parens != 0 {
		return false
	}
	return s.startsStatement() || s.prev.Value == "}" && blockStatement(s.first)
}

func (s *scanner) startsStatement() bool {
	return s.prev.Type == tAngleOpen || s.prev.Type == tPunct && s.prev.Value == ";"
}

// blockStatement reports whether a statement that starts with the given token
// ends at a closing brace.
func blockStatement(first string) bool {
	switch first {
	case "{", "if", "for", "while", "unroll":
		return true
	}
	return false
}
