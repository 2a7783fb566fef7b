package ir

import (
	"fmt"
	"slices"

	"github.com/gotrace/gotrace/runtime/outline"
)

// Verify checks the invariants on which passes and the backend rely. The kernel's
// verifier would reject their violations too, but in its own terms. Definitions
// dominate uses, operand types fit, memory is accessed only through pointers that
// cannot be null there, and each ring buffer record is submitted or discarded exactly
// once on every path. The error names the program, function, block and value.
func Verify(m *Module) error {
	names := map[string]*Map{}
	for _, mp := range m.Maps {
		if names[mp.Name] != nil {
			return outline.Errorf("ir: two maps are named %q", mp.Name)
		}
		names[mp.Name] = mp
	}
	for _, p := range m.Progs {
		if p.Main == nil {
			return outline.Errorf("ir: program %s has no main function", p.Name)
		}
		if len(p.Main.Params) != 1 || p.Main.Params[0] != PtrCtx {
			return outline.Errorf("ir: program %s: the context must be the only parameter of main", p.Name)
		}
		funcs := map[*Func]bool{}
		for _, f := range p.Funcs() {
			funcs[f] = true
		}
		for _, f := range p.Funcs() {
			v := &verifier{f: f, maps: names, funcs: funcs}
			if err := v.run(); err != nil {
				return outline.Errorf("ir: %s: %s: %w", p.Name, f.Name, err)
			}
		}
	}
	return nil
}

type verifier struct {
	f     *Func
	maps  map[string]*Map
	funcs map[*Func]bool
	dom   *Dom
	index map[*Value]int // position within its block
}

func at(b *Block, v *Value, format string, args ...any) error {
	where := b.String()
	if v != nil {
		where += ": " + v.String()
	}
	return outline.Errorf("%s: %s", where, fmt.Sprintf(format, args...))
}

func (c *verifier) run() error {
	f := c.f
	if len(f.Blocks) == 0 {
		return outline.Errorf("no blocks")
	}
	if len(f.Params) > 5 {
		return outline.Errorf("%d parameters, at most 5 fit registers", len(f.Params))
	}
	if f.Global && slices.ContainsFunc(f.Params, func(t Type) bool { return t != Int && t != PtrCtx }) {
		return outline.Errorf("a global function with a parameter that is neither an integer nor the context")
	}
	if err := c.shape(); err != nil {
		return err
	}
	c.dom = NewDom(f)
	c.index = map[*Value]int{}
	for _, b := range f.Blocks {
		for i, v := range b.Values {
			c.index[v] = i
		}
	}
	for _, b := range f.Blocks {
		if !c.dom.Reachable(b) {
			continue
		}
		for _, v := range b.Values {
			if err := c.value(b, v); err != nil {
				return err
			}
		}
		if b.Cond != nil {
			if err := c.used(b, nil, b.Cond, b, len(b.Values)); err != nil {
				return err
			}
			if t := b.Cond.Type; b.Term == TermRet && t != Int {
				return at(b, nil, "returns v%d, which is %s", b.Cond.ID, t)
			}
		}
	}
	return c.records()
}

// shape checks blocks, edges and terminators, on which dominators depend.
func (c *verifier) shape() error {
	ids := map[int]bool{}
	blocks := map[*Block]bool{}
	for _, b := range c.f.Blocks {
		if blocks[b] || ids[b.ID] {
			return at(b, nil, "listed twice")
		}
		if b.ID < 0 || b.ID >= c.f.nextB {
			return at(b, nil, "number out of range")
		}
		if b.Func != c.f {
			return at(b, nil, "belongs to another function")
		}
		ids[b.ID], blocks[b] = true, true
	}
	if len(c.f.Blocks[0].Preds) > 0 {
		return at(c.f.Blocks[0], nil, "the entry block has predecessors")
	}
	valueIDs := map[int]bool{}
	for _, b := range c.f.Blocks {
		succs := 0
		switch b.Term {
		case TermNone:
			return at(b, nil, "no terminator")
		case TermJump:
			succs = 1
		case TermBr:
			succs = 2
		}
		if len(b.Succs) != succs {
			return at(b, nil, "%d successors instead of %d", len(b.Succs), succs)
		}
		if (b.Cond != nil) != (b.Term == TermBr || b.Term == TermRet) {
			return at(b, nil, "terminator and operand do not fit")
		}
		for _, s := range b.Succs {
			if !blocks[s] {
				return at(b, nil, "successor %s is not in the function", s)
			}
			if count(b.Succs, s) != count(s.Preds, b) {
				return at(b, nil, "edge to %s is not among its predecessors", s)
			}
		}
		for _, p := range b.Preds {
			if !blocks[p] || count(p.Succs, b) != count(b.Preds, p) {
				return at(b, nil, "predecessor %s has no edge here", p)
			}
		}
		phis := true
		for _, v := range b.Values {
			if v.Block != b {
				return at(b, v, "refers to another block as its own")
			}
			if v.ID < 0 || v.ID >= c.f.nextID || valueIDs[v.ID] {
				return at(b, v, "number is not unique")
			}
			valueIDs[v.ID] = true
			if v.Op != OpPhi {
				phis = false
			} else if !phis {
				return at(b, v, "phi after other values")
			} else if len(v.Args) != len(b.Preds) {
				return at(b, v, "%d arguments for %d predecessors", len(v.Args), len(b.Preds))
			}
		}
	}
	return nil
}

