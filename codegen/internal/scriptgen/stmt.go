package scriptgen

import (
	"fmt"
	"strings"
)

func (g *gen) statements(n int) []stmt {
	var list []stmt
	for i := 0; i < n && g.left > 0; i++ {
		g.left--
		list = append(list, g.statement())
	}
	return list
}

func (g *gen) block(n int) []stmt {
	g.tabs++
	g.depth++
	list := g.statements(n)
	g.depth--
	g.tabs--
	return list
}

func (g *gen) statement() stmt {
	switch n := g.r.Intn(100); {
	case n < 30:
		v := g.vars[g.r.Intn(len(g.vars))]
		return g.set(v.text, g.cast(g.expr(3), v.t))
	case n < 36:
		v := g.vars[g.r.Intn(len(g.vars))]
		return g.step(v.text, v.t)
	case n < 44:
		i := g.r.Intn(scalars)
		v := g.scalar(i)
		switch g.r.Intn(4) {
		case 0:
			return g.step(v.text, v.t)
		case 1:
			x := g.cast(g.expr(2), v.t)
			g.line("%s += %s;", v.text, x.text)
			return func(s *state) { s.vars[v.text] += x.eval(s) }
		}
		return g.set(v.text, g.cast(g.expr(3), v.t))
	case n < 56:
		return g.update(g.r.Intn(hashes))
	case n < 62:
		return g.tuple(g.r.Intn(tuples))
	case n < 80 && g.depth < 4:
		c := g.expr(3)
		g.line("if (%s) {", c.text)
		then := g.block(1 + g.r.Intn(3))
		var els []stmt
		if g.r.Intn(2) == 0 {
			g.line("} else {")
			els = g.block(1 + g.r.Intn(3))
		}
		g.line("}")
		return func(s *state) {
			if c.eval(s) != 0 {
				run(s, then)
			} else {
				run(s, els)
			}
		}
	case n < 90 && g.depth < 3 && g.turns < 50:
		return g.loop()
	case n < 94 && g.loops > 0:
		return g.jump()
	case n < 96 && len(g.funcs) > 0:
		return g.call()
	case n < 97 && g.result != nil:
		c, x := g.expr(2), g.cast(g.expr(2), *g.result)
		g.line("if (%s) {", c.text)
		g.line("\treturn %s;", x.text)
		g.line("}")
		return func(s *state) {
			if c.eval(s) != 0 {
				s.jump, s.result = returns, x.eval(s)
			}
		}
	}
	v := g.vars[g.r.Intn(len(g.vars))]
	return g.set(v.text, g.cast(g.expr(4), v.t))
}

// step returns ++ or --.
func (g *gen) step(name string, t typ) stmt {
	if g.r.Intn(2) == 0 {
		g.line("%s++;", name)
		return func(s *state) { s.vars[name] = t.wrap(s.vars[name] + 1) }
	}
	if !t.signed && name[0] == '@' {
		g.line("%s++;", name)
		return func(s *state) { s.vars[name]++ }
	}
	g.line("%s--;", name)
	return func(s *state) { s.vars[name] = t.wrap(s.vars[name] - 1) }
}

// update changes an entry of a map.
func (g *gen) update(i int) stmt {
	k, name := g.anyKey(2), fmt.Sprintf("@m%d", i)
	at := fmt.Sprintf("%s[%s]", name, keyText(i, k))
	entry := func(s *state) map[string]uint64 {
		if s.maps[name] == nil {
			s.maps[name] = map[string]uint64{}
		}
		return s.maps[name]
	}
	switch g.r.Intn(5) {
	case 0:
		g.line("%s++;", at)
		return func(s *state) { entry(s)[key(k.eval(s))]++ }
	case 1:
		x := g.cast(g.expr(2), g.scalarType(i))
		g.line("%s += %s;", at, x.text)
		return func(s *state) {
			n := x.eval(s)
			entry(s)[key(k.eval(s))] += n
		}
	case 2:
		if i > 0 {
			break
		}
		g.line("delete(%s, %s);", name, keyText(i, k))
		return func(s *state) { delete(entry(s), key(k.eval(s))) }
	}
	x := g.cast(g.expr(3), g.scalarType(i))
	g.line("%s = %s;", at, x.text)
	return func(s *state) {
		n := x.eval(s)
		entry(s)[key(k.eval(s))] = n
	}
}

