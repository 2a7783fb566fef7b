package ir

import (
	"fmt"
	"strconv"
	"strings"
)

// Parse reads the text form that Module.String prints. Text after '#' and
// blank lines are ignored. Source spans are not part of the text form.
func Parse(text string) (m *Module, err error) {
	p := &parser{m: &Module{}, maps: map[string]*Map{}, helpers: map[string]*Helper{}}
	for _, h := range Helpers() {
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

// MustParse is Parse for tests.
func MustParse(text string) *Module {
	m, err := Parse(text)
	if err != nil {
		panic(err)
	}
	return m
}

type parser struct {
	m       *Module
	maps    map[string]*Map
	helpers map[string]*Helper
	line    int
	toks    []string

	prog  *Prog
	fn    *Func
	blk   *Block
	funcs []*fnText
	ft    *fnText
}

// fnText holds what of a function can be resolved only once all of it is read.
type fnText struct {
	fn     *Func
	line   int
	values map[int]*Value
	blocks map[int]*Block
	defs   map[int]bool // blocks that have a label
	uses   []use
	edges  []edgeText
	preds  []predText
	calls  []callText
}

type use struct {
	line int
	id   int
	to   func(*Value)
}

type edgeText struct {
	from *Block
	to   int
	line int
}

type predText struct {
	blk  *Block
	ids  []int
	line int
}

type callText struct {
	v    *Value
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
	case p.blk.Term != TermNone:
		return fmt.Errorf("%q after the block's terminator", t)
	}
	return p.instr()
}

func (p *parser) mapDecl() (err error) {
	m := &Map{}
	if m.Name, err = p.name(); err != nil {
		return err
	}
	if p.maps[m.Name] != nil {
		return fmt.Errorf("map %q is declared twice", m.Name)
	}
	kind := p.next()
	for t, s := range mapTypeNames {
		if s == kind {
			m.Type = t
		}
	}
	if n, err := strconv.Atoi(strings.TrimPrefix(kind, "maptype")); m.Type == 0 && err == nil && n > 0 {
		m.Type = MapType(n)
	}
	if m.Type == 0 {
		return fmt.Errorf("unknown map type %q", kind)
	}
	for len(p.toks) > 0 {
		switch w := p.next(); w {
		case "frozen":
			m.Frozen = true
		case "init":
			s, err := strconv.Unquote(p.next())
			if err != nil {
				return fmt.Errorf("init wants a quoted string")
			}
			m.Contents = []byte(s)
		case "key", "value", "max", "flags":
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
			}
		default:
			return fmt.Errorf("unknown map property %q", w)
		}
	}
	p.maps[m.Name] = m
	p.m.Maps = append(p.m.Maps, m)
	return nil
}

func (p *parser) progDecl() (err error) {
	if err := p.endProg(); err != nil {
		return err
	}
	p.prog = &Prog{}
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
	f := &Func{Name: name}
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
	f.Global, f.Forgets = p.accept("global"), p.accept("forgets")
	if p.prog.Main == nil {
		p.prog.Main = f
	} else {
		p.prog.Subs = append(p.prog.Subs, f)
	}
	p.fn, p.blk = f, nil
	p.ft = &fnText{fn: f, line: p.line, values: map[int]*Value{}, blocks: map[int]*Block{}, defs: map[int]bool{}}
	p.funcs = append(p.funcs, p.ft)
	return nil
}

