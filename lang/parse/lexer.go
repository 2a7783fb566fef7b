package parse

import (
	"io"
	"strings"
	"unicode/utf8"

	"github.com/alecthomas/participle/v2/lexer"
	"github.com/gotrace/gotrace/lang/ast"
	"github.com/gotrace/gotrace/lang/source"
)

// The kinds of token. Which bytes make a token depends on where it stands:
// attach points and the C section have rules of their own.
const (
	tEOF        = lexer.EOF
	tKeyword    = tEOF - 1 - iota // config, import, let, macro, fn where they open a declaration
	tIdent                        // names and the keywords of statements
	tInt                          // digits and all letters that follow them
	tString                       // with its quotes, escapes not resolved
	tVar                          // $name
	tPositional                   // $1, $#
	tMap                          // @name or @
	tPunct                        // operators and separators
	tAttach                       // one attach point
	tLastComma                    // a comma after the last attach point
	tCItem                        // one item of the C section
	tShebang                      // a line #!… before everything but comments
	tPredOpen                     // the / before a predicate
	tPredClose                    // the / after it
	tAngleOpen                    // the < that opens a body
	tAngleClose                   // the > that closes it
	tBad                          // something that is no token; scanner.bad says why
)

// symbols are the token kinds under the names the grammar uses.
func symbols() map[string]lexer.TokenType {
	return map[string]lexer.TokenType{
		"EOF": tEOF, "Keyword": tKeyword, "Ident": tIdent, "Int": tInt, "String": tString,
		"Var": tVar, "Positional": tPositional, "Map": tMap, "Punct": tPunct, "Attach": tAttach, "LastComma": tLastComma,
		"CItem": tCItem, "Shebang": tShebang, "PredOpen": tPredOpen, "PredClose": tPredClose,
		"AngleOpen": tAngleOpen, "AngleClose": tAngleClose, "Bad": tBad,
	}
}

// mode is what the scanner expects next.
type mode uint8

const (
	modeDecl   mode = iota // a declaration
	modePoints             // the rest of a probe's head
	modeCode               // statements and expressions
)

// scanner cuts a file into tokens. participle wants all of them before it
// parses, so the scanner itself follows the few things that decide how text is
// cut: where a declaration ends, and the extent of predicates and < … > bodies.
// White space and comments are no tokens; comments are set aside.
//
// The scanner never fails: what is no token becomes tBad, where the parser
// stops if it gets that far. So the first error in the text is the one told.
type scanner struct {
	file     *source.File
	text     string
	pos      int
	mode     mode
	comments []ast.Comment
	bad      string // why there is a tBad
	begun    bool   // a token has been returned

	// Within modeCode:
	isImport bool // the declaration ends at its ";"
	isLet    bool // the declaration ends at its ")"; a ";" may follow
	pred     bool // within a predicate
	angled   bool // the body is < … >
	braces   int  // open { that are not closed
	parens   int  // open ( and [ that are not closed
	prev     lexer.Token
	first    string // first token of the statement at hand, in a < … > body outside braces
}

// scanner is participle's lexer.Definition and lexer.Lexer at once: a
// definition for one file.

// Symbols implements lexer.Definition.
func (s *scanner) Symbols() map[string]lexer.TokenType { return symbols() }

// Lex implements lexer.Definition. The text is the file's, not the reader's.
func (s *scanner) Lex(string, io.Reader) (lexer.Lexer, error) { return s, nil }

// reset starts the scanner on a file.
func (s *scanner) reset(file *source.File) { *s = scanner{file: file, text: file.Text} }

// Next implements lexer.Lexer.
func (s *scanner) Next() (lexer.Token, error) {
	if start, ok := s.skipSpace(); !ok {
		s.pos = start
		return s.badToken(2, "unterminated comment"), nil
	}
	first := !s.begun
	s.begun = true
	if first && strings.HasPrefix(s.text[s.pos:], "#!") {
		line, _, _ := strings.Cut(s.text[s.pos:], "\n")
		return s.token(tShebang, len(strings.TrimSuffix(line, "\r"))), nil
	}
	if s.pos >= len(s.text) {
		return lexer.Token{Type: tEOF, Pos: lexer.Position{Offset: len(s.text)}}, nil
	}
	switch s.mode {
	case modeDecl:
		return s.scanDecl(), nil
	case modePoints:
		return s.scanPoints(), nil
	}
	t := s.scanCode()
	s.prev = t
	return t, nil
}