func (g *gen) loop() stmt {
	name := fmt.Sprintf("$%si%d", g.prefix, g.names)
	g.names++
	n := 1 + g.r.Intn(4)
	end := g.constant(n)
	switch g.r.Intn(4) {
	case 0:
		g.line("unroll (%d) {", n)
		body := g.body(n, false)
		g.line("}")
		return repeat(n, nil, body)
	case 1:
		g.line("let %s : int64 = 0;", name)
		g.line("while (%s < %d) {", name, n)
		g.tabs++
		g.line("%s++;", name)
		g.tabs--
		g.read = append(g.read, variable(name, i64))
		body := g.body(n, true)
		g.read = g.read[:len(g.read)-1]
		g.line("}")
		return repeat(n, func(s *state, i int) { s.vars[name] = uint64(i + 1) }, body)
	case 2:
		n = 17 + g.r.Intn(8) // more iterations than are unrolled
		end = g.constant(n)
	case 3:
		x := g.typed(2)
		end = expr{fmt.Sprintf("((uint64)%s & 7)", x.text), u64, func(s *state) uint64 { return x.eval(s) & 7 }}
		n = 7
	}
	g.line("for %s : 0..%s {", name, end.text)
	i := variable(name, i64)
	i.text = "(int64)" + name // its own type is that of the range
	g.read = append(g.read, i)
	body := g.body(n, true)
	g.read = g.read[:len(g.read)-1]
	g.line("}")
	return func(s *state) {
		repeat(int(end.eval(s)), func(s *state, i int) { s.vars[name] = uint64(i) }, body)(s)
	}
}

func (g *gen) body(n int, jumps bool) []stmt {
	turns, loops := g.turns, g.loops
	g.turns *= n
	g.loops = 0
	if jumps {
		g.loops = 1
	}
	body := g.block(1 + g.r.Intn(3))
	g.turns, g.loops = turns, loops
	return body
}

func repeat(n int, begin func(*state, int), body []stmt) stmt {
	return func(s *state) {
		for i := range n {
			if begin != nil {
				begin(s, i)
			}
			run(s, body)
			switch s.jump {
			case returns:
				return
			case breaks:
				s.jump = goOn
				return
			}
			s.jump = goOn
		}
	}
}

func (g *gen) jump() stmt {
	c := g.expr(2)
	word, j := "break", breaks
	if g.r.Intn(2) == 0 {
		word, j = "continue", continues
	}
	g.line("if (%s) {", c.text)
	g.line("\t%s;", word)
	g.line("}")
	return func(s *state) {
		if c.eval(s) != 0 {
			s.jump = j
		}
	}
}

// fun is a function of the script.
type fun struct {
	name   string
	params []expr
	result typ
	body   []stmt
}

func (g *gen) function(i int) fun {
	f := fun{name: fmt.Sprintf("f%d", i), result: types[g.r.Intn(len(types))]}
	b := &gen{r: g.r, turns: 1, left: 2 + g.r.Intn(5), prefix: f.name, result: &f.result}
	if i > 0 && g.r.Intn(2) == 0 {
		b.funcs = g.funcs
	}
	var params []string
	for k := range 1 + g.r.Intn(4) {
		v := variable(fmt.Sprintf("$%sp%d", f.name, k), types[g.r.Intn(len(types))])
		f.params, params = append(f.params, v), append(params, fmt.Sprintf("%s : %s", v.text, v.t))
	}
	b.vars = f.params
	b.line("fn %s(%s) : %s {", f.name, strings.Join(params, ", "), f.result)
	f.body = b.block(b.left)
	b.tabs++
	x := b.cast(b.expr(3), f.result)
	b.line("return %s;", x.text)
	b.tabs--
	b.line("}")
	f.body = append(f.body, func(s *state) { s.jump, s.result = returns, x.eval(s) })
	g.b.WriteString(b.b.String())
	return f
}

// call assigns the result of a function to a variable.
func (g *gen) call() stmt {
	f, v := g.funcs[g.r.Intn(len(g.funcs))], g.vars[g.r.Intn(len(g.vars))]
	args, texts := make([]expr, len(f.params)), make([]string, len(f.params))
	for i, p := range f.params {
		args[i] = g.cast(g.expr(2), p.t)
		texts[i] = args[i].text
	}
	g.line("%s = (%s)%s(%s);", v.text, v.t, f.name, strings.Join(texts, ", "))
	return func(s *state) {
		vals := make([]uint64, len(args))
		for i, x := range args {
			vals[i] = x.eval(s)
		}
		for i, p := range f.params {
			s.vars[p.text] = vals[i]
		}
		run(s, f.body)
		s.jump = goOn
		s.vars[v.text] = v.t.wrap(s.result)
	}
}
