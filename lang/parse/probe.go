package parse

import (
	"bytes"

	"github.com/gotrace/gotrace/lang/ast"
)

// probe parses a probe: its attach points, the predicate, if it has one, and the body.
func (p *parser) probe() *ast.Probe {
	start := p.start()
	n := &ast.Probe{}
	for {
		t := p.peek()
		if t.Type != tAttach {
			p.fail(t, "expected an attach point")
		}
		p.next()
		n.Points = append(n.Points, attachPoint(ast.At{Pos: p.span(t)}, t.Value))
		if t := p.peek(); t.Type != tPunct || t.Value != "," {
			break
		}
		p.next()
	}
	if p.peek().Type == tLastComma {
		p.next()
	}
	if p.peek().Type == tPredOpen {
		p.next()
		n.Pred = p.expr()
		if t := p.peek(); t.Type != tPredClose {
			p.fail(t, "expected '/' at the end of the predicate")
		}
		p.next()
	}
	switch b := p.probeBody().(type) {
	case angledBody:
		n.Body, n.Angled = b.Block, true
	case *ast.Block:
		n.Body = b
	}
	n.At = p.from(start)
	return n
}

// attachPoint splits the text of an attach point into its parts.
func attachPoint(at ast.At, text string) *ast.AttachPoint {
	n := &ast.AttachPoint{At: at, Text: text}
	rest := text
	s := scanner{text: text}
	if word := s.identAt(0); word != "" && s.byteAt(len(word)) == '=' {
		n.Name = word
		rest = text[len(word)+1:]
	}
	var part bytes.Buffer
	quoted := false
	for i := 0; i < len(rest); i++ {
		switch c := rest[i]; {
		case c == '"':
			quoted = !quoted
		case quoted && c == '\\' && i+1 < len(rest):
			i++
			part.WriteByte(rest[i])
		case c == ':' && !quoted:
			n.Parts = append(n.Parts, part.String())
			part.Reset()
		default:
			part.WriteByte(c)
		}
	}
	n.Parts = append(n.Parts, part.String())
	return n
}

// angledBody is a < … > body. probe moves it into its probe.
type angledBody struct{ *ast.Block }

func (p *parser) probeBody() ast.Expr {
	t := p.peek()
	if t.Type != tAngleOpen {
		if !p.at("{") {
			p.fail(t, "expected '{'")
		}
		return p.body()
	}
	start := p.start()
	p.next()
	b := &ast.Block{}
	p.stmts(b, ">")
	p.next() // stmts stops only at this token
	b.At = p.from(start)
	dropValue(b)
	return angledBody{b}
}
