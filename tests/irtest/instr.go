package irtest

import (
	"fmt"
	"strings"

	"github.com/gotrace/gotrace/codegen/ir"
)

// instr parses a value or the terminator of a block.
func (p *parser) instr() error {
	switch {
	case p.accept("jump"):
		p.blk.Term = ir.TermJump
		return p.target()
	case p.accept("br"):
		p.blk.Term = ir.TermBr
		if err := p.cond(); err != nil {
			return err
		}
		if err := p.target(); err != nil {
			return err
		}
		return p.target()
	case p.accept("ret"):
		p.blk.Term = ir.TermRet
		return p.cond()
	}
	v := &ir.Value{ID: -1, Block: p.blk}
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
		p.fn.Reserve(id+1, 0)
		p.ft.values[id] = v
	}
	if err := p.op(v); err != nil {
		return err
	}
	v.Type = v.DefaultType()
	if v.Op == ir.OpKfunc && v.ID < 0 { // some kernel functions return nothing
		v.Type = ir.Void
	}
	if suffix != "" {
		t, err := p.typ(suffix)
		if err != nil {
			return err
		}
		v.Type = t
	}
	if v.Type == ir.Void && v.ID >= 0 {
		return fmt.Errorf("%s has no result", v.Op)
	}
	if v.Type != ir.Void && v.ID < 0 {
		return fmt.Errorf("the result of %s needs a name", v.Op)
	}
	p.blk.Values = append(p.blk.Values, v)
	return nil
}

// op parses the op of v and its operands.
func (p *parser) op(v *ir.Value) (err error) {
	name := p.next()
	v.Op = ir.OpNamed(name)
	if v.Op == ir.OpInvalid {
		return fmt.Errorf("unknown operation %q", name)
	}
	info := v.Op.Info()
	if err := p.form(v, info.Form); err != nil {
		return err
	}
	if info.Access != ir.NoAccess {
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
	if info.Access == ir.Fills || info.Access == ir.Moves {
		v.Imm2, err = p.int()
	}
	return err
}

// form parses the operands of v after the name of its op.
func (p *parser) form(v *ir.Value, form ir.Form) (err error) {
	switch form {
	case ir.FormImm:
		v.Imm, err = p.int()
	case ir.FormSlot:
		if v.Imm, err = p.int(); err != nil {
			return err
		}
		v.Imm2 = 8
		if p.accept("align") {
			v.Imm2, err = p.int()
		}
	case ir.FormMap, ir.FormMapOff:
		name, err := p.name()
		if err != nil {
			return err
		}
		if v.Map = p.maps[name]; v.Map == nil {
			return fmt.Errorf("unknown map %q", name)
		}
		if form == ir.FormMapOff {
			return p.offset(v)
		}
	case ir.FormFunc:
		name, err := p.name()
		if err != nil {
			return err
		}
		p.ft.calls = append(p.ft.calls, callText{v, name, p.line})
	case ir.FormHelper:
		name := p.next()
		if v.Help = p.helpers[name]; v.Help == nil {
			return fmt.Errorf("unknown helper %q", name)
		}
	case ir.FormKfunc:
		if v.Name, err = p.name(); err != nil {
			return err
		}
		v.Imm, err = p.int()
	}
	return err
}

func (p *parser) offset(v *ir.Value) (err error) {
	if t := p.peek(); strings.HasPrefix(t, "+") || strings.HasPrefix(t, "-") {
		v.Imm, err = p.int()
	}
	return err
}

func (p *parser) arg(v *ir.Value) error {
	id, err := p.ref('v')
	if err != nil {
		return err
	}
	i := len(v.Args)
	v.Args = append(v.Args, nil)
	p.useOf(id, func(x *ir.Value) { v.Args[i] = x })
	return nil
}