func (p *parser) block(id int) *Block {
	b := p.ft.blocks[id]
	if b == nil {
		b = &Block{ID: id, Func: p.fn, sealed: true}
		p.ft.blocks[id] = b
		p.fn.nextB = max(p.fn.nextB, id+1)
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

func (p *parser) useOf(id int, to func(*Value)) {
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
	p.useOf(id, func(v *Value) { blk.Cond = v })
	return nil
}

func (p *parser) instr() error {
	switch {
	case p.accept("jump"):
		p.blk.Term = TermJump
		return p.target()
	case p.accept("br"):
		p.blk.Term = TermBr
		if err := p.cond(); err != nil {
			return err
		}
		if err := p.target(); err != nil {
			return err
		}
		return p.target()
	case p.accept("ret"):
		p.blk.Term = TermRet
		return p.cond()
	}
	v := &Value{ID: -1, Block: p.blk}
	suffix := ""
	if len(p.toks) > 1 && p.toks[1] == "=" {
		var typed bool
		p.toks[0], suffix, typed = strings.Cut(p.toks[0], ":")
		id, err := p.ref('v')
		if err != nil {
			return err
		}
		if p.ft.values[id] != nil {
			return fmt.Errorf("v%d is defined twice", id)
		}
		if typed && suffix == "" {
			return fmt.Errorf("v%d: expected a type after ':'", id)
		}
		p.next()
		v.ID = id
		p.fn.nextID = max(p.fn.nextID, id+1)
		p.ft.values[id] = v
	}
	if err := p.op(v); err != nil {
		return err
	}
	v.Type = v.defaultType()
	if suffix != "" {
		t, err := p.typ(suffix)
		if err != nil {
			return err
		}
		v.Type = t
	}
	if v.Type == Void && v.ID >= 0 {
		return fmt.Errorf("%s has no result", v.Op)
	}
	if v.Type != Void && v.ID < 0 {
		return fmt.Errorf("the result of %s needs a name", v.Op)
	}
	p.blk.Values = append(p.blk.Values, v)
	return nil
}

func (p *parser) op(v *Value) (err error) {
	name := p.next()
	for op := OpInvalid + 1; op < numOps; op++ {
		if ops[op].Name == name {
			v.Op = op
		}
	}
	switch v.Op {
	case OpInvalid:
		return fmt.Errorf("unknown operation %q", name)
	case OpConst, OpParam, OpSlot:
		if v.Imm, err = p.int(); err != nil {
			return err
		}
		if v.Op == OpSlot {
			v.Imm2 = 8
			if p.accept("align") {
				if v.Imm2, err = p.int(); err != nil {
					return err
				}
			}
		}
	case OpMapPtr, OpMapValue:
		name, err := p.name()
		if err != nil {
			return err
		}
		if v.Map = p.maps[name]; v.Map == nil {
			return fmt.Errorf("unknown map %q", name)
		}
		if v.Op == OpMapValue {
			return p.offset(v)
		}
	case OpFuncAddr, OpCallFn:
		name, err := p.name()
		if err != nil {
			return err
		}
		p.ft.calls = append(p.ft.calls, callText{v, name, p.line})
	case OpCall:
		name := p.next()
		if v.Help = p.helpers[name]; v.Help == nil {
			return fmt.Errorf("unknown helper %q", name)
		}
	case OpKfunc:
		if v.Name, err = p.name(); err != nil {
			return err
		}
		if v.Imm, err = p.int(); err != nil {
			return err
		}
	case OpZero, OpCopy:
		if err := p.arg(v); err != nil {
			return err
		}
		if err := p.offset(v); err != nil {
			return err
		}
		if v.Op == OpCopy {
			if err := p.arg(v); err != nil {
				return err
			}
		}
		v.Imm2, err = p.int()
		return err
	}
	if v.Op.Info().Size > 0 {
		if err := p.arg(v); err != nil {
			return err
		}
		if err := p.offset(v); err != nil {
			return err
		}
	}
	for strings.HasPrefix(p.peek(), "v") {
		if err := p.arg(v); err != nil {
			return err
		}
	}
	return nil
}

func (p *parser) offset(v *Value) (err error) {
	if t := p.peek(); strings.HasPrefix(t, "+") || strings.HasPrefix(t, "-") {
		v.Imm, err = p.int()
	}
	return err
}

func (p *parser) arg(v *Value) error {
	id, err := p.ref('v')
	if err != nil {
		return err
	}
	i := len(v.Args)
	v.Args = append(v.Args, nil)
	p.useOf(id, func(x *Value) { v.Args[i] = x })
	return nil
}

// endProg resolves what the functions of the current program refer to.
func (p *parser) endProg() error {
	byName := map[string]*Func{}
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
					v.ID = ft.fn.nextID
					ft.fn.nextID++
				}
			}
		}
	}
	p.funcs, p.fn, p.blk, p.ft = nil, nil, nil, nil
	return nil
}

func reorderPreds(b *Block, ids []int) error {
	rest := append([]*Block(nil), b.Preds...)
	var order []*Block
next:
	for _, id := range ids {
		for i, q := range rest {
			if q.ID == id {
				order, rest = append(order, q), append(rest[:i], rest[i+1:]...)
				continue next
			}
		}
		return fmt.Errorf("b%d is no predecessor of b%d", id, b.ID)
	}
	if len(rest) > 0 {
		return fmt.Errorf("b%d is a predecessor of b%d and not listed", rest[0].ID, b.ID)
	}
	b.Preds = order
	return nil
}
