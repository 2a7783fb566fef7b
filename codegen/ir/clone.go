package ir

// Clone returns a copy of f that shares nothing with it except maps, helpers, and the
// functions that f refers to.
func (f *Func) Clone() *Func {
	g := &Func{Name: f.Name, Params: f.Params, Global: f.Global, Forgets: f.Forgets, OwnFrame: f.OwnFrame, nextID: f.nextID, nextB: f.nextB}
	blocks := make([]*Block, f.nextB)
	values := make([]*Value, f.nextID)
	for _, b := range f.Blocks {
		c := &Block{ID: b.ID, Term: b.Term, Unlikely: b.Unlikely, Pos: b.Pos, Func: g, sealed: true}
		blocks[b.ID] = c
		g.Blocks = append(g.Blocks, c)
		room := make([]Value, len(b.Values))
		c.Values = make([]*Value, len(b.Values))
		for i, v := range b.Values {
			w := &room[i]
			*w = *v
			w.Block, values[v.ID] = c, w
			c.Values[i] = w
		}
	}
	for _, b := range f.Blocks {
		c := blocks[b.ID]
		for _, v := range c.Values {
			args := make([]*Value, len(v.Args))
			for i, x := range v.Args {
				args[i] = values[x.ID]
			}
			v.Args = args
		}
		if b.Cond != nil {
			c.Cond = values[b.Cond.ID]
		}
		for _, s := range b.Succs {
			c.Succs = append(c.Succs, blocks[s.ID])
		}
		for _, s := range b.Preds {
			c.Preds = append(c.Preds, blocks[s.ID])
		}
	}
	return g
}

// Clone returns a copy of p that shares nothing with it but maps and helpers.
func (p *Prog) Clone() *Prog {
	q := &Prog{Name: p.Name, Kind: p.Kind, Role: p.Role, Of: p.Of}
	funcs := map[*Func]*Func{}
	for _, f := range p.Funcs() {
		g := f.Clone()
		funcs[f] = g
		if f == p.Main {
			q.Main = g
		} else {
			q.Subs = append(q.Subs, g)
		}
	}
	for _, g := range q.Funcs() {
		for _, b := range g.Blocks {
			for _, v := range b.Values {
				if v.Fn != nil {
					v.Fn = funcs[v.Fn]
				}
			}
		}
	}
	return q
}

// Clone returns a copy of m whose programs may be changed without affecting m's. The
// maps are shared.
func (m *Module) Clone() *Module {
	c := &Module{Maps: m.Maps}
	for _, p := range m.Progs {
		c.Progs = append(c.Progs, p.Clone())
	}
	return c
}
