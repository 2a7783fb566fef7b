package parse

import "github.com/alecthomas/participle/v2/lexer"

// scanEvent scans the first token of an argument or a place of an event, or the brace
// that ends them.
func (s *scanner) scanEvent() lexer.Token {
	if s.text[s.pos] == '}' {
		s.event--
		s.mode = s.outer()
		return s.token(tPunct, 1)
	}
	word := s.identAt(s.pos)
	if next := s.byteAt(s.pos + len(word)); !isSpace(next) {
		word = ""
	}
	switch word {
	case "at", "from":
		s.mode = modePoints
		return s.token(tKeyword, len(word))
	case "else", "let":
		return s.token(tKeyword, len(word))
	}
	s.code()
	return s.scanCode()
}

// outer returns the mode after the end of a declaration, or of an argument or a place of
// an event.
func (s *scanner) outer() mode {
	if s.event > 0 {
		return modeEvent
	}
	return modeDecl
}
