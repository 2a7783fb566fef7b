package parse

import (
	"io"
	"strings"

	"github.com/alecthomas/participle/v2/lexer"

	"github.com/gotrace/gotrace/lang/ast"
	"github.com/gotrace/gotrace/lang/source"
)

// The kinds of tokens. Attach points and the C section have their own lexical rules, so
// the kind of a token depends on its position.
const (
	tEOF        = lexer.EOF
	tKeyword    = tEOF - 1 - iota // config, import, let, macro, fn and probe at the start of a declaration; at, from and else in events
	tIdent                        // names and the keywords of statements
	tInt                          // digits and all letters that follow them
	tString                       // with its quotes and unresolved escapes
	tVar                          // $name
	tPositional                   // $1, $#
	tMap                          // @name or @
	tAddress                      // an internet address or a prefix of addresses
	tPunct                        // operators and separators
	tAttach                       // one attach point
	tLastComma                    // a comma after the last attach point
	tCItem                        // one item of the C section
	tShebang                      // a line #!… before everything but comments
	tPredOpen                     // the / before a predicate
	tPredClose                    // the / after it
	tAngleOpen                    // the < that opens a body
	tAngleClose                   // the > that closes it
	tBad                          // text that is not a token; scanner.bad is the reason
)

// symbols returns the kinds of tokens by their names in the grammar.
func symbols() map[string]lexer.TokenType {
	return map[string]lexer.TokenType{
		"EOF": tEOF, "Keyword": tKeyword, "Ident": tIdent, "Int": tInt, "String": tString,
		"Var": tVar, "Positional": tPositional, "Map": tMap, "Address": tAddress, "Punct": tPunct, "Attach": tAttach, "LastComma": tLastComma,
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
	modeEvent              // an argument or a place of an event
)

// scanner splits a file into tokens. participle needs all of them before it parses, so
// the scanner itself tracks the state that the lexical rules depend on. It knows where a
// declaration ends, and where predicates and < … > bodies begin and end. White space and
// comments are not tokens. Comments are collected.
//
// The scanner never fails: text that is not a token becomes a tBad, at which the parser
// stops. So the first error in the text is the one that is reported.
type scanner struct {
	file     *source.File
	text     string
	pos      int
	mode     mode
	comments []ast.Comment
	bad      string // the reason why the last token is a tBad
	begun    bool   // a token has been returned
	event    int    // open { of an event and its places; 0 outside of events
	heading  bool   // the name of an event follows

	// State in modeCode:
	isImport bool // the declaration ends at its ";"
	isLet    bool // the declaration ends at its ")"; a ";" may follow
	pred     bool // within a predicate
	angled   bool // the body is < … >
	braces   int  // number of unclosed {
	parens   int  // number of unclosed ( and [
	prev     lexer.Token
	first    string // first token of the current statement in a < … > body, outside of braces
}

// A scanner implements both lexer.Definition and lexer.Lexer of participle: it
// is a definition for one file.

// Symbols implements lexer.Definition.
func (s *scanner) Symbols() map[string]lexer.TokenType { return symbols() }

// Lex implements lexer.Definition. It ignores the reader: the text comes from
// the file.
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
	case modeEvent:
		return s.scanEvent(), nil
	}
	t := s.scanCode()
	s.prev = t
	return t, nil
}

// token returns the next n bytes as a token.
//
//go:noinline
func (s *scanner) token(kind lexer.TokenType, n int) lexer.Token {
	t := lexer.Token{Type: kind, Value: s.text[s.pos : s.pos+n], Pos: lexer.Position{Offset: s.pos}}
	s.pos += n
	return t
}

// badToken returns the next n bytes as a tBad, after which it ends the file.
func (s *scanner) badToken(n int, why string) lexer.Token {
	s.bad = why
	t := s.token(tBad, min(n, len(s.text)-s.pos))
	s.pos = len(s.text)
	return t
}

// byteOrderMark is the invisible character that some editors write at the start of a
// file.
const byteOrderMark = "\ufeff"

// skipSpace skips white space and comments. If a comment is not closed, it returns the
// comment's start and false.
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

// after returns the offset of the first byte at or after pos that is not part
// of white space or a comment.
//
//go:noinline
func (s *scanner) after(pos int) int {
	ahead := scanner{text: s.text, pos: pos}
	ahead.skipSpace()
	return ahead.pos
}

// identAt returns the identifier that starts at pos, or "".
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
