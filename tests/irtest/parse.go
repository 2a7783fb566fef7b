// Package irtest parses the text form of ir.Module and interprets programs, for tests.
package irtest

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/gotrace/gotrace/codegen/ir"
)

// Parse parses the text form that Module.String prints. It ignores blank lines and text
// after '#'. Source spans are not part of the text form.
func Parse(text string) (m *ir.Module, err error) {
	p := &parser{m: &ir.Module{}, maps: map[string]*ir.Map{}, helpers: map[string]*ir.Helper{}}
	for _, h := range ir.Helpers() {
		p.helpers[h.Name] = h
	}
	for i, line := range strings.Split(text, "\n") {
		p.line = i + 1
		if err := p.tokens(line); err != nil {
			return nil, err
		}
		if len(p.toks) == 0 {
			continue
		}
		if err := p.statement(); err != nil {
			return nil, fmt.Errorf("ir: line %d: %w", p.line, err)
		}
		if len(p.toks) > 0 {
			return nil, fmt.Errorf("ir: line %d: unexpected %s", p.line, p.toks[0])
		}
	}
	if err := p.endProg(); err != nil {
		return nil, err
	}
	return p.m, nil
}

// MustParse is Parse, but panics on errors.
func MustParse(text string) *ir.Module {
	m, err := Parse(text)
	if err != nil {
		panic(err)
	}
	return m
}

type parser struct {
	m       *ir.Module
	maps    map[string]*ir.Map
	helpers map[string]*ir.Helper
	line    int
	toks    []string

	prog  *ir.Prog
	fn    *ir.Func
	blk   *ir.Block
	funcs []*fnText
	ft    *fnText
}

// fnText holds the parts of a function that can be resolved only after all of
// it has been read.
type fnText struct {
	fn     *ir.Func
	line   int
	values map[int]*ir.Value
	blocks map[int]*ir.Block
	defs   map[int]bool // blocks that have a label
	uses   []use
	edges  []edgeText
	preds  []predText
	calls  []callText
}

type use struct {
	line int
	id   int
	to   func(*ir.Value)
}

type edgeText struct {
	from *ir.Block
	to   int
	line int
}

type predText struct {
	blk  *ir.Block
	ids  []int
	line int
}

type callText struct {
	v    *ir.Value
	name string
	line int
}

func (p *parser) statement() error {
	switch t := p.peek(); {
	case t == "map" && p.prog == nil:
		p.next()
		return p.mapDecl()
	case t == "prog":
		p.next()
		return p.progDecl()
	case t == "func" && p.prog != nil:
		p.next()
		return p.funcDecl()
	case p.fn == nil:
		return fmt.Errorf("%q outside a function", t)
	case len(t) > 1 && t[0] == 'b' && strings.HasSuffix(t, ":"):
		return p.label()
	case p.blk == nil:
		return fmt.Errorf("%q outside a block", t)
	case p.blk.Term != ir.TermNone:
		return fmt.Errorf("%q after the block's terminator", t)
	}
	return p.instr()
}

func (p *parser) mapDecl() (err error) {
	m := &ir.Map{}
	if m.Name, err = p.name(); err != nil {
		return err
	}
	if p.maps[m.Name] != nil {
		return fmt.Errorf("map %q is declared twice", m.Name)
	}
	kind := p.next()
	m.Type = ir.MapTypeNamed(kind)
	if n, err := strconv.Atoi(strings.TrimPrefix(kind, "maptype")); m.Type == 0 && err == nil && n > 0 {
		m.Type = ir.MapType(n)
	}
	if m.Type == 0 {
		return fmt.Errorf("unknown map type %q", kind)
	}
	for len(p.toks) > 0 {
		switch w := p.next(); w {
		case "frozen":
			m.Frozen = true
		case "init":
			if m.Contents, err = p.bytes(); err != nil {
				return err
			}
		case "key", "value", "max", "flags", "inner":
			n, err := p.int()
			if err != nil {
				return err
			}
			switch w {
			case "key":
				m.KeySize = int(n)
			case "value":
				m.ValueSize = int(n)
			case "max":
				m.MaxEntries = int(n)
			case "flags":
				m.Flags = uint32(n)
			case "inner":
				m.Inner = int(n)
			}
		default:
			return fmt.Errorf("unknown map property %q", w)
		}
	}
	p.maps[m.Name] = m
	p.m.Maps = append(p.m.Maps, m)
	return nil
}

// bytes reads quoted strings and runs of zeros, as in "ab" 0*24 "c".
func (p *parser) bytes() ([]byte, error) {
	data := []byte{}
	for n := 0; ; n++ {
		t := p.peek()
		if count, ok := strings.CutPrefix(t, "0*"); ok {
			k, err := strconv.ParseUint(count, 10, 20)
			if err != nil {
				return nil, fmt.Errorf("%q is not a run of zeros", t)
			}
			data = append(data, make([]byte, k)...)
		} else if strings.HasPrefix(t, `"`) {
			s, err := strconv.Unquote(t)
			if err != nil {
				return nil, fmt.Errorf("%s is not a quoted string", t)
			}
			data = append(data, s...)
		} else if n == 0 {
			return nil, fmt.Errorf("init needs a quoted string")
		} else {
			return data, nil
		}
		p.next()
	}
}