func count(list []*Block, b *Block) int {
	n := 0
	for _, x := range list {
		if x == b {
			n++
		}
	}
	return n
}

// used checks that v may read x in block b at index i.
func (c *verifier) used(b *Block, v, x *Value, in *Block, i int) error {
	switch {
	case x == nil:
		return at(b, v, "missing operand")
	case x.Type == Void:
		return at(b, v, "uses %s, which has no result", x.Op)
	case x.Block == nil || x.Block.Func != c.f:
		return at(b, v, "v%d belongs to another function", x.ID)
	}
	if j, ok := c.index[x]; !ok {
		return at(b, v, "v%d is in no block", x.ID)
	} else if x.Block == in && j >= i || !c.dom.Dominates(x.Block, in) || !c.dom.Reachable(x.Block) {
		return at(b, v, "v%d does not dominate its use", x.ID)
	}
	return nil
}

func isNull(t Type, x *Value) bool { return t.IsPtr() && x.Op == OpConst && x.Imm == 0 }

// nonNil reports whether a null check of x guards block b or, if to is not nil, the edge
// from b to it.
func (c *verifier) nonNil(x *Value, b, to *Block) bool {
	if to != nil && guards(x, b, to) {
		return true
	}
	for d := b; d != nil; d = c.dom.IDom(d) {
		if len(d.Preds) == 1 && guards(x, d.Preds[0], d) {
			return true
		}
	}
	return false
}

// guards reports whether x is not null on the edge from p to its successor s.
func guards(x *Value, p, s *Block) bool {
	if p.Term != TermBr || p.Succs[0] == p.Succs[1] {
		return false
	}
	cond, then := p.Cond, p.Succs[0] == s
	for {
		switch {
		case cond == x:
			return then
		case cond.Op == OpNe && isZero(cond.Args[1]):
			cond = cond.Args[0]
		case cond.Op == OpEq && isZero(cond.Args[1]):
			cond, then = cond.Args[0], !then
		default:
			return false
		}
	}
}

func isZero(v *Value) bool { return v.Op == OpConst && v.Imm == 0 }

// The states of a ring buffer record at a point.
const (
	recNone  = iota // not reserved, null, submitted or discarded
	recMaybe        // reserved, not checked for null yet
	recHeld
)

// Record returns the reservation whose record v points into, or nil.
func Record(v *Value) *Value {
	for {
		switch {
		case v.Help == RingReserve:
			return v
		case v.Derives():
			v = v.Args[0]
		default:
			return nil
		}
	}
}

// records follows each reservation along all paths.
func (c *verifier) records() error {
	for _, b := range c.dom.RPO {
		for _, v := range b.Values {
			if v.Help == RingReserve {
				if err := c.record(v); err != nil {
					return err
				}
			}
			if (v.Help == RingSubmit || v.Help == RingDiscard) && Record(v.Args[0]) == nil {
				return at(b, v, "v%d is not a reservation in this function", v.Args[0].ID)
			}
		}
	}
	return nil
}

func (c *verifier) record(rec *Value) error {
	in := map[*Block]int{c.f.Blocks[0]: recNone}
	work := []*Block{c.f.Blocks[0]}
	for len(work) > 0 {
		b := work[0]
		work = work[1:]
		state := in[b]
		for _, v := range b.Values {
			if v == rec {
				if state != recNone {
					return at(b, v, "reserved again before it is submitted or discarded")
				}
				state = recMaybe
				continue
			}
			if v.Op == OpPhi {
				continue
			}
			for _, x := range v.Args {
				if !x.Type.IsPtr() || Record(x) != rec {
					continue
				}
				released := (v.Help == RingSubmit || v.Help == RingDiscard)
				switch {
				case v.Op == OpEq || v.Op == OpNe:
				case state == recNone:
					return at(b, v, "record v%d is used after it was submitted or discarded", rec.ID)
				case state == recMaybe:
					return at(b, v, "record v%d may be null here", rec.ID)
				case released:
					state = recNone
				}
			}
		}
		if b.Term == TermRet && state != recNone {
			return at(b, nil, "record v%d is neither submitted nor discarded", rec.ID)
		}
		for i, s := range b.Succs {
			out := state
			if state == recMaybe && b.Term == TermBr && b.Succs[0] != b.Succs[1] {
				if guards(rec, b, s) {
					out = recHeld
				} else if guards(rec, b, b.Succs[1-i]) {
					out = recNone
				}
			}
			old, seen := in[s]
			switch {
			case !seen:
				in[s] = out
				work = append(work, s)
			case old != out:
				return at(s, nil, "record v%d is submitted or discarded on some of the paths to here but not on others", rec.ID)
			}
		}
	}
	return nil
}