// token returns the next n bytes as a token.
func (s *scanner) token(kind lexer.TokenType, n int) lexer.Token {
	t := lexer.Token{Type: kind, Value: s.text[s.pos : s.pos+n], Pos: lexer.Position{Offset: s.pos}}
	s.pos += n
	return t
}

// badToken returns the next n bytes as a tBad and ends the file there.
func (s *scanner) badToken(n int, why string) lexer.Token {
	s.bad = why
	t := s.token(tBad, min(n, len(s.text)-s.pos))
	s.pos = len(s.text)
	return t
}

// byteOrderMark is what some editors start files with; nobody sees it.
const byteOrderMark = "\ufeff"

// skipSpace moves past white space and comments. If a comment does not end it
// returns false and where it starts.
func (s *scanner) skipSpace() (int, bool) {
	for s.pos < len(s.text) {
		switch c := s.text[s.pos]; {
		case isSpace(c):
			s.pos++
		case s.pos == 0 && strings.HasPrefix(s.text, byteOrderMark):
			s.pos += len(byteOrderMark)
		case c == '/' && strings.HasPrefix(s.text[s.pos:], "//"):
			n := strings.IndexByte(s.text[s.pos:], '\n')
			if n < 0 {
				n = len(s.text) - s.pos
			}
			s.comment(strings.TrimRight(s.text[s.pos:s.pos+n], "\r"))
			s.pos += n
		case c == '/' && strings.HasPrefix(s.text[s.pos:], "/*"):
			n := strings.Index(s.text[s.pos+2:], "*/")
			if n < 0 {
				return s.pos, false
			}
			s.comment(s.text[s.pos : s.pos+n+4])
			s.pos += n + 4
		default:
			return s.pos, true
		}
	}
	return s.pos, true
}

func (s *scanner) comment(text string) {
	s.comments = append(s.comments, ast.Comment{At: s.at(s.pos, s.pos+len(text)), Text: text})
}

func (s *scanner) at(start, end int) ast.At {
	return ast.At{Pos: source.Span{File: s.file, Start: start, End: end}}
}

// after is the offset of the first byte at or after pos that is neither white
// space nor comment.
func (s *scanner) after(pos int) int {
	ahead := scanner{text: s.text, pos: pos}
	ahead.skipSpace()
	return ahead.pos
}

// scanDecl scans the first token of a declaration.
func (s *scanner) scanDecl() lexer.Token {
	if s.text[s.pos] == '#' {
		if s.identAt(s.after(s.pos+1)) == "" {
			return s.badToken(1, "expected a preprocessor directive after '#'; comments start with //")
		}
		return s.token(tCItem, s.directive())
	}
	// A word is a keyword unless it goes on as an attach point would.
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

// code starts the statements and expressions of a declaration.
func (s *scanner) code() {
	s.mode = modeCode
	s.isImport, s.isLet, s.pred, s.angled = false, false, false, false
	s.braces, s.parens, s.first, s.prev = 0, 0, "", lexer.Token{}
}

// directive is the length of the preprocessor line at pos, with the lines it
// continues on.
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

// scanC scans a type definition of the C section: up to the brace that closes
// it, with attributes and the semicolon that may follow, or up to a semicolon.
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

// tailC is the end of what may follow the closing brace of a C definition.
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

// closeParen is the offset behind the parenthesis that closes the one at open,
// or -1.
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

// scanPoints scans a token of a probe's head: an attach point, the comma
// after one, or what opens the predicate or the body.
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
		s.code()
		s.braces = 1
		return s.token(tPunct, 1)
	case '<':
		s.code()
		s.angled = true
		s.prev = s.token(tAngleOpen, 1)
		return s.prev
	case '/':
		s.code()
		s.pred = true
		return s.token(tPredOpen, 1)
	case ';', '}', ')', ']', '(', '=':
		// The ";" may follow a map; the others start nothing.
		s.mode = modeDecl
		return s.token(tPunct, 1)
	}
	return s.scanAttach()
}