func (p *parser) progDecl() (err error) {
	if err := p.endProg(); err != nil {
		return err
	}
	p.prog = &ir.Prog{}
	if p.prog.Name, err = p.name(); err != nil {
		return err
	}
	if err := p.expect("kind"); err != nil {
		return err
	}
	if p.prog.Kind, err = p.name(); err != nil {
		return err
	}
	p.m.Progs = append(p.m.Progs, p.prog)
	return nil
}

func (p *parser) funcDecl() error {
	name, err := p.name()
	if err != nil {
		return err
	}
	f := &ir.Func{Name: name}
	if err := p.expect("("); err != nil {
		return err
	}
	for !p.accept(")") {
		t, err := p.typ(p.next())
		if err != nil {
			return err
		}
		f.Params = append(f.Params, t)
	}
	f.Global, f.Forgets, f.OwnFrame = p.accept("global"), p.accept("forgets"), p.accept("ownframe")
	if p.prog.Main == nil {
		p.prog.Main = f
	} else {
		p.prog.Subs = append(p.prog.Subs, f)
	}
	p.fn, p.blk = f, nil
	p.ft = &fnText{fn: f, line: p.line, values: map[int]*ir.Value{}, blocks: map[int]*ir.Block{}, defs: map[int]bool{}}
	p.funcs = append(p.funcs, p.ft)
	return nil
}

func (p *parser) block(id int) *ir.Block {
	b := p.ft.blocks[id]
	if b == nil {
		b = &ir.Block{ID: id, Func: p.fn}
		p.ft.blocks[id] = b
		p.fn.Reserve(0, id+1)
	}
	return b
}

func (p *parser) label() error {
	p.toks[0] = strings.TrimSuffix(p.toks[0], ":")
	id, err := p.ref('b')
	if err != nil {
		return err
	}
	if p.ft.defs[id] {
		return fmt.Errorf("block b%d is defined twice", id)
	}
	p.ft.defs[id] = true
	p.blk = p.block(id)
	p.fn.Blocks = append(p.fn.Blocks, p.blk)
	p.blk.Unlikely = p.accept("unlikely")
	if p.accept("preds") {
		var ids []int
		for len(p.toks) > 0 {
			id, err := p.ref('b')
			if err != nil {
				return err
			}
			ids = append(ids, id)
		}
		p.ft.preds = append(p.ft.preds, predText{p.blk, ids, p.line})
	}
	return nil
}

func (p *parser) useOf(id int, to func(*ir.Value)) {
	p.ft.uses = append(p.ft.uses, use{p.line, id, to})
}

func (p *parser) target() error {
	id, err := p.ref('b')
	if err != nil {
		return err
	}
	p.ft.edges = append(p.ft.edges, edgeText{p.blk, id, p.line})
	return nil
}

func (p *parser) cond() error {
	id, err := p.ref('v')
	if err != nil {
		return err
	}
	blk := p.blk
	p.useOf(id, func(v *ir.Value) { blk.Cond = v })
	return nil
}

// endProg resolves the references in the functions of the current program.
func (p *parser) endProg() error {
	byName := map[string]*ir.Func{}
	for _, ft := range p.funcs {
		if byName[ft.fn.Name] != nil {
			return fmt.Errorf("ir: line %d: function %q is defined twice", ft.line, ft.fn.Name)
		}
		byName[ft.fn.Name] = ft.fn
	}
	for _, ft := range p.funcs {
		if len(ft.fn.Blocks) == 0 {
			return fmt.Errorf("ir: line %d: function %q has no blocks", ft.line, ft.fn.Name)
		}
		for _, u := range ft.uses {
			v := ft.values[u.id]
			if v == nil {
				return fmt.Errorf("ir: line %d: v%d is not defined", u.line, u.id)
			}
			u.to(v)
		}
		for _, c := range ft.calls {
			if c.v.Fn = byName[c.name]; c.v.Fn == nil {
				return fmt.Errorf("ir: line %d: unknown function %q", c.line, c.name)
			}
		}
		for _, e := range ft.edges {
			if !ft.defs[e.to] {
				return fmt.Errorf("ir: line %d: b%d is not defined", e.line, e.to)
			}
			to := ft.blocks[e.to]
			e.from.Succs = append(e.from.Succs, to)
			to.Preds = append(to.Preds, e.from)
		}
		for _, pt := range ft.preds {
			if err := reorderPreds(pt.blk, pt.ids); err != nil {
				return fmt.Errorf("ir: line %d: %w", pt.line, err)
			}
		}
		for _, b := range ft.fn.Blocks {
			for _, v := range b.Values {
				if v.ID < 0 {
					v.ID = ft.fn.NumValues()
					ft.fn.Reserve(v.ID+1, 0)
				}
			}
		}
	}
	p.funcs, p.fn, p.blk, p.ft = nil, nil, nil, nil
	return nil
}

func reorderPreds(b *ir.Block, ids []int) error {
	rest := append([]*ir.Block(nil), b.Preds...)
	var order []*ir.Block
next:
	for _, id := range ids {
		for i, q := range rest {
			if q.ID == id {
				order, rest = append(order, q), append(rest[:i], rest[i+1:]...)
				continue next
			}
		}
		return fmt.Errorf("b%d is not a predecessor of b%d", id, b.ID)
	}
	if len(rest) > 0 {
		return fmt.Errorf("the predecessor b%d of b%d is not listed", rest[0].ID, b.ID)
	}
	b.Preds = order
	return nil
}
