package ir

// Clone is a copy of p that shares nothing with it but maps and helpers.
func (p *Prog) Clone() *Prog {
	q := &Prog{Name: p.Name, Kind: p.Kind}
	funcs := map[*Func]*Func{}
	for _, f := range p.Funcs() {
		funcs[f] = &Func{Name: f.Name, Params: f.Params, nextID: f.nextID, nextB: f.nextB}
	}
	for _, f := range p.Funcs() {
		g := funcs[f]
		blocks := make([]*Block, f.nextB)
		values := make([]*Value, f.nextID)
		for _, b := range f.Blocks {
			c := &Block{ID: b.ID, Term: b.Term, Unlikely: b.Unlikely, Pos: b.Pos, Func: g, sealed: true}
			blocks[b.ID] = c
			g.Blocks = append(g.Blocks, c)
			for _, v := range b.Values {
				w := new(Value)
				*w = *v
				w.Block, values[v.ID] = c, w
				if v.Fn != nil {
					w.Fn = funcs[v.Fn]
				}
				c.Values = append(c.Values, w)
			}
		}
		for _, b := range f.Blocks {
			c := blocks[b.ID]
			for _, v := range b.Values {
				w := values[v.ID]
				w.Args = make([]*Value, len(v.Args))
				for i, x := range v.Args {
					w.Args[i] = values[x.ID]
				}
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
		if f == p.Main {
			q.Main = g
		} else {
			q.Subs = append(q.Subs, g)
		}
	}
	return q
}

// Clone is a copy of m whose programs may be changed without changing m's. The
// maps are shared.
func (m *Module) Clone() *Module {
	c := &Module{Maps: m.Maps}
	for _, p := range m.Progs {
		c.Progs = append(c.Progs, p.Clone())
	}
	return c
}