// scanAttach scans one attach point. It reaches up to white space, a comma or
// an opening brace, except within quotes. So "/" and ">" are ordinary within
// it, as paths and C++ names need: a predicate starts only after white space.
// A "<" at the very end is not part of it but opens the body.
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
		} else if endsAttach(c) {
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

// endsPredicate decides where a predicate ends. It is asked about a "/" at
// pos, within a predicate but outside all brackets. There the slash divides if
// an operand follows it, and ends the predicate if the body does. A "{" could
// open either (a block may be an operand) and is taken for the body.
func (s *scanner) endsPredicate(pos int) bool {
	next := s.after(pos + 1)
	if next >= len(s.text) {
		return true
	}
	c := s.text[next]
	return !isIdent(c) && !strings.ContainsRune(`"$@(-!~*&+`, rune(c))
}

// closesAngled decides whether a ">" closes the < … > body: outside all
// brackets, where a statement could begin. That is after the opening "<",
// after ";", and after the "}" of a statement that needs no semicolon.
func (s *scanner) closesAngled() bool {
	if !s.angled || s.pred || s.braces != 0 || s.parens != 0 {
		return false
	}
	return s.startsStatement() || s.prev.Value == "}" && blockStatement(s.first)
}

func (s *scanner) startsStatement() bool {
	return s.prev.Type == tAngleOpen || s.prev.Type == tPunct && s.prev.Value == ";"
}

// blockStatement reports whether a statement that starts with that token ends
// at a closing brace.
func blockStatement(first string) bool {
	switch first {
	case "{", "if", "for", "while", "unroll":
		return true
	}
	return false
}

// operators by length, so that the longest match wins.
var operators = [...]string{
	3: "<<=>>=",
	2: "++--<<>><=>===!=&&||+=-=*=/=%=&=|=^=->..",
	1: "+-*/%&|^~!<>=()[]{},;:?.",
}

// operatorAt is the length of the operator at the start of text, or 0.
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

// scanCode scans a token of a statement or an expression, and follows the
// brackets to see where the declaration ends.
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
			return s.badToken(1, "expected a variable name or a number right after '$'")
		}
		return s.token(tVar, 1+len(name))
	case c == '@':
		return s.token(tMap, 1+len(s.identAt(s.pos+1)))
	case c == '"':
		for n := 1; n < len(rest) && rest[n] != '\n'; n++ {
			if rest[n] == '\\' && n+1 < len(rest) && rest[n+1] != '\n' {
				n++
			} else if rest[n] == '"' {
				return s.token(tString, n+1)
			}
		}
		return s.badToken(1, "unterminated string")
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
	n := operatorAt(rest)
	if n == 0 {
		_, size := utf8.DecodeRuneInString(rest)
		why := "unexpected character " + quoteChar(rest)
		if c == '#' {
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
		if s.braces == 0 && !s.pred && !s.angled {
			s.mode = modeDecl
		}
	case ";":
		if s.isImport && s.braces == 0 {
			s.mode = modeDecl
		}
	}
	return t
}

// identAt is the identifier that starts at pos, or "".
func (s *scanner) identAt(pos int) string {
	if pos >= len(s.text) || !isIdent(s.text[pos]) || isDigit(s.text[pos]) {
		return ""
	}
	end := pos + 1
	for end < len(s.text) && isIdent(s.text[end]) {
		end++
	}
	return s.text[pos:end]
}

func (s *scanner) byteAt(pos int) byte {
	if pos >= len(s.text) {
		return 0
	}
	return s.text[pos]
}

func isSpace(c byte) bool {
	return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f' || c == '\v'
}
func isDigit(c byte) bool { return '0' <= c && c <= '9' }
func isIdent(c byte) bool {
	return c == '_' || isDigit(c) || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}
